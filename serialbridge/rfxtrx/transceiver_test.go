package rfxtrx

import (
	"context"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// sent returns in hex what was written since the last call.
func sent(p *drivertest.Port) string { return hex.EncodeToString(p.Sent()) }

func start(t *testing.T, memory map[string]string) (l *drivertest.Port, r *recorder, commands chan serialbridge.Command, result chan error) {
	l = drivertest.NewPort()
	r, commands, result = &recorder{Memory: memory}, make(chan serialbridge.Command), make(chan error, 1)
	go func() { result <- Driver().Run(t.Context(), l, r, commands) }()
	return l, r, commands, result
}

const status = "0d01000102530200000c2f010100"

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, commands, result := start(t, nil)
		hear := func(s string) {
			l.Say(unhex(t, s))
			synctest.Wait()
		}
		synctest.Wait()
		if s := sent(l); s != "0d00000000000000000000000000" {
			t.Errorf("reset: sent %s", s)
		}
		hear("0710002a4505") // the rest of something: not listened to
		<-time.After(resetTime)
		synctest.Wait()
		if s := sent(l); s != "0d00000102000000000000000000"+"0d00000207000000000000000000" {
			t.Errorf("start: sent %s", s)
		}
		hear(status)
		<-time.After(statusTime)
		for _, v := range readVectors(t) {
			hear(v.Hex)
		}
		hear("0b1100000123456703020770")
		for _, test := range []struct {
			device, key string
			value       any
			packet      string
			answer      string
			then        map[string]any
		}{
			{"rfxtrx_10_00_E", "switch_5", false, "07100003" + "45050000", "0402010300", map[string]any{"switch_5": false}},
			{"rfxtrx_11_00_01234567", "light_3", object{"state": "ON"}, "0b110004" + "0123456703010f00", "0402010401", object{"light_3": lighted(true)}},
			{"rfxtrx_11_00_01234567", "light_3", object{"state": "ON", "brightness": 51.0}, "0b110005" + "0123456703020300", "0402010500", object{"light_3": remotes[lighting2].lit(3)}},
			{"rfxtrx_11_00_01234567", "light_3", object{"brightness": 0.0}, "0b110006" + "0123456703000000", "0402010600", object{"light_3": lighted(false)}},
			{"rfxtrx_14_00_f394ab", "light_1", object{"state": "ON"}, "0a140007" + "f394ab01011f00", "0402010700", object{"light_1": lighted(true)}},
			{"rfxtrx_19_00_009ba8", "blind_1", object{"state": "stop"}, "09190008" + "009ba8010200", "0402010800", object{"blind_1": object{"state": "stopped"}}},
			{"rfxtrx_10_00_E", "switch_5", true, "07100009" + "45050100", "0402010902", nil},      // not sent
			{"rfxtrx_10_00_E", "switch_5", true, "0710000a" + "45050100", "04020100" + "00", nil}, // of another one
			{"rfxtrx_10_00_E", "switch_6", true, "", status, nil},
			{"rfxtrx_11_00_01234567", "light_3", object{}, "", status, nil},
			{"rfxtrx_11_00_01234567", "light_3", true, "", status, nil},
			{"rfxtrx_19_00_009ba8", "blind_1", true, "", status, nil},
			{"rfxtrx_19_00_009ba8", "blind_1", object{"position": 3.0}, "", status, nil},
			{"rfxtrx_10_00_A", "switch_1", true, "", status, nil},
		} {
			before := len(r.Readings)
			commands <- serialbridge.Command{Device: test.device, Key: test.key, Value: test.value}
			synctest.Wait()
			if s := sent(l); s != test.packet {
				t.Errorf("%s %s %v: sent %s, want %s", test.device, test.key, test.value, s, test.packet)
			}
			if len(r.Readings) != before {
				t.Errorf("%s: reading before it was confirmed", test.device)
			}
			hear(test.answer)
			var got map[string]any
			if len(r.Readings) > before {
				got = r.Readings[before].Values
			}
			if len(got) != len(test.then) || len(got) > 0 && !reflect.DeepEqual(got, test.then) {
				t.Errorf("%s %v: then %v, want %v", test.device, test.value, got, test.then)
			}
		}
		if len(r.Damage) != 1 || r.Damage[0] != serialbridge.DamagedRefused || r.Disorder != "" {
			t.Errorf("damaged %q %s", r.Damage, r.Disorder)
		}
		l.Close()
		if err := <-result; !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}

// What was switched by command can be switched after the next start.
func TestRunRemembers(t *testing.T) {
	memory := make(map[string]string)
	run := func(do func(t *testing.T, l *drivertest.Port, r *recorder, commands chan<- serialbridge.Command)) {
		synctest.Test(t, func(t *testing.T) {
			l, r, commands, result := start(t, memory)
			<-time.After(resetTime)
			synctest.Wait()
			l.Say(unhex(t, status))
			synctest.Wait()
			l.Sent()
			do(t, l, r, commands)
			synctest.Wait()
			if r.Disorder != "" {
				t.Error(r.Disorder)
			}
			l.Close()
			<-result
		})
	}
	run(func(t *testing.T, l *drivertest.Port, r *recorder, commands chan<- serialbridge.Command) {
		for _, v := range readVectors(t) {
			l.Say(v.data)
		}
		l.Say(unhex(t, "0b1100000123456703020770"))
		synctest.Wait()
		if len(memory) > 0 {
			t.Errorf("remembers %v", memory)
		}
		commands <- serialbridge.Command{Device: "rfxtrx_10_00_E", Key: "switch_5", Value: true}
		commands <- serialbridge.Command{Device: "rfxtrx_11_00_01234567", Key: "light_3", Value: object{"brightness": 51.0}}
		commands <- serialbridge.Command{Device: "rfxtrx_19_00_009ba8", Key: "blind_1", Value: object{"state": "open"}}
	})
	if len(memory) != 3 {
		t.Fatalf("remembers %v", memory)
	}
	run(func(t *testing.T, l *drivertest.Port, r *recorder, commands chan<- serialbridge.Command) {
		if len(r.Devices) != 3 || len(r.Readings) > 0 || !r.Devices["rfxtrx_10_00_E"].WhenUsed {
			t.Fatalf("%+v", r.Devices)
		}
		commands <- serialbridge.Command{Device: "rfxtrx_10_00_E", Key: "switch_5", Value: true}
		commands <- serialbridge.Command{Device: "rfxtrx_11_00_01234567", Key: "light_3", Value: object{"brightness": 51.0}}
		commands <- serialbridge.Command{Device: "rfxtrx_19_00_009ba8", Key: "blind_1", Value: object{"state": "open"}}
		synctest.Wait()
		if s := sent(l); s != "0710000345050100"+"0b1100040123456703020300"+"09190005009ba8010000" {
			t.Errorf("sent %s", s)
		}
		commands <- serialbridge.Command{Device: "rfxtrx_10_00_E", Key: "forget", Value: true}
		commands <- serialbridge.Command{Device: "rfxtrx_10_00_E", Key: "switch_5", Value: true}
		synctest.Wait()
		if s := sent(l); s != "" || len(memory) != 2 || len(r.Devices["rfxtrx_10_00_E"].Properties) > 0 {
			t.Errorf("not forgotten: sent %s, remembers %v", s, memory)
		}
	})
}

func TestRecallDamaged(t *testing.T) {
	r := &recorder{Memory: map[string]string{
		"11_00_01234567":   `{"units":[3,-1,256],"levels":[3]}`,
		"11_00_0123456":    `{"units":[3]}`,
		"11_00_0123456z":   `{"units":[3]}`,
		"11_00_01234568":   `{"units":`,
		"11_00_01234569":   `{}`,
		"11_07_01234567":   `{"units":[3]}`,
		"52_02_7002":       `{"units":[3]}`,
		"10_00_Q":          `{"units":[3]}`,
		"10_00_AB":         `{"units":[3]}`,
		"19_00_009BA8":     `{"units":[1]}`,
		"11_00_0123456700": `{"units":[3]}`,
		"":                 "x",
	}}
	newDecoder(r, true)
	if len(r.Devices) != 1 || len(r.Devices["rfxtrx_11_00_01234567"].Properties) != 2 {
		t.Errorf("%+v", r.Devices)
	}
}

func TestRunMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _, result := start(t, nil)
		if err := <-result; !errors.Is(err, errMute) {
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
