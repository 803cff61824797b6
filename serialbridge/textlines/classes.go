package textlines

import (
	"slices"
	"strings"
)

// sensorClasses are the device classes of Home Assistant's sensors that have
// numbers, each with its units, separated by spaces. A sensor with another unit is
// refused there without a word to the user. "fl. oz." has a space and is left out.
var sensorClasses = map[string]string{
	"absolute_humidity":                "g/m³ mg/m³",
	"apparent_power":                   "mVA VA kVA",
	"aqi":                              "",
	"area":                             "mm² cm² m² km² in² ft² yd² mi² ac ha",
	"atmospheric_pressure":             pressures,
	"battery":                          "%",
	"blood_glucose_concentration":      "mg/dL mmol/L",
	"carbon_dioxide":                   "ppm",
	"carbon_monoxide":                  "ppm mg/m³ \u03bcg/m³",
	"conductivity":                     "S/cm mS/cm \u03bcS/cm",
	"current":                          "mA A",
	"data_rate":                        "bit/s kbit/s Mbit/s Gbit/s B/s kB/s MB/s GB/s KiB/s MiB/s GiB/s",
	"data_size":                        "bit kbit Mbit Gbit B kB MB GB TB PB EB ZB YB KiB MiB GiB TiB PiB EiB ZiB YiB",
	"distance":                         "mm cm m km in ft yd mi nmi",
	"duration":                         "d h min s ms \u03bcs",
	"energy":                           energies,
	"energy_distance":                  "kWh/100km Wh/km km/kWh mi/kWh",
	"energy_storage":                   energies,
	"frequency":                        "Hz kHz MHz GHz",
	"gas":                              "L m³ ft³ CCF MCF",
	"humidity":                         "%",
	"illuminance":                      "lx",
	"irradiance":                       "W/m² BTU/(h⋅ft²)",
	"moisture":                         "%",
	"nitrogen_dioxide":                 "\u03bcg/m³",
	"nitrogen_monoxide":                "\u03bcg/m³",
	"nitrous_oxide":                    "\u03bcg/m³",
	"ozone":                            "\u03bcg/m³",
	"ph":                               "",
	"pm1":                              "\u03bcg/m³",
	"pm10":                             "\u03bcg/m³",
	"pm25":                             "\u03bcg/m³",
	"pm4":                              "\u03bcg/m³",
	"power":                            "mW W kW MW GW TW",
	"power_factor":                     "%",
	"precipitation":                    "mm cm in",
	"precipitation_intensity":          "mm/h mm/d in/h in/d",
	"pressure":                         pressures,
	"reactive_energy":                  "varh kvarh",
	"reactive_power":                   "mvar var kvar",
	"signal_strength":                  "dB dBm",
	"sound_pressure":                   "dB dBA",
	"speed":                            "m/s m/min km/h mm/s mm/h mm/d ft/s in/s in/h in/d mph kn Beaufort",
	"sulphur_dioxide":                  "\u03bcg/m³",
	"temperature":                      "°C °F K",
	"temperature_delta":                "°C °F K",
	"volatile_organic_compounds":       "\u03bcg/m³ mg/m³",
	"volatile_organic_compounds_parts": "ppm ppb",
	"voltage":                          "\u03bcV mV V kV MV",
	"volume":                           "mL L m³ ft³ gal CCF MCF",
	"volume_flow_rate":                 "m³/h m³/min m³/s L/h L/min L/s mL/s ft³/min gal/d gal/h gal/min",
	"volume_storage":                   "mL L m³ ft³ gal CCF MCF",
	"water":                            "L m³ ft³ gal CCF MCF",
	"weight":                           "\u03bcg mg g kg oz lb st",
	"wind_direction":                   "°",
	"wind_speed":                       "m/s m/min km/h mm/s ft/s in/s mph kn Beaufort",
}

const (
	pressures = "Pa hPa kPa mPa bar cbar mbar mmHg inHg inH₂O psi"
	energies  = "J kJ MJ GJ mWh Wh kWh MWh GWh TWh cal kcal Mcal Gcal"
)

// otherClasses are the device classes of what has no number, by kind.
var otherClasses = map[string][]string{
	"binary": {"battery", "battery_charging", "carbon_monoxide", "cold", "connectivity", "door", "garage_door", "gas", "heat", "light",
		"lock", "moisture", "motion", "moving", "occupancy", "opening", "plug", "power", "presence", "problem", "running", "safety",
		"smoke", "sound", "tamper", "update", "vibration", "window"},
	"button": {"identify", "restart", "update"},
	"event":  {"button", "doorbell", "motion"},
	"switch": {"outlet", "switch"},
}

// stateClasses returns what a measurement of the class may be to statistics, the
// usual one first.
func stateClasses(class string) []string {
	switch class {
	case "energy", "gas", "reactive_energy", "volume", "water":
		return []string{"total_increasing", "total"}
	case "area", "data_size", "distance", "duration", "precipitation", "weight", "":
		return []string{"measurement", "total", "total_increasing"}
	case "wind_direction":
		return []string{"measurement_angle"}
	}
	return []string{"measurement"}
}

// unitsOf returns the units of a class; none is the only one of a class without.
func unitsOf(class string) []string { return strings.Fields(sensorClasses[class]) }

// unit spells a unit as Home Assistant does: with the Greek letter, not the micro
// sign that keyboards have.
func unit(s string) string { return strings.ReplaceAll(s, "\u00b5", "\u03bc") }

// fits reports whether a unit is one of the class.
func fits(class, unit string) bool {
	units := unitsOf(class)
	return slices.Contains(units, unit) || len(units) == 0 && unit == ""
}
