package nmea

import (
	"math"

	"lintel/serialbridge"
)

// properties are all that a device can have, in the order in which they are
// announced.
var properties = []serialbridge.Property{
	{Key: positionKey, Name: "Position", Kind: serialbridge.Tracker, Precision: -1},
	measurement("latitude", "Latitude", "°", "", 6),
	measurement("longitude", "Longitude", "°", "", 6),
	measurement("altitude", "Altitude", "m", "distance", 1),
	measurement("speed", "Speed", "km/h", "speed", 1),
	// An average of 359° and 1° is not 180°: no statistics.
	plain("course", "Course", "°", 0),
	{Key: "fix", Name: "Position fix", Kind: serialbridge.Binary, Precision: -1},
	measurement("satellites", "Satellites used", "", "", 0),
	diagnostic(options("fix_quality", "Fix quality", qualities())),
	diagnostic(options("fix_type", "Fix type", types())),
	diagnostic(measurement("hdop", "Horizontal dilution of precision", "", "", 2)),
	diagnostic(measurement("vdop", "Vertical dilution of precision", "", "", 2)),
	diagnostic(measurement("pdop", "Dilution of precision", "", "", 2)),
	diagnostic(plain("magnetic_course", "Magnetic course", "°", 0)),
	diagnostic(plain("magnetic_variation", "Magnetic variation", "°", 1)),
	diagnostic(measurement("geoid_separation", "Geoid separation", "m", "distance", 1)),
	diagnostic(serialbridge.Property{Key: "time", Name: "Time", Kind: serialbridge.State, Class: "timestamp", Precision: -1}),
}

// positionKey is that of latitude and longitude together, which is what a map shows.
const positionKey = "position"

// rangeError is by how much a receiver without corrections is usually wrong about the
// way to one satellite, in metres; times the dilution it is wrong about its place.
const rangeError = 5

// position returns where a receiver is, if that is among values.
func (r *receiver) position(values map[string]any) (map[string]any, bool) {
	latitude, ok := values["latitude"].(float64)
	longitude, also := values["longitude"].(float64)
	if !ok || !also {
		return nil, false
	}
	at := map[string]any{"latitude": latitude, "longitude": longitude}
	if altitude, ok := values["altitude"].(float64); ok {
		at["altitude"] = altitude
	}
	if r.dilution > 0 {
		at["gps_accuracy"] = math.Ceil(rangeError * r.dilution)
	}
	return at, true
}

// qualities are the values of GGA's quality indicator.
func qualities() []string {
	return []string{"none", "GPS", "differential", "precise", "RTK", "float RTK", "estimated", "manual", "simulated"}
}

// types are the values of GSA's second field, from 1.
func types() []string { return []string{"none", "2D", "3D"} }

func plain(key, name, unit string, precision int) serialbridge.Property {
	return serialbridge.Property{Key: key, Name: name, Kind: serialbridge.Measurement, Unit: unit, Precision: precision}
}

func measurement(key, name, unit, class string, precision int) serialbridge.Property {
	p := plain(key, name, unit, precision)
	p.Class = class
	p.StateClass = "measurement"
	return p
}

func options(key, name string, options []string) serialbridge.Property {
	return serialbridge.Property{Key: key, Name: name, Kind: serialbridge.State, Class: "enum", Options: options, Precision: -1}
}

func diagnostic(p serialbridge.Property) serialbridge.Property {
	p.Category = serialbridge.Diagnostic
	return p
}
