package zcl

import "fmt"

// TypeByName returns the type of a name such as uint8, enum8, bool, string: the
// names of the table of clusters.
func TypeByName(name string) (Type, bool) {
	t, ok := parameterType(name)
	return Type(t), ok && t <= 0xff
}

// String is the name of the type, or its number if it has none.
func (t Type) String() string {
	for name, known := range typeNames {
		if known == ParameterType(t) {
			return name
		}
	}
	for _, series := range []struct {
		name  string
		first Type
	}{{"data", Data8}, {"map", Bitmap8}, {"uint", Uint8}, {"int", Int8}} {
		if t >= series.first && t < series.first+8 {
			return fmt.Sprint(series.name, 8*int(t-series.first+1))
		}
	}
	return fmt.Sprintf("0x%02x", uint8(t))
}
