package bms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// jkBattery answers as a JK BMS does, with switches that work.
func jkBattery(t *testing.T) func([]byte) []byte {
	frame := jkAnswer(t)
	readAll := unhex(t, readJK(t).Request)
	return func(question []byte) []byte {
		if bytes.Equal(question, readAll) {
			return frame
		}
		if len(question) != 22 || question[8] != jkWrite || !jkValid(question) {
			t.Errorf("asked % X", question)
			return nil
		}
		// Each of the switches is on in the answer that there is.
		i := bytes.Index(frame, []byte{question[11], 1})
		if i < 0 {
			i = bytes.Index(frame, []byte{question[11], 0})
		}
		data := slices.Clone(frame[jkData : len(frame)-jkTrailer])
		data[i+1-jkData] = question[12]
		frame = jkSay(make([]byte, 4), data)
		return nil
	}
}

// dalyBattery answers as a Daly BMS does; code is its code.
func dalyBattery14(t *testing.T, code string) func([]byte) []byte {
	answers := make(map[byte][]byte)
	said := dalyTalkOf(t, false)
	for frame := range slices.Chunk(said, dalyFrame) {
		answers[frame[2]] = append(answers[frame[2]], frame...)
	}
	if code != "" {
		answers[dalyCode] = dalyCodeOf(t, code)
	}
	answers[dalyRated] = dalySay(t, dalyRated, "00007530 00000E10")
	return func(question []byte) []byte {
		if len(question) != dalyFrame || !dalyValid(question) {
			t.Errorf("asked % X", question)
			return nil
		}
		if question[1] != dalyHost {
			return nil
		}
		return answers[question[2]]
	}
}

func TestRunJK(t *testing.T) {
	err := drivertest.Ask(t, JK(), &drivertest.Recorder{}, jkBattery(t), func(d *drivertest.Device, r *drivertest.Recorder, commands chan<- serialbridge.Command) {
		d.Wait(time.Minute)
		if len(d.Asked) != 13 || len(r.Readings) != 12 || len(r.Damage) > 0 {
			t.Errorf("%d questions, %d readings, damaged %q", len(d.Asked), len(r.Readings), r.Damage)
		}
		for _, key := range []string{"charging", "discharging", "balancer"} {
			for _, on := range []bool{false, true} {
				commands <- serialbridge.Command{Device: "jkbms", Key: key, Value: on}
				d.Wait(time.Second)
				if got := r.Readings[len(r.Readings)-1].Values[key]; got != on {
					t.Errorf("%s = %v, want %v", key, got, on)
				}
			}
		}
		n := len(d.Asked)
		for _, c := range []serialbridge.Command{
			{Device: "jkbms", Key: "charging", Value: "ON"},
			{Device: "jkbms_2", Key: "charging", Value: true},
			{Device: "jkbms", Key: "voltage", Value: true},
		} {
			commands <- c
		}
		d.Wait(time.Second)
		for _, question := range d.Asked[n:] {
			if question[8] != jkReadAll {
				t.Errorf("sent % X", question)
			}
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestRunDaly(t *testing.T) {
	for _, code := range []string{"DL-0815", ""} {
		drivertest.Ask(t, Daly(DalyOptions{}), &drivertest.Recorder{}, dalyBattery14(t, code), func(d *drivertest.Device, r *drivertest.Recorder, commands chan<- serialbridge.Command) {
			d.Wait(time.Minute)
			if len(r.Announcements) != 1 {
				t.Fatalf("%d devices", len(r.Announcements))
			}
			want := readDaly(t).Values
			want["capacity"] = 30.0
			sameValues(t, merged(r), want)
			id := "dalybms"
			lost := dalyTries // questions for the code
			if code != "" {
				id, lost = "dalybms_DL-0815", 0
			}
			if d := r.Announcements[0]; d.ID != id || len(r.Damage) != lost {
				t.Errorf("%s, damaged %q", d.ID, r.Damage)
			}
			commands <- serialbridge.Command{Device: id, Key: "charging_mosfet", Value: false}
			before := len(d.Asked)
			d.Wait(30 * time.Second)
			for _, question := range d.Asked {
				if question[2] < 0x90 && question[2] != dalyCode && question[2] != dalyRated {
					t.Errorf("asked % X", question)
				}
			}
			if n := len(d.Asked) - before; n != 6*len(dalyRound) {
				t.Errorf("%d questions in 30 s", n)
			}
		})
	}

	// The adapter of the app is another address.
	answers := dalyBattery14(t, "DL-0815")
	drivertest.Ask(t, Daly(DalyOptions{}), &drivertest.Recorder{}, func(question []byte) []byte {
		if question[1] != dalyBluetooth {
			return nil
		}
		return answers(dalyQuestion(dalyHost, question[2]))
	}, func(d *drivertest.Device, r *drivertest.Recorder, _ chan<- serialbridge.Command) {
		d.Wait(time.Minute)
		if len(r.Announcements) != 1 || len(r.Damage) != 2 {
			t.Errorf("%d devices, damaged %q", len(r.Announcements), r.Damage)
		}
	})

	// Without sensors none are asked for.
	answers = dalyBattery14(t, "DL-0815")
	drivertest.Ask(t, Daly(DalyOptions{}), &drivertest.Recorder{}, func(question []byte) []byte {
		if question[2] == dalyCounts {
			return dalySay(t, dalyCounts, "0E 00 00 00 00 0000 00")
		}
		return answers(question)
	}, func(d *drivertest.Device, r *drivertest.Recorder, _ chan<- serialbridge.Command) {
		d.Wait(time.Minute)
		if _, told := merged(r)["temperature_1"]; told || len(r.Damage) > 0 {
			t.Errorf("damaged %q", r.Damage)
		}
	})
}

// Some boards send frames for cells that they do not have. All of them are waited
// for: both ways may be one pair of wires.
func TestRunDalyQuiet(t *testing.T) {
	answers := dalyBattery14(t, "DL-0815")
	var busy time.Time
	drivertest.Ask(t, Daly(DalyOptions{}), &drivertest.Recorder{}, func(question []byte) []byte {
		if time.Now().Before(busy) {
			t.Errorf("asked % X while the battery speaks", question)
		}
		return answers(question)
	}, func(d *drivertest.Device, r *drivertest.Recorder, _ chan<- serialbridge.Command) {
		d.Spoil = func(answer []byte) {
			if len(answer) > 0 && answer[2] == dalyCells {
				for n := 6; n <= 16; n++ {
					answer = append(answer, dalySay(t, dalyCells, fmt.Sprintf("%02x 0000 0000 0000 00", n))...)
				}
			}
			for i, frame := range slices.Collect(slices.Chunk(answer, dalyFrame)) {
				after := time.Duration(i+1) * 14 * time.Millisecond
				busy = time.Now().Add(after)
				time.AfterFunc(after, func() { d.Say(frame) })
			}
		}
		d.Wait(time.Minute)
		if len(r.Damage) > 0 || len(r.Readings) < 100 || merged(r)["cell_14_voltage"] != 3.776 {
			t.Errorf("%d readings, damaged %q", len(r.Readings), r.Damage)
		}
	})
}

// A battery fails in every way for a while; before and after it is read, and
// nothing else is.
func TestRunFaults(t *testing.T) {
	for name, test := range map[string]struct {
		driver func() serialbridge.Driver
		answer func(*testing.T) func([]byte) []byte
		mute   string
	}{
		"jk":   {JK, jkBattery, jkMute},
		"daly": {func() serialbridge.Driver { return Daly(DalyOptions{}) }, func(t *testing.T) func([]byte) []byte { return dalyBattery14(t, "DL-0815") }, dalyMute},
	} {
		for _, fault := range []struct {
			name   string
			reason string // among the damage
			spoil  func(d *drivertest.Device) func([]byte)
		}{
			{"silence", "no answer", func(*drivertest.Device) func([]byte) { return func([]byte) {} }},
			{"wrong checksum", "checksum", func(d *drivertest.Device) func([]byte) {
				return func(a []byte) {
					a = slices.Clone(a)
					if len(a) > 0 {
						a[len(a)-1]++
					}
					d.Say(a)
				}
			}},
			{"cut", "truncated", func(d *drivertest.Device) func([]byte) { return func(a []byte) { d.Say(a[:len(a)*2/3]) } }},
			{"foreign bytes", "no answer", func(d *drivertest.Device) func([]byte) { return func([]byte) { d.Say(foreign(t)) } }},
			{"noise before", "", func(d *drivertest.Device) func([]byte) {
				return func(a []byte) { d.Say(slices.Concat([]byte("\xA5\x4E\x57noise"), a)) }
			}},
			{"in pieces", "", func(d *drivertest.Device) func([]byte) {
				return func(a []byte) {
					for _, c := range a {
						d.Say([]byte{c})
					}
				}
			}},
			{"late", "no answer", func(d *drivertest.Device) func([]byte) {
				return func(a []byte) { time.AfterFunc(1500*time.Millisecond, func() { d.Say(a) }) }
			}},
			{"echo", "", func(d *drivertest.Device) func([]byte) {
				return func(a []byte) { d.Say(d.Asked[len(d.Asked)-1]); d.Say(a) }
			}},
		} {
			t.Run(name+" "+fault.name, func(t *testing.T) {
				drivertest.Ask(t, test.driver(), &drivertest.Recorder{}, test.answer(t), func(d *drivertest.Device, r *drivertest.Recorder, _ chan<- serialbridge.Command) {
					d.Wait(30 * time.Second)
					want := merged(r)
					d.Spoil = fault.spoil(d)
					d.Wait(40 * time.Second)
					if fault.reason == "" && len(r.Damage) > 0 || fault.reason != "" && !slices.Contains(r.Damage, fault.reason) {
						t.Errorf("damaged %q", r.Damage)
					}
					d.Spoil = nil
					d.Wait(10 * time.Second)
					before := len(r.Readings)
					d.Wait(10 * time.Second)
					if len(r.Readings) == before || len(r.Announcements) != 1 {
						t.Errorf("%d readings more, %d devices", len(r.Readings)-before, len(r.Announcements))
					}
					sameValues(t, merged(r), want)
				})
			})
		}

		// Nothing at all, or nothing that is a battery's.
		for _, said := range []string{"", "foreign"} {
			err := drivertest.Ask(t, test.driver(), &drivertest.Recorder{}, func([]byte) []byte {
				if said == "" {
					return nil
				}
				return foreign(t)
			}, func(d *drivertest.Device, _ *drivertest.Recorder, _ chan<- serialbridge.Command) {
				d.Wait(2 * time.Minute)
			})
			if err == nil || err.Error() != test.mute || !strings.Contains(test.mute, "check") {
				t.Errorf("%s: %v", name, err)
			}
		}

		err := drivertest.Ask(t, test.driver(), &drivertest.Recorder{}, test.answer(t), func(d *drivertest.Device, _ *drivertest.Recorder, _ chan<- serialbridge.Command) {
			d.Wait(7 * time.Second)
			d.Close()
			d.Wait(time.Second)
		})
		if !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Errorf("%s unplugged: %v", name, err)
		}
	}
}
