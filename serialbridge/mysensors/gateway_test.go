package mysensors

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// start runs the driver within a synctest bubble.
func start(t *testing.T, memory map[string]string) (l *drivertest.Port, r *recorder, commands chan serialbridge.Command, result chan error) {
	l = drivertest.NewPort()
	r, commands, result = &recorder{Memory: memory}, make(chan serialbridge.Command), make(chan error, 1)
	go func() { result <- Driver().Run(t.Context(), l, r, commands) }()
	l.Say([]byte("\n"))
	return l, r, commands, result
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, commands, result := start(t, nil)
		hear := func(s string) string {
			l.Say([]byte(s))
			synctest.Wait()
			return string(l.Sent())
		}
		if s := hear("0;255;3;0;14;Gateway startup complete.\n"); s != "255;255;3;0;20;\n" {
			t.Errorf("ready: sent %q", s)
		}
		// A node that is not known presents itself, once it is asked.
		if s := hear("7;3;1;0;0;20.5\n"); s != "7;255;3;0;19;\n" {
			t.Errorf("unknown: sent %q", s)
		}
		if s := hear("7;3;1;0;0;20.6\n"); s != "" {
			t.Errorf("again: sent %q", s)
		}
		if s := hear("8;255;0;0;17;2.3.2\n8;255;3;0;6;0\n"); s != "8;255;3;0;6;M\n" {
			t.Errorf("config: sent %q", s)
		}
		hear("8;1;0;0;3;Lamp\n8;2;0;0;4;Dimmer\n8;3;0;0;5;Blind\n8;4;0;0;29;Heating\n8;5;0;0;36;Display\n")
		for _, test := range []struct {
			key   string
			value any
			line  string
		}{
			{"status_1", true, "8;1;1;1;2;1\n"},
			{"status_1", false, "8;1;1;1;2;0\n"},
			{"light_2", object{"state": "ON", "brightness": 84.0}, "8;2;1;1;2;1\n8;2;1;1;3;33\n"},
			{"cover_3", object{"state": "open"}, "8;3;1;1;29;1\n"},
			{"cover_3", object{"state": "stop"}, "8;3;1;1;31;1\n"},
			{"cover_3", true, ""},
			{"climate_4", object{"temperature": 20.4, "mode": "heat"}, "8;4;1;1;21;HeatOn\n8;4;1;1;45;20.5\n"},
			{"text_5", "hello", "8;5;1;1;47;hello\n"},
			{"text_5", "Party\n1;1;1;1;2;1", ""},
			{"text_5", "dreizehn äöüßäöüßäöüß", ""},
			{"status_1", "on", ""},
			{"temperature_4", 20.0, ""},
			{"nothing", true, ""},
		} {
			commands <- serialbridge.Command{Device: "mysensors_8", Key: test.key, Value: test.value}
			synctest.Wait()
			if s := string(l.Sent()); s != test.line {
				t.Errorf("%s %v: sent %q, want %q", test.key, test.value, s, test.line)
			}
		}
		commands <- serialbridge.Command{Device: "mysensors_9", Key: "status_1", Value: true}
		synctest.Wait()
		if s := string(l.Sent()); s != "" {
			t.Errorf("sent %q to a node that was never heard", s)
		}
		// The acknowledgement is the new state.
		before := len(r.Readings)
		hear("8;1;1;1;2;1\n")
		if len(r.Readings) != before+1 || r.Readings[before].Values["status_1"] != true || r.Disorder != "" {
			t.Errorf("%+v %s", r.Readings[before:], r.Disorder)
		}
		l.Close()
		if err := <-result; !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}

func TestNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, _, result := start(t, map[string]string{"1": "{}"})
		l.Say([]byte("254;3;1;0;0;20.5\n"))
		synctest.Wait()
		l.Sent()
		var given []int
		for range maxNode - 2 {
			l.Say([]byte("255;255;3;0;3;\n"))
			synctest.Wait()
			s, ok := strings.CutPrefix(string(l.Sent()), "255;255;3;0;4;")
			id, err := strconv.Atoi(strings.TrimSuffix(s, "\n"))
			if !ok || err != nil || id <= 1 || id >= 254 || slices.Contains(given, id) {
				t.Fatalf("gave %q after %v", s, given)
			}
			given = append(given, id)
			if r.Memory[strconv.Itoa(id)] != `{"given":true}` {
				t.Fatalf("%d is not remembered: %q", id, r.Memory)
			}
		}
		// All are given; those that were never heard may be given again.
		l.Say([]byte("255;255;3;0;3;\n"))
		synctest.Wait()
		if s := string(l.Sent()); s == "" {
			t.Error("no number for one more")
		}
		// All are in use.
		for id := 1; id <= maxNode; id++ {
			l.Say([]byte(strconv.Itoa(id) + ";255;0;0;17;2.3.2\n"))
		}
		synctest.Wait()
		l.Sent()
		l.Say([]byte("255;255;3;0;3;\n"))
		synctest.Wait()
		if s := string(l.Sent()); s != "" {
			t.Errorf("gave %q", s)
		}
		if len(r.Overheard) != 1 {
			t.Errorf("ignored %q", r.Overheard)
		}
		l.Close()
		if err := <-result; err == nil {
			t.Error("no error")
		}
	})
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, commands, result := start(t, map[string]string{"7": `{"name":"Old"}`, "7.1": `{"type":3,"variables":[2]}`, "77": "{}", "77.1": `{"type":3}`, "0": "{}"})
		synctest.Wait()
		if d := r.Devices["mysensors_7"]; d.Name != "Old" || len(d.Properties) != 2 {
			t.Fatalf("%+v", r.Devices)
		}
		commands <- serialbridge.Command{Device: "mysensors_7", Key: "forget", Value: true}
		commands <- serialbridge.Command{Device: "mysensors_0", Key: "forget", Value: true}
		commands <- serialbridge.Command{Device: "mysensors_8", Key: "forget", Value: true}
		synctest.Wait()
		if _, there := r.Devices["mysensors_7"]; len(r.Memory) != 3 || there || len(l.Sent()) > 0 {
			t.Errorf("%v %+v", r.Memory, r.Devices)
		}
		// It may come back.
		l.Say([]byte("7;1;1;0;2;1\n7;1;1;0;2;1\n"))
		synctest.Wait()
		if d := r.Devices["mysensors_7"]; d.Name != "MySensors node 7" || len(d.Properties) != 2 || len(r.Readings) != 2 {
			t.Errorf("%+v", d)
		}
		l.Close()
		<-result
	})
}

func TestRunFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _, result := start(t, nil)
		l.Refuse(serialbridge.ErrUnplugged)
		l.Say([]byte("255;255;3;0;3;\n"))
		if err := <-result; !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
		l.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		l := drivertest.NewPort()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Driver().Run(ctx, l, &recorder{}, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		l.Close()
	})
}
