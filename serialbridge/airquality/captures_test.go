package airquality

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
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
