package textlines

import "testing"

func TestDriver(t *testing.T) {
	d := Driver(right(t, "line = \"9600 7E1\"\n"+jsonTemp))
	if d.Protocol != "textlines" || d.Run != nil || len(d.Lines) != 1 || d.Lines[0].String() != "9600 7E1" {
		t.Errorf("%+v", d)
	}
	if d := Driver(Options{}); d.Lines[0].String() != defaultLine || d.Run != nil {
		t.Errorf("%+v", d)
	}
	if Driver(right(t, lamps)).Run == nil {
		t.Error("no Run though there are commands")
	}
	if d.Match != nil {
		t.Error("takes a stick that nobody gave it")
	}
}
