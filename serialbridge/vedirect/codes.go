package vedirect

// The codes of VE.Direct Protocol 3.33. They are told as text without a list of
// options: newer firmware adds to them.

var chargeStates = map[int64]string{
	0:   "off",
	1:   "low power",
	2:   "fault",
	3:   "bulk",
	4:   "absorption",
	5:   "float",
	6:   "storage",
	7:   "equalize",
	9:   "inverting",
	11:  "power supply",
	245: "starting up",
	246: "repeated absorption",
	247: "auto equalize",
	248: "battery safe",
	252: "external control",
}

var modes = map[int64]string{
	1:   "charger",
	2:   "inverter",
	4:   "off",
	5:   "eco",
	253: "hibernate",
}

var trackers = map[int64]string{
	0: "off",
	1: "voltage or current limited",
	2: "tracking",
}

// monitorModes says what a battery monitor is put in front of: below zero
// a source, above zero a load.
var monitorModes = map[int64]string{
	-9: "solar charger",
	-8: "wind turbine",
	-7: "shaft generator",
	-6: "alternator",
	-5: "fuel cell",
	-4: "water generator",
	-3: "DC/DC charger",
	-2: "AC charger",
	-1: "generic source",
	0:  "battery monitor",
	1:  "generic load",
	2:  "electric drive",
	3:  "fridge",
	4:  "water pump",
	5:  "bilge pump",
	6:  "DC system",
	7:  "inverter",
	8:  "water heater",
}

var chargerErrors = map[int64]string{
	0:   "none",
	2:   "battery voltage too high",
	17:  "charger temperature too high",
	18:  "charger over-current",
	19:  "charger current reversed",
	20:  "bulk time limit exceeded",
	21:  "current sensor",
	26:  "terminals overheated",
	28:  "converter",
	33:  "PV voltage too high",
	34:  "PV current too high",
	38:  "input shut down: battery voltage too high",
	39:  "input shut down: current while off",
	65:  "lost communication with another device",
	66:  "synchronized charging is set up wrongly",
	67:  "lost connection to the BMS",
	68:  "network is set up wrongly",
	116: "factory calibration lost",
	117: "firmware does not fit",
	119: "settings invalid",
}

// alarms are the bits of AR and WARN.
var alarms = map[int64]string{
	0x0001: "low voltage",
	0x0002: "high voltage",
	0x0004: "low state of charge",
	0x0008: "low starter voltage",
	0x0010: "high starter voltage",
	0x0020: "low temperature",
	0x0040: "high temperature",
	0x0080: "midpoint voltage",
	0x0100: "overload",
	0x0200: "DC ripple",
	0x0400: "low AC voltage",
	0x0800: "high AC voltage",
	0x1000: "short circuit",
	0x2000: "BMS lockout",
}

var offReasons = map[int64]string{
	0x001: "no input power",
	0x002: "power switch",
	0x004: "device mode",
	0x008: "remote input",
	0x010: "protection",
	0x020: "pay as you go",
	0x040: "BMS",
	0x080: "engine shutdown detection",
	0x100: "analysing input voltage",
}
