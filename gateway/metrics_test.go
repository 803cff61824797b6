package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"lintel/gateway/settings"
)

// metricsOf asks a house for its metrics, as everybody in its network.
func metricsOf(t *testing.T, e Endpoints, accept string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+e.HTTP.String()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("/metrics: %s, %v: %s", res.Status, err, text)
	}
	return string(text)
}

// familiesOf has Prometheus' parser read the metrics of a house.
func familiesOf(t *testing.T, e Endpoints) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(metricsOf(t, e, "")))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// TestMetricsOfTheHouse: the metrics of a whole house are read by Prometheus' parser and by
// that of OpenMetrics, and their names are as Prometheus wants them
// (prometheus.io/docs/practices/naming).
func TestMetricsOfTheHouse(t *testing.T) {
	t.Parallel()
	c := localConfig()
	c.HTTP.Metrics = settings.MetricsNetwork
	e, stop := startWith(t, c, t.TempDir(), true)
	defer stop()
	claim(t, e)
	families := familiesOf(t, e)
	if len(families) < 80 {
		t.Errorf("%d families only", len(families))
	}
	name := regexp.MustCompile(`^(lintel|process|go)_[a-z0-9]+(_[a-z0-9]+)*$`)
	unit := regexp.MustCompile(`_(ms|milliseconds|minutes|hours|days|kb|kilobytes|megabytes|percent|count|sum|bucket|gauge|counter)(_|$)`)
	series := 0
	for _, f := range families {
		n := f.GetName()
		if !name.MatchString(n) || unit.MatchString(n) {
			t.Errorf("%s is no good name", n)
		}
		if (f.GetType() == dto.MetricType_COUNTER) != strings.HasSuffix(n, "_total") {
			t.Errorf("%s is a %v", n, f.GetType())
		}
		if help := f.GetHelp(); help == "" || strings.HasSuffix(help, ".") {
			t.Errorf("%s: help %q", n, help)
		}
		series += len(f.Metric)
	}
	if series > 400 {
		t.Errorf("a small house has %d series", series)
	}
	for _, n := range []string{"lintel_clients_connected", "lintel_sticks", "lintel_devices", "lintel_zigbee_devices", "lintel_homeassistant_connected",
		"lintel_update_available", "lintel_store_commit_seconds", "lintel_machine_disk_free_bytes", "process_cpu_seconds_total", "go_goroutines", "lintel_http_responses_total"} {
		if f := families[n]; f == nil || len(f.Metric) == 0 {
			t.Errorf("%s is missing", n)
		}
	}
	if families["lintel_ready"].Metric[0].Gauge.GetValue() != 1 {
		t.Error("a claimed house that runs is not ready")
	}

	python := exec.Command("/usr/bin/python3", "-c", "import sys; from prometheus_client.openmetrics import parser; "+
		"print(len(list(parser.text_string_to_metric_families(sys.stdin.buffer.read().decode()))))")
	python.Stdin = strings.NewReader(metricsOf(t, e, "application/openmetrics-text"))
	missing := func(err error, out []byte) bool {
		return os.Getenv("LINTEL_NEED_ALL") != "1" && (errors.Is(err, os.ErrNotExist) || strings.Contains(string(out), "No module named"))
	}
	if out, err := python.CombinedOutput(); err != nil && !missing(err, out) {
		t.Errorf("as OpenMetrics: %v: %s", err, out)
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		check := exec.Command(promtool, "check", "metrics")
		check.Stdin = strings.NewReader(metricsOf(t, e, ""))
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool: %v: %s", err, out)
		}
	}
}

// TestReadyTakesAnOwner: nobody is let in before the box is claimed.
func TestReadyTakesAnOwner(t *testing.T) {
	t.Parallel()
	e, stop := startWith(t, localConfig(), t.TempDir(), false)
	defer stop()
	ready := func() int {
		res, err := http.Get("http://" + e.HTTP.String() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if code := ready(); code != 503 {
		t.Errorf("unclaimed: %d", code)
	}
	claim(t, e)
	if code := ready(); code != 200 {
		t.Errorf("claimed: %d", code)
	}
}

// TestGrafanaKnowsTheMetrics: each metric that the dashboard for Grafana names is told, but for
// those of the machine that this one may not have.
func TestGrafanaKnowsTheMetrics(t *testing.T) {
	t.Parallel()
	c := localConfig()
	c.HTTP.Metrics = settings.MetricsNetwork
	e, stop := startWith(t, c, t.TempDir(), true)
	defer stop()
	o := claim(t, e)
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	o.get("/grafana.json", &board)
	told := metricsOf(t, e, "") // families of which there is nothing yet included
	source, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	metric := regexp.MustCompile(`\b(?:lintel|process|go)_[a-z0-9_]+`)
	n := 0
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			names := metric.FindAllString(target.Expr, -1)
			if len(names) == 0 {
				t.Errorf("%s: %s names no metric", panel.Title, target.Expr)
			}
			for _, name := range names {
				n++
				name = strings.TrimSuffix(name, "_bucket")
				if !strings.Contains(told, "# TYPE "+name+" ") && !(strings.HasPrefix(name, "lintel_machine_") && strings.Contains(string(source), `"`+name+`"`)) {
					t.Errorf("%s: there is no %s", panel.Title, name)
				}
			}
		}
	}
	if n < 40 {
		t.Errorf("%d metrics only", n)
	}
}
