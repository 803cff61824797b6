package dashboard

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"lintel/gateway/openmetrics"
	"lintel/serialbridge"
)

func parseMetrics(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return families
}

func TestMetrics(t *testing.T) {
	g := newGate(t)
	a := g.want(200, browse{path: "/metrics", as: "token viewer"})
	if kind := a.Header.Get("Content-Type"); kind != openmetrics.TextType {
		t.Errorf("served as %q", kind)
	}
	families := parseMetrics(t, a.body)
	for name, want := range map[string]float64{
		"lintel_uptime_seconds": 26 * 3600, "lintel_clients_connected": 2, "lintel_losses": 1, "lintel_longest_queue_messages": 12, "lintel_healthy": 1,
	} {
		if f := families[name]; f == nil || f.Metric[0].Gauge.GetValue() != want {
			t.Errorf("%s: %v, want %v", name, f, want)
		}
	}
	if n := families["lintel_messages_dropped_total"].Metric[0].Counter.GetValue(); n != 3 {
		t.Errorf("%v messages dropped", n)
	}
	h := families["lintel_store_commit_seconds"].Metric[0].Histogram
	if h.GetSampleCount() != 100 || h.Bucket[0].GetUpperBound() != 0.000512 || h.Bucket[0].GetCumulativeCount() != 60 || h.Bucket[3].GetCumulativeCount() != 100 {
		t.Errorf("commits: %v", h)
	}
	devices := map[string]float64{}
	for _, m := range families["lintel_devices"].Metric {
		devices[m.Label[0].GetValue()] = m.Gauge.GetValue()
	}
	if devices["online"] != 1 || devices["offline"] != 1 || devices["unknown"] != 1 {
		t.Errorf("devices: %v", devices)
	}
	for _, name := range []string{"homeassistant", "away", "dsmr_1", "door_1"} { // of clients and devices
		if strings.Contains(a.body, `"`+name+`"`) {
			t.Errorf("%s is a label", name)
		}
	}
	a = g.want(200, browse{path: "/metrics", as: "token viewer", header: http.Header{"Accept": {"application/openmetrics-text; version=1.0.0"}}})
	if a.Header.Get("Content-Type") != openmetrics.OpenMetricsType || !strings.HasSuffix(a.body, "# EOF\n") {
		t.Errorf("OpenMetrics as %q", a.Header.Get("Content-Type"))
	}
}

// What there is of sticks and of reasons comes from outside: series stay bounded.
func TestMetricsAreBounded(t *testing.T) {
	var sticks []serialbridge.StickStatus
	for i := range 500 {
		damaged := make(map[string]uint64)
		for j := range 500 {
			damaged[fmt.Sprint("reason ", j, hostile)] = 1
		}
		sticks = append(sticks, serialbridge.StickStatus{ID: fmt.Sprint(i, hostile), State: serialbridge.Online, Damaged: damaged, Ignored: damaged})
	}
	var m openmetrics.Writer
	writeSticks(&m, sticks)
	families := parseMetrics(t, string(m.Bytes()))
	damaged := families["lintel_stick_damaged_frames_total"].Metric
	if n := len(damaged); n != maxStickSeries*(maxReasonSeries+1) {
		t.Errorf("%d series", n)
	}
	sum := 0.0
	for _, d := range damaged {
		sum += d.Counter.GetValue()
	}
	if sum != maxStickSeries*500 {
		t.Errorf("%v damaged frames, want all", sum)
	}
}

func TestMetricsForTheNetwork(t *testing.T) {
	g := newGate(t)
	if a := g.want(401, browse{path: "/metrics"}); a.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Error("Prometheus is not told that it needs a token")
	}
	o := g.o
	o.OpenMetrics = true
	g.url = listen(t, o)
	g.want(200, browse{path: "/metrics"}) // from loopback
	g.want(421, browse{path: "/metrics", host: "evil.example"})
	handler := New(o).Handler()
	for from, want := range map[string]int{"192.168.1.7:1234": 200, "[fe80::1%eth0]:1": 200, "203.0.113.7:1234": 401, "": 401} {
		r, err := http.NewRequest("GET", "http://lintel.local/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = from
		w := new(answerRecord)
		handler.ServeHTTP(w, r)
		if w.code != want {
			t.Errorf("from %q: %d, want %d", from, w.code, want)
		}
	}
	open := newBox(t)
	o = open.o
	o.OpenMetrics = true
	open.url = listen(t, o)
	open.want(303, browse{path: "/metrics"}) // to the claim
}

// answerRecord keeps the code of an answer.
type answerRecord struct {
	header http.Header
	code   int
}

func (w *answerRecord) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}
func (w *answerRecord) WriteHeader(code int) { w.code = code }
func (w *answerRecord) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = 200
	}
	return len(b), nil
}

func TestReady(t *testing.T) {
	o := house()
	ready, failure := false, error(nil)
	o.Ready, o.Healthy = func() bool { return ready }, func() error { return failure }
	g := &gate{t: t, o: o, url: listen(t, o)}
	say := func(code int, text string) {
		t.Helper()
		if a := g.want(code, browse{path: "/readyz", host: "monitor.example"}); a.body != text+"\n" {
			t.Errorf("it says %q", a.body)
		}
	}
	say(503, "not ready")
	ready = true
	say(200, "ready")
	failure = fmt.Errorf("the disk is full")
	say(503, "not ready")
}

// The pages count what they do, and what goes on for ever is not taken for slow.
func TestMeter(t *testing.T) {
	g := newGate(t)
	for range 3 {
		g.want(200, browse{path: "/healthz"})
	}
	g.want(404, browse{path: "/api/users/nobody", as: "admin"})
	families := parseMetrics(t, g.want(200, browse{path: "/metrics", as: "token viewer"}).body)
	answers := map[string]float64{}
	for _, m := range families["lintel_http_responses_total"].Metric {
		answers[m.Label[0].GetValue()] = m.Counter.GetValue()
	}
	if answers["2xx"] != 3 || answers["4xx"] != 1 || answers["5xx"] != 0 {
		t.Errorf("answers: %v", answers)
	}
	if n := families["lintel_http_requests_in_flight"].Metric[0].Gauge.GetValue(); n != 1 {
		t.Errorf("%v in flight", n)
	}
	if h := families["lintel_http_response_seconds"].Metric[0].Histogram; h.GetSampleCount() != 4 || h.GetSampleSum() <= 0 {
		t.Errorf("times: %v", h)
	}
}
