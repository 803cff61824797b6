package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"lintel/persist"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
	"lintel/serialbridge/zigbee/z2m"
)

const (
	stranger zigbee.IEEEAddress = 0xa4c138d2f0000042
	known    zigbee.IEEEAddress = 0x00124b0022e10001
)

// zigbeeNetwork is a network with a device that is known, one that nobody has described, and
// one that was never heard.
type zigbeeNetwork struct {
	overview z2m.Overview
	lesson   z2m.Lesson
	taught   z2m.Teaching
	err      error // of Teach and Permit
	opened   time.Duration
	bridge   *z2m.Bridge // a real one, without a stick
	images   []Firmware

	exposes []*devices.Expose
	state   map[string]any
	failure z2m.Failure
}

// newBridge returns a bridge without a stick that runs until the test ends.
func newZigbeeBridge(t *testing.T, store *persist.Store) *z2m.Bridge {
	t.Helper()
	bucket, err := persist.NewBucket[map[string]any](store, "zigbee test")
	if err != nil {
		t.Fatal(err)
	}
	known, err := persist.NewBucket[zigbee.Device](store, "zigbee devices")
	if err != nil {
		t.Fatal(err)
	}
	memory, err := persist.NewBucket[string](store, "zigbee")
	if err != nil {
		t.Fatal(err)
	}
	bridge, err := z2m.New(z2m.Options{Broker: new(topics), Settings: bucket, States: bucket, Network: zigbee.Options{Store: known, Memory: memory}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- bridge.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ran
	})
	return bridge
}

func newZigbeeNetwork(t *testing.T, store *persist.Store) *zigbeeNetwork {
	quality, battery, seen := uint8(147), 97.0, time.Now().Add(-65*time.Second)
	of := z2m.DeviceSummary{IEEEAddress: stranger, Name: hostile, ModelID: "TS0601", Manufacturer: "_TZE200_" + hostile, Source: "generated", Vendor: hostile,
		Model: hostile, Type: zigbee.Router, PowerSource: "Mains (single phase)", Availability: "offline", Interview: zigbee.Successful, Datapoints: 3}
	point := func(id uint8, typ string, values ...any) devices.Learnt {
		p := devices.Learnt{ID: id, Type: typ, Value: values[len(values)-1], Values: values, Count: len(values), Heard: seen, Changed: seen,
			Guess: devices.Guess{Property: "guess", Divisor: 1, Reason: "of " + hostile}}
		if first, ok := values[0].(float64); ok {
			p.Min, p.Max = first, values[len(values)-1].(float64)
		}
		return p
	}
	l := z2m.Lesson{DeviceSummary: of, Latest: 101, Points: []devices.Learnt{
		point(1, "bool", false), point(101, "number", 213.0, 215.0), point(103, "string", "a", hostile)}}
	l.Points[0].Meaning = &devices.Meaning{ID: 1, Property: "state", Kind: "bool", Values: map[int64]any{0: "OFF", 1: "ON"}, Settable: true}
	l.Points[1].Guess = devices.Guess{Property: "temperature", Divisor: 10, Unit: "°C", Reason: "it moves little"}
	return &zigbeeNetwork{bridge: newZigbeeBridge(t, store), lesson: l, overview: z2m.Overview{Running: true, Devices: []z2m.DeviceSummary{
		{IEEEAddress: known, Name: "kitchen", Vendor: "SONOFF", Model: "SNZB-02", ModelID: "TH01", Manufacturer: "eWeLink", Source: "native", Type: zigbee.EndDevice,
			PowerSource: "Battery", LinkQuality: &quality, Battery: &battery, LastSeen: &seen, Availability: "online", Interview: zigbee.Successful},
		of, {IEEEAddress: 1, Name: "0x0000000000000001", Type: zigbee.Unknown, Interview: zigbee.InProgress}}}}
}

func (n *zigbeeNetwork) Bridge() *z2m.Bridge    { return n.bridge }
func (n *zigbeeNetwork) Overview() z2m.Overview { return n.overview }
func (n *zigbeeNetwork) Shown(ieee zigbee.IEEEAddress) (z2m.Shown, error) {
	for _, d := range n.overview.Devices {
		if d.IEEEAddress == ieee {
			return z2m.Shown{DeviceSummary: d, Exposes: n.exposes, State: n.state, Topic: "zigbee2mqtt/" + d.Name, Failure: n.failure}, nil
		}
	}
	return z2m.Shown{}, &z2m.UnknownDeviceError{Device: ieee}
}

func (n *zigbeeNetwork) States() map[zigbee.IEEEAddress]map[string]any {
	return map[zigbee.IEEEAddress]map[string]any{known: n.state}
}

func (n *zigbeeNetwork) Firmware() []Firmware { return n.images }

func (n *zigbeeNetwork) AddFirmware(_ context.Context, image []byte) (Firmware, error) {
	if string(image) == "bad" {
		return Firmware{}, &z2m.RequestError{Reason: "the file is no image"}
	}
	f := Firmware{Name: "1-2-3.ota", Text: hostile, Bytes: len(image), Version: 3}
	n.images = append(n.images, f)
	return f, nil
}

func (n *zigbeeNetwork) RemoveFirmware(name string) error {
	if len(n.images) == 0 || n.images[0].Name != name {
		return &z2m.RequestError{Reason: "there is no firmware of that name"}
	}
	n.images = nil
	return nil
}

func (n *zigbeeNetwork) Lessons() []z2m.Lesson { return []z2m.Lesson{n.lesson} }

func (n *zigbeeNetwork) Permit(_ context.Context, d time.Duration) error {
	n.opened = d
	return n.err
}

func (n *zigbeeNetwork) Learnt(ieee zigbee.IEEEAddress) (z2m.Lesson, error) {
	if ieee != stranger {
		return z2m.Lesson{}, &z2m.NotLearningError{Reason: "there is nothing to learn"}
	}
	return n.lesson, nil
}

func (n *zigbeeNetwork) Teach(_ zigbee.IEEEAddress, t z2m.Teaching) error {
	n.taught = t
	return n.err
}

func (n *zigbeeNetwork) Definition(ieee zigbee.IEEEAddress) (string, []byte, error) {
	_, err := n.Learnt(ieee)
	return "TS0601.toml", []byte("[[device]]\n"), err
}

func (g *gate) zigbee() *zigbeeNetwork { return g.o.ZigbeeNetwork.(*zigbeeNetwork) }

func TestZigbeePages(t *testing.T) {
	g := newGate(t)
	path := "/zigbee-devices/" + stranger.String()
	list := g.want(200, browse{path: "/zigbee-devices", as: "admin"})
	golden(t, "zigbeedevices.html", list.body)
	page := g.want(200, browse{path: path, as: "admin"})
	golden(t, "zigbeelearn.html", page.body)
	if strings.Contains(page.body, "http-equiv") {
		t.Error("the page that is written on loads itself again in a browser without scripts")
	}
	for _, body := range []string{list.body, page.body} {
		if strings.Contains(ownScript.ReplaceAllString(body, ""), "<script") {
			t.Errorf("hostile texts are not escaped: %s", body)
		}
	}
	// Who may look only finds nothing to press.
	for _, p := range []string{"/zigbee", "/zigbee-devices", "/zigbee-map", "/zigbee-groups", "/zigbee-firmware", path} {
		if a := g.want(200, browse{path: p, as: "vera"}); strings.Contains(a.body, `action="/zigbee`) {
			t.Errorf("a viewer is offered what it may not do on %s", p)
		}
	}
	if a := g.want(200, browse{path: "/devices", as: "vera"}); !strings.Contains(a.body, `href="/zigbee"`) {
		t.Error("the page of the devices does not lead there")
	}
	for q, want := range map[string]bool{"": true, "kitch": true, "SNZB": true, "0x00124B0022E10001": true, "cellar": false} {
		if a := g.want(200, browse{path: "/zigbee-devices?q=" + q, as: "vera"}); strings.Contains(a.body, ">kitchen</a>") != want {
			t.Errorf("searched for %q: %t", q, !want)
		}
	}
	g.zigbee().overview = z2m.Overview{}
	for _, p := range []string{"/zigbee", "/zigbee-devices", "/zigbee-map"} {
		if a := g.want(200, browse{path: p, as: "admin"}); !strings.Contains(a.body, "Plug one in") {
			t.Errorf("without a stick %s: %s", p, a.body)
		}
	}
}

func TestZigbeePermit(t *testing.T) {
	g := newGate(t)
	a := g.want(303, browse{path: "/zigbee-act/open", as: "admin", form: url.Values{"seconds": {"240"}}})
	if g.zigbee().opened != 240*time.Second || a.location() != "/zigbee" {
		t.Errorf("open for %v, led to %s", g.zigbee().opened, a.location())
	}
	g.want(200, browse{path: "/api/zigbee/permit", as: "admin", json: `{"seconds":0}`})
	if g.zigbee().opened != 0 {
		t.Errorf("open for %v", g.zigbee().opened)
	}
	for _, n := range []string{"-1", "255", "1e300", "NaN", "x", ""} {
		g.want(400, browse{path: "/zigbee-act/open", as: "admin", form: url.Values{"seconds": {n}}})
	}
	g.want(400, browse{path: "/api/zigbee/permit", as: "admin", json: `{"seconds":255}`})
	// Through a device that there is not.
	if a := g.want(409, browse{path: "/api/zigbee/permit", as: "admin", json: `{"seconds":60,"via":"nobody"}`}); !strings.Contains(a.body, "does not exist") {
		t.Error(a.body)
	}
	g.zigbee().err = fmt.Errorf("permit: %w", zigbee.ErrNoStick)
	if a := g.want(503, browse{path: "/api/zigbee/permit", as: "admin", json: `{"seconds":1}`}); !strings.Contains(a.body, "plug one in") {
		t.Error(a.body)
	}
	g.zigbee().err = errors.New("internal")
	if a := g.want(500, browse{path: "/zigbee-act/open", as: "admin", form: url.Values{"seconds": {"1"}}}); strings.Contains(a.body, "internal") {
		t.Error(a.body)
	}
}

// TestZigbeeTeach: what is typed into the form becomes what is said over the API.
func TestZigbeeTeach(t *testing.T) {
	g := newGate(t)
	path := stranger.String()
	form := url.Values{"model": {"ZZ-1"}, "vendor": {"Acme"}, "description": {"Thermostat"},
		"name-1": {"child_lock"}, "kind-1": {"bool"}, "values-1": {"0=false, 1 = true"}, "settable-1": {"yes"},
		"name-101": {" temperature "}, "kind-101": {"scale"}, "divisor-101": {"10"}, "unit-101": {"°C"},
		"name-103": {""}, "kind-103": {"identity"}, "name-7": {"not_told"}}
	a := g.want(303, browse{path: "/zigbee-devices/" + path, as: "admin", form: form})
	want := z2m.Teaching{Model: "ZZ-1", Vendor: "Acme", Description: "Thermostat", Meanings: []devices.Meaning{
		{ID: 1, Property: "child_lock", Kind: "bool", Values: map[int64]any{0: false, 1: true}, Settable: true},
		{ID: 101, Property: "temperature", Kind: "scale", Divisor: 10, Unit: "°C"}, {ID: 103, Kind: "identity"}}}
	if got := g.zigbee().taught; a.location() != "/zigbee-devices" || !reflect.DeepEqual(got, want) {
		t.Errorf("led to %s with %+v", a.location(), got)
	}
	g.zigbee().taught = z2m.Teaching{}
	g.want(204, browse{path: "/api/zigbee/learn/" + path, as: "admin", json: `{"model":"ZZ-1","vendor":"Acme","description":"Thermostat","datapoints":[
		{"dp":1,"name":"child_lock","kind":"bool","values":{"0":false,"1":true},"settable":true},
		{"dp":101,"name":"temperature","kind":"scale","divisor":10,"unit":"°C"},{"dp":103,"name":"","kind":"identity"}]}`})
	if got := g.zigbee().taught; !reflect.DeepEqual(got, want) {
		t.Errorf("by a call: %+v", got)
	}

	// What is wrong is said above the form, which keeps what was typed.
	for field, values := range map[string][]string{"values-1": {"low, high", "0=a, 0=b", "x=1"}, "divisor-101": {"", "ten", "1,5"}} {
		for _, value := range values {
			wrong := url.Values{}
			for k, v := range form {
				wrong[k] = v
			}
			wrong.Set(field, value)
			wrong.Set("name-1", "typed")
			g.zigbee().taught = z2m.Teaching{}
			a := g.want(400, browse{path: "/zigbee-devices/" + path, as: "admin", form: wrong})
			if !strings.Contains(a.body, `role="alert">Datapoint`) || !strings.Contains(a.body, `value="typed"`) || g.zigbee().taught.Meanings != nil {
				t.Errorf("%s = %q: %s", field, value, a.body)
			}
		}
	}
	g.zigbee().err = &z2m.TeachingError{Reason: "give it <b>another</b> name"}
	if a := g.want(400, browse{path: "/zigbee-devices/" + path, as: "admin", form: form}); !strings.Contains(a.body, "Give it &lt;b&gt;another&lt;/b&gt; name.") {
		t.Error(a.body)
	}
	g.want(404, browse{path: "/zigbee-devices/" + known.String(), as: "admin", form: form})
	g.want(400, browse{path: "/zigbee-devices/" + path, as: "admin", form: url.Values{"model": {"x"}}})
	g.want(413, browse{path: "/zigbee-devices/" + path, as: "admin", form: url.Values{"model": {strings.Repeat("x", maxTeaching)}}})
	g.want(413, browse{path: "/api/zigbee/learn/" + path, as: "admin", json: `{"model":"` + strings.Repeat("x", maxTeaching) + `"}`})
	for _, bad := range []string{`{}`, `{"datapoints":[{"dp":256}]}`, `{"datapoints":[{"dp":1,"values":{"x":1}}]}`, `{"points":[]}`} {
		g.want(400, browse{path: "/api/zigbee/learn/" + path, as: "admin", json: bad})
	}
}

func TestZigbeeDefinitionIsDownloaded(t *testing.T) {
	g := newGate(t)
	a := g.want(200, browse{path: "/api/zigbee/learn/" + stranger.String() + "/definition.toml", as: "vera"})
	if a.body != "[[device]]\n" || a.Header.Get("Content-Disposition") != `attachment; filename="TS0601.toml"` {
		t.Errorf("%v %s", a.Header, a.body)
	}
	g.want(404, browse{path: "/api/zigbee/learn/" + known.String() + "/definition.toml", as: "vera"})
	if a := g.want(404, browse{path: "/api/zigbee/learn/kitchen", as: "vera"}); !strings.Contains(a.body, "right is one such as") {
		t.Error(a.body)
	}
	g.o.ZigbeeNetwork = nil
	for _, rt := range New(g.o).routes() {
		if strings.Contains(rt.pattern, "zigbee") {
			t.Errorf("without a network there is %s", rt.pattern)
		}
	}
}
