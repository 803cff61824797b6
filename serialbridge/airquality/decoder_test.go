package airquality

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

type recorder = drivertest.Recorder

// newRecorder returns one that holds every reading to carry all that was announced.
func newRecorder() *recorder { return &recorder{Whole: true} }

var received = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// decode feeds pieces to a new decoder of sensors that talk by themselves.
func decode(t testing.TB, pieces ...[]byte) *recorder {
	t.Helper()
	return decodeAs(t, Driver(), pieces...)
}

// decodeAs feeds pieces to a new decoder of a driver.
func decodeAs(t testing.TB, driver serialbridge.Driver, pieces ...[]byte) *recorder {
	t.Helper()
	r := newRecorder()
	drivertest.Decode(t, r, driver.NewDecoder(r), received, pieces)
	return r
}

type capture struct{ HexLines, CSV []string }

type captures struct {
	Sensors, Asked map[string]capture
}

func readCaptures(t testing.TB) captures {
	t.Helper()
	data, err := os.ReadFile("testdata/captures.json")
	if err != nil {
		t.Fatal(err)
	}
	var file captures
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// plantower makes a frame of Plantower's or Honeywell's.
func plantower(words ...int) []byte {
	b := []byte{0x42, 0x4D}
	b = binary.BigEndian.AppendUint16(b, uint16(2*len(words)+2))
	for _, w := range words {
		b = binary.BigEndian.AppendUint16(b, uint16(w))
	}
	var sum uint16
	for _, c := range b {
		sum += uint16(c)
	}
	return binary.BigEndian.AppendUint16(b, sum)
}

// sds makes a frame of Nova Fitness.
func sds(data ...byte) []byte {
	return append(append([]byte{0xAA, 0xC0}, data...), sum8(data), 0xAB)
}

// mcu makes a frame of an MCU680 from what stands between header and sum.
func mcu(t testing.TB, data string) []byte {
	b := append([]byte{0x5A, 0x5A, 0x3F, 0x0F}, unhex(t, data)...)
	return append(b, sum8(b))
}

// columns names the properties of the captures' columns.
var columns = map[string]string{
	"pm01": "pm1", "pm25": "pm25", "pm04": "pm4", "pm10": "pm10", "pm100": "pm100",
	"raw01": "pm1_standard", "raw25": "pm25_standard", "raw10": "pm10_standard",
	"n0_3": "particles_0_3", "n0_5": "particles_0_5", "n1_0": "particles_1_0",
	"n2_5": "particles_2_5", "n5_0": "particles_5_0", "n10_0": "particles_10_0",
	"temp": "temperature", "rhum": "humidity", "pres": "pressure",
	"IAQ": "iaq", "IAQ_acc": "iaq_accuracy", "gas": "gas_resistance", "alt": "altitude",
}

func TestCaptures(t *testing.T) {
	devices := map[string][5]string{ // ID, name, vendor, model, serial number
		"SDS01x":    {"airquality_sds011_58D9", "Particulate matter sensor", "Nova Fitness", "SDS011", "58D9"},
		"SDS198":    {"airquality_sds198_E905", "Particulate matter sensor", "Nova Fitness", "SDS198", "E905"},
		"PMSx003":   {"airquality_pmsx003", "Particulate matter sensor", "Plantower", "PMSx003", ""},
		"PMS3003":   {"airquality_pms3003", "Particulate matter sensor", "Plantower", "PMS3003", ""},
		"PMS5003T":  {"airquality_pms5003t", "Particulate matter sensor", "Plantower", "PMS5003T", ""},
		"HPMA115C0": {"airquality_hpma115c0", "Particulate matter sensor", "Honeywell", "HPMA115C0", ""},
		"MCU680":    {"airquality_mcu680", "Air quality sensor", "Bosch Sensortec", "MCU680", ""},
	}
	file := readCaptures(t)
	if len(file.Sensors) != len(devices) {
		t.Fatalf("%d sensors, %d expectations", len(file.Sensors), len(devices))
	}
	for name, capture := range file.Sensors {
		t.Run(name, func(t *testing.T) {
			// The first frame twice: of one alone nothing is believed.
			pieces := [][]byte{unhex(t, capture.HexLines[0])}
			for _, line := range capture.HexLines {
				pieces = append(pieces, unhex(t, line))
			}
			r := decode(t, pieces...)
			if len(r.Damage) > 0 || len(r.Announcements) != 1 || len(r.Readings) != len(capture.HexLines) {
				t.Fatalf("%d devices, %d readings, damaged %q", len(r.Announcements), len(r.Readings), r.Damage)
			}
			d := r.Announcements[0]
			if got := [5]string{d.ID, d.Name, d.Vendor, d.Model, d.SerialNumber}; got != devices[name] || d.Anonymous != (d.SerialNumber == "") {
				t.Errorf("device %q, want %q; anonymous: %v", got, devices[name], d.Anonymous)
			}
			compare(t, capture, columns, r)
			for _, reading := range r.Readings {
				if n := strings.Count(capture.CSV[0], ","); len(reading.Values) != n {
					t.Errorf("%d values, %d are published", len(reading.Values), n)
				}
			}
		})
	}
}

// compare compares readings with what was published for the same frames.
func compare(t *testing.T, capture capture, columns map[string]string, r *recorder) {
	t.Helper()
	header := strings.Split(capture.CSV[0], ", ")
	for i, line := range capture.CSV[1:] {
		reading := r.Readings[i]
		if reading.Device != r.Announcements[0].ID || !reading.Time.Equal(received) {
			t.Errorf("reading %+v", reading)
		}
		for j, want := range strings.Split(line, ", ") {
			if header[j] == "time" {
				continue
			}
			// As many decimals as were published.
			_, decimals, _ := strings.Cut(want, ".")
			value, ok := number(reading.Values[columns[header[j]]])
			if got := strconv.FormatFloat(value, 'f', len(decimals), 64); !ok || got != want {
				t.Errorf("frame %d %s = %s, want %s", i, header[j], got, want)
			}
		}
	}
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// Numbers print as the sensor meant them.
func TestExact(t *testing.T) {
	r := decode(t, sds(3, 0, 0x0F, 0x27, 1, 2), sds(3, 0, 0x0F, 0x27, 1, 2))
	if text, _ := json.Marshal(r.Readings[0].Values); string(text) != `{"pm10":999.9,"pm25":0.3}` {
		t.Errorf("SDS011: %s", text)
	}
	frame := mcu(t, "FFF6 0AC4 018B89 3019 FFFFFFFF FFF6")
	r = decode(t, frame, frame)
	const want = `{"altitude":-10,"gas_resistance":4294967.295,"humidity":27.56,"iaq":25,"iaq_accuracy":3,"pressure":1012.57,"temperature":-0.1}`
	if text, _ := json.Marshal(r.Readings[0].Values); string(text) != want {
		t.Errorf("MCU680: %s", text)
	}
}

// Frames of which no capture exists, from descriptions.
func TestDescribed(t *testing.T) {
	for _, test := range []struct {
		name  string
		frame []byte
		id    string
		want  map[string]any
	}{
		// The answers that are examples in the data sheet.
		{"HPMA115S0 answer", unhex(t, "40 05 04 00 30 00 31 56"), "airquality_hpma115s0",
			map[string]any{"pm25": int64(48), "pm10": int64(49)}},
		{"HPMA115C0 answer", unhex(t, "40 0D 04 00 30 00 31 00 32 00 33 00 00 00 00 E9"), "airquality_hpma115c0",
			map[string]any{"pm1": int64(48), "pm25": int64(49), "pm4": int64(50), "pm10": int64(51)}},
		// From forum.arduino.cc, topic 471975.
		{"HPMA115S0", unhex(t, "424D001C 0000 0001 0002 0000 0000 0000 0000 0000 0000 0000 0000 0000 0051 00FF"), "airquality_hpma115s0",
			map[string]any{"pm25": int64(1), "pm10": int64(2)}},
		{"HPMA115C0", plantower(4, 7, 9, 23, 0, 0, 0, 0, 0, 0, 0, 0, 0), "airquality_hpma115c0",
			map[string]any{"pm1": int64(4), "pm25": int64(7), "pm4": int64(9), "pm10": int64(23)}},
		{"PMS5003ST", plantower(1, 2, 3, 4, 5, 6, 700, 80, 9, 3, 2, 1, 21, 0xFFFB, 456, 0, 0x9100), "airquality_pms5003st",
			map[string]any{
				"pm1_standard": int64(1), "pm25_standard": int64(2), "pm10_standard": int64(3),
				"pm1": int64(4), "pm25": int64(5), "pm10": int64(6),
				"particles_0_3": 7.0, "particles_0_5": 0.8, "particles_1_0": 0.09,
				"particles_2_5": 0.03, "particles_5_0": 0.02, "particles_10_0": 0.01,
				"formaldehyde": int64(21), "temperature": -0.5, "humidity": 45.6,
			}},
		{"SDS011 without id", sds(10, 0, 20, 0, 0, 0), "airquality_sds011",
			map[string]any{"pm25": 1.0, "pm10": 2.0}},
	} {
		r := decode(t, test.frame, test.frame)
		if len(r.Readings) != 1 || len(r.Damage) > 0 {
			t.Errorf("%s: %d readings, damaged %q", test.name, len(r.Readings), r.Damage)
			continue
		}
		if r.Readings[0].Device != test.id || !reflect.DeepEqual(r.Readings[0].Values, test.want) {
			t.Errorf("%s: %+v", test.name, r.Readings[0])
		}
	}
}

// Frames that look alike are told apart.
func TestClaims(t *testing.T) {
	var (
		plain   = plantower(1, 2, 3, 1, 2, 3, 900, 250, 40, 6, 2, 1, 0x9700)
		warm    = plantower(1, 2, 3, 1, 2, 3, 900, 250, 40, 6, 215, 453, 0x9A00)
		frost   = plantower(1, 2, 3, 1, 2, 3, 900, 250, 40, 6, 0xFF38, 453, 0x9A00)
		clean   = plantower(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 215, 453, 0x9A00)
		smoke   = plantower(90, 500, 600, 80, 400, 500, 60000, 20000, 9000, 3000, 900, 800, 0x9700)
		either  = plantower(90, 500, 600, 80, 400, 500, 60000, 20000, 9000, 3000, 400, 300, 0x9700)
		zeros   = plantower(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x9700)
		s0      = plantower(0, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0051)
		c0      = plantower(4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		rising  = plantower(1, 2, 3, 1, 2, 3, 250, 900, 40, 6, 2, 1, 0x9700)
		dry     = plantower(1, 2, 3, 1, 2, 3, 900, 250, 140, 60, 49, 49, 0x9700)
		hot     = plantower(1, 2, 3, 1, 2, 3, 900, 250, 40, 6, 851, 453, 0x9A00)
		wet     = plantower(1, 2, 3, 1, 2, 3, 900, 250, 40, 6, 215, 1001, 0x9A00)
		noCount = plantower(1, 2, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0x9700)
	)
	for _, test := range []struct {
		name    string
		frames  [][]byte
		want    string // kinds of the readings
		damaged int
	}{
		{"counts", [][]byte{plain, plain}, "pmsx003", 0},
		{"warm", [][]byte{warm, warm}, "pms5003t", 0},
		{"frost", [][]byte{frost, frost}, "pms5003t", 0},
		{"clean air", [][]byte{clean, clean}, "pms5003t", 0},
		{"smoke", [][]byte{smoke, smoke}, "pmsx003", 0},
		{"few large particles", [][]byte{dry, dry}, "pmsx003", 0},
		{"either, not known", [][]byte{either, either, either}, "", 0},
		{"either, counts before", [][]byte{plain, either}, "pmsx003", 0},
		{"either, warm before", [][]byte{warm, either}, "pms5003t", 0},
		{"zeros, not known", [][]byte{zeros, zeros}, "", 0},
		{"zeros, counts before", [][]byte{plain, zeros, plain}, "pmsx003", 0},
		{"zeros, Honeywell before", [][]byte{s0, zeros}, "hpma115s0", 0},
		{"zeros, compact before", [][]byte{c0, zeros}, "hpma115c0", 0},
		{"rising counts", [][]byte{rising, rising}, "", 2},
		{"too hot", [][]byte{hot, hot}, "", 2},
		{"too wet", [][]byte{wet, wet}, "", 2},
		{"dust without particles", [][]byte{noCount, noCount}, "", 2},
		{"two sensors in turn", [][]byte{plain, warm, plain, warm}, "", 0},
	} {
		r := decode(t, test.frames...)
		var kinds []string
		for _, reading := range r.Readings {
			kinds = append(kinds, strings.TrimPrefix(reading.Device, "airquality_"))
		}
		if got := strings.Join(kinds, " "); got != test.want || len(r.Damage) != test.damaged {
			t.Errorf("%s: %q, damaged %q; want %q, %d", test.name, got, r.Damage, test.want, test.damaged)
		}
		for _, reason := range r.Damage {
			if reason != "syntax" {
				t.Errorf("%s: damaged %q", test.name, r.Damage)
			}
		}
	}
}

func TestDamage(t *testing.T) {
	good := unhex(t, "aac00600060058d93dab")
	other := sds(9, 0, 9, 0, 0x58, 0xD8)
	edit := func(at int, b byte) []byte {
		frame := slices.Clone(good)
		frame[at] = b
		return frame
	}
	for _, test := range []struct {
		name     string
		pieces   [][]byte
		readings int
		damaged  []string
	}{
		{"one frame", [][]byte{good}, 0, nil},
		{"two frames", [][]byte{good, good}, 1, nil},
		{"wrong value", [][]byte{good, edit(2, 7), good}, 1, []string{"checksum"}},
		{"wrong sum", [][]byte{good, edit(8, 0), good}, 1, []string{"checksum"}},
		{"wrong end", [][]byte{good, edit(9, 0xAA), good}, 1, []string{"checksum"}},
		{"wrong header", [][]byte{good, edit(1, 0xC1), good}, 1, nil},
		{"begins within", [][]byte{good[4:], good, good}, 1, nil},
		{"ends within", [][]byte{good, good[:7], good, good}, 2, []string{"checksum"}},
		{"begins twice", [][]byte{good, {0xAA}, good, {0xAA, 0xC0}, good, {0xAA}}, 2, []string{"checksum"}},
		{"noise between", [][]byte{good, []byte("noise"), good}, 1, nil},
		{"another id", [][]byte{good, good, other, good, good}, 2, nil},
		{"other to stay", [][]byte{good, good, other, other, other}, 3, nil},
		{"more than can be", [][]byte{good, sds(0x10, 0x27, 0, 0, 0x58, 0xD9), good}, 1, []string{"syntax"}},
		{"answer to a command", [][]byte{good, unhex(t, "AA C5 02 01 01 00 58 D9 35 AB"), good}, 1, nil},
	} {
		r := decode(t, test.pieces...)
		if len(r.Readings) != test.readings || !slices.Equal(r.Damage, test.damaged) {
			t.Errorf("%s: %d readings, damaged %q; want %d, %q", test.name, len(r.Readings), r.Damage, test.readings, test.damaged)
		}
	}

	for _, frame := range [][]byte{
		mcu(t, "2135 0AC4 018B89 0019 00009EF2 0005"), // 85.01 °C
		mcu(t, "097D 2711 018B89 0019 00009EF2 0005"), // 100.01 %
		mcu(t, "097D 0AC4 00752F 0019 00009EF2 0005"), // 299.99 hPa
		mcu(t, "097D 0AC4 018B89 01F5 00009EF2 0005"), // index 501
		mcu(t, "097D 0AC4 018B89 4019 00009EF2 0005"), // accuracy 4
	} {
		r := decode(t, frame)
		if len(r.Readings) > 0 || !slices.Equal(r.Damage, []string{"syntax"}) {
			t.Errorf("% X: %d readings, damaged %q", frame, len(r.Readings), r.Damage)
		}
	}
}

// Each bit of each frame is covered: a frame with one bit wrong is not
// published, and the next ones are.
func TestBits(t *testing.T) {
	for name, capture := range readCaptures(t).Sensors {
		good := unhex(t, capture.HexLines[0])
		want := decode(t, good, good).Readings
		for i := range 8 * len(good) {
			frame := slices.Clone(good)
			frame[i/8] ^= 1 << (i % 8)
			r := decode(t, frame, good, good)
			if !reflect.DeepEqual(r.Readings, want) {
				t.Errorf("%s, bit %d: %+v", name, i, r.Readings)
			}
		}
	}
}

// What other protocols say is no air.
func TestForeign(t *testing.T) {
	var foreign []byte
	for _, name := range slices.Sorted(maps.Keys(readCaptures(t).Asked)) {
		for _, line := range readCaptures(t).Asked[name].HexLines {
			foreign = append(foreign, unhex(t, line)...)
		}
	}
	foreign = append(foreign, "$GPRMC,220516,A,5133.82,N,00042.24,W,173.8,231.8,130694,004.2,W*70\r\n"...)
	foreign = append(foreign, "/ISk5\\2MT382-1000\r\n1-0:1.8.1(00001.001*kWh)\r\n!\r\n\r\nPID\t0xA389\r\nV\t26201\r\n"...)
	foreign = append(foreign, unhex(t, "1b1b1b1b01010101760512345678620062007263010176010102310b")...)
	if r := decode(t, foreign); len(r.Readings)+len(r.Announcements)+len(r.Damage) > 0 {
		t.Errorf("foreign: %d readings, damaged %q", len(r.Readings), r.Damage)
	}

	noise := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{})
	source.Read(noise)
	if r := decode(t, noise); len(r.Readings)+len(r.Announcements) > 0 {
		t.Errorf("noise: %+v", r.Readings)
	}
}

// The pieces do not matter.
func TestSplits(t *testing.T) {
	var stream []byte
	captures := readCaptures(t).Sensors
	for _, name := range slices.Sorted(maps.Keys(captures)) {
		for _, line := range captures[name].HexLines {
			stream = append(stream, unhex(t, line)...)
		}
		stream = append(stream, 0xAA, 0xC0, 0x42)
	}
	want := decode(t, stream)
	if len(want.Announcements) != len(captures) {
		t.Fatalf("%d devices", len(want.Announcements))
	}
	for i := range stream {
		if got := decode(t, stream[:i], stream[i:]); !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d: %+v", i, got)
		}
	}
	for size := 1; size < 50; size++ {
		if got := decode(t, slices.Collect(slices.Chunk(stream, size))...); !reflect.DeepEqual(got, want) {
			t.Fatalf("in pieces of %d: %+v", size, got)
		}
	}
}

// A stick that tells ever more ids is noise.
func TestDevicesBounded(t *testing.T) {
	r := newRecorder()
	d := newDecoder(r, forms())
	for i := range 1000 {
		frame := sds(1, 0, 1, 0, byte(i>>8), byte(i)|1)
		d.Decode(frame, received)
		d.Decode(frame, received)
		if len(d.announced) > maxDevices {
			t.Fatalf("%d devices", len(d.announced))
		}
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string]string{
		"pm1": "\u03bcg/m³", "pm25": "\u03bcg/m³", "pm4": "\u03bcg/m³", "pm10": "\u03bcg/m³", "volatile_organic_compounds": "\u03bcg/m³",
		"temperature": "°C", "humidity": "%", "atmospheric_pressure": "hPa", "aqi": "", "distance": "m",
	}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	for _, f := range forms() {
		seen := make(map[string]bool)
		for _, field := range f.fields {
			p := field.property
			if !key.MatchString(p.Key) || p.Name == "" || seen[p.Key] {
				t.Errorf("%s: bad key or name: %+v", f.sensor.kind, p)
			}
			seen[p.Key] = true
			if unit, known := units[p.Class]; p.Class != "" && (!known || unit != p.Unit) {
				t.Errorf("%s: unit %q of class %q", p.Key, p.Unit, p.Class)
			}
			if p.Kind != serialbridge.Measurement || p.StateClass != "measurement" || p.Precision < 0 {
				t.Errorf("%s: %+v", p.Key, p)
			}
		}
	}
}

// No header begins another one that is not the same: scan relies on it.
func TestHeaders(t *testing.T) {
	for _, f := range forms() {
		if f.size > 40 || f.size < len(f.header) {
			t.Errorf("% X: size %d", f.header, f.size)
		}
		for _, g := range forms() {
			if f.header != g.header && strings.HasPrefix(f.header, g.header) {
				t.Errorf("% X begins % X", g.header, f.header)
			}
			if f.header == g.header && (f.size != g.size || f.claims == nil && f.sensor != g.sensor) {
				t.Errorf("% X is ambiguous", f.header)
			}
		}
	}
}
