package airquality

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// simulated are sensors as their makers describe them.
func simulated(t *testing.T, name string) func([]byte) []byte {
	good := goodAnswers(t)[name].answer
	measuring := false
	return func(request []byte) []byte {
		switch {
		case name == "mhz19" && bytes.Equal(request, mhz19Command(mhz19Read, 0)):
			return good
		case name == "mhz19" && len(request) == 9 && sum8(request[1:]) == 0:
			return nil // commands have no answer
		case name == "senseair" && bytes.Equal(request, modbusRequest(readInput, senseairStatus, 4)):
			return good
		case name == "senseair" && bytes.Equal(request, modbusRequest(readInput, senseairType, 6)):
			return senseairID(t, "071F 24D1")
		case name == "senseair" && len(request) == 8 && request[1] == writeOne && validModbus(request):
			return request
		case name == "sps30" && bytes.Equal(request, shdlcRequest(sps30Start, 1, sps30Floats)):
			if measuring {
				return shdlcReply(sps30Start, sps30NotAllowed, nil)
			}
			measuring = true
			return shdlcReply(sps30Start, 0, nil)
		case name == "sps30" && bytes.Equal(request, shdlcRequest(sps30Read)):
			if !measuring {
				return shdlcReply(sps30Read, sps30NotAllowed, nil)
			}
			return good
		case name == "sps30" && bytes.Equal(request, shdlcRequest(sps30Info, sps30Serial)):
			return shdlcReply(sps30Info, 0, []byte("95BCE4C9AF3B8B9A\x00"))
		case name == "sps30" && bytes.Equal(request, shdlcRequest(sps30Clean)):
			return shdlcReply(sps30Clean, 0, nil)
		case name == "sps30" && bytes.Equal(request, []byte("power lost")):
			measuring = false
			return nil
		}
		t.Errorf("%s was asked % X", name, request)
		return nil
	}
}

func TestRun(t *testing.T) {
	for name, test := range map[string]struct {
		id       string
		readings int // in a minute
		presses  map[string][]string
	}{
		"mhz19": {"airquality_mhz19", 5, map[string][]string{
			"calibrate":            {"FF 01 87 00 00 00 00 00 78"},
			"self_calibration_on":  {"FF 01 79 A0 00 00 00 00 E6"},
			"self_calibration_off": {"FF 01 79 00 00 00 00 00 86"},
			"carbon_dioxide":       nil,
		}},
		"senseair": {"airquality_senseair_071F24D1", 5, map[string][]string{
			"calibrate": {"FE 06 00 00 00 00 9D C5", "FE 06 00 01 7C 06 6C C7"},
			"problem":   nil,
		}},
		"sps30": {"airquality_sps30_95BCE4C9AF3B8B9A", 5, map[string][]string{
			"clean_fan": {"7E 00 56 00 A9 7E"},
			"calibrate": nil,
		}},
	} {
		err := drivertest.Ask(t, goodAnswers(t)[name].driver, newRecorder(), simulated(t, name), func(d *drivertest.Device, r *recorder, commands chan<- serialbridge.Command) {
			d.Wait(59 * time.Second)
			if len(r.Readings) != test.readings || len(r.Announcements) != 1 || len(r.Damage)+len(r.Overheard) > 0 {
				t.Fatalf("%s: %d readings, %d devices, damaged %q, ignored %q", name, len(r.Readings), len(r.Announcements), r.Damage, r.Overheard)
			}
			if r.Announcements[0].ID != test.id {
				t.Errorf("%s: %+v", name, r.Announcements[0])
			}
			d.Wait(2 * time.Second)
			for _, key := range slices.Sorted(maps.Keys(test.presses)) {
				before := len(d.Asked)
				commands <- serialbridge.Command{Device: test.id, Key: key, Value: true}
				commands <- serialbridge.Command{Device: "another", Key: key, Value: true}
				d.Wait(time.Second)
				var want [][]byte
				for _, line := range test.presses[key] {
					want = append(want, unhex(t, line))
				}
				if got := d.Asked[before:]; !slices.EqualFunc(got, want, bytes.Equal) {
					t.Errorf("%s %s: sent % X", name, key, got)
				}
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// A sensor fails in every way for a while; before and after it is read, and nothing
// else is.
func TestRunFaults(t *testing.T) {
	for name, g := range goodAnswers(t) {
		for _, fault := range []struct {
			name   string
			reason string // among the damage
			spoil  func(d *drivertest.Device) func([]byte)
		}{
			{"silence", "no answer", func(*drivertest.Device) func([]byte) { return func([]byte) {} }},
			{"wrong checksum", "checksum", func(d *drivertest.Device) func([]byte) {
				return func(a []byte) {
					a = slices.Clone(a)
					a[len(a)-2]++ // the last byte may be a flag
					d.Say(a)
				}
			}},
			{"cut", "checksum", func(d *drivertest.Device) func([]byte) { return func(a []byte) { d.Say(a[:len(a)*2/3]) } }},
			{"foreign bytes", "no answer", func(d *drivertest.Device) func([]byte) {
				return func([]byte) { d.Say(unhex(t, "aac00600060058d93dab 1b1b1b1b01010101 7e7e ff86 fe0408")) }
			}},
			{"in bytes", "", func(d *drivertest.Device) func([]byte) {
				return func(a []byte) {
					for _, c := range a {
						d.Say([]byte{c})
					}
				}
			}},
			{"late", "no answer", func(d *drivertest.Device) func([]byte) {
				return func(a []byte) { time.AfterFunc(4*time.Second, func() { d.Say(a) }) }
			}},
		} {
			t.Run(name+" "+fault.name, func(t *testing.T) {
				drivertest.Ask(t, g.driver, newRecorder(), simulated(t, name), func(d *drivertest.Device, r *recorder, _ chan<- serialbridge.Command) {
					d.Wait(35 * time.Second)
					want := r.Readings[0].Values
					d.Spoil = fault.spoil(d)
					d.Wait(40 * time.Second)
					if fault.reason == "" && len(r.Damage) > 0 || fault.reason != "" && !slices.Contains(r.Damage, fault.reason) {
						t.Errorf("damaged %q", r.Damage)
					}
					d.Spoil = nil
					d.Wait(10 * time.Second)
					before := len(r.Readings)
					d.Wait(20 * time.Second)
					if len(r.Readings) != before+2 || len(r.Announcements) != 1 {
						t.Errorf("%d readings more, %d devices", len(r.Readings)-before, len(r.Announcements))
					}
					for _, reading := range r.Readings {
						if !maps.Equal(reading.Values, want) {
							t.Errorf("values %v", reading.Values)
						}
					}
				})
			})
		}

		// Nothing at all, or nothing that is a sensor's.
		for _, said := range [][]byte{nil, []byte("\xFF\x86~\xFE\x04\x08 noise~")} {
			err := drivertest.Ask(t, g.driver, newRecorder(), func([]byte) []byte { return said }, func(d *drivertest.Device, _ *recorder, _ chan<- serialbridge.Command) { d.Wait(3 * time.Minute) })
			if err == nil || !strings.HasPrefix(err.Error(), "the sensor does not answer: check") {
				t.Errorf("%s: %v", name, err)
			}
		}
		err := drivertest.Ask(t, g.driver, newRecorder(), simulated(t, name), func(d *drivertest.Device, _ *recorder, _ chan<- serialbridge.Command) {
			d.Wait(25 * time.Second)
			d.Close()
			d.Wait(10 * time.Second)
		})
		if !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Errorf("%s unplugged: %v", name, err)
		}
	}
}

// A sensor that does not tell its serial number is read all the same.
func TestRunNameless(t *testing.T) {
	for name, info := range map[string]struct{ request, refusal []byte }{
		"senseair": {modbusRequest(readInput, senseairType, 6), modbus(t, "FE 84 02")},
		"sps30":    {shdlcRequest(sps30Info, sps30Serial), shdlcReply(sps30Info, 0x02, nil)},
	} {
		for _, refusal := range [][]byte{info.refusal, nil} {
			answer := simulated(t, name)
			drivertest.Ask(t, goodAnswers(t)[name].driver, newRecorder(), func(request []byte) []byte {
				if bytes.Equal(request, info.request) {
					return refusal
				}
				return answer(request)
			}, func(d *drivertest.Device, r *recorder, _ chan<- serialbridge.Command) {
				d.Wait(time.Minute)
				if len(r.Announcements) != 1 || !r.Announcements[0].Anonymous || len(r.Readings) < 4 {
					t.Errorf("%s: %+v", name, r.Announcements)
				}
			})
		}
	}
}

// An SPS30 that lost its power is told to measure again.
func TestRunRestart(t *testing.T) {
	answer := simulated(t, "sps30")
	drivertest.Ask(t, SPS30(), newRecorder(), answer, func(d *drivertest.Device, r *recorder, _ chan<- serialbridge.Command) {
		d.Wait(35 * time.Second)
		answer([]byte("power lost"))
		before := len(r.Readings)
		d.Wait(40 * time.Second)
		if len(r.Readings) != before+3 || len(r.Damage)+len(r.Overheard) > 0 {
			t.Errorf("%d readings more, damaged %q, ignored %q", len(r.Readings)-before, r.Damage, r.Overheard)
		}
	})
}
