package sml

import (
	"slices"
	"strings"
	"testing"
)

func TestIdentity(t *testing.T) {
	for _, test := range []struct{ server, id, vendor string }{
		{"\x09\x01ESY\x11\x03\xb5\x99\xa5", "sml_1ESY1162232997", "EasyMeter"},
		{"\x06EMH\x01\x02\x71\x56\xcd\x45", "sml_06454D4801027156CD45", "EMH metering"},
		{"1ESY1162232997", "sml_1ESY1162232997", "EasyMeter"},
		{"\x0a\x01XYZ\x00\x00\x00\x00\x01", "sml_1XYZ0000000001", "XYZ"},
		{"\x01\x02", "sml_0102", ""},
		{strings.Repeat("\xfe", 200), "sml_" + strings.Repeat("FE", 32), ""},
	} {
		r := decode(t, frame(message("\x63\x07\x01", getList(test.server, energy))))
		if len(r.Announcements) != 1 || r.Announcements[0].ID != test.id || r.Announcements[0].Vendor != test.vendor {
			t.Errorf("%q: %+v", test.server, r.Announcements)
		}
	}
	// Without a server ID the objects that hold it are asked, and without
	// those nothing is published.
	named := listEntry("\x01\x00\x60\x01\x00\xff", none, none, octets("\x0a\x01EMH\x00\x00\x00\x00\x07"))
	r := decode(t, frame(message("\x63\x07\x01", getList("", energy, named))))
	if len(r.Announcements) != 1 || r.Announcements[0].ID != "sml_1EMH0000000007" {
		t.Errorf("%+v", r.Announcements)
	}
	if r := decode(t, frame(message("\x63\x07\x01", getList("", energy)))); len(r.Announcements) > 0 {
		t.Errorf("%+v", r.Announcements)
	}
}

// A meter that never tells who it is has no name of its own.
func TestAnonymous(t *testing.T) {
	with := func(server string) []byte { return frame(message("\x63\x07\x01", getList(server, energy))) }
	empty, zeros, named := with(""), with("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), with(server)
	for _, test := range []struct {
		name    string
		frames  [][]byte
		want    []string // device of each reading
		ignored int
	}{
		{"one", [][]byte{empty}, nil, 0},
		{"two", [][]byte{empty, empty}, nil, 0},
		{"three and more", [][]byte{empty, zeros, empty, with("\xff")}, []string{"sml_meter", "sml_meter"}, 0},
		{"named", [][]byte{named, empty, empty, empty, empty}, []string{"sml_1EMH0000000007"}, 4},
		{"named late", [][]byte{empty, empty, named, empty}, []string{"sml_1EMH0000000007"}, 1},
	} {
		r := decode(t, test.frames...)
		var got []string
		for _, reading := range r.Readings {
			got = append(got, reading.Device)
		}
		if !slices.Equal(got, test.want) || len(r.Overheard) != test.ignored || len(r.Damage) > 0 {
			t.Errorf("%s: %q, %d ignored, damaged %q; want %q", test.name, got, len(r.Overheard), r.Damage, test.want)
		}
		for id, d := range r.Devices {
			if d.Anonymous != (id == "sml_meter") {
				t.Errorf("%s: %+v", test.name, d)
			}
		}
	}
}
