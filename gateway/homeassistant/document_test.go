package homeassistant

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lintel/gateway/homeassistant/judge"
	"lintel/serialbridge"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var testBox = Box{
	ID:               "a1b2c3d4e5f6",
	Name:             "Lintel A1B2C3",
	Model:            "Raspberry Pi 4 Model B Rev 1.5",
	Version:          "0.1.0",
	ConfigurationURL: "http://lintel.local/",
	Parts:            BoxParts{Throttling: true, Writes: true, CardLife: true, LED: true, Zigbee: true, Updates: true},
}

// meter is a Dutch electricity meter.
func meter() serialbridge.Device {
	return serialbridge.Device{
		ID: "dsmr_4530303034303031353934373534343134", Name: "Electricity meter", Vendor: "Kaifa", Model: "MA105",
		SerialNumber: "E0004001594754414", SWVersion: "DSMR 5.0", Via: GatewayID,
		Properties: []serialbridge.Property{
			{Key: "energy_import_tariff_1", Name: "Energy imported, low tariff", Kind: serialbridge.Measurement,
				Unit: "kWh", Class: "energy", StateClass: "total_increasing", Precision: 3},
			{Key: "power_import", Name: "Power imported", Kind: serialbridge.Measurement,
				Unit: "kW", Class: "power", StateClass: "measurement", Precision: 3},
			{Key: "voltage_l1", Name: "Voltage L1", Kind: serialbridge.Measurement,
				Unit: "V", Class: "voltage", StateClass: "measurement", Precision: 1},
			{Key: "tariff", Name: "Tariff", Kind: serialbridge.State, Options: []string{"low", "normal"}, Precision: -1},
			{Key: "meter_time", Name: "Time of the meter", Kind: serialbridge.State, Class: "timestamp",
				Category: serialbridge.Diagnostic, Precision: -1},
			{Key: "power_failures", Name: "Power failures", Kind: serialbridge.Measurement,
				StateClass: "total_increasing", Category: serialbridge.Diagnostic},
			{Key: "message", Name: "Message", Kind: serialbridge.State, Category: serialbridge.Config, Precision: -1},
		},
	}
}

// everything is a made-up device with all kinds, hanging below the meter.
func everything() serialbridge.Device {
	return serialbridge.Device{
		ID: "made-up_1", Name: "Everything", HWVersion: "2", Via: "dsmr_1", Stick: "stick_1",
		Properties: []serialbridge.Property{
			{Key: "temperature", Kind: serialbridge.Measurement, Unit: "°C", Class: "temperature", StateClass: "measurement", Precision: -1},
			{Key: "items", Name: "Named like a method", Kind: serialbridge.Measurement},
			{Key: "mode", Kind: serialbridge.State, Options: []string{"idle", "busy"}, Unit: "dropped", StateClass: "measurement"},
			{Key: "note", Kind: serialbridge.State},
			{Key: "door", Kind: serialbridge.Binary, Class: "door"},
			{Key: "action", Kind: serialbridge.Event, Class: "button", Options: []string{"single", "double"}},
			{Key: "relay", Kind: serialbridge.Switch, Class: "outlet"},
			{Key: "interval", Kind: serialbridge.Setting, Unit: "s", Class: "duration", Min: 0, Max: 3600, Step: 1, Category: serialbridge.Config},
			{Key: "offset", Kind: serialbridge.Setting, Step: 0.0001, Category: serialbridge.Config},
			{Key: "power_on", Name: "Power-on behaviour", Kind: serialbridge.Choice, Options: []string{"on", "off"}, Category: serialbridge.Config},
			{Key: "identify", Kind: serialbridge.Button, Class: "identify", Category: serialbridge.Diagnostic},
			{Key: "display", Kind: serialbridge.Text, Max: 300},
			{Key: "reader", Kind: serialbridge.Tag},
			{Key: "place", Kind: serialbridge.Tracker, Precision: -1},
			{Key: "firmware", Kind: serialbridge.Update, Class: "firmware", Category: serialbridge.Config},
			{Key: "lamp", Kind: serialbridge.Light, Min: 2200, Max: 6500, Options: []string{"blink"}, Features: []serialbridge.Feature{
				serialbridge.RGBW, serialbridge.ColorTemperature, serialbridge.Transition}},
			{Key: "dimmer", Kind: serialbridge.Light, Features: []serialbridge.Feature{serialbridge.Brightness}},
			{Key: "bulb", Kind: serialbridge.Light},
			{Key: "blind", Kind: serialbridge.Cover, Class: "blind", Features: []serialbridge.Feature{
				serialbridge.Position, serialbridge.Tilt, serialbridge.Stop}},
			{Key: "gate", Kind: serialbridge.Cover, Class: "gate"},
			{Key: "tap", Kind: serialbridge.Valve, Class: "water", Features: []serialbridge.Feature{serialbridge.Position, serialbridge.Stop}},
			{Key: "gas", Kind: serialbridge.Valve, Class: "gas"},
			{Key: "thermostat", Kind: serialbridge.Climate, Unit: "°C", Min: 5, Max: 30, Step: 0.5, Precision: 1,
				Options: []string{"off", "heat"}, Presets: []string{"none", "away"}, Features: []serialbridge.Feature{
					serialbridge.Setpoint, serialbridge.RoomTemperature, serialbridge.RoomHumidity, serialbridge.Action}},
			{Key: "air", Kind: serialbridge.Climate, Unit: "°F", Min: 50, Max: 90, Options: []string{"off", "heat_cool"}, Precision: -1,
				Features: []serialbridge.Feature{serialbridge.SetpointRange}},
			{Key: "lock", Kind: serialbridge.Lock, Features: []serialbridge.Feature{serialbridge.Latch}},
			{Key: "vent", Kind: serialbridge.Fan, Max: 3, Presets: []string{"auto"}, Features: []serialbridge.Feature{
				serialbridge.Oscillation, serialbridge.Direction}},
			{Key: "horn", Kind: serialbridge.Siren, Options: []string{"fire"}, Features: []serialbridge.Feature{serialbridge.Duration}},
		},
	}
}

// TestDocumentGolden holds documents against the files and against what Home
// Assistant accepts without dropping a key.
func TestDocumentGolden(t *testing.T) {
	tests := []struct {
		file   string
		device serialbridge.Device
		o      Options
	}{
		{"meter.json", meter(), Options{}},
		{"box.json", BoxDevice(testBox), Options{}},
		{"stick.json", stickDevice(Stick{ID: "stick_0403_6015_VE1A2B3C", Name: "FT231X USB UART", Vendor: "FTDI", Model: "FT231X USB UART",
			SerialNumber: "VE1A2B3C", Firmware: "20240710", Forgettable: true}), Options{}},
		{"everything.json", everything(), Options{Prefix: "ha", BaseTopic: "attic/lintel"}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			got, err := Document(testBox, tt.device, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			topic := Topic(testBox, tt.device.ID, tt.o)
			if err := judge.Judge(topic, got).Clean(); err != nil {
				t.Errorf("Home Assistant: %v", err)
			}
			var pretty bytes.Buffer
			pretty.WriteString("{\"topic\": \"" + topic + "\", \"payload\":\n")
			if err := json.Indent(&pretty, got, "", "  "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteString("\n}\n")
			golden(t, tt.file, pretty.Bytes())
		})
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", file)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update rewrites it):\n%s", path, got)
	}
}

// TestUniqueIDs pins what may never change: people's settings hang on it.
func TestUniqueIDs(t *testing.T) {
	tests := []struct {
		device           serialbridge.Device
		topic, id, first string
	}{
		{BoxDevice(testBox), "homeassistant/device/lintel_a1b2c3d4e5f6/config", "lintel_a1b2c3d4e5f6", "lintel_a1b2c3d4e5f6_version"},
		{everything(), "homeassistant/device/lintel_made-up_1/config", "lintel_made-up_1", "lintel_made-up_1_temperature"},
	}
	for _, tt := range tests {
		if got := Topic(testBox, tt.device.ID, Options{}); got != tt.topic {
			t.Errorf("topic %s, want %s", got, tt.topic)
		}
		doc, err := newDocument(testBox, tt.device, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := doc.Device.Identifiers[0]; got != tt.id {
			t.Errorf("identifier %s, want %s", got, tt.id)
		}
		if got := doc.Components[tt.device.Properties[0].Key]["uniq_id"]; got != tt.first {
			t.Errorf("unique id %s, want %s", got, tt.first)
		}
	}
}

// TestAbove: a device hangs below what its driver says, else below its stick, else
// below the box; it is there when all three are.
func TestAbove(t *testing.T) {
	for _, tt := range []struct{ via, stick, above, availability string }{
		{"", "", "lintel_a1b2c3d4e5f6", "gateway x"},
		{GatewayID, "", "lintel_a1b2c3d4e5f6", "gateway x"},
		{"dsmr_1", "", "lintel_dsmr_1", "gateway x"},
		{"", "stick_1", "lintel_stick_1", "gateway stick_1 x"},
		{GatewayID, "stick_1", "lintel_stick_1", "gateway stick_1 x"},
		{"dsmr_1", "stick_1", "lintel_dsmr_1", "gateway stick_1 x"},
		{"", "x", "lintel_a1b2c3d4e5f6", "gateway"}, // the stick itself, which tells that it is away
	} {
		doc, err := newDocument(testBox, serialbridge.Device{ID: "x", Via: tt.via, Stick: tt.stick}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var topics []string
		for _, a := range doc.Availability {
			topics = append(topics, strings.Split(a.Topic, "/")[1])
		}
		if got := strings.Join(topics, " "); got != tt.availability || doc.Device.ViaDevice != tt.above || doc.AvailabilityMode != "all" {
			t.Errorf("via %q, stick %q: below %s, there with %s of %s; want %s, %s", tt.via, tt.stick,
				doc.Device.ViaDevice, doc.AvailabilityMode, got, tt.above, tt.availability)
		}
	}
}

// TestNames: what is named like its class is named by Home Assistant, in the language
// of whoever looks at it.
func TestNames(t *testing.T) {
	for _, tt := range []struct {
		p    serialbridge.Property
		want any
	}{
		{serialbridge.Property{Key: "temperature", Kind: serialbridge.Measurement, Class: "temperature"}, nil},
		{serialbridge.Property{Key: "t2", Name: "temperature", Kind: serialbridge.Measurement, Class: "temperature"}, nil},
		{serialbridge.Property{Key: "t3", Name: "Temperature outside", Kind: serialbridge.Measurement, Class: "temperature"}, "Temperature outside"},
		{serialbridge.Property{Key: "pm", Name: "PM2.5", Kind: serialbridge.Measurement, Class: "pm25"}, nil},
		{serialbridge.Property{Key: "temperature", Kind: serialbridge.Measurement}, "Temperature"},
		{serialbridge.Property{Key: "time", Name: "Timestamp", Kind: serialbridge.State, Class: "timestamp"}, "Timestamp"},
		{serialbridge.Property{Key: "door", Kind: serialbridge.Binary, Class: "door"}, nil},
	} {
		doc, err := newDocument(testBox, serialbridge.Device{ID: "x", Name: "Küche, links", Properties: []serialbridge.Property{tt.p}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		c := doc.Components[tt.p.Key]
		if c["name"] != tt.want {
			t.Errorf("%+v is named %v, want %v", tt.p, c["name"], tt.want)
		}
		if want := c.platform() + ".küche,_links_" + tt.p.Key; c["def_ent_id"] != want {
			t.Errorf("def_ent_id %v, want %s", c["def_ent_id"], want)
		}
	}
}

// TestTriggers: what can happen can be chosen in the editor of automations, in the
// words that Home Assistant translates where it has some.
func TestTriggers(t *testing.T) {
	doc, err := newDocument(testBox, serialbridge.Device{ID: "x", Properties: []serialbridge.Property{
		{Key: "action", Kind: serialbridge.Event, Options: []string{"single", "press", "Knob left", "knob  left", ""}},
		{Key: "chime", Kind: serialbridge.Event, Options: slices.Repeat([]string{"ring"}, 3)},
	}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for key, c := range doc.Components {
		if c.platform() == "device_automation" {
			got[key] = fmt.Sprintf("%v/%v on %v %v", c["type"], c["stype"], c["t"], c["pl"])
		}
	}
	want := map[string]string{
		"action-single":      "button_short_press/Action on lintel/x/action single",
		"action-press":       "press/Action on lintel/x/action press",
		"action-knob_left":   "Knob left/Action on lintel/x/action Knob left",
		"action-knob_left-3": "knob  left/Action on lintel/x/action knob  left",
		"chime-ring":         "ring/Chime on lintel/x/chime ring",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestConfigurationURL(t *testing.T) {
	for in, want := range map[string]string{
		"http://lintel.local/": "http://lintel.local/", "https://[fe80::1]": "https://[fe80::1]",
		"lintel.local": "", "lintel.local:80": "", "": "", "http://": "", "ftp://x": "", "://": "",
	} {
		box := testBox
		box.ConfigurationURL = in
		doc, err := newDocument(box, BoxDevice(box), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if doc.Device.ConfigurationURL != want {
			t.Errorf("%q: %q, want %q", in, doc.Device.ConfigurationURL, want)
		}
	}
}

func TestDocumentRefuses(t *testing.T) {
	device := func(p ...serialbridge.Property) serialbridge.Device {
		return serialbridge.Device{ID: "x", Properties: p}
	}
	ok := serialbridge.Property{Key: "a", Kind: serialbridge.State}
	tests := map[string]serialbridge.Device{
		`device id "a/b"`:          {ID: "a/b"},
		`device id ""`:             {},
		`key "A"`:                  device(serialbridge.Property{Key: "A", Kind: serialbridge.State}),
		`key "a'b"`:                device(serialbridge.Property{Key: "a'b", Kind: serialbridge.State}),
		"occurs twice":             device(ok, ok),
		`unknown kind "lamp"`:      device(serialbridge.Property{Key: "a", Kind: "lamp"}),
		"event without options":    device(serialbridge.Property{Key: "a", Kind: serialbridge.Event}),
		"choice without options":   device(serialbridge.Property{Key: "a", Kind: serialbridge.Choice}),
		"range 10 to 1 is empty":   device(serialbridge.Property{Key: "a", Kind: serialbridge.Setting, Min: 10, Max: 1}),
		"501 properties; at most ": device(make([]serialbridge.Property, 501)...),
		"climate without modes":    device(serialbridge.Property{Key: "a", Kind: serialbridge.Climate}),
		`no mode "warm"`:           device(serialbridge.Property{Key: "a", Kind: serialbridge.Climate, Options: []string{"warm"}}),
		"temperatures from 9 to 5": device(serialbridge.Property{Key: "a", Kind: serialbridge.Climate, Options: []string{"off"},
			Min: 9, Max: 5, Features: []serialbridge.Feature{serialbridge.Setpoint}}),
		"from 0 to 0 kelvin": device(serialbridge.Property{Key: "a", Kind: serialbridge.Light, Features: []serialbridge.Feature{serialbridge.ColorTemperature}}),
		"a fan of 1 speeds":  device(serialbridge.Property{Key: "a", Kind: serialbridge.Fan, Max: 1}),
		`"None" cannot be`:   device(serialbridge.Property{Key: "a", Kind: serialbridge.Fan, Presets: []string{"None"}}),
		"a text of 9 to 3":   device(serialbridge.Property{Key: "a", Kind: serialbridge.Text, Min: 9, Max: 3}),
	}
	for want, d := range tests {
		if _, err := Document(testBox, d, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := Document(Box{}, device(ok), Options{}); err == nil {
		t.Error("a box without id was accepted")
	}
}

// TestRandomDevices: whatever devices of the vocabulary drivers may make up, Home
// Assistant takes their documents as they stand, or there is none.
func TestRandomDevices(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	made, refused := 0, 0
	kinds := make(map[serialbridge.Kind]int)
	for range 10000 {
		d := randomDevice(r)
		doc, err := Document(testBox, d, Options{})
		if err != nil {
			refused++
			continue
		}
		made++
		for _, p := range d.Properties {
			kinds[p.Kind]++
		}
		v := judge.Judge(Topic(testBox, d.ID, Options{}), doc)
		// Home Assistant only warns of statistics, and of units, that do not fit.
		v.Warnings = slices.DeleteFunc(v.Warnings, func(w string) bool {
			return strings.Contains(w, "does not fit device_class") || strings.Contains(w, "is not of device_class")
		})
		if err := v.Clean(); err != nil {
			t.Errorf("%v: %s", err, doc)
		}
	}
	for _, kind := range allKinds {
		if kinds[kind] < 50 {
			t.Errorf("only %d properties of kind %s", kinds[kind], kind)
		}
	}
	t.Logf("%d documents, %d refused", made, refused)
}

var allKinds = []serialbridge.Kind{serialbridge.Measurement, serialbridge.State, serialbridge.Binary, serialbridge.Event,
	serialbridge.Switch, serialbridge.Setting, serialbridge.Choice, serialbridge.Button, serialbridge.Raw, serialbridge.Text,
	serialbridge.Tag, serialbridge.Light, serialbridge.Cover, serialbridge.Valve, serialbridge.Climate, serialbridge.Lock,
	serialbridge.Fan, serialbridge.Siren, serialbridge.Tracker, serialbridge.Update}

func randomDevice(r *rand.Rand) serialbridge.Device {
	of := func(list ...string) string { return list[r.IntN(len(list))] }
	name := func() string {
		return of("", "Meter", "Küche", "\x00", "a\nb", "\xff\xfe", "{{ x }}", "{% if %}", `"'\`, strings.Repeat("ü", 300), "🔥", " ", "None", "null")
	}
	options := func() []string {
		var list []string
		for range r.IntN(4) {
			list = append(list, of("off", "heat", "cool", "single", "", name()))
		}
		return list
	}
	number := func() float64 {
		return []float64{0, 1, -1, 2, 5, 30, 100, 255, 300, 2200, 6500, 0.0001, 1e300, math.Pi}[r.IntN(14)]
	}
	d := serialbridge.Device{ID: of("x", "wmbus_1", "0x00124b0001"), Name: name(), Vendor: name(), Model: name(), SerialNumber: name(),
		HWVersion: name(), SWVersion: name(), Via: of("", GatewayID, "y"), Stick: of("", "stick_1", "a/b")}
	features := []serialbridge.Feature{serialbridge.Brightness, serialbridge.ColorTemperature, serialbridge.RGB, serialbridge.RGBW,
		serialbridge.Transition, serialbridge.Position, serialbridge.Tilt, serialbridge.Stop, serialbridge.Setpoint, serialbridge.SetpointRange,
		serialbridge.RoomTemperature, serialbridge.RoomHumidity, serialbridge.Action, serialbridge.Latch, serialbridge.Oscillation,
		serialbridge.Direction, serialbridge.Volume, serialbridge.Duration, "flying"}
	for i := range r.IntN(3) {
		p := serialbridge.Property{
			Key: fmt.Sprint(of("a", "items", "get", "temperature"), i), Name: name(), Kind: allKinds[r.IntN(len(allKinds))],
			Unit: of("", "", "°C", "kWh", "µV", "lx", name()), StateClass: of("", "", "measurement", "total_increasing", "sum"),
			Class:     of("", "", "", "temperature", "energy", "button", "blind", "outlet", "enum", "timestamp", "firmware", "water", "nonsense"),
			Precision: r.IntN(4) - 1, Options: options(), Presets: options(), Min: number(), Max: number(), Step: number(),
			Category: serialbridge.Category(of("", "", "diagnostic", "config", "other")),
		}
		for range r.IntN(5) {
			p.Features = append(p.Features, features[r.IntN(len(features))])
		}
		d.Properties = append(d.Properties, p)
	}
	return d
}

// FuzzDocument: whatever a device says of itself, Home Assistant takes the
// document or there is none.
func FuzzDocument(f *testing.F) {
	f.Add("dsmr_1", "Meter", "Kaifa", "power", "Power", "kW", "low", uint8(0))
	f.Add("x", "\xff<script>", "{{ 1 }}", "items", "\x00", "\"", "'", uint8(5))
	f.Fuzz(func(t *testing.T, id, name, vendor, key, propertyName, unit, option string, kind uint8) {
		d := serialbridge.Device{ID: id, Name: name, Vendor: vendor, Properties: []serialbridge.Property{{
			Key: key, Name: propertyName, Unit: unit, Kind: allKinds[int(kind)%len(allKinds)], Options: []string{option}}}}
		doc, err := Document(testBox, d, Options{})
		if err != nil {
			return
		}
		if err := judge.Judge(Topic(testBox, id, Options{}), doc).Clean(); err != nil {
			t.Errorf("%v: %s", err, doc)
		}
	})
}
