package serialbridge

// The properties that many protocols have.

// Number returns a number without statistics.
func Number(key, name, unit, class string, precision int) Property {
	return Property{Key: key, Name: name, Kind: Measurement, Unit: unit, Class: class, Precision: precision}
}

// Measured returns a number that goes up and down.
func Measured(key, name, unit, class string, precision int) Property {
	p := Number(key, name, unit, class, precision)
	p.StateClass = "measurement"
	return p
}

// Counted returns a number that only rises.
func Counted(key, name, unit, class string, precision int) Property {
	p := Number(key, name, unit, class, precision)
	p.StateClass = "total_increasing"
	return p
}

// Flag returns what is true or false.
func Flag(key, name, class string) Property {
	return Property{Key: key, Name: name, Kind: Binary, Class: class, Precision: -1}
}

// Said returns a text.
func Said(key, name string) Property {
	return Property{Key: key, Name: name, Kind: State, Precision: -1}
}

// OneOf returns a text that is one of options.
func OneOf(key, name string, options ...string) Property {
	return Property{Key: key, Name: name, Kind: State, Class: "enum", Options: options, Precision: -1}
}

// Moment returns a time as RFC 3339 writes it, which tells how the device is doing.
func Moment(key, name string) Property {
	return Property{Key: key, Name: name, Kind: State, Class: "timestamp", Category: Diagnostic, Precision: -1}
}

// AsDiagnostic returns p as one that tells how the device is doing.
func (p Property) AsDiagnostic() Property {
	p.Category = Diagnostic
	return p
}
