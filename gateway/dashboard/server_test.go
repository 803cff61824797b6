package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/gateway/uplink"
	"lintel/hardware"
	"lintel/persist"
	"lintel/serialbridge"
)

var updateGolden = flag.Bool("update", false, "rewrite the golden files")

// staticVersion is what changes in every page with every change of a static file.
var staticVersion = regexp.MustCompile(`/static/[0-9a-f]+-`)

// ownScript is the module that every page has.
var ownScript = regexp.MustCompile(`<script type="module" src="/static/[0-9a-f]{12}-[a-z]{2}/[a-z0-9]+\.js"></script>`)

// hasScript reports whether a page holds a script that is not ours.
func hasScript(page string) bool {
	return strings.Contains(ownScript.ReplaceAllString(page, ""), "<script")
}

const hostile = `</h3><script>alert("1")</script>`

// topics is a broker that holds retained messages.
type topics struct {
	mu       sync.Mutex
	retained []mqtt.Message
	filters  []string
}

func (b *topics) Publish(context.Context, mqtt.Message) error { return errors.ErrUnsupported }

func (b *topics) Subscribe(_ context.Context, filter string, _ mqtt.SubscriptionOptions, handle func(mqtt.Message)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.filters = append(b.filters, filter)
	leaf := filter[strings.LastIndexByte(filter, '/'):]
	for _, m := range b.retained {
		if strings.HasSuffix(m.Topic, leaf) {
			handle(m)
		}
	}
	return nil
}

// house returns options with something of everything, the hostile included.
func house() Options {
	since := time.Now().Add(-90 * time.Minute)
	return Options{
		Name: "Lintel A1B2C3", ID: "a1b2c3d4e5f6", Model: "Raspberry Pi 4", Version: "0.1.0",
		Addresses: func() []string { return []string{"mqtt://lintel.local:1883", "ws://lintel.local:8083/mqtt"} },
		Neighbours: func() []Neighbour {
			return []Neighbour{
				{Kind: "Home Assistant", Name: "Home", Where: "home.local:8123", Addresses: []string{"192.0.2.7", "fd00::7"}, About: "2026.2.0"},
				{Kind: "Lintel", Name: "Lintel <Attic>", Where: "http://lintel-2.local:80", Addresses: []string{"192.0.2.9"}, Page: true},
			}
		},
		Broker: &topics{retained: []mqtt.Message{
			{Topic: "lintel/dsmr_1/availability", Payload: []byte("online")},
			{Topic: "lintel/dsmr_1/state", Payload: []byte(`{"power":1.193,"energy":12345.678,"tariff":"low","failures":8,"meter_time":"2026-11-21T20:15:30+01:00","unasked":1}`)},
			{Topic: "lintel/door_1/availability", Payload: []byte("offline")},
			{Topic: "lintel/door_1/state", Payload: []byte(`{"door":true,"note":"<b>&amp;"}`)},
			{Topic: "lintel/door_1/set", Payload: []byte(`{"door":false}`)},
			{Topic: "other/door_1/state", Payload: []byte(`{"door":false}`)},
			{Topic: "lintel/broken/state", Payload: []byte(`{`)},
		}},
		Sticks: func() []serialbridge.StickStatus {
			return []serialbridge.StickStatus{
				{ID: "0403_6001_A1", Port: "/dev/ttyUSB0", USB: hardware.SerialPort{Manufacturer: "FTDI", Product: "P1 Converter Cable"},
					Protocol: "dsmr", Evidence: "named by its USB strings", State: serialbridge.Online, Since: since, Frames: 5391,
					Damaged: map[string]uint64{"checksum": 2, "too long": 1}, Devices: []string{"dsmr_1"}},
				{ID: "/dev/pts/3", Port: "/dev/pts/3", State: serialbridge.Failed, Since: since, Err: "permission denied; run Lintel as a member of the group dialout"},
				{ID: "x", USB: hardware.SerialPort{Product: hostile}, State: serialbridge.Listening, Since: since,
					BySocket: true, Ignored: map[string]uint64{"meter 12345678 is encrypted: its key is needed": 1234, hostile: 1}},
			}
		},
		Devices: func() []serialbridge.Device {
			return []serialbridge.Device{
				{ID: "dsmr_1", Name: "Electricity meter", Vendor: "Kaifa", Model: "MA105", Properties: []serialbridge.Property{
					{Key: "failures", Name: "Power failures", Kind: serialbridge.Measurement, Category: serialbridge.Diagnostic},
					{Key: "energy", Name: "Energy imported", Kind: serialbridge.Measurement, Unit: "kWh", Precision: 3},
					{Key: "power", Name: "Power imported", Kind: serialbridge.Measurement, Unit: "kW", Precision: 2},
					{Key: "tariff", Name: "Tariff", Kind: serialbridge.State},
					{Key: "meter_time", Name: "Time of the meter", Kind: serialbridge.State, Class: "timestamp", Category: serialbridge.Diagnostic},
					{Key: "never", Name: "Never heard", Kind: serialbridge.State},
				}},
				{ID: "door_1", Name: hostile, Properties: []serialbridge.Property{
					{Key: "door", Name: "Door", Kind: serialbridge.Binary}, {Key: "note", Name: `"><img src=x>`, Kind: serialbridge.State}}},
				{ID: "silent"},
			}
		},
		Clients: func() []broker.ClientInfo {
			return []broker.ClientInfo{
				{ID: "away", Version: 4, Since: since, Persistent: true, Queued: 12, Subscriptions: 1, Dropped: 3, RemoteAddr: "192.168.1.9:1"},
				{ID: "homeassistant", Version: 5, Connected: true, Since: since, Subscriptions: 81, RemoteAddr: "192.168.1.2:50123"},
				{ID: hostile, Version: 3, Connected: true, Since: since},
			}
		},
		Stats: func() broker.Stats {
			return broker.Stats{Uptime: 26 * time.Hour, ClientsConnected: 2, Sessions: 3, Subscriptions: 82, Retained: 41,
				PublishReceived: 1234567, PublishSent: 7654321, PublishDropped: 3, BytesReceived: 123_456_789, BytesSent: 987,
				Store: persist.Stats{Groups: 11, BytesWritten: 22, BytesElided: 33, BytesCoalesced: 44, Commits: persist.Latencies{9: 60, 12: 40}}}
		},
		Hosts:         func() []string { return []string{"example.com"} }, // as httptest has it
		Healthy:       func() error { return nil },
		Ready:         func() bool { return true },
		Notices:       func() []string { return nil },
		Machine:       func() []Fact { return nil },
		Uplinks:       func() []uplink.Status { return nil },
		MQTTListeners: func() []BrokerListener { return nil },
		Losses:        func() []string { return []string{"damaged: retained message " + hostile} },
	}
}

// listen runs a server on loopback and returns where it is.
func listen(t *testing.T, o Options) string {
	t.Helper()
	url, _ := listenServer(t, o)
	return url
}

func listenServer(t *testing.T, o Options) (string, *Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Listeners = append(o.Listeners, Listener{Listener: l})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	server := New(o)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
			t.Error("still listening after Run")
		}
	})
	return "http://" + l.Addr().String(), server
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(b)
}

func TestPage(t *testing.T) {
	r, body := get(t, listen(t, house())+"/")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%s, %s", r.Status, r.Header.Get("Content-Type"))
	}
	for _, header := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options"} {
		if r.Header.Get(header) == "" {
			t.Errorf("no %s", header)
		}
	}
	for _, evil := range []string{"<img src=x", "<b>", "style=", "onerror"} {
		if strings.Contains(body, evil) {
			t.Errorf("the page holds %q", evil)
		}
	}
	if hasScript(body) {
		t.Error("the page holds a script that is not ours")
	}
	golden(t, "page.html", body)
}

func TestEmptyPage(t *testing.T) {
	o := house()
	o.Broker = &topics{}
	o.Addresses = func() []string { return nil }
	o.Sticks = func() []serialbridge.StickStatus { return nil }
	o.Devices = func() []serialbridge.Device { return nil }
	o.Clients = func() []broker.ClientInfo { return nil }
	o.Healthy = func() error { return errors.New("the store is read-only; check the card") }
	_, body := get(t, listen(t, o)+"/")
	golden(t, "empty.html", body)
}

func golden(t *testing.T, file, got string) {
	got = staticVersion.ReplaceAllString(got, "/static/VERSION-")
	got = navigation.ReplaceAllString(got, "<nav/>") // it is the same everywhere, and grows with each page
	t.Helper()
	path := filepath.Join("testdata", file)
	if *updateGolden {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update rewrites it):\n%s", path, got)
	}
}

var navigation = regexp.MustCompile(`(?s)<nav aria-label="Sections">.*?</nav>`)

func TestStatusJSON(t *testing.T) {
	r, body := get(t, listen(t, house())+"/api/status")
	if r.Header.Get("Content-Type") != "application/json" {
		t.Error(r.Header)
	}
	var got Status
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if len(got.Devices) != 3 || got.Devices[0].Values["power"] != 1.193 || got.Devices[0].Availability != "online" || got.Devices[0].Heard == nil {
		t.Errorf("devices: %+v", got.Devices)
	}
	if len(got.Sticks) != 3 || got.Sticks[0].Name != "FTDI P1 Converter Cable" || got.Sticks[0].Damaged["checksum"] != 2 {
		t.Errorf("sticks: %+v", got.Sticks)
	}
	if len(got.Clients) != 3 || !got.Clients[0].Connected || got.Clients[2].ID != "away" {
		t.Errorf("clients, connected ones first: %+v", got.Clients)
	}
	if got.Broker.PublishReceived != 1234567 || got.Broker.UptimeSeconds != 26*3600 {
		t.Errorf("broker: %+v", got.Broker)
	}
	if c := got.Broker; c.StoreGroups != 11 || c.StoreBytesWritten != 22 || c.StoreBytesElided != 33 || c.StoreBytesCoalesced != 44 ||
		c.StoreCommitP50 != 512 || c.StoreCommitP99 != 4096 {
		t.Errorf("store: %+v", c)
	}
}

func TestEmptyStatusHasLists(t *testing.T) {
	o := house()
	o.Sticks = func() []serialbridge.StickStatus { return nil }
	o.Devices = func() []serialbridge.Device { return nil }
	o.Clients = func() []broker.ClientInfo { return nil }
	o.Addresses = func() []string { return nil }
	_, body := get(t, listen(t, o)+"/api/status")
	if strings.Contains(body, "null") {
		t.Errorf("null instead of an empty list:\n%s", body)
	}
}

func TestHealth(t *testing.T) {
	o := house()
	if r, body := get(t, listen(t, o)+"/healthz"); r.StatusCode != 200 || body != "ok\n" {
		t.Errorf("%s %q", r.Status, body)
	}
	o.Healthy = func() error { return errors.New("broker stopped") }
	if r, body := get(t, listen(t, o)+"/healthz"); r.StatusCode != 503 || body != "not ok\n" {
		t.Errorf("%s %q", r.Status, body)
	}
}

func TestRequests(t *testing.T) {
	h := New(house()).Handler()
	tests := []struct {
		method, path string
		want         int
	}{
		{"GET", "/", 200}, {"HEAD", "/", 200}, {"GET", "/static/x-en/style.css", 200}, {"GET", "/icon.svg", 200}, {"HEAD", "/api/status", 200},
		{"POST", "/", 405}, {"PUT", "/api/status", 405}, {"DELETE", "/healthz", 405}, {"OPTIONS", "/", 405}, {"TRACE", "/static/x-en/style.css", 405},
		{"GET", "/nothing", 404}, {"GET", "/page.html", 404}, {"GET", "/static/x-en/style.css/", 404}, {"GET", "/static/x-xx/style.css", 404}, {"GET", "/static/x-en/..%2fserver.go", 404}, {"GET", "/..%2fserver.go", 404},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, w.Code, tt.want)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: no nosniff", tt.method, tt.path)
		}
	}
}

func TestLargeHeaderIsRefused(t *testing.T) {
	url := listen(t, house())
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(res.Status)
	}
}

func TestBaseTopicWithLevels(t *testing.T) {
	o := house()
	o.BaseTopic = "attic/lintel"
	b := &topics{retained: []mqtt.Message{{Topic: "attic/lintel/dsmr_1/state", Payload: []byte(`{"power":2}`)}}}
	o.Broker = b
	_, body := get(t, listen(t, o)+"/api/status")
	if !strings.Contains(body, `"power": 2`) {
		t.Errorf("no value: %s", body)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := strings.Join(b.filters, " "); got != "attic/lintel/+/availability attic/lintel/+/state" {
		t.Error(got)
	}
}

func TestValuesAreBounded(t *testing.T) {
	s := New(house())
	for i := range maxDevices + 10 {
		s.values.handle(mqtt.Message{Topic: "lintel/" + strings.Repeat("x", i+1) + "/state", Payload: []byte(`{"a":1}`)})
	}
	if n := len(s.values.devices); n != maxDevices {
		t.Errorf("%d devices are held", n)
	}
	large := append([]byte(`{"a":2,"b":"`), bytes.Repeat([]byte("x"), maxState)...)
	s.values.handle(mqtt.Message{Topic: "lintel/x/state", Payload: append(large, `"}`...)})
	if v := s.values.get("x").values["a"]; v != 1.0 {
		t.Errorf("a state of more than 64 KiB was kept: %v", v)
	}
}

// TestManyClients: the first page does not grow with the house.
func TestManyClients(t *testing.T) {
	o := house()
	few, fewBody := get(t, listen(t, o)+"/")
	o.Clients = func() []broker.ClientInfo { return make([]broker.ClientInfo, 1234) }
	o.Devices = func() []serialbridge.Device { return make([]serialbridge.Device, 1000) }
	many, manyBody := get(t, listen(t, o)+"/")
	if few.StatusCode != 200 || many.StatusCode != 200 || len(manyBody) > len(fewBody)+100 {
		t.Errorf("%d with %d bytes, %d with %d bytes", few.StatusCode, len(fewBody), many.StatusCode, len(manyBody))
	}
}

func FuzzState(f *testing.F) {
	f.Add("lintel/x/state", []byte(`{"a":[1,{"b":null}],"c":1e400,"d":"\ud800"}`))
	f.Add("lintel/x/availability", []byte("online"))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		o := house()
		o.Devices = func() []serialbridge.Device {
			return []serialbridge.Device{{ID: "x", Properties: []serialbridge.Property{{Key: "a"}, {Key: "c", Kind: serialbridge.Measurement}, {Key: "d", Class: "timestamp"}}}}
		}
		s := New(o)
		s.values.handle(mqtt.Message{Topic: topic, Payload: payload})
		for _, path := range []string{"/", "/api/status"} {
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			if w.Code != 200 || hasScript(w.Body.String()) && path == "/" {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	})
}
