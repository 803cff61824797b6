package rflink

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := drivertest.NewPort()
		sink := &recorder{}
		commands := make(chan serialbridge.Command)
		result := make(chan error, 1)
		go func() { result <- Driver().Run(t.Context(), l, sink, commands) }()

		hear := func(s string) {
			l.Say([]byte(s))
			synctest.Wait()
		}
		hear("20;00;Nodo RadioFrequencyLink - RFLink Gateway V1.1 - R46;\r\n")
		hear("20;06;Kaku;ID=41;SWITCH=1;CMD=ON;\r\n")
		hear("20;07;NewKaku;ID=cac142;SWITCH=3;CMD=SET_LEVEL=14;\r\n")
		hear("20;39;RTS;ID=1a602a;SWITCH=01;CMD=DOWN;\r\n")
		hear("20;41;Conrad RSL2;ID=010002;SWITCH=03;CMD=ON;\r\n")
		if s := string(l.Sent()); s != "" {
			t.Errorf("sent %q without being asked", s)
		}
		for _, test := range []struct {
			device, key string
			value       any
			line        string
			then        map[string]any
		}{
			{"rflink_kaku_41", "switch_1", false, "10;Kaku;000041;1;OFF;\r\n", map[string]any{"switch_1": false}},
			{"rflink_newkaku_cac142", "light_3", object{"state": "ON"}, "10;NewKaku;cac142;3;ON;\r\n", object{"light_3": lighted(true)}},
			{"rflink_newkaku_cac142", "light_3", object{"state": "ON", "brightness": 119.0}, "10;NewKaku;cac142;3;7;\r\n", object{"light_3": lit(7)}},
			{"rflink_newkaku_cac142", "light_3", object{"brightness": 1.0}, "10;NewKaku;cac142;3;1;\r\n", object{"light_3": lit(1)}},
			{"rflink_newkaku_cac142", "light_3", object{"brightness": 0.0}, "10;NewKaku;cac142;3;OFF;\r\n", object{"light_3": lit(0)}},
			{"rflink_newkaku_cac142", "light_3", object{"state": "OFF"}, "10;NewKaku;cac142;3;OFF;\r\n", object{"light_3": lit(0)}},
			{"rflink_newkaku_cac142", "light_3", object{}, "", nil},
			{"rflink_newkaku_cac142", "light_3", true, "", nil},
			{"rflink_rts_1a602a", "blind_01", object{"state": "open"}, "10;RTS;1a602a;01;UP;\r\n", object{"blind_01": object{"state": "open"}}},
			{"rflink_rts_1a602a", "blind_01", object{"state": "stop"}, "10;RTS;1a602a;01;STOP;\r\n", object{"blind_01": object{"state": "stopped"}}},
			{"rflink_rts_1a602a", "blind_01", object{"position": 3.0}, "", nil},
			{"rflink_rts_1a602a", "blind_01", true, "", nil},
			{"rflink_conrad_rsl2_010002", "switch_03", true, "", nil}, // can only be heard
			{"rflink_kaku_41", "switch_2", true, "", nil},
			{"rflink_kaku_42", "switch_1", true, "", nil},
		} {
			before := len(sink.Readings)
			commands <- serialbridge.Command{Device: test.device, Key: test.key, Value: test.value}
			synctest.Wait()
			if s := string(l.Sent()); s != test.line {
				t.Errorf("%s %s %v: sent %q, want %q", test.device, test.key, test.value, s, test.line)
			}
			if len(sink.Readings) != before {
				t.Errorf("%s: reading before the gateway said OK", test.device)
			}
			hear("20;D3;OK;\r\n")
			var got map[string]any
			if len(sink.Readings) > before {
				got = sink.Readings[before].Values
			}
			if len(got) != len(test.then) || len(got) > 0 && !reflect.DeepEqual(got, test.then) {
				t.Errorf("%s: then %v, want %v", test.device, got, test.then)
			}
		}

		// What the gateway refuses does not count as done.
		before := len(sink.Readings)
		commands <- serialbridge.Command{Device: "rflink_kaku_41", Key: "switch_1", Value: true}
		hear("20;D4;CMD UNKNOWN;\r\n")
		if len(sink.Readings) != before || len(sink.Damage) != 1 || sink.Damage[0] != serialbridge.DamagedRefused || sink.Disorder != "" {
			t.Errorf("%d readings more, damaged %q %s", len(sink.Readings)-before, sink.Damage, sink.Disorder)
		}

		l.Close()
		if err := <-result; !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}

// What was switched by command can be switched after the next start.
func TestRunRemembers(t *testing.T) {
	run := func(t *testing.T, sink *recorder, do func(l *drivertest.Port, commands chan<- serialbridge.Command)) {
		l := drivertest.NewPort()
		commands, result := make(chan serialbridge.Command), make(chan error, 1)
		go func() { result <- Driver().Run(t.Context(), l, sink, commands) }()
		do(l, commands)
		synctest.Wait()
		l.Close()
		<-result
	}
	synctest.Test(t, func(t *testing.T) {
		memory := make(map[string]string)
		sink := &recorder{Memory: memory}
		run(t, sink, func(l *drivertest.Port, commands chan<- serialbridge.Command) {
			l.Say([]byte("20;06;Kaku;ID=41;SWITCH=1;CMD=ON;\r\n20;06;Kaku;ID=42;SWITCH=1;CMD=ON;\r\n"))
			l.Say([]byte("20;07;NewKaku;ID=cac142;SWITCH=3;CMD=SET_LEVEL=14;\r\n20;39;RTS;ID=1a602a;SWITCH=01;CMD=DOWN;\r\n"))
			synctest.Wait()
			if len(memory) > 0 {
				t.Errorf("remembers %v", memory)
			}
			commands <- serialbridge.Command{Device: "rflink_kaku_41", Key: "switch_1", Value: true}
			commands <- serialbridge.Command{Device: "rflink_newkaku_cac142", Key: "light_3", Value: object{"brightness": 119.0}}
			commands <- serialbridge.Command{Device: "rflink_rts_1a602a", Key: "blind_01", Value: object{"state": "open"}}
		})
		if len(memory) != 3 || sink.Disorder != "" {
			t.Fatalf("remembers %v %s", memory, sink.Disorder)
		}
		before := sink
		sink = &recorder{Memory: memory}
		run(t, sink, func(l *drivertest.Port, commands chan<- serialbridge.Command) {
			synctest.Wait()
			if len(sink.Devices) != 3 || len(sink.Readings) != 0 {
				t.Fatalf("%+v", sink.Devices)
			}
			for id, d := range sink.Devices {
				was := before.Devices[id]
				for _, p := range d.Properties {
					if !slices.ContainsFunc(was.Properties, func(q serialbridge.Property) bool { return p.Key == q.Key && p.Kind == q.Kind }) {
						t.Errorf("%s: %+v, was %+v", id, p, was.Properties)
					}
				}
				if d.Name != was.Name || len(d.Properties) != len(was.Properties) || !d.WhenUsed {
					t.Errorf("%+v, was %+v", d, was)
				}
			}
			commands <- serialbridge.Command{Device: "rflink_newkaku_cac142", Key: "light_3", Value: object{"brightness": 119.0}}
			commands <- serialbridge.Command{Device: "rflink_rts_1a602a", Key: "blind_01", Value: object{"state": "open"}}
			synctest.Wait()
			if s := string(l.Sent()); s != "10;NewKaku;cac142;3;7;\r\n10;RTS;1a602a;01;UP;\r\n" {
				t.Errorf("sent %q", s)
			}
			commands <- serialbridge.Command{Device: "rflink_rts_1a602a", Key: "forget", Value: true}
			commands <- serialbridge.Command{Device: "rflink_rts_1a602a", Key: "blind_01", Value: object{"state": "open"}}
			synctest.Wait()
			if s := string(l.Sent()); s != "" || len(memory) != 2 || len(sink.Devices["rflink_rts_1a602a"].Properties) > 0 {
				t.Errorf("not forgotten: sent %q, remembers %v", s, memory)
			}
		})
	})
}

func TestRecallDamaged(t *testing.T) {
	r := &recorder{Memory: map[string]string{
		"kaku_41":   "{",
		"kaku_42":   `{"protocol":"Kaku","id":"43","switches":["1"]}`,
		"kaku_4z":   `{"protocol":"Kaku","id":"4z","switches":["1"]}`,
		"kaku_44":   `{"protocol":"Kaku","id":"44","switches":[]}`,
		"mebus_1":   `{"protocol":"Mebus","id":"1","switches":["1"]}`,
		"kaku_45":   `{"protocol":"Kaku","id":"45","switches":["1;","2"]}`,
		"something": "",
	}}
	newDecoder(r, labels, true)
	if len(r.Devices) != 1 || len(r.Devices["rflink_kaku_45"].Properties) != 2 {
		t.Errorf("%+v", r.Devices)
	}
}

func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := drivertest.NewPort()
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- Driver().Run(ctx, l, &recorder{}, nil) }()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		l.Close()
	})
}
