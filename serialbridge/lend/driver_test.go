package lend

import "testing"

func TestDriver(t *testing.T) {
	d := Driver(Options{Listen: ":4001", Line: "9600 7E1"})
	if d.Protocol != "lend" || d.NewDecoder != nil || len(d.Lines) != 1 || d.Lines[0].String() != "9600 7E1" {
		t.Errorf("driver %+v", d)
	}
	if d.Match != nil {
		t.Error("takes a stick that nobody gave it")
	}
	if d := Driver(Options{Line: "x"}); d.Lines != nil {
		t.Errorf("lines %v", d.Lines)
	}
}
