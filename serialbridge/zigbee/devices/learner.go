package devices

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge/zigbee"
)

// Learner gathers what a Tuya device tells that no definition knows, so that a
// user can see it move and give it names. It holds at most 256 datapoints, and of
// each a few values. It is not for several goroutines at once.
type Learner struct {
	points map[uint8]*Learnt
}

// Learnt is a datapoint that was heard.
type Learnt struct {
	ID      uint8     `json:"dp"`
	Type    string    `json:"type"` // as a Datapoint has it
	Value   any       `json:"value"`
	Count   int       `json:"count"`
	Heard   time.Time `json:"heard"`
	Changed time.Time `json:"changed"`
	// Min and Max are of a number.
	Min float64 `json:"min"`
	Max float64 `json:"max"`
	// Values are those that occurred, if they are few.
	Values []any `json:"values,omitempty"`
	// Guess is what it may be.
	Guess Guess `json:"guess"`
	// Row is what the user says it is; nil: nothing yet.
	Row *Datapoint `json:"row,omitempty"`
}

// Guess is what a datapoint may mean.
type Guess struct {
	Property string  `json:"property"`
	Divisor  float64 `json:"divisor"`
	Unit     string  `json:"unit,omitempty"`
	Reason   string  `json:"reason"` // why, for people
}

// Limits of what is kept of a datapoint.
const (
	maxLearntValues = 12
	maxLearntText   = 64
)

// Learn takes note of the datapoints of a message and says whether there were any.
func (l *Learner) Learn(m zigbee.Message) bool {
	points := pointsOf(m)
	for _, p := range points {
		l.learn(p, m.Received)
	}
	return len(points) > 0
}

func (l *Learner) learn(p point, at time.Time) {
	if int(p.typ) >= len(pointTypes) {
		return
	}
	value := shown(p.value())
	if value == nil {
		return
	}
	if l.points == nil {
		l.points = make(map[uint8]*Learnt)
	}
	known := l.points[p.id]
	if known == nil || known.Type != pointTypes[p.typ] {
		var row *Datapoint
		if known != nil {
			row = known.Row
		}
		known = &Learnt{ID: p.id, Type: pointTypes[p.typ], Changed: at, Row: row}
		l.points[p.id] = known
	}
	if known.Count == 0 || !sameShown(known.Value, value) {
		known.Changed = at
	}
	n, isNumber := numberOf(value)
	if isNumber && (known.Count == 0 || n < known.Min) {
		known.Min = n
	}
	if isNumber && (known.Count == 0 || n > known.Max) {
		known.Max = n
	}
	known.Value, known.Heard = value, at
	known.Count++
	if len(known.Values) < maxLearntValues && !slices.ContainsFunc(known.Values, func(v any) bool { return sameShown(v, value) }) {
		known.Values = append(known.Values, value)
	}
}

// shown is a value as people and JSON see it, and no longer than it may be.
func shown(value any) any {
	switch v := value.(type) {
	case []byte:
		return fmt.Sprintf("% x", v[:min(len(v), maxLearntText/3)])
	case string:
		runes := []rune(v)
		return strings.Clone(string(runes[:min(len(runes), maxLearntText)]))
	case int64:
		return float64(v)
	}
	return value
}

func sameShown(a, b any) bool { return a == b } // both are texts, numbers or booleans

// Points returns what was learnt, by ID, with guesses.
func (l *Learner) Points() []Learnt {
	points := make([]Learnt, 0, len(l.points))
	for _, p := range l.points {
		learnt := *p
		learnt.Values = slices.Clone(p.Values)
		learnt.Guess = guess(p)
		if p.Row != nil {
			row := *p.Row
			learnt.Row = &row
		}
		points = append(points, learnt)
	}
	slices.SortFunc(points, func(a, b Learnt) int { return int(a.ID) - int(b.ID) })
	return points
}

// Name says what a datapoint is. A row without a property takes the name away.
func (l *Learner) Name(row Datapoint) error {
	known := l.points[row.ID]
	if known == nil {
		return fmt.Errorf("the device has not told the datapoint %d yet: make it do what it stands for, and look again", row.ID)
	}
	if row.Property == "" {
		known.Row = nil
		return nil
	}
	if strings.Trim(row.Property, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || len(row.Property) > 64 {
		return fmt.Errorf("%.64q is no name of a property: it is of small letters, digits and _", row.Property)
	}
	if !slices.Contains([]string{"identity", "scale", "enum", "bool"}, row.Kind) {
		return fmt.Errorf("%.20q is no conversion: it is identity, scale, enum or bool", row.Kind)
	}
	if row.Kind == "scale" && !(row.Divisor > 0) {
		return fmt.Errorf("a scale needs a divisor above zero")
	}
	if (row.Kind == "enum" || row.Kind == "bool") && len(row.Enum) == 0 {
		return fmt.Errorf("%s needs its values", row.Kind)
	}
	if row.Type == "" {
		row.Type = known.Type
	}
	known.Row = &row
	return nil
}

// Definition makes a definition of what the user has named, to be saved and given to
// others. Settable are the properties that the device takes.
func (l *Learner) Definition(model, vendor, description string, settable ...string) *Definition {
	d := &Definition{Model: model, Vendor: vendor, Description: description, External: true,
		Clusters: []uint16{clusterBasic, zigbee.ClusterTuya}, Quirks: map[string]any{"tuya": map[string]any{"query": true, "timeStart": "1970"}}}
	for _, p := range l.Points() {
		if p.Row == nil {
			continue
		}
		access := Published
		if slices.Contains(settable, p.Row.Property) {
			access |= Settable
		}
		d.Datapoints = append(d.Datapoints, *p.Row)
		d.Exposes = append(d.Exposes, p.expose(access))
	}
	return d
}

// expose is what a named datapoint shows.
func (p *Learnt) expose(access Access) *Expose {
	row := p.Row
	e := &Expose{Type: "numeric", Name: row.Property, Property: row.Property, Access: access,
		Label: strings.ToUpper(row.Property[:1]) + strings.ReplaceAll(row.Property[1:], "_", " ")}
	switch {
	case row.Kind == "bool" || row.Kind == "identity" && p.Type == "bool":
		e.Type, e.ValueOn, e.ValueOff = "binary", true, false
		if row.Kind == "bool" {
			e.ValueOn, e.ValueOff = row.Enum[1], row.Enum[0]
		}
	case row.Kind == "enum":
		e.Type = "enum"
		var wires []int64
		for n := range row.Enum {
			wires = append(wires, n)
		}
		slices.Sort(wires)
		for _, n := range wires {
			e.Values = append(e.Values, row.Enum[n])
		}
	case p.Type == "string" || p.Type == "raw":
		e.Type = "text"
	default:
		e.Unit = units[row.Property]
	}
	return e
}
