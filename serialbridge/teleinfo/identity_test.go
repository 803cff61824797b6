package teleinfo

import (
	"slices"
	"testing"
)

// A meter that never tells its number has no name of its own.
func TestAnonymous(t *testing.T) {
	none, zeros, named := historicFrame("IINST 001"), historicFrame("ADCO 000000000000", "IINST 001"), historicFrame(adco, "IINST 001")
	for _, test := range []struct {
		name    string
		frames  [][]byte
		want    []string // device of each reading
		damaged int
	}{
		{"two", [][]byte{none, none}, nil, 2},
		{"three and more", [][]byte{none, zeros, none, zeros}, []string{"teleinfo_meter", "teleinfo_meter"}, 2},
		{"named", [][]byte{named, none, none, none, none, named}, []string{"teleinfo_021630015376", "teleinfo_021630015376"}, 4},
		{"named late", [][]byte{none, none, none, named, none}, []string{"teleinfo_meter", "teleinfo_021630015376"}, 3},
	} {
		r := decode(t, test.frames...)
		var got []string
		for _, reading := range r.Readings {
			got = append(got, reading.Device)
		}
		if !slices.Equal(got, test.want) || len(r.Damage) != test.damaged {
			t.Errorf("%s: %q, damaged %q; want %q", test.name, got, r.Damage, test.want)
		}
		for id, d := range r.Devices {
			if d.Anonymous != (id == "teleinfo_meter") {
				t.Errorf("%s: %+v", test.name, d)
			}
		}
	}
}

// Another number is another meter when it was heard twice in a row.
func TestIdentity(t *testing.T) {
	a, b, c := historicFrame("ADCO 000000000001", "IINST 001"), historicFrame("ADCO 000000000002", "IINST 001"), standardFrame("ADSC|000000000001", "IRMS1|001")
	for _, test := range []struct {
		name   string
		frames [][]byte
		want   string // last digit of the device of each reading
	}{
		{"one", [][]byte{a, a, a}, "111"},
		{"one odd", [][]byte{a, b, a, b, a}, "111"},
		{"another", [][]byte{a, b, b, b}, "122"},
		{"and back", [][]byte{a, b, b, a, a}, "121"},
		{"another mode", [][]byte{a, c, a}, "111"},
	} {
		var got string
		for _, reading := range decode(t, test.frames...).Readings {
			got += reading.Device[len(reading.Device)-1:]
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
