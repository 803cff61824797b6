package raw

import (
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	for _, o := range []Options{
		{},
		{Name: "boiler"},
		{Mode: "lines", Delimiter: "\r\n", MaxLength: 1, Line: "9600 7E1"},
		{Mode: "frames", Gap: 3 * time.Millisecond, MaxLength: 4096},
	} {
		if err := o.Check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, test := range []struct {
		o    Options
		says string
	}{
		{Options{Name: "my boiler"}, "name"},
		{Options{Name: "a/b"}, "name"},
		{Options{Name: "gateway"}, "name"},
		{Options{Name: strings.Repeat("x", 65)}, "name"},
		{Options{Mode: "Lines"}, "mode"},
		{Options{Gap: time.Second}, "gap"},
		{Options{Mode: Frames, Gap: 20}, "unit"},
		{Options{Mode: Frames, Gap: time.Hour}, "gap"},
		{Options{Mode: Frames, Gap: -time.Second}, "gap"},
		{Options{Mode: Frames, Delimiter: ";"}, "delimiter"},
		{Options{Delimiter: "12345678901234567"}, "delimiter"},
		{Options{MaxLength: -1}, "max_length"},
		{Options{MaxLength: 4097}, "max_length"},
		{Options{Line: "9600"}, "line"},
	} {
		if err := test.o.Check(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v", test.o, err)
		}
		// The user is told where he looks when a stick does not work.
		err := Driver(test.o).Run(t.Context(), nil, nil, nil)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: run: %v", test.o, err)
		}
	}
}

func TestDriver(t *testing.T) {
	d := Driver(Options{})
	if d.Protocol != "raw" || len(d.Lines) != 1 || d.Lines[0].String() != "115200 8N1" {
		t.Errorf("driver %+v", d)
	}
	if l := Driver(Options{Line: "9600 7E1"}).Lines; len(l) != 1 || l[0].String() != "9600 7E1" {
		t.Errorf("lines %v", l)
	}
	if d.Match != nil {
		t.Error("takes a stick that nobody gave it")
	}
}
