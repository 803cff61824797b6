package openmetrics

import (
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// parse has Prometheus' own parser read a text.
func parse(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return families
}

const hostile = "a\"b\\c\nd\r\n# HELP x\xff\x00 ü"

// example writes something of everything.
func example(w *Writer) {
	w.Family("lintel_build_info", Info, "Which one this is")
	w.Sample(1, "version", "1.0", "board", hostile)
	w.Family("lintel_frames_total", Counter, "Frames, by \"reason\"\nor \\ not")
	w.Sample(1<<53-1, "reason", "checksum")
	w.Sample(0.25, "reason", hostile)
	w.Family("lintel_load", Gauge, "Load")
	w.Sample(-1.5e-9)
	w.Sample(math.Inf(1), "of", "x")
	w.Sample(math.NaN(), "of", "y")
	w.Family("lintel_on", Gauge, "Whether")
	w.Bool(true, "of", "a")
	w.Bool(false, "of", "b")
	w.Family("lintel_commit_seconds", Histogram, "How long")
	w.Buckets([]float64{0.001, 1, 10}, []uint64{3, 0, 2, 4}, 99.5, "of", "disk")
}

func TestText(t *testing.T) {
	var w Writer
	example(&w)
	families := parse(t, w.Bytes())
	if len(families) != 5 {
		t.Errorf("%d families", len(families))
	}
	frames := families["lintel_frames_total"]
	if frames.GetType() != dto.MetricType_COUNTER || frames.GetHelp() != "Frames, by \"reason\"\nor \\ not" || len(frames.Metric) != 2 {
		t.Errorf("frames: %v", frames)
	}
	if v := frames.Metric[0].Counter.GetValue(); v != 1<<53-1 {
		t.Errorf("a large counter became %v", v)
	}
	if got, want := frames.Metric[1].Label[0].GetValue(), "a\"b\\c\nd \n# HELP x\uFFFD\x00 ü"; got != want {
		t.Errorf("a hostile label became %q, want %q", got, want)
	}
	load := families["lintel_load"].Metric
	if load[0].Gauge.GetValue() != -1.5e-9 || !math.IsInf(load[1].Gauge.GetValue(), 1) || !math.IsNaN(load[2].Gauge.GetValue()) {
		t.Errorf("load: %v", load)
	}
	h := families["lintel_commit_seconds"].Metric[0].Histogram
	if h.GetSampleCount() != 9 || h.GetSampleSum() != 99.5 || len(h.Bucket) != 4 || h.Bucket[1].GetCumulativeCount() != 3 || h.Bucket[2].GetCumulativeCount() != 5 || h.Bucket[2].GetUpperBound() != 10 {
		t.Errorf("histogram: %v", h)
	}
}

// TestOpenMetrics has the reference implementation read the other format: Debian's
// python3-prometheus-client.
func TestOpenMetrics(t *testing.T) {
	const program = `
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for f in text_string_to_metric_families(sys.stdin.buffer.read().decode()):
    print(f.name, f.type, f.unit or "-", len(f.samples))
`
	if err := exec.Command("/usr/bin/python3", "-c", "import prometheus_client.openmetrics.parser").Run(); err != nil {
		if os.Getenv("LINTEL_NEED_ALL") == "1" {
			t.Fatal("python3-prometheus-client is missing")
		}
		t.Skip("python3-prometheus-client is missing")
	}
	w := Writer{OpenMetrics: true}
	example(&w)
	c := exec.Command("/usr/bin/python3", "-c", program)
	c.Stdin = strings.NewReader(string(w.Bytes()))
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, w.Bytes())
	}
	const want = `lintel_build info - 1
lintel_frames counter - 2
lintel_load gauge - 3
lintel_on gauge - 2
lintel_commit_seconds histogram seconds 6
`
	if string(out) != want {
		t.Errorf("read as\n%swant\n%s", out, want)
	}
}

func TestAccepts(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/plain": false,
		"application/openmetrics-text":                        true,
		"application/openmetrics-text;version=0.0.1":          false,
		"application/openmetrics-text;version=1.0.0;q=0":      false,
		"application/openmetrics-text;q=0.3,text/plain;q=0.5": false,
		"application/openmetrics-text;q=x,text/plain":         false,
		// As Prometheus 2 and 3 ask.
		"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2":                                                            true,
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;q=0.2,*/*;q=0.1": true,
	} {
		if got := Accepts(accept); got != want {
			t.Errorf("%q: %t", accept, got)
		}
	}
}

// FuzzLabels: whatever a label holds, the text stays readable and the numbers are those.
func FuzzLabels(f *testing.F) {
	f.Add(hostile, 1.5)
	f.Add("\\", math.Inf(-1))
	f.Add("\u2028\x85", 1e300)
	f.Fuzz(func(t *testing.T, label string, value float64) {
		var w Writer
		w.Family("lintel_x", Gauge, label)
		w.Sample(value, "of", label)
		w.Family("lintel_y_total", Counter, "y")
		w.Sample(2)
		families := parse(t, w.Bytes())
		got := families["lintel_x"].Metric[0].Gauge.GetValue()
		if len(families) != 2 || got != value && !(math.IsNaN(got) && math.IsNaN(value)) || families["lintel_y_total"].Metric[0].Counter.GetValue() != 2 {
			t.Errorf("%q, %v: %v", label, value, families)
		}
	})
}
