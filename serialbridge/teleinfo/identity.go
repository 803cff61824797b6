package teleinfo

import "lintel/serialbridge"

// device returns the meter with a number of twelve digits: two for the maker,
// two for the year, two for the type, six of a serial number (EURIDIS).
func device(number string) serialbridge.Device {
	return serialbridge.Device{
		ID:           "teleinfo_" + number,
		Name:         "Electricity meter",
		Vendor:       vendors[number[:2]],
		Model:        models[number[4:6]],
		SerialNumber: number,
	}
}

// anonymous returns a meter that does not tell its number.
func anonymous() serialbridge.Device {
	return serialbridge.Device{ID: "teleinfo_meter", Name: "Electricity meter", Anonymous: true}
}

// vendors names the makers in EURIDIS's list, as far as they make meters of
// electricity.
var vendors = map[string]string{
	"01": "Crouzet Monetel",
	"02": "Sagemcom",
	"03": "Itron (Actaris)",
	"04": "Landis+Gyr",
	"05": "Sauter",
	"06": "Itron",
	"07": "Maec",
	"08": "Enerdis",
	"11": "Elster",
	"16": "Legrand",
	"18": "Schneider",
	"24": "Hager",
	"27": "Iskraemeco",
}

// models names the types of Linky. Older meters have types that say less.
var models = map[string]string{
	"61": "Linky G3, one phase, 60 A",
	"62": "Linky G1, one phase, 90 A",
	"63": "Linky G1, three phases, 60 A",
	"64": "Linky G3, one phase, 60 A",
	"70": "Linky G3, one phase, 60 A",
	"71": "Linky G3, three phases, 60 A",
	"75": "Linky G3, one phase, 90 A",
	"76": "Linky G3, three phases, 60 A",
}
