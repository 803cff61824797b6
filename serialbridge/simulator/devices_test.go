package simulator

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"
	"time"
)

// Drivers read of each device what it says, and all of it.
func TestDevicesTalk(t *testing.T) {
	for _, p := range protocols {
		if p.asked > 0 {
			continue
		}
		t.Run(p.kind, func(t *testing.T) {
			ids := make(map[string]bool)
			for number := range uint64(2) {
				device, err := NewDevice(p.kind, number)
				if err != nil {
					t.Fatal(err)
				}
				driver := p.driver()
				if device.Protocol != driver.Protocol {
					t.Errorf("is of %s, the driver of %s", device.Protocol, driver.Protocol)
				}
				r := &recorder{}
				decoder := driver.NewDecoder(r)
				var said, heard []int64
				now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
				for range 50 {
					for _, f := range device.Talk(now) {
						if f.Count > 0 {
							said = append(said, p.shown(f.Count))
						}
						decoder.Decode(f.Data, now)
					}
					now = now.Add(time.Second)
				}
				for _, reading := range r.Readings {
					if n, ok := p.count(reading.Values); ok {
						heard = append(heard, n)
					}
				}
				if len(r.Damage) > 0 || len(r.Overheard) > 0 || r.Disorder != "" {
					t.Errorf("damaged %q, ignored %q, %s", r.Damage, r.Overheard, r.Disorder)
				}
				if first := len(said) - len(heard); first < 0 || first >= p.first || !slices.Equal(said[first:], heard) {
					t.Fatalf("said %d, heard %d", said, heard)
				}
				for id := range r.Devices {
					ids[id] = true
				}
				if number == 0 && len(ids) == 0 {
					t.Error("no device")
				}
			}
			anonymous := p.kind == "pms5003" || p.kind == "nmea"
			if !anonymous && len(ids) < 2 {
				t.Errorf("devices with different numbers are the same: %v", ids)
			}
		})
	}
}

// Each device is read, and fails, in the tests of its protocol.
func TestKinds(t *testing.T) {
	for _, kind := range Kinds() {
		if !slices.ContainsFunc(protocols, func(p protocol) bool { return p.kind == kind }) {
			t.Errorf("%s is missing in protocols", kind)
		}
	}
}

// Wherever a checksum begins, a wrong one is found.
func TestSumsGuard(t *testing.T) {
	for _, p := range protocols {
		if p.faults.Sum == 0 || p.asked > 0 {
			continue
		}
		device, err := NewDevice(p.kind, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := &recorder{}
		decoder := p.driver().NewDecoder(r)
		for range 3 * p.first {
			for _, f := range device.Talk(time.Now()) {
				decoder.Decode(f.Data, time.Now())
			}
		}
		before := len(r.Readings)
		for _, f := range device.Talk(time.Now()) {
			data, fault := damaged(f, Sum, middle)
			if fault != Sum {
				t.Errorf("%s: a frame without checksum", p.kind)
			}
			decoder.Decode(data, time.Now())
		}
		// What ends a frame may be the beginning of the next one.
		for _, f := range device.Talk(time.Now())[:1] {
			decoder.Decode(f.Data[:1], time.Now())
		}
		if len(r.Damage) == 0 || len(r.Readings) != before {
			t.Errorf("%s: damaged %q, %d readings more", p.kind, r.Damage, len(r.Readings)-before)
		}
	}
}

// Requests and answers as real devices give them, and as their manuals do.
func TestDevicesAnswer(t *testing.T) {
	for _, test := range []struct{ kind, request, answer string }{
		// 230.2 V in the first register, as in the manual of the SDM120.
		{"modbus", "01040000000271cb", "010404436633335afa"},
		{"modbus", "02040000000271f8", ""},            // another address
		{"modbus", "01030000000ac5cd", "0183018 0f0"}, // another function
		// ESP3 1.5: CO_RD_IDBASE.
		{"enocean", "5500010005700838", "5500050102db00ff8000800a88"},
		{"mhz19", "ff0186000000000079", "ff8601903e00 0000ab"},
		{"dalybms", "a5409008000000000000 00007d", "a501900800840084751703 6a 3f"},
		{"rfxtrx", "0d00000002000000000000000000", "0d010000025 35f0008270001030 0"},
		{"rflink", hex.EncodeToString([]byte("10;PING;\r\n")), hex.EncodeToString([]byte("20;00;PONG;\r\n"))},
		{"mysensors", hex.EncodeToString([]byte("201;10;1;1;2;1\n")), hex.EncodeToString([]byte("201;10;1;1;2;1\n"))},
		// iM871A: ping.
		{"wmbus", "a5010100", "a58102004ca3"},
	} {
		device, err := NewDevice(test.kind, 1)
		if err != nil {
			t.Fatal(err)
		}
		unhex := func(s string) []byte {
			b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		request, want := unhex(test.request), unhex(test.answer)
		for n := range request {
			if n == 0 {
				continue
			}
			if done, answers := device.Answer(request[:n]); done != 0 || answers != nil {
				t.Errorf("%s: answers half of % x", test.kind, request)
			}
		}
		done, answers := device.Answer(request)
		var got []byte
		for _, f := range answers {
			got = append(got, f.Data...)
		}
		if done != len(request) || !bytes.Equal(got, want) {
			t.Errorf("%s: answers %x to %x after %d bytes, want %x", test.kind, got, request, done, want)
		}
	}
}

// Nothing that is sent to a device does it harm.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("10;PING;\r\n201;255;3;0;19;\n"))
	f.Add([]byte("\xA5\x01\x01\x00\xFF\x01\x86\x00\x00\x00\x00\x00\x79\x55\x00\x01\x00\x05\x70\x08\x38"))
	f.Add([]byte("\x4E\x57\x00\x13\x00\x00\x00\x00\x06\x03\x00\x00\x00\x00\x00\x00\x68\x00\x00\x01\x29"))
	var answering []string
	for _, kind := range Kinds() {
		if device, err := NewDevice(kind, 1); err == nil && device.Answer != nil {
			answering = append(answering, kind)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kind := range answering {
			device, err := NewDevice(kind, 1)
			if err != nil {
				t.Fatal(err)
			}
			for heard := data; len(heard) > 0; {
				n, _ := device.Answer(heard)
				if n < 0 || n > len(heard) {
					t.Fatalf("%s: done with %d of %d bytes", kind, n, len(heard))
				}
				if n == 0 {
					break
				}
				heard = heard[n:]
			}
		}
	})
}
