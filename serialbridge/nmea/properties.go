package nmea

import (
	"math"

	"lintel/serialbridge"
)

// properties are all that a device can have, in the order in which they are
// announced.
var properties = []serialbridge.Property{
	{Key: positionKey, Name: "Position", Kind: serialbridge.Tracker, Precision: -1},
	serialbridge.Measured("latitude", "Latitude", "°", "", 6),
	serialbridge.Measured("longitude", "Longitude", "°", "", 6),
	serialbridge.Measured("altitude", "Altitude", "m", "distance", 1),
	serialbridge.Measured("speed", "Speed", "km/h", "speed", 1),

	serialbridge.Number("course", "Course", "°", "", 0),
	serialbridge.Flag("fix", "Position fix", ""),
	serialbridge.Measured("satellites", "Satellites used", "", "", 0),
	serialbridge.OneOf("fix_quality", "Fix quality", qualities()...).AsDiagnostic(),
	serialbridge.OneOf("fix_type", "Fix type", types()...).AsDiagnostic(),
	serialbridge.Measured("hdop", "Horizontal dilution of precision", "", "", 2).AsDiagnostic(),
	serialbridge.Measured("vdop", "Vertical dilution of precision", "", "", 2).AsDiagnostic(),
	serialbridge.Measured("pdop", "Dilution of precision", "", "", 2).AsDiagnostic(),
	serialbridge.Number("magnetic_course", "Magnetic course", "°", "", 0).AsDiagnostic(),
	serialbridge.Number("magnetic_variation", "Magnetic variation", "°", "", 1).AsDiagnostic(),
	serialbridge.Measured("geoid_separation", "Geoid separation", "m", "distance", 1).AsDiagnostic(),
	serialbridge.Moment("time", "Time"),
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
