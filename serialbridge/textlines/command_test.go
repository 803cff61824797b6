package textlines

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

const lamps = `
format = "keyvalue"
[[devices]]
id = "lamp"
match = { type = "lamp" }
[[devices]]
id_from = "id"
name = "Valve"

[[properties]]
key = "power"
device = "lamp"
kind = "switch"
command = "LED=%s\n"
on = "ON"
off = "OFF"

[[properties]]
key = "light"
device = "lamp"
kind = "switch"
from = "light"
command = "L%s\r"

[[properties]]
key = "dim"
device = "lamp"
kind = "setting"
unit = "%"
min = 0.0
max = 100.0
step = 0.5
scale = 0.1
offset = -10.0
command = "DIM %s%%\n"

[[properties]]
key = "mode"
device = "lamp"
kind = "choice"
options = ["day", "%s%i%%"]
command = "M:%s;%s"

[[properties]]
key = "restart"
device = "lamp"
kind = "button"
class = "restart"
command = "RST\n"

[[properties]]
key = "text"
device = "lamp"
kind = "raw"
command = "%s"

[[properties]]
key = "display"
device = "lamp"
kind = "text"
command = "SHOW %s\n"

[[properties]]
key = "position"
from = "pos"
kind = "setting"
min = 0.0
max = 100.0
command = "VALVE 7 %s\n"
`

func TestRun(t *testing.T) {
	o := right(t, lamps)
	o.Properties[7].Command = "VALVE %i %s\n" // Check refuses it: the lamp has the property too
	synctest.Test(t, func(t *testing.T) {
		l := drivertest.NewPort()
		sink := &recorder{}
		commands := make(chan serialbridge.Command)
		result := make(chan error, 1)
		go func() { result <- Driver(o).Run(t.Context(), l, sink, commands) }()
		synctest.Wait()
		if len(sink.Announcements) != 1 || sink.Announcements[0].ID != "textlines_lamp" || len(l.Sent()) > 0 {
			t.Errorf("at first %+v", sink.Announcements)
		}
		l.Say([]byte("\nid=4 pos=50\nid=4 pos=51\ntype=lamp light=1\n"))
		synctest.Wait()
		if len(sink.Announcements) != 2 || len(sink.Readings) != 2 {
			t.Errorf("%s", said(sink))
		}
		for _, test := range []struct {
			device, key string
			value       any
			line        string
			then        any // what is known then; nil: nothing new
		}{
			{"textlines_lamp", "power", true, "LED=ON\n", true},
			{"textlines_lamp", "power", false, "LED=OFF\n", false},
			{"textlines_lamp", "light", true, "L1\r", nil}, // the board tells
			{"textlines_lamp", "light", false, "L0\r", nil},
			{"textlines_lamp", "dim", 21.5, "DIM 315%\n", 21.5},
			{"textlines_lamp", "dim", 0.0, "DIM 100%\n", 0.0},
			{"textlines_lamp", "dim", 0.05, "DIM 100.5%\n", 0.05},
			{"textlines_lamp", "dim", 100.5, "", nil},
			{"textlines_lamp", "dim", true, "", nil},
			{"textlines_lamp", "dim", "50", "", nil},
			{"textlines_lamp", "mode", "day", "M:day;day", "day"},
			{"textlines_lamp", "mode", "%s%i%%", "M:%s%i%%;%s%i%%", "%s%i%%"},
			{"textlines_lamp", "mode", "night", "", nil},
			{"textlines_lamp", "restart", true, "RST\n", nil},
			{"textlines_lamp", "text", []byte("\x00%s\xFF"), "\x00%s\xFF", nil},
			{"textlines_lamp", "text", "x", "", nil},
			{"textlines_lamp", "display", "21 °C", "SHOW 21 °C\n", "21 °C"},
			{"textlines_lamp", "display", "x\nRST", "", nil},
			{"textlines_lamp", "nothing", true, "", nil},
			{"textlines_4", "position", 7.0, "VALVE 4 7\n", nil},
			{"textlines_4", "power", true, "", nil},
			{"textlines_5", "position", 7.0, "", nil}, // was never heard
			{"textlines", "position", 7.0, "", nil},
		} {
			before := len(sink.Readings)
			commands <- serialbridge.Command{Device: test.device, Key: test.key, Value: test.value}
			synctest.Wait()
			if s := string(l.Sent()); s != test.line {
				t.Errorf("%s %s %v: sent %q, want %q", test.device, test.key, test.value, s, test.line)
			}
			var got any
			if len(sink.Readings) > before {
				got = sink.Readings[before].Values[test.key]
			}
			if !reflect.DeepEqual(got, test.then) {
				t.Errorf("%s %s %v: then %v, want %v", test.device, test.key, test.value, got, test.then)
			}
		}
		if sink.Disorder != "" || len(sink.Damage) > 0 {
			t.Errorf("%s%s", sink.Disorder, said(sink))
		}
		l.Close()
		if err := <-result; !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}

// What an RFID reader has read is told as a tag is.
func TestTag(t *testing.T) {
	r := &recorder{}
	d := Driver(right(t, "format = \"keyvalue\"\n[[properties]]\nkey = \"card\"\nkind = \"tag\"\nfrom = \"uid\"\n")).NewDecoder(r)
	d.Decode([]byte("\nuid=04A1B2C3 rssi=3\n"), time.Now())
	if len(r.Readings) != 1 || r.Readings[0].Values["card"] != "04A1B2C3" || r.Devices["textlines"].Properties[0].Kind != serialbridge.Tag || r.Disorder != "" {
		t.Errorf("%+v %+v %s", r.Readings, r.Devices, r.Disorder)
	}
}

func TestRunEnds(t *testing.T) {
	o := right(t, lamps)
	synctest.Test(t, func(t *testing.T) {
		l := drivertest.NewPort()
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- Driver(o).Run(ctx, l, &recorder{}, nil) }()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		l.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		l := drivertest.NewPort()
		l.Refuse(serialbridge.ErrUnplugged)
		commands := make(chan serialbridge.Command)
		result := make(chan error, 1)
		go func() { result <- Driver(o).Run(t.Context(), l, &recorder{}, commands) }()
		commands <- serialbridge.Command{Device: "textlines_lamp", Key: "restart", Value: true}
		if err := <-result; !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
		l.Close()
	})
}
