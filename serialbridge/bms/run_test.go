package bms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// A battery is the far end of a port. How it answers can be changed at any time.
type battery struct {
	*drivertest.Device
	answer func(question []byte) []byte
	spoil  func(answer []byte) // says it, or what became of it; nil: it is said
	asked  [][]byte
	sink   *drivertest.Locked // of the driver; guards all that it and the test use
}

// wait lets time pass in the bubble.
func (b *battery) wait(d time.Duration) {
	b.sink.Lock()
	b.sink.Unlock() //lint:ignore SA2001 what the test did before is seen by the driver
	<-time.After(d)
	synctest.Wait()
}

// run runs a driver with a battery in a bubble while use uses them, and returns
// how it ended.
func run(t *testing.T, driver serialbridge.Driver, answer func([]byte) []byte,
	use func(b *battery, r *drivertest.Recorder, commands chan<- serialbridge.Command)) (ended error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &drivertest.Recorder{}
		b := &battery{answer: answer, sink: &drivertest.Locked{Sink: r}}
		b.Device = drivertest.NewDevice(func(question []byte) {
			b.sink.Lock()
			defer b.sink.Unlock()
			b.asked = append(b.asked, question)
			a := b.answer(question)
			if b.spoil != nil {
				b.spoil(a)
				return
			}
			b.Say(a)
		})
		ctx, cancel := context.WithCancel(t.Context())
		commands, result := make(chan serialbridge.Command), make(chan error, 1)
		go func() { result <- driver.Run(ctx, b, b.sink, commands) }()
		use(b, r, commands)
		select {
		case ended = <-result:
		default:
			cancel()
			ended = <-result
		}
		cancel()
		b.Close()
		if r.Disorder != "" {
			t.Error(r.Disorder)
		}
	})
	return ended
}

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
	err := run(t, JK(), jkBattery(t), func(b *battery, r *drivertest.Recorder, commands chan<- serialbridge.Command) {
		b.wait(time.Minute)
		if len(b.asked) != 13 || len(r.Readings) != 12 || len(r.Damage) > 0 {
			t.Errorf("%d questions, %d readings, damaged %q", len(b.asked), len(r.Readings), r.Damage)
		}
		for _, key := range []string{"charging", "discharging", "balancer"} {
			for _, on := range []bool{false, true} {
				commands <- serialbridge.Command{Device: "jkbms", Key: key, Value: on}
				b.wait(time.Second)
				if got := r.Readings[len(r.Readings)-1].Values[key]; got != on {
					t.Errorf("%s = %v, want %v", key, got, on)
				}
			}
		}
		n := len(b.asked)
		for _, c := range []serialbridge.Command{
			{Device: "jkbms", Key: "charging", Value: "ON"},
			{Device: "jkbms_2", Key: "charging", Value: true},
			{Device: "jkbms", Key: "voltage", Value: true},
		} {
			commands <- c
		}
		b.wait(time.Second)
		for _, question := range b.asked[n:] {
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
		run(t, Daly(DalyOptions{}), dalyBattery14(t, code), func(b *battery, r *drivertest.Recorder, commands chan<- serialbridge.Command) {
			b.wait(time.Minute)
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
			before := len(b.asked)
			b.wait(30 * time.Second)
			for _, question := range b.asked {
				if question[2] < 0x90 && question[2] != dalyCode && question[2] != dalyRated {
					t.Errorf("asked % X", question)
				}
			}
			if n := len(b.asked) - before; n != 6*len(dalyRound) {
				t.Errorf("%d questions in 30 s", n)
			}
		})
	}

	// The adapter of the app is another address.
	answers := dalyBattery14(t, "DL-0815")
	run(t, Daly(DalyOptions{}), func(question []byte) []byte {
		if question[1] != dalyBluetooth {
			return nil
		}
		return answers(dalyQuestion(dalyHost, question[2]))
	}, func(b *battery, r *drivertest.Recorder, _ chan<- serialbridge.Command) {
		b.wait(time.Minute)
		if len(r.Announcements) != 1 || len(r.Damage) != 2 {
			t.Errorf("%d devices, damaged %q", len(r.Announcements), r.Damage)
		}
	})

	// Without sensors none are asked for.
	answers = dalyBattery14(t, "DL-0815")
	run(t, Daly(DalyOptions{}), func(question []byte) []byte {
		if question[2] == dalyCounts {
			return dalySay(t, dalyCounts, "0E 00 00 00 00 0000 00")
		}
		return answers(question)
	}, func(b *battery, r *drivertest.Recorder, _ chan<- serialbridge.Command) {
		b.wait(time.Minute)
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
	run(t, Daly(DalyOptions{}), func(question []byte) []byte {
		if time.Now().Before(busy) {
			t.Errorf("asked % X while the battery speaks", question)
		}
		return answers(question)
	}, func(b *battery, r *drivertest.Recorder, _ chan<- serialbridge.Command) {
		b.spoil = func(answer []byte) {
			if len(answer) > 0 && answer[2] == dalyCells {
				for n := 6; n <= 16; n++ {
					answer = append(answer, dalySay(t, dalyCells, fmt.Sprintf("%02x 0000 0000 0000 00", n))...)
				}
			}
			for i, frame := range slices.Collect(slices.Chunk(answer, dalyFrame)) {
				after := time.Duration(i+1) * 14 * time.Millisecond
				busy = time.Now().Add(after)
				time.AfterFunc(after, func() { b.Say(frame) })
			}
		}
		b.wait(time.Minute)
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
			spoil  func(b *battery) func([]byte)
		}{
			{"silence", "no answer", func(*battery) func([]byte) { return func([]byte) {} }},
			{"wrong checksum", "checksum", func(b *battery) func([]byte) {
				return func(a []byte) {
					a = slices.Clone(a)
					if len(a) > 0 {
						a[len(a)-1]++
					}
					b.Say(a)
				}
			}},
			{"cut", "truncated", func(b *battery) func([]byte) { return func(a []byte) { b.Say(a[:len(a)*2/3]) } }},
			{"foreign bytes", "no answer", func(b *battery) func([]byte) { return func([]byte) { b.Say(foreign(t)) } }},
			{"noise before", "", func(b *battery) func([]byte) {
				return func(a []byte) { b.Say(slices.Concat([]byte("\xA5\x4E\x57noise"), a)) }
			}},
			{"in pieces", "", func(b *battery) func([]byte) {
				return func(a []byte) {
					for _, c := range a {
						b.Say([]byte{c})
					}
				}
			}},
			{"late", "no answer", func(b *battery) func([]byte) {
				return func(a []byte) { time.AfterFunc(1500*time.Millisecond, func() { b.Say(a) }) }
			}},
			{"echo", "", func(b *battery) func([]byte) {
				return func(a []byte) { b.Say(b.asked[len(b.asked)-1]); b.Say(a) }
			}},
		} {
			t.Run(name+" "+fault.name, func(t *testing.T) {
				run(t, test.driver(), test.answer(t), func(b *battery, r *drivertest.Recorder, _ chan<- serialbridge.Command) {
					b.wait(30 * time.Second)
					want := merged(r)
					b.spoil = fault.spoil(b)
					b.wait(40 * time.Second)
					if fault.reason == "" && len(r.Damage) > 0 || fault.reason != "" && !slices.Contains(r.Damage, fault.reason) {
						t.Errorf("damaged %q", r.Damage)
					}
					b.spoil = nil
					b.wait(10 * time.Second)
					before := len(r.Readings)
					b.wait(10 * time.Second)
					if len(r.Readings) == before || len(r.Announcements) != 1 {
						t.Errorf("%d readings more, %d devices", len(r.Readings)-before, len(r.Announcements))
					}
					sameValues(t, merged(r), want)
				})
			})
		}

		// Nothing at all, or nothing that is a battery's.
		for _, said := range []string{"", "foreign"} {
			err := run(t, test.driver(), func([]byte) []byte {
				if said == "" {
					return nil
				}
				return foreign(t)
			}, func(b *battery, _ *drivertest.Recorder, _ chan<- serialbridge.Command) { b.wait(2 * time.Minute) })
			if err == nil || err.Error() != test.mute || !strings.Contains(test.mute, "check") {
				t.Errorf("%s: %v", name, err)
			}
		}

		err := run(t, test.driver(), test.answer(t), func(b *battery, _ *drivertest.Recorder, _ chan<- serialbridge.Command) {
			b.wait(7 * time.Second)
			b.Close()
			b.wait(time.Second)
		})
		if !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Errorf("%s unplugged: %v", name, err)
		}
	}
}

func TestDrivers(t *testing.T) {
	for protocol, driver := range map[string]serialbridge.Driver{"jkbms": JK(), "dalybms": Daly(DalyOptions{})} {
		if driver.Protocol != protocol || driver.Run == nil || len(driver.Lines) != 1 || driver.NewDecoder == nil {
			t.Errorf("%+v", driver)
		}
	}
	if err := (DalyOptions{InvertCurrent: true}).Check(); err != nil {
		t.Error(err)
	}
}
