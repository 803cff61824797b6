package dashboard

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/mqtt"
	"lintel/serialbridge"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
	"lintel/serialbridge/zigbee/z2m"
)

// all is a device with a property of every kind.
func deviceOfAllKinds() serialbridge.Device {
	return serialbridge.Device{ID: "all", Name: "Everything", Properties: []serialbridge.Property{
		{Key: "power", Kind: serialbridge.Measurement, Unit: "W", Precision: 1},
		{Key: "mode", Kind: serialbridge.State}, {Key: "door", Kind: serialbridge.Binary}, {Key: "press", Kind: serialbridge.Event},
		{Key: "relay", Kind: serialbridge.Switch}, {Key: "level", Kind: serialbridge.Setting, Min: 1, Max: 5, Step: 0.5, Precision: -1},
		{Key: "speed", Kind: serialbridge.Choice, Options: []string{"low", "high"}}, {Key: "reset", Kind: serialbridge.Button},
		{Key: "bytes", Kind: serialbridge.Raw}, {Key: "label", Kind: serialbridge.Text, Min: 0, Max: 8}, {Key: "tag", Kind: serialbridge.Tag},
		{Key: "lamp", Kind: serialbridge.Light, Min: 2000, Max: 6500, Options: []string{"party"}, Features: []serialbridge.Feature{serialbridge.RGB, serialbridge.ColorTemperature}},
		{Key: "blind", Kind: serialbridge.Cover, Features: []serialbridge.Feature{serialbridge.Position, serialbridge.Tilt, serialbridge.Stop}},
		{Key: "tap", Kind: serialbridge.Valve},
		{Key: "heat", Kind: serialbridge.Climate, Unit: "°C", Min: 5, Max: 30, Options: []string{"off", "heat"}, Presets: []string{"eco"},
			Features: []serialbridge.Feature{serialbridge.Setpoint, serialbridge.SetpointRange, serialbridge.RoomTemperature, serialbridge.RoomHumidity, serialbridge.Action}},
		{Key: "gate", Kind: serialbridge.Lock, Features: []serialbridge.Feature{serialbridge.Latch}},
		{Key: "fan", Kind: serialbridge.Fan, Max: 3, Presets: []string{"sleep"}, Features: []serialbridge.Feature{serialbridge.Oscillation, serialbridge.Direction}},
		{Key: "siren", Kind: serialbridge.Siren, Options: []string{"fire"}, Features: []serialbridge.Feature{serialbridge.Volume, serialbridge.Duration}},
		{Key: "where", Kind: serialbridge.Tracker}, {Key: "firmware", Kind: serialbridge.Update},
	}}
}

func TestPropertiesOfEveryKind(t *testing.T) {
	d := deviceOfAllKinds()
	values := map[string]any{"power": 12.34, "relay": true, "lamp": map[string]any{"state": "ON", "color": map[string]any{"r": 255.0, "g": 0.0, "b": 16.0}},
		"blind": map[string]any{"state": "open", "position": 40.0}, "label": hostile}
	all := serialProperties(&d, values)
	var controls []string
	for _, v := range all {
		controls = append(controls, v.Key+" "+string(v.Control))
	}
	want := []string{"power ", "mode ", "door ", "press ", "relay switch", "level number", "speed choice", "reset button", "bytes text", "label text", "tag ",
		"lamp.state switch", "lamp.brightness number", "lamp.color_temp number", "lamp.color color", "lamp.effect choice",
		"blind.state buttons", "blind.position number", "blind.tilt number", "tap.state buttons",
		"heat.mode choice", "heat.temperature number", "heat.temperature_low number", "heat.temperature_high number", "heat.current_temperature ",
		"heat.current_humidity ", "heat.action ", "heat.preset choice", "gate.state buttons", "fan.state switch", "fan.speed number", "fan.preset choice",
		"fan.oscillating switch", "fan.direction choice", "siren.state switch", "siren.tone choice", "siren.volume_level number", "siren.duration number",
		"where.latitude ", "where.longitude ", "where.gps_accuracy ", "where.altitude ",
		"firmware.installed_version ", "firmware.latest_version ", "firmware.in_progress ", "firmware.update_percentage ", "firmware buttons"}
	if !slices.Equal(controls, want) {
		t.Errorf("controls:\n%s\nwant:\n%s", strings.Join(controls, "\n"), strings.Join(want, "\n"))
	}
	texts := make(map[string]string)
	for _, v := range all {
		texts[v.Key] = v.Text()
	}
	for key, text := range map[string]string{"power": "12.3", "relay": "on", "lamp.state": "on", "lamp.color": "#ff0010", "blind.position": "40", "mode": "", "label": hostile} {
		if texts[key] != text {
			t.Errorf("%s reads %q, want %q", key, texts[key], text)
		}
	}

	// What the page sends is what the supervisor takes, whatever the kind.
	send := map[string]string{"relay": "off", "level": "2,5", "speed": "high", "reset": "", "bytes": "x", "label": "x", "lamp.state": "on", "lamp.brightness": "9",
		"lamp.color_temp": "3000", "lamp.color": "#102030", "lamp.effect": "party", "blind.state": "stop", "blind.position": "3", "blind.tilt": "4", "tap.state": "open",
		"heat.mode": "heat", "heat.temperature": "20.5", "heat.temperature_low": "18", "heat.temperature_high": "22", "heat.preset": "none", "gate.state": "unlock",
		"fan.state": "off", "fan.speed": "2", "fan.preset": "sleep", "fan.oscillating": "on", "fan.direction": "reverse", "siren.state": "on", "siren.tone": "fire",
		"siren.volume_level": "0.5", "siren.duration": "3", "firmware": "install"}
	for _, v := range all {
		text, ok := send[v.Key]
		if ok != (v.Control != "") {
			t.Errorf("%s: control %q, sent %t", v.Key, v.Control, ok)
		}
		if !ok {
			continue
		}
		of := &target{id: d.ID, property: v}
		value, err := of.parseValue(text)
		if err != nil {
			t.Errorf("%s: %v", v.Key, err)
			continue
		}
		payload, err := of.payload(value)
		if err != nil {
			t.Errorf("%s: %v", v.Key, err)
		}
		if err := serialbridge.CheckCommand(d, payload); err != nil {
			t.Errorf("%s: the supervisor does not take %s: %v", v.Key, payload, err)
		}
	}
}

func TestZigbeeProperties(t *testing.T) {
	low, high := 0.0, 254.0
	exposes := []*devices.Expose{
		{Type: "light", Features: []*devices.Expose{
			{Type: "binary", Name: "state", Property: "state", Access: 7, ValueOn: "ON", ValueOff: "OFF"},
			{Type: "numeric", Name: "brightness", Property: "brightness", Access: 7, ValueMin: &low, ValueMax: &high},
			{Type: "composite", Name: "color_xy", Property: "color", Access: 7}, {Type: "composite", Name: "color_hs", Property: "color", Access: 7}}},
		{Type: "lock", Features: []*devices.Expose{{Type: "binary", Name: "state", Property: "state_l1", Access: 7, ValueOn: "LOCK", ValueOff: "UNLOCK"}}},
		{Type: "cover", Features: []*devices.Expose{{Type: "enum", Name: "state", Property: "state_c", Access: 7, Values: []any{"OPEN", "CLOSE", "STOP"}}}},
		{Type: "enum", Name: "effect", Property: "effect", Access: devices.Settable, Values: []any{"blink"}},
		{Type: "enum", Name: "sensitivity", Property: "sensitivity", Access: 7, Values: []any{"low", "high"}},
		{Type: "list", Name: "schedule", Property: "schedule", Access: 7},
		{Type: "numeric", Name: "battery", Property: "battery", Access: 1, Unit: "%"}, {Type: "numeric", Name: "battery", Property: "battery", Access: 1},
	}
	var got []string
	for _, v := range zigbeeProperties(exposes, map[string]any{"state": "ON", "state_l1": "UNLOCK", "color": map[string]any{"x": 0.7, "y": 0.299}, "battery": 97.0}) {
		got = append(got, fmt.Sprintf("%s %s %s", v.Key, v.Control, v.Text()))
	}
	want := []string{"state switch on", "brightness number ", "color color #ff0000", "state_l1 switch UNLOCK", "state_c buttons ", "effect buttons ", "sensitivity choice ", "schedule json ", "battery  97"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for c, want := range map[[2]float64]string{{0, 1}: "#ff0000", {240, 1}: "#0000ff", {60, 0.5}: "#ffff80"} {
		v := propertyView{Value: map[string]any{"hue": c[0], "saturation": 100 * c[1]}}
		if v.Color() != want {
			t.Errorf("hue %v: %s, want %s", c, v.Color(), want)
		}
	}
}

// The history keeps the last of each minute and the mean of each ten, and forgets what is gone.
func TestHistory(t *testing.T) {
	var h history
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	minute := func(value float64) {
		h.sample(now, func(each func(device, property string, value float64)) {
			if value == value {
				each("d", "p", value)
			}
		})
		now = now.Add(time.Minute)
	}
	for i := range 25 {
		minute(float64(i))
	}
	minute(math.NaN())
	hour, day := h.points("d", "p", false), h.points("d", "p", true)
	if len(hour) != 26 || hour[24].Value != 24 || hour[25].Value == hour[25].Value || !hour[0].At.Equal(now.Add(-26*time.Minute)) {
		t.Errorf("the hour: %v", hour)
	}
	if len(day) != 2 || day[0].Value != 4.5 || day[1].Value != 14.5 || !day[1].At.Equal(now.Add(-7*time.Minute)) {
		t.Errorf("the day: %v", day)
	}
	for range 3000 {
		minute(7)
	}
	if hour, day := h.points("d", "p", false), h.points("d", "p", true); len(hour) != minuteSize || len(day) != tenSize || day[0].Value != 7 {
		t.Errorf("%d and %d points", len(hour), len(day))
	}
	for range 1500 {
		minute(math.NaN())
	}
	if h.points("d", "p", true) != nil || h.bytes() != 0 {
		t.Error("what is gone for a day is not forgotten")
	}
	h.sample(now, func(each func(device, property string, value float64)) {
		for i := range 10 * maxSeries {
			each("d", fmt.Sprint(i), 1)
		}
		each("d", "nan", math.NaN())
	})
	if most := 8 << 20; len(h.series) != maxSeries || h.bytes() > most {
		t.Errorf("%d numbers take %d bytes, want at most %d", len(h.series), h.bytes(), most)
	}
}

// thousand is a house with a thousand devices, half of them of Zigbee.
func thousand() Options {
	o := house()
	list := make([]serialbridge.Device, 500)
	var retained []mqtt.Message
	for i := range list {
		id := fmt.Sprintf("sensor_%03d", i)
		list[i] = serialbridge.Device{ID: id, Name: fmt.Sprintf("Sensor %d", 999-i), Vendor: "Acme", Model: "T1", Stick: "stick_1", Properties: []serialbridge.Property{
			{Key: "temperature", Name: "Temperature", Kind: serialbridge.Measurement, Class: "temperature", Unit: "°C", Precision: 1},
			{Key: "humidity", Name: "Humidity", Kind: serialbridge.Measurement, Class: "humidity", Unit: "%"},
			{Key: "battery", Name: "Battery", Kind: serialbridge.Measurement, Class: "battery", Unit: "%", Category: serialbridge.Diagnostic},
			{Key: "rssi", Name: "Signal", Kind: serialbridge.Measurement, Class: "signal_strength", Unit: "dBm", Category: serialbridge.Diagnostic}}}
		retained = append(retained, mqtt.Message{Topic: "lintel/" + id + "/state", Payload: fmt.Appendf(nil, `{"temperature":%d.5,"humidity":40,"battery":%d,"rssi":-70}`, i%30, i%100)},
			mqtt.Message{Topic: "lintel/" + id + "/availability", Payload: []byte([]string{online, offline}[i%2])})
	}
	o.Broker = &topics{retained: retained}
	o.Devices = func() []serialbridge.Device { return slices.Clone(list) }
	n := new(zigbeeNetwork)
	for i := range 500 {
		seen, quality := time.Now(), uint8(i%255)
		n.overview.Devices = append(n.overview.Devices, z2m.DeviceSummary{IEEEAddress: zigbee.IEEEAddress(i + 1), Name: fmt.Sprintf("zigbee %d", i), Kind: "light",
			Vendor: "IKEA", Model: "LED1", LinkQuality: &quality, LastSeen: &seen, Availability: online})
	}
	o.ZigbeeNetwork = n
	o.DeviceBook = noBook{}
	return o
}

// noBook knows nothing of devices.
type noBook struct{ DeviceBook }

func (noBook) Heard() map[string]time.Time { return nil }

// settled returns a server that has taken what is retained.
func settled(t testing.TB, o Options) *Server {
	t.Helper()
	s := New(o)
	for _, leaf := range []string{"availability", "state"} {
		if err := o.Broker.Subscribe(t.Context(), "lintel/+/"+leaf, 0, s.values.handle); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestDeviceList(t *testing.T) {
	s := settled(t, thousand())
	ids := func(l deviceList) (ids []string) {
		for _, d := range l.Devices {
			ids = append(ids, d.ID)
		}
		return ids
	}
	l := s.listDevices(deviceQuery{Show: "all", Sort: "name", Page: 10})
	if l.All != 1000 || l.Count != 1000 || l.Pages != 10 || len(l.Devices) != 100 || l.Page != 10 {
		t.Errorf("%d of %d, page %d of %d with %d", l.Count, l.All, l.Page, l.Pages, len(l.Devices))
	}
	if l = s.listDevices(deviceQuery{Show: offline, Sort: "name", Page: 99}); l.Count != 250 || l.Page != 3 || len(l.Devices) != 50 {
		t.Errorf("offline: %d, page %d", l.Count, l.Page)
	}
	if l = s.listDevices(deviceQuery{Show: "battery", Sort: "battery", Page: 1}); l.Count != 100 || *l.Devices[0].Battery != 0 || *l.Devices[99].Battery != 19 {
		t.Errorf("low: %d", l.Count)
	}
	if l = s.listDevices(deviceQuery{Show: "all", Search: "sEnsor 72", Sort: "name", Page: 1}); l.Count != 10 || ids(l)[0] != "sensor_279" {
		t.Errorf("found: %v", ids(l))
	}
	if l = s.listDevices(deviceQuery{Show: "all", Stick: "stick_1", Sort: "signal", Page: 1}); l.Count != 500 {
		t.Errorf("behind the stick: %d", l.Count)
	}
	if l = s.listDevices(deviceQuery{Show: "all", Search: "nothing", Sort: "seen", Page: 1}); l.Count != 0 || l.Pages != 1 {
		t.Errorf("nothing: %+v", l)
	}
	b, err := json.Marshal(l)
	if err != nil || !strings.Contains(string(b), `"devices":[]`) {
		t.Errorf("nothing as JSON: %s, %v", b, err)
	}
	for _, bad := range []string{"show=x", "sort=x", "page=0", "page=x", "q=" + strings.Repeat("x", 101)} {
		hr, err := http.NewRequest("GET", "/devices?"+bad, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readDeviceQuery(&request{Request: hr}); err == nil || err.(*problem).code != http.StatusBadRequest {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestSymbols(t *testing.T) {
	for of, want := range map[[2]string]string{{"mdi:desk-lamp", "temperature"}: "light", {"mdi:sofa", "light"}: "light", {"", "occupancy"}: "motion", {"", ""}: "device", {"mdi:fan", ""}: "fan"} {
		if got := symbolOf(of[0], of[1]); got != want {
			t.Errorf("%v is drawn as %s, want %s", of, got, want)
		}
	}
}

func TestSameValue(t *testing.T) {
	for _, c := range []struct {
		x, y any
		same bool
	}{{"on", "ON", true}, {1.0, 1, true}, {100.0, 100.4, true}, {1.0, 2.0, false}, {true, true, true}, {true, "true", false}, {nil, nil, false}} {
		if sameValue(c.x, c.y) != c.same {
			t.Errorf("%v and %v: %t", c.x, c.y, !c.same)
		}
	}
	if v := (propertyView{Value: map[string]any{"b": []any{1.0}}}); v.Text() != `{"b":[1]}` || !reflect.DeepEqual(v.Raw(), v.Text()) {
		t.Errorf("an object: %q", v.Text())
	}
}

// BenchmarkDeviceList is what the list of a thousand devices costs each second while somebody
// looks at it.
func BenchmarkDeviceList(b *testing.B) {
	s := settled(b, thousand())
	b.ReportAllocs()
	for b.Loop() {
		if l := s.listDevices(deviceQuery{Show: "all", Sort: "name", Page: 1}); len(l.Devices) != devicesPerPage {
			b.Fatal(len(l.Devices))
		}
	}
}

// BenchmarkHistorySample is what is done each minute in a house with a thousand devices.
func BenchmarkHistorySample(b *testing.B) {
	s := settled(b, thousand())
	b.ReportAllocs()
	for b.Loop() {
		s.history.sample(time.Now(), s.numbers)
	}
	b.ReportMetric(float64(s.history.bytes()), "bytes-held")
}
