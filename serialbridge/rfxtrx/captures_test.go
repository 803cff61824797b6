package rfxtrx

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

type recorder = drivertest.Recorder

var received = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func decode(t testing.TB, pieces ...[]byte) *recorder {
	t.Helper()
	r := &recorder{}
	drivertest.Decode(t, r, newDecoder(r, false), received, pieces)
	return r
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A vector is a packet that was received, and what it says.
type vector struct {
	Name, Hex, Device string
	Twice             bool
	Values            map[string]any

	data []byte
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	file, err := os.ReadFile("testdata/packets.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	for i := range vectors {
		vectors[i].data = unhex(t, vectors[i].Hex)
	}
	return vectors
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		r := decode(t, v.data)
		if v.Twice {
			if len(r.Announcements) > 0 || len(r.Readings) > 0 {
				t.Errorf("%s: believed at once", v.Name)
			}
			r = decode(t, v.data, v.data)
		}
		if len(r.Readings) != 1 || len(r.Damage) > 0 {
			t.Fatalf("%s: %d readings, damaged %q", v.Name, len(r.Readings), r.Damage)
		}
		text, err := json.Marshal(r.Readings[0].Values)
		if err != nil {
			t.Fatal(err)
		}
		var values map[string]any
		if err := json.Unmarshal(text, &values); err != nil {
			t.Fatal(err)
		}
		if r.Readings[0].Device != v.Device || !reflect.DeepEqual(values, v.Values) || !r.Readings[0].Time.Equal(received) {
			t.Errorf("%s: %+v, want %s %v", v.Name, r.Readings[0], v.Device, v.Values)
		}
	}
}

func TestSensors(t *testing.T) {
	for _, test := range []struct {
		hex  string
		want map[string]any // besides battery and signal
		why  string         // of damage
	}{
		{"0850010012340080" + "59", map[string]any{"temperature": 12.8}, ""},
		{"0850010012348001" + "59", map[string]any{"temperature": -0.1}, ""},
		{"0850010012347fff" + "59", nil, serialbridge.DamagedImplausible},
		{"085101001234" + "3700" + "59", map[string]any{"humidity": 55.0}, ""},
		{"085101001234" + "6500" + "59", nil, serialbridge.DamagedImplausible},
		{"0d54020012340" + "0d2" + "3c01" + "03f5" + "02" + "49", map[string]any{"temperature": 21.0, "humidity": 60.0, "pressure": 1013.0}, ""},
		{"0b5501001234" + "0003" + "0003e9" + "49", map[string]any{"rain": 100.1, "rain_rate": 3.0}, ""},
		{"0b5502001234" + "0096" + "0003e9" + "49", map[string]any{"rain": 100.1, "rain_rate": 1.5}, ""},
		{"0b5503001234" + "ffff" + "0003e9" + "49", map[string]any{"rain": 100.1}, ""},
		{"105601001234" + "0167" + "0020" + "0031" + "0000" + "0000" + "49", map[string]any{"wind_direction": 359.0, "wind_speed": 3.2, "wind_gust": 4.9}, ""},
		{"105604001234" + "0000" + "0020" + "0031" + "0064" + "8005" + "49", map[string]any{
			"wind_direction": 0.0, "wind_speed": 3.2, "wind_gust": 4.9, "temperature": 10.0, "wind_chill": -0.5}, ""},
		{"105605001234" + "005a" + "ffff" + "0031" + "ffff" + "ffff" + "49", map[string]any{"wind_direction": 90.0, "wind_gust": 4.9}, ""},
		{"105601001234" + "0169" + "0020" + "0031" + "0000" + "0000" + "49", nil, serialbridge.DamagedImplausible},
		{"095701001234" + "1f" + "0000" + "49", map[string]any{"uv_index": 3.1}, ""},
		{"095703001234" + "1f" + "00fa" + "49", map[string]any{"uv_index": 3.1, "temperature": 25.0}, ""},
		{"115a01001234" + "00" + "000001f4" + "0000000369b2" + "49", map[string]any{"power": 500.0, "energy": 1.0}, ""},
		{"115a01001234" + "00" + "000001f4" + "0000000000e0" + "49", map[string]any{"power": 500.0, "energy": 0.001}, ""},
		{"115a01001234" + "01" + "000001f4" + "000000000000" + "49", map[string]any{"power": 500.0}, ""},
		{"115a01001234" + "01" + "ffffffff" + "000000000000" + "49", nil, serialbridge.DamagedImplausible},
	} {
		data := unhex(t, test.hex)
		r := decode(t, data, data)
		if test.why != "" {
			if len(r.Readings) > 0 || len(r.Announcements) > 0 || !slices.Equal(r.Damage, []string{test.why, test.why}) {
				t.Errorf("%s: %v %q, want %q", test.hex, r.Readings, r.Damage, test.why)
			}
			continue
		}
		if len(r.Readings) != 1 || len(r.Damage) > 0 {
			t.Errorf("%s: %d readings, damaged %q", test.hex, len(r.Readings), r.Damage)
			continue
		}
		got := r.Readings[0].Values
		if got["battery_low"] != false {
			t.Errorf("%s: battery %v", test.hex, got["battery_low"])
		}
		delete(got, "battery_low")
		delete(got, "signal")
		if !maps.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.hex, got, test.want)
		}
	}
	low := unhex(t, "085001001234008050")
	if r := decode(t, low, low); r.Readings[0].Values["battery_low"] != true {
		t.Errorf("low battery: %v", r.Readings[0].Values)
	}
}

type object = map[string]any

func TestRemotes(t *testing.T) {
	for _, test := range []struct {
		hex  []string
		want map[string]any // of the last reading, besides the signal
		why  string
	}{
		{[]string{"0b1100000123456703010f70"}, map[string]any{"switch_3": true}, ""},
		{[]string{"0b1100000123456703000070"}, map[string]any{"switch_3": false}, ""},
		{[]string{"0b1100000123456703020770"}, object{"light_3": object{"state": "ON", "brightness": 119.0, "color_mode": "brightness"}}, ""},
		{[]string{"0b1100000123456703021070"}, nil, serialbridge.DamagedImplausible}, // level 16
		{[]string{"0b1100000123456703010f70", "0b1100000123456704010f70", "0b1100000123456700030070"},
			map[string]any{"switch_3": false, "switch_4": false}, ""},
		// What dims is a light from then on.
		{[]string{"0b1100000123456703020770", "0b1100000123456703000070"}, object{"light_3": lighted(false)}, ""},
		{[]string{"0b1100000123456703010f70", "0b1100000123456703020770", "0b1100000123456704010f70", "0b1100000123456700040070"},
			object{"light_3": lighted(true), "switch_4": true}, ""},
		{[]string{"0b1100000000000003010f70"}, nil, serialbridge.DamagedImplausible}, // no ID
		{[]string{"0710012a51050170"}, nil, serialbridge.DamagedImplausible},         // house code Q
		{[]string{"0710012a41020070"}, map[string]any{"switch_2": false}, ""},
		{[]string{"0a1402adf394ab02010060"}, map[string]any{"switch_2": true}, ""},
		{[]string{"09190000009ba8010000"}, object{"blind_1": object{"state": "open"}}, ""},
		{[]string{"09190000009ba8010200"}, object{"blind_1": object{"state": "stopped"}}, ""},
	} {
		var all []byte
		for _, h := range test.hex {
			all = append(all, unhex(t, h)...)
		}
		r := decode(t, all)
		var got map[string]any
		if len(r.Readings) > 0 {
			got = r.Readings[len(r.Readings)-1].Values
			delete(got, "signal")
		}
		var damaged []string
		if test.why != "" {
			damaged = []string{test.why}
		}
		if len(got) != len(test.want) || len(got) > 0 && !reflect.DeepEqual(got, test.want) || !slices.Equal(r.Damage, damaged) || r.Disorder != "" {
			t.Errorf("%s: %v %q, want %v %q", test.hex, got, r.Damage, test.want, test.why)
		}
	}
}

func TestGuards(t *testing.T) {
	for _, test := range []struct {
		hex  string
		want map[string]any // besides the signal
	}{
		{"0820004dd3dc540089", map[string]any{"contact": false, "tamper": false}},
		{"0820044dd3dc548289", map[string]any{"contact": true, "tamper": true}},
		{"0820054dd3dc540489", map[string]any{"motion": true, "tamper": false}},
		{"0820014dd3dc548589", map[string]any{"motion": false, "tamper": true}},
		{"0820034dd3dc540689", map[string]any{"smoke": true, "tamper": false}},
		{"0820024dd3dc540989", map[string]any{"action": "arm_away"}},
		{"0820064dd3dc540d89", map[string]any{"action": "disarm"}},
	} {
		r := decode(t, unhex(t, test.hex))
		if len(r.Readings) != 1 || len(r.Damage) > 0 {
			t.Errorf("%s: %v %q", test.hex, r.Readings, r.Damage)
			continue
		}
		got := r.Readings[0].Values
		delete(got, "signal")
		d := r.Devices[r.Readings[0].Device]
		if !maps.Equal(got, test.want) || !d.WhenUsed || d.SerialNumber != "d3dc54" {
			t.Errorf("%s: %v of %+v, want %v", test.hex, got, d, test.want)
		}
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string]string{
		"temperature": "°C", "humidity": "%", "atmospheric_pressure": "hPa", "precipitation": "mm", "precipitation_intensity": "mm/h",
		"wind_direction": "°", "wind_speed": "m/s", "power": "W", "energy": "kWh", "": "",
	}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	all := []serialbridge.Property{battery(), signal()}
	for kind, s := range sensors {
		for subtype := byte(1); subtype <= s.subtypes; subtype++ {
			p := make(packet, lengths[kind][0])
			p[0], p[1], p[len(p)-2] = kind, subtype, 1
			for _, v := range s.values(p) {
				all = append(all, v.property)
			}
		}
	}
	for _, g := range guards {
		all = append(all, g.property, tamper())
	}
	for _, r := range remotes {
		all = append(all, r.property(unit{number: 3}), r.property(unit{3, true}))
	}
	for _, p := range all {
		if !key.MatchString(p.Key) || p.Name == "" {
			t.Errorf("bad key or name: %+v", p)
		}
		if p.Kind != serialbridge.Measurement {
			continue
		}
		want := "measurement"
		switch p.Class {
		case "precipitation", "energy":
			want = "total_increasing"
		case "wind_direction":
			want = "measurement_angle"
		}
		if unit, ok := units[p.Class]; !ok || p.Unit != unit || p.StateClass != want {
			t.Errorf("%s: unit %q, state class %q of class %q", p.Key, p.Unit, p.StateClass, p.Class)
		}
	}
}
