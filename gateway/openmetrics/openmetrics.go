// Package openmetrics writes metrics as text, for Prometheus and what reads the same: its
// exposition format 0.0.4, and OpenMetrics 1.0.0.
//
// client_golang would add 2.8 MB to the program, a tenth of it, for a registry that nobody here
// needs: all that is told is counted elsewhere already and is written down when somebody asks.
//
// Sources: prometheus.io/docs/instrumenting/exposition_formats; the OpenMetrics specification
// 1.0.0, as in github.com/prometheus/OpenMetrics; the names by prometheus.io/docs/practices/naming.
package openmetrics

import (
	"math"
	"mime"
	"slices"
	"strconv"
	"strings"
)

// Media types of the formats.
const (
	TextType        = "text/plain; version=0.0.4; charset=utf-8"
	OpenMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// Type is what kind of numbers a family of metrics has.
type Type string

// The types. The name of a counter ends in _total.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
	Info      Type = "info" // always 1, its labels tell; the name ends in _info
)

// Writer collects metrics as text. Its zero value writes the format 0.0.4.
type Writer struct {
	OpenMetrics bool // in place of 0.0.4

	buf  []byte
	name string // of the family that is being written
	kind Type
}

// units are what a name of a metric may end in, before _total: OpenMetrics wants to have it told.
var units = []string{"seconds", "bytes", "celsius", "volts", "ratio"}

// Family begins a family of metrics. Each is begun once; its help is a sentence without full stop.
func (w *Writer) Family(name string, kind Type, help string) {
	w.name, w.kind = name, kind
	if w.OpenMetrics {
		if kind == Counter {
			name = strings.TrimSuffix(name, "_total")
		}
		if kind == Info {
			name = strings.TrimSuffix(name, "_info")
		}
	} else if kind == Info {
		kind = Gauge
	}
	w.buf = append(w.buf, "# HELP "...)
	w.buf = append(append(w.buf, name...), ' ')
	w.buf = appendEscaped(w.buf, help, w.OpenMetrics)
	w.buf = append(w.buf, "\n# TYPE "...)
	w.buf = append(append(append(append(w.buf, name...), ' '), kind...), '\n')
	if i := strings.LastIndexByte(name, '_'); w.OpenMetrics && slices.Contains(units, name[i+1:]) {
		w.buf = append(w.buf, "# UNIT "...)
		w.buf = append(append(append(append(w.buf, name...), ' '), name[i+1:]...), '\n')
	}
}

// Sample writes a value of the family. labels are names and values in turn; the values may hold
// anything.
func (w *Writer) Sample(value float64, labels ...string) {
	w.sample("", value, labels...)
}

// Bool writes 1 for true and 0 for false.
func (w *Writer) Bool(value bool, labels ...string) {
	if value {
		w.Sample(1, labels...)
	} else {
		w.Sample(0, labels...)
	}
}

// Buckets writes a histogram: counts[i] is how many are not above bounds[i], and above the bound
// before; the last of counts, which has one more element, is of those above all bounds. sum is
// that of all.
func (w *Writer) Buckets(bounds []float64, counts []uint64, sum float64, labels ...string) {
	var all uint64
	with := append(slices.Clone(labels), "le", "")
	for i, n := range counts {
		all += n
		bound := math.Inf(1)
		if i < len(bounds) {
			bound = bounds[i]
		}
		with[len(with)-1] = string(appendValue(nil, bound, w.OpenMetrics))
		w.sample("_bucket", float64(all), with...)
	}
	w.sample("_sum", sum, labels...)
	w.sample("_count", float64(all), labels...)
}

func (w *Writer) sample(suffix string, value float64, labels ...string) {
	w.buf = append(append(w.buf, w.name...), suffix...)
	for i := 0; i+1 < len(labels); i += 2 {
		if i == 0 {
			w.buf = append(w.buf, '{')
		} else {
			w.buf = append(w.buf, ',')
		}
		w.buf = append(append(w.buf, labels[i]...), `="`...)
		w.buf = appendEscaped(w.buf, labels[i+1], true)
		w.buf = append(w.buf, '"')
	}
	if len(labels) > 1 {
		w.buf = append(w.buf, '}')
	}
	w.buf = appendValue(append(w.buf, ' '), value, false)
	w.buf = append(w.buf, '\n')
}

// Bytes returns the text. Nothing can be written after that.
func (w *Writer) Bytes() []byte {
	if w.OpenMetrics {
		w.buf = append(w.buf, "# EOF\n"...)
	}
	return w.buf
}

// appendValue appends a number. bound has a whole one look like a float, as OpenMetrics wants
// the values of le.
func appendValue(b []byte, v float64, bound bool) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsInf(v, -1):
		return append(b, "-Inf"...)
	}
	if math.Abs(v) < 1<<53 && v == math.Trunc(v) {
		if b = strconv.AppendInt(b, int64(v), 10); bound {
			b = append(b, ".0"...)
		}
		return b
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// appendEscaped appends a help text or, with quotes, the value of a label. What is no UTF-8
// would make all of it unreadable.
func appendEscaped(b []byte, s string, quotes bool) []byte {
	for _, c := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case c == '\\':
			b = append(b, `\\`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '"' && quotes:
			b = append(b, `\"`...)
		case c == '\r':
			b = append(b, ' ') // readers differ in whether a line ends here
		default:
			b = append(b, string(c)...)
		}
	}
	return b
}

// Accepts reports whether a header Accept would rather have OpenMetrics than the format 0.0.4.
func Accepts(accept string) bool {
	best := map[string]float64{}
	for part := range strings.SplitSeq(accept, ",") {
		kind, parameters, err := mime.ParseMediaType(part)
		if err != nil || kind == "application/openmetrics-text" && parameters["version"] != "1.0.0" && parameters["version"] != "" {
			continue
		}
		q := 1.0
		if text, ok := parameters["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		best[kind] = max(best[kind], q)
	}
	wanted := best["application/openmetrics-text"]
	return wanted > 0 && wanted >= max(best["text/plain"], best["text/*"])
}
