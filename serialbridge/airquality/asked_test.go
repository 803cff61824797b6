package airquality

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge"
	"lintel/serialbridge/crc"
)

// shdlcReply makes what a sensor of Sensirion sends.
func shdlcReply(command, state byte, data []byte) []byte {
	frame := append([]byte{0, command, state, byte(len(data))}, data...)
	frame = append(frame, ^sum8(frame))
	b := []byte{shdlcFlag}
	for _, c := range frame {
		if c == shdlcFlag || c == shdlcEscape || c == 0x11 || c == 0x13 {
			b = append(b, shdlcEscape)
			c ^= shdlcFlip
		}
		b = append(b, c)
	}
	return append(b, shdlcFlag)
}

// sps30Measured makes an answer with the same value ten times.
func sps30Measured(state byte, value float32) []byte {
	var data []byte
	for range sps30Fields {
		data = binary.BigEndian.AppendUint32(data, math.Float32bits(value))
	}
	return shdlcReply(sps30Read, state, data)
}

// modbus makes an answer of an S8 from what stands before the CRC.
func modbus(t testing.TB, data string) []byte {
	b := unhex(t, data)
	return binary.LittleEndian.AppendUint16(b, crc.Modbus(b))
}

// The examples of TDE2067: 400 ppm.
const senseairExample = "FE 04 08 00 00 00 00 00 00 01 90 16 E6"

func senseairID(t testing.TB, id string) []byte {
	return modbus(t, "FE 04 0C 0001 0E08 0049 0103"+id)
}

// goodAnswers are two answers each from which a sensor is known.
func goodAnswers(t testing.TB) map[string]struct {
	driver serialbridge.Driver
	answer []byte
} {
	file := readCaptures(t)
	return map[string]struct {
		driver serialbridge.Driver
		answer []byte
	}{
		"mhz19":    {MHZ19(), unhex(t, file.Asked["MHZ19B"].HexLines[0])},
		"senseair": {Senseair(), unhex(t, senseairExample)},
		"sps30":    {SPS30(), unhex(t, file.Asked["SPS30"].HexLines[0])},
	}
}

func TestAskedCaptures(t *testing.T) {
	for name, test := range map[string]struct {
		driver  serialbridge.Driver
		columns map[string]string
		device  serialbridge.Device // without properties
		buttons []string
		extra   map[string]any // what was not published
	}{
		"MHZ19B": {
			MHZ19(), map[string]string{"CO2": "carbon_dioxide"},
			serialbridge.Device{ID: "airquality_mhz19", Name: "CO₂ sensor", Vendor: "Winsen", Model: "MH-Z19", Anonymous: true},
			[]string{"calibrate", "self_calibration_on", "self_calibration_off"}, map[string]any{"temperature": int64(26)},
		},
		"SPS30": {
			SPS30(), map[string]string{
				"pm01": "pm1", "pm25": "pm25", "pm04": "pm4", "pm10": "pm10", "diam": "particle_size",
				"n0_5": "particles_to_0_5", "n1_0": "particles_to_1_0", "n2_5": "particles_to_2_5",
				"n4_0": "particles_to_4_0", "n10_0": "particles_to_10_0",
			},
			serialbridge.Device{ID: "airquality_sps30", Name: "Particulate matter sensor", Vendor: "Sensirion", Model: "SPS30", Anonymous: true},
			[]string{"clean_fan"}, map[string]any{"problem": false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			capture := readCaptures(t).Asked[name]
			pieces := [][]byte{unhex(t, capture.HexLines[0])} // of one alone nothing is believed
			for _, line := range capture.HexLines {
				pieces = append(pieces, unhex(t, line))
			}
			r := decodeAs(t, test.driver, pieces...)
			if len(r.Damage)+len(r.Overheard) > 0 || len(r.Announcements) != 1 || len(r.Readings) != len(capture.HexLines) {
				t.Fatalf("%d devices, %d readings, damaged %q", len(r.Announcements), len(r.Readings), r.Damage)
			}
			compare(t, capture, test.columns, r)
			d := r.Announcements[0]
			var buttons []string
			for _, p := range d.Properties {
				if p.Kind == serialbridge.Button {
					buttons = append(buttons, p.Key)
					if p.Category != serialbridge.Config || p.Name == "" {
						t.Errorf("%+v", p)
					}
				}
			}
			d.Properties = nil
			if !reflect.DeepEqual(d, test.device) || !slices.Equal(buttons, test.buttons) {
				t.Errorf("device %+v, buttons %q", d, buttons)
			}
			for _, reading := range r.Readings {
				if len(reading.Values) != len(test.columns)+len(test.extra) {
					t.Errorf("values %v", reading.Values)
				}
				for key, want := range test.extra {
					if reading.Values[key] != want {
						t.Errorf("%s = %v, want %v", key, reading.Values[key], want)
					}
				}
			}
		})
	}
}

// Numbers print as they were rounded.
func TestSPS30Exact(t *testing.T) {
	frame := sps30Measured(0, 0.1)
	r := decodeAs(t, SPS30(), frame, frame)
	if text, _ := json.Marshal(r.Readings[0].Values); strings.Count(string(text), ":0.1,") != 10 {
		t.Errorf("%s", text)
	}
}

// Answers of which no capture exists, from the makers' descriptions.
func TestAskedDescribed(t *testing.T) {
	for _, test := range []struct {
		name   string
		driver serialbridge.Driver
		pieces [][]byte
		id     string
		want   map[string]any
	}{
		{"MH-Z19B, the example", MHZ19(), [][]byte{unhex(t, "FF 86 02 20 00 00 00 00 58")}, "airquality_mhz19",
			map[string]any{"carbon_dioxide": int64(544)}},
		{"MH-Z19, something else", MHZ19(), [][]byte{unhex(t, "FF 86 02 20 7E 00 00 00 DA")}, "airquality_mhz19",
			map[string]any{"carbon_dioxide": int64(544)}},
		{"MH-Z19, hot", MHZ19(), [][]byte{unhex(t, "FF 86 02 20 7D 00 00 00 DB")}, "airquality_mhz19",
			map[string]any{"carbon_dioxide": int64(544), "temperature": int64(85)}},
		{"S8, the example", Senseair(), [][]byte{unhex(t, senseairExample)}, "airquality_senseair",
			map[string]any{"carbon_dioxide": int64(400), "problem": false}},
		{"S8, out of range", Senseair(), [][]byte{modbus(t, "FE 04 08 0020 0000 0000 2710")}, "airquality_senseair",
			map[string]any{"carbon_dioxide": int64(10000), "problem": true}},
		{"S8 with ID", Senseair(), [][]byte{senseairID(t, "071F 24D1"), unhex(t, senseairExample)}, "airquality_senseair_071F24D1",
			map[string]any{"carbon_dioxide": int64(400), "problem": false}},
		{"S8 without ID", Senseair(), [][]byte{senseairID(t, "0000 0000"), unhex(t, senseairExample)}, "airquality_senseair",
			map[string]any{"carbon_dioxide": int64(400), "problem": false}},
		{"SPS30 with fault", SPS30(), [][]byte{
			shdlcReply(sps30Info, 0, []byte("00080000\x00")), // the product type
			shdlcReply(sps30Info, 0, []byte("95BCE4C9AF3B8B9A\x00")), sps30Measured(sps30Fault, 0),
		}, "airquality_sps30_95BCE4C9AF3B8B9A", map[string]any{
			"pm1": 0.0, "pm25": 0.0, "pm4": 0.0, "pm10": 0.0, "particles_to_0_5": 0.0, "particles_to_1_0": 0.0, "particles_to_2_5": 0.0,
			"particles_to_4_0": 0.0, "particles_to_10_0": 0.0, "particle_size": 0.0, "problem": true,
		}},
		{"SPS30 of zeros", SPS30(), [][]byte{shdlcReply(sps30Info, 0, []byte("00000000000000000000\x00")), sps30Measured(0, 1)}, "airquality_sps30", nil},
		{"SPS30 of other characters", SPS30(), [][]byte{shdlcReply(sps30Info, 0, []byte("95BCE4C9/F3B8B9A\x00")), sps30Measured(0, 1)}, "airquality_sps30", nil},
	} {
		r := decodeAs(t, test.driver, append(test.pieces, test.pieces...)...)
		if len(r.Readings) != 1 || len(r.Damage) > 0 {
			t.Errorf("%s: %d readings, damaged %q", test.name, len(r.Readings), r.Damage)
			continue
		}
		d := r.Announcements[0]
		if d.ID != test.id || d.Anonymous != (strings.Count(test.id, "_") == 1) || test.want != nil && !reflect.DeepEqual(r.Readings[0].Values, test.want) {
			t.Errorf("%s: %+v, anonymous: %v", test.name, r.Readings[0], d.Anonymous)
		}
	}

	// What is sent are the makers' examples.
	for _, test := range []struct {
		got  []byte
		want string
	}{
		{mhz19Command(mhz19Read, 0), "FF 01 86 00 00 00 00 00 79"},
		{mhz19Command(mhz19CalibrateZero, 0), "FF 01 87 00 00 00 00 00 78"},
		{mhz19Command(mhz19SelfCalibrate, mhz19SelfCalibrates), "FF 01 79 A0 00 00 00 00 E6"},
		{mhz19Command(mhz19SelfCalibrate, 0), "FF 01 79 00 00 00 00 00 86"},
		{modbusRequest(readInput, senseairStatus, 4), "FE 04 00 00 00 04 E5 C6"},
		{modbusRequest(writeOne, senseairDone, 0), "FE 06 00 00 00 00 9D C5"},
		{modbusRequest(writeOne, senseairDo, senseairCalibrate), "FE 06 00 01 7C 06 6C C7"},
		{shdlcRequest(sps30Start, 1, sps30Floats), "7E 00 00 02 01 03 F9 7E"},
		{shdlcRequest(sps30Read), "7E 00 03 00 FC 7E"},
		{shdlcRequest(sps30Info, sps30Serial), "7E 00 D0 01 03 2B 7E"},
		{shdlcRequest(sps30Clean), "7E 00 56 00 A9 7E"},
		{shdlcRequest(0x11), "7E 00 7D 31 00 EE 7E"},
	} {
		if !bytes.Equal(test.got, unhex(t, test.want)) {
			t.Errorf("% X, want %s", test.got, test.want)
		}
	}
}

func TestAskedDamage(t *testing.T) {
	good := goodAnswers(t)
	for name, test := range good {
		for _, damage := range []struct {
			name     string
			pieces   [][]byte
			readings int
			damaged  bool
		}{
			{"one answer", [][]byte{test.answer}, 0, false},
			{"two answers", [][]byte{test.answer, test.answer}, 1, false},
			{"begins within", [][]byte{test.answer[4:], test.answer, test.answer}, 1, false},
			{"ends within", [][]byte{test.answer, test.answer[:6], test.answer, test.answer, test.answer}, 3, true},
			{"noise between", [][]byte{test.answer, []byte("noise"), test.answer}, 1, name == "sps30"},
			{"other sensors between", [][]byte{test.answer, unhex(t, "aac00600060058d93dab"), test.answer}, 1, name == "sps30"},
		} {
			r := decodeAs(t, test.driver, damage.pieces...)
			if len(r.Readings) != damage.readings || damage.damaged != (len(r.Damage) > 0) {
				t.Errorf("%s, %s: %d readings, damaged %q", name, damage.name, len(r.Readings), r.Damage)
			}
		}

		// A frame with one bit wrong says nothing wrong.
		want := decodeAs(t, test.driver, test.answer, test.answer).Readings[0]
		for i := range 8 * len(test.answer) {
			frame := slices.Clone(test.answer)
			frame[i/8] ^= 1 << (i % 8)
			r := decodeAs(t, test.driver, test.answer, frame, test.answer, test.answer)
			if len(r.Readings) == 0 || len(r.Announcements) != 1 {
				t.Errorf("%s, bit %d: %d readings of %d devices", name, i, len(r.Readings), len(r.Announcements))
			}
			for _, reading := range r.Readings {
				if !reflect.DeepEqual(reading, want) {
					t.Errorf("%s, bit %d: %+v", name, i, reading)
				}
			}
		}

		// The pieces do not matter.
		stream := slices.Concat(test.answer, test.answer[:5], test.answer, test.answer, []byte("noise"), test.answer)
		whole := decodeAs(t, test.driver, stream)
		for i := range stream {
			if got := decodeAs(t, test.driver, stream[:i], stream[i:]); !reflect.DeepEqual(got, whole) {
				t.Fatalf("%s: cut at %d: %+v", name, i, got)
			}
		}
		if got := decodeAs(t, test.driver, slices.Collect(slices.Chunk(stream, 1))...); !reflect.DeepEqual(got, whole) {
			t.Fatalf("%s in bytes: %+v", name, got)
		}

		// What others say is no answer.
		for other, o := range good {
			if other == name {
				continue
			}
			if r := decodeAs(t, test.driver, o.answer, o.answer, []byte("$GPRMC,220516,A*70\r\n/ISk5\\2MT382-1000\r\n")); len(r.Readings)+len(r.Announcements) > 0 {
				t.Errorf("%s of %s: %+v", name, other, r.Readings)
			}
		}
		noise := make([]byte, 1<<20)
		rand.NewChaCha8([32]byte{}).Read(noise)
		if r := decodeAs(t, test.driver, noise); len(r.Readings)+len(r.Announcements) > 0 {
			t.Errorf("%s of noise: %+v", name, r.Readings)
		}
	}
}

func TestAskedSyntax(t *testing.T) {
	mhz := append([]byte{0xFF, 0x86, 0x27, 0x11, 0x42, 0, 0, 0}, 0)
	mhz[8] = -sum8(mhz[1:])
	for _, test := range []struct {
		name    string
		driver  serialbridge.Driver
		frame   []byte
		damaged string
		ignored string
	}{
		{"MH-Z19 10001 ppm", MHZ19(), mhz, "syntax", ""},
		{"S8 10001 ppm", Senseair(), modbus(t, "FE 04 08 0000 0000 0000 2711"), "syntax", ""},
		{"S8 below zero", Senseair(), modbus(t, "FE 04 08 0000 0000 0000 FFFF"), "syntax", ""},
		{"S8 exception", Senseair(), modbus(t, "FE 84 02"), "", ""},
		{"SPS30 not a number", SPS30(), sps30Measured(0, float32(math.NaN())), "syntax", ""},
		{"SPS30 infinite", SPS30(), sps30Measured(0, float32(math.Inf(1))), "syntax", ""},
		{"SPS30 below zero", SPS30(), sps30Measured(0, -1), "syntax", ""},
		{"SPS30 integers", SPS30(), shdlcReply(sps30Read, 0, make([]byte, 20)), "syntax", ""},
		{"SPS30 nothing new", SPS30(), shdlcReply(sps30Read, 0, nil), "", ""},
		{"SPS30 idle", SPS30(), shdlcReply(sps30Read, sps30NotAllowed, nil), "", ""},
		{"SPS30 refuses", SPS30(), shdlcReply(sps30Clean, sps30NotAllowed, nil), "", "the sensor refuses command 56 with error 43"},
		{"SPS30 length", SPS30(), unhex(t, "7E 00 03 00 01 FB 7E"), "checksum", ""},
		{"SPS30 short", SPS30(), unhex(t, "7E 00 03 FC 7E"), "checksum", ""},
		{"SPS30 long", SPS30(), append([]byte{0x7E}, make([]byte, 300)...), "too long", ""},
	} {
		r := decodeAs(t, test.driver, test.frame)
		if len(r.Readings)+len(r.Announcements) > 0 || strings.Join(r.Damage, " ") != test.damaged || strings.Join(r.Overheard, " ") != test.ignored {
			t.Errorf("%s: %d readings, damaged %q, ignored %q", test.name, len(r.Readings), r.Damage, r.Overheard)
		}
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestAskedProperties(t *testing.T) {
	for name, test := range goodAnswers(t) {
		r := decodeAs(t, test.driver, test.answer, test.answer)
		for _, p := range r.Announcements[0].Properties {
			ok := p.Name != "" && strings.Trim(p.Key, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
			switch p.Class {
			case "carbon_dioxide":
				ok = ok && p.Unit == "ppm"
			case "pm1", "pm25", "pm4", "pm10":
				ok = ok && p.Unit == microgram
			case "temperature":
				ok = ok && p.Unit == "°C"
			case "problem":
				ok = ok && p.Kind == serialbridge.Binary
			case "":
			default:
				ok = false
			}
			if !ok || (p.Kind == serialbridge.Measurement) != (p.StateClass == "measurement") {
				t.Errorf("%s: %+v", name, p)
			}
		}
		d := test.driver
		if d.Protocol != name || d.Run == nil || len(d.Lines) != 1 {
			t.Errorf("driver %+v", d)
		}
	}
	// Forms are as scan wants them.
	for _, forms := range [][]form{mhz19Forms(), senseairForms()} {
		for _, f := range forms {
			for _, g := range forms {
				if f.header != g.header && strings.HasPrefix(f.header, g.header) || f.header == g.header && f.size != g.size {
					t.Errorf("% X and % X", f.header, g.header)
				}
			}
		}
	}
}
