package dashboard

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// point is a value at a time. NaN is a gap.
type point struct {
	At    time.Time
	Value float64
}

// chart is a line over time, drawn as SVG without any script.
type chart struct {
	Label, Unit      string // Label is in the language of the page already
	Lines            []string
	Least, Most, Now float64
	From, To         time.Time
	Empty            bool
}

// The size of a chart in its own units; the style sheet gives it another.
const (
	chartWidth, chartHeight = 300, 60
	chartEdge               = 2 // so that the line is not cut off
)

// chartOf draws points, which are in the order of time. Where all are the same it is a line in
// the middle.
func chartOf(label, unit string, points []point) chart {
	c := chart{Label: label, Unit: unit, Empty: true, Least: math.Inf(1), Most: math.Inf(-1)}
	for _, p := range points {
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			continue
		}
		if c.Empty {
			c.From = p.At
		}
		c.Empty = false
		c.To, c.Now = p.At, p.Value
		c.Least, c.Most = min(c.Least, p.Value), max(c.Most, p.Value)
	}
	if c.Empty {
		c.Least, c.Most = 0, 0
		return c
	}
	span, height := c.To.Sub(c.From).Seconds(), c.Most-c.Least
	var line []byte
	end := func() {
		if len(line) > 0 {
			c.Lines = append(c.Lines, strings.TrimSpace(string(line)))
		}
		line = line[:0]
	}
	for _, p := range points {
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			end()
			continue
		}
		x, y := float64(chartWidth), float64(chartHeight)/2
		if span > 0 {
			x = p.At.Sub(c.From).Seconds() / span * chartWidth
		}
		if height > 0 {
			y = chartEdge + (c.Most-p.Value)/height*(chartHeight-2*chartEdge)
		}
		line = strconv.AppendFloat(line, x, 'f', 1, 64)
		line = append(line, ',')
		line = strconv.AppendFloat(line, y, 'f', 1, 64)
		line = append(line, ' ')
	}
	end()
	return c
}

// formatFigure writes a number with three significant digits or, from 1000 on, as a whole.
func formatFigure(v float64) string {
	if math.Abs(v) >= 1000 {
		return formatCount(int64(math.Round(v)))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
