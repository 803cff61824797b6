package modbus

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
)

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, heard, _, end := poll(t, Options{Units: []Unit{{Address: 3, Map: "pzem004t", Name: "Boiler", SlowInterval: 20}}}, map[byte]*slave{3: pzem()})
		r.pass(22 * time.Second)
		want := maps.Clone(pzemValues)
		if got := last(heard, "modbus_pzem004t_3"); !reflect.DeepEqual(got, want) {
			t.Errorf("values %v, want %v", got, want)
		}
		d := heard.Devices["modbus_pzem004t_3"]
		if d.Name != "Boiler" || d.Vendor != "Peacefair" || !d.Anonymous || len(heard.Announcements) != 1 {
			t.Errorf("announced %d times: %+v", len(heard.Announcements), d)
		}
		// Fast ones at 0, 5, 10, 15 and 20 seconds, slow ones at 0 and 20.
		fast, slow := 0, 0
		for _, s := range r.asked {
			if s == "read input registers 0 to 9" {
				fast++
			} else if s == "read holding register 1" {
				slow++
			}
		}
		if fast != 1+5 || slow != 2 || len(r.asked) != fast+slow {
			t.Errorf("asked %q", r.asked)
		}
		for i, at := range r.at[1:] {
			if at.Sub(r.at[i]) < 20*time.Millisecond {
				t.Errorf("two questions at once")
			}
		}
		if err := end(); !errors.Is(err, context.Canceled) && !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
		if len(heard.Damage) > 0 || len(heard.Overheard) > 0 {
			t.Errorf("damaged %q, ignored %q", heard.Damage, heard.Overheard)
		}
	})
}

func TestIdentity(t *testing.T) {
	meter := func(serial ...uint16) *slave {
		s := &slave{registers: make(map[int]uint16)}
		for i := range 0x160 {
			s.registers[i] = 0
		}
		for i, w := range serial {
			s.registers[0xFC00+i] = w
		}
		return s
	}
	units := []Unit{{Address: 1, Map: "sdm120"}}
	for _, test := range []struct {
		name   string
		slave  *slave
		id     string
		serial string
	}{
		{"a serial number", meter(0x0102, 0x0304), "modbus_sdm120_16909060", "16909060"},
		{"none given", meter(0, 0), "modbus_sdm120_1", ""},
		{"none", meter(0xFFFF, 0xFFFF), "modbus_sdm120_1", ""},
		{"no such register", meter(), "modbus_sdm120_1", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, heard, _, end := poll(t, Options{Units: units}, map[byte]*slave{1: test.slave})
			r.pass(10 * time.Second)
			d, ok := heard.Devices[test.id]
			if !ok || len(heard.Devices) != 1 || d.SerialNumber != test.serial || d.Anonymous != (test.serial == "") {
				t.Errorf("%s: %+v", test.name, heard.Devices)
			}
			if len(heard.Readings) == 0 {
				t.Errorf("%s: no readings", test.name)
			}
			end()
		})
	}
	// One that leaves the question for its serial number without answer is
	// anonymous, but not at once.
	synctest.Test(t, func(t *testing.T) {
		s := meter()
		mute := func(answer []byte) []byte {
			if answer[1] == 0x83 {
				return nil
			}
			return answer
		}
		s.mangle = mute
		r, heard, _, end := poll(t, Options{Units: units}, map[byte]*slave{1: s})
		r.pass(10 * time.Second)
		if len(heard.Devices) != 0 {
			t.Errorf("announced %v after the first silence", heard.Devices)
		}
		r.pass(50 * time.Second)
		if _, ok := heard.Devices["modbus_sdm120_1"]; !ok || len(heard.Readings) == 0 {
			t.Errorf("announced %v", heard.Devices)
		}
		end()
	})
	// Another one in its place is another device.
	synctest.Test(t, func(t *testing.T) {
		slaves := map[byte]*slave{1: meter(0, 7)}
		r, heard, _, end := poll(t, Options{Units: units}, slaves)
		r.pass(10 * time.Second)
		slaves[1].silent = true
		r.pass(time.Minute)
		r.slaves[1] = meter(0, 8)
		n := len(heard.Readings)
		r.pass(2 * time.Minute)
		if _, ok := heard.Devices["modbus_sdm120_8"]; !ok || len(heard.Devices) != 2 || heard.Readings[n].Device != "modbus_sdm120_8" {
			t.Errorf("announced %v", slices.Collect(maps.Keys(heard.Devices)))
		}
		end()
	})
}

// TestSilence has a unit that goes quiet and comes back, beside one that does not.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slaves := map[byte]*slave{1: pzem(), 2: pzem(), 4: {silent: true}}
		r, heard, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "pzem004t"}, {Address: 2, Map: "pzem004t"}, {Address: 4, Map: "pzem004t"}}}, slaves)
		r.pass(10 * time.Second)
		if count(heard, "modbus_pzem004t_1") == 0 || count(heard, "modbus_pzem004t_2") == 0 {
			t.Fatalf("readings %v", heard.Readings)
		}
		slaves[2].silent = true
		r.pass(20 * time.Second)
		quiet, going := count(heard, "modbus_pzem004t_2"), count(heard, "modbus_pzem004t_1")
		r.pass(10 * time.Minute)
		if count(heard, "modbus_pzem004t_2") != quiet {
			t.Error("readings of a silent unit")
		}
		// Every 5 s, and two units that are tried once a minute for 2 s each.
		if n := count(heard, "modbus_pzem004t_1") - going; n < 115 {
			t.Errorf("%d readings of the other in ten minutes", n)
		}
		before := len(r.asked)
		r.pass(time.Minute)
		tries := 0
		for i := before; i < len(r.asked); i++ {
			if r.at[i].After(r.at[i-1].Add(1900 * time.Millisecond)) {
				tries++
			}
		}
		if tries > 15 {
			t.Errorf("silent units are asked too often: %q", r.asked[before:])
		}
		slaves[2].silent = false
		r.pass(70 * time.Second)
		if n := count(heard, "modbus_pzem004t_2") - quiet; n < 1 {
			t.Error("it does not come back")
		}
		if _, ok := heard.Devices["modbus_pzem004t_4"]; ok {
			t.Error("one that never answered was announced")
		}
		for _, reason := range heard.Damage {
			if reason != serialbridge.DamagedNoAnswer {
				t.Errorf("damaged %q", reason)
			}
		}
		end()
	})
}

func TestDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, heard, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "sdm120"}, {Address: 7, Map: "sdm120"}}}, nil)
		r.pass(7 * time.Minute)
		err := end()
		if err == nil || !strings.Contains(err.Error(), "nothing on the bus has answered for 5m0s") || !strings.Contains(err.Error(), "2400 8N1") || !strings.Contains(err.Error(), "1, 7") {
			t.Error(err)
		}
		if len(heard.Announcements) > 0 || len(heard.Readings) > 0 {
			t.Errorf("%+v", heard)
		}
	})
}

// TestRefused has a unit that lacks some registers of its map.
func TestRefused(t *testing.T) {
	m := Map{Name: "own", MaxGap: 10, Function: "holding", Type: "u16"}
	s := &slave{registers: make(map[int]uint16)}
	for i, key := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		m.Registers = append(m.Registers, Register{Key: key, Name: key, Address: 2 * i})
		s.registers[2*i], s.registers[2*i+1] = uint16(i), 0
	}
	delete(s.registers, 6)
	delete(s.registers, 7)
	synctest.Test(t, func(t *testing.T) {
		r, heard, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "own"}}, Maps: []Map{m}}, map[byte]*slave{1: s})
		r.pass(30 * time.Second)
		want := map[string]any{"a": int64(0), "b": int64(1), "c": int64(2), "e": int64(4), "f": int64(5), "g": int64(6)}
		if got := last(heard, "modbus_own_1"); !reflect.DeepEqual(got, want) {
			t.Errorf("values %v", got)
		}
		if want := []string{"own (unit 1) refuses to read holding register 6: it does not have them all"}; !slices.Equal(heard.Overheard, want) {
			t.Errorf("ignored %q", heard.Overheard)
		}
		if d := heard.Devices["modbus_own_1"]; len(d.Properties) != 6 {
			t.Errorf("%+v", d)
		}
		// After an update of its firmware it has it.
		s.registers[6] = 3
		r.pass(time.Hour)
		if got := last(heard, "modbus_own_1"); got["d"] != int64(3) || len(heard.Devices["modbus_own_1"].Properties) != 7 {
			t.Errorf("values %v", got)
		}
		if !slices.Contains(r.asked, "read holding registers 0 to 4") {
			t.Errorf("asked %q", r.asked[:10])
		}
		end()
	})
}

func TestCommands(t *testing.T) {
	own := Map{Name: "own", Title: "Relays", Function: "holding", Type: "u16", Registers: []Register{
		{Key: "pump", Name: "Pump", Function: "coil", Address: 3, Writable: true},
		{Key: "mode", Name: "Mode", Address: 4, Writable: true, Options: []Option{{0, "eco"}, {7, "party"}}, Poll: "slow"},
		{Key: "target", Name: "Target", Address: 5, Type: "i16", Scale: 0.1, Writable: true, Min: 5, Max: 30, Poll: "slow"},
		{Key: "limit", Name: "Limit", Address: 20, Type: "u32", Words: "little", Writable: true, Max: 1e6, Poll: "slow"},
		{Key: "none", Name: "None", Address: 30, Writable: true, Max: 9, Poll: "slow"},
		{Key: "fixed", Name: "Fixed", Address: 6, Poll: "slow"},
	}}
	for _, multiple := range []bool{false, true} {
		own.WriteMultiple = multiple
		synctest.Test(t, func(t *testing.T) {
			s := &slave{registers: map[int]uint16{4: 0, 5: 200, 6: 1, 20: 0, 21: 0}}
			r, heard, commands, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "own", Interval: 3600, SlowInterval: 3600}}, Maps: []Map{own}}, map[byte]*slave{1: s})
			r.pass(10 * time.Second)
			for _, test := range []struct {
				key   string
				value any
				asked []string
				want  any
			}{
				{"pump", true, []string{"write coil 3", "read coil 3"}, true},
				{"pump", false, []string{"write coil 3", "read coil 3"}, false},
				{"mode", "party", []string{"write holding register 4", "read holding register 4"}, "party"},
				{"target", 21.5, []string{"write holding register 5", "read holding register 5"}, 21.5},
				{"limit", 70000.0, []string{"write holding registers 20 to 21", "read holding registers 20 to 21"}, int64(70000)},
				{"target", 31.0, nil, nil},
				{"fixed", 1.0, nil, nil},
				{"nothing", 1.0, nil, nil},
				{"none", 1.0, []string{"write holding register 30", "read holding register 30"}, nil},
			} {
				asked, n := len(r.asked), len(heard.Readings)
				commands <- serialbridge.Command{Device: "modbus_own_1", Key: test.key, Value: test.value}
				r.pass(time.Second)
				if !slices.Equal(r.asked[asked:], test.asked) {
					t.Errorf("%s %v: asked %q", test.key, test.value, r.asked[asked:])
				}
				var got any
				if len(heard.Readings) > n {
					got = heard.Readings[len(heard.Readings)-1].Values[test.key]
				}
				if got != test.want {
					t.Errorf("%s %v: then %v, want %v", test.key, test.value, got, test.want)
				}
			}
			if s.registers[5] != 215 || s.registers[20] != 70000&0xFFFF || s.registers[21] != 1 {
				t.Errorf("registers %v", s.registers)
			}
			if !slices.Contains(heard.Overheard, "Relays (unit 1) refuses to write holding register 30: it does not have them all") {
				t.Errorf("ignored %q", heard.Overheard)
			}
			asked := len(r.asked)
			commands <- serialbridge.Command{Device: "modbus_own_2", Key: "pump", Value: true}
			r.pass(time.Second)
			if len(r.asked) != asked {
				t.Error("a command for another device was done")
			}
			end()
		})
	}
}

// TestNames has two devices of a kind, and one that is asked in pieces.
func TestNames(t *testing.T) {
	o := Options{Line: "115200 8O1", Units: []Unit{{Address: 1, Map: "pzem004t"}, {Address: 2, Map: "pzem004t"}, {Address: 3, Map: "pzem004t", Name: "Pump"}}}
	synctest.Test(t, func(t *testing.T) {
		r, heard, _, end := poll(t, o, map[byte]*slave{1: pzem(), 2: pzem(), 3: pzem()})
		r.pass(20 * time.Second)
		for id, name := range map[string]string{"modbus_pzem004t_1": "Power meter 1", "modbus_pzem004t_2": "Power meter 2", "modbus_pzem004t_3": "Pump"} {
			if got := heard.Devices[id].Name; got != name {
				t.Errorf("%s is called %q", id, got)
			}
			if values := last(heard, id); !reflect.DeepEqual(values, pzemValues) {
				t.Errorf("%s: %v", id, values)
			}
		}
		end()
	})
}

// TestReplay reads what went over the line of a master, both ways, as a capture has it.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slaves := map[byte]*slave{1: pzem(), 2: pzem(), 3: {exception: 4}}
		o := Options{Units: []Unit{{Address: 1, Map: "pzem004t"}, {Address: 2, Map: "pzem004t"}, {Address: 3, Map: "pzem004t"}}}
		r, _, commands, end := poll(t, o, slaves)
		r.pass(10 * time.Second)
		commands <- serialbridge.Command{Device: "modbus_pzem004t_2", Key: "alarm_threshold", Value: 700.0}
		r.pass(10 * time.Second)
		slaves[1].silent = true
		r.pass(time.Minute)
		end()
		again := &recorder{}
		Driver(o).NewDecoder(again).Decode(r.wire, heardAt)
		for address, threshold := range map[string]int64{"1": 500, "2": 700} {
			want := maps.Clone(pzemValues)
			want["alarm_threshold"] = threshold
			if address == "2" {
				want["current"] = 0.7 // the slave has one space for both
			}
			if got := last(again, "modbus_pzem004t_"+address); !reflect.DeepEqual(got, want) {
				t.Errorf("unit %s: %v, want %v", address, got, want)
			}
		}
		if len(again.Damage) > 0 || again.Disorder != "" || len(again.Devices) != 2 {
			t.Errorf("damaged %q, %s, %d devices", again.Damage, again.Disorder, len(again.Devices))
		}
	})
}

func TestUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "pzem004t"}}}, map[byte]*slave{1: pzem()})
		r.pass(time.Second)
		r.Close()
		synctest.Wait()
		if err := end(); !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}
