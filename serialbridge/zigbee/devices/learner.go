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
	Count   int       `json:"count"` // 0: it is known by its meaning only
	Heard   time.Time `json:"heard"`
	Changed time.Time `json:"changed"`
	// Min and Max are of a number.
	Min float64 `json:"min"`
	Max float64 `json:"max"`
	// Values are those that occurred, if they are few.
	Values []any `json:"values,omitempty"`
	// Guess is what it may be.
	Guess Guess `json:"guess"`
	// Meaning is what the user says it is; nil: nothing yet.
	Meaning *Meaning `json:"meaning,omitempty"`
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
		var meaning *Meaning
		if known != nil {
			meaning = known.Meaning
		}
		known = &Learnt{ID: p.id, Type: pointTypes[p.typ], Changed: at, Meaning: meaning}
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
		if p.Meaning != nil {
			meaning := *p.Meaning // its values are not changed any more
			learnt.Meaning = &meaning
		}
		points = append(points, learnt)
	}
	slices.SortFunc(points, func(a, b Learnt) int { return int(a.ID) - int(b.ID) })
	return points
}

// Name says what datapoints are; those that are not among them keep their names. It
// does nothing if one of them is wrong.
func (l *Learner) Name(meanings []Meaning) error {
	names := make(map[string]uint8)
	said := make(map[uint8]*Meaning)
	for i := range meanings {
		m := meanings[i]
		known := l.points[m.ID]
		switch {
		case known == nil:
			return fmt.Errorf("the device has not told the datapoint %d yet: make it do what it stands for, and look again", m.ID)
		case said[m.ID] != nil:
			return fmt.Errorf("datapoint %d is said to be something twice: say it once", m.ID)
		}
		if err := m.check(known.Type); err != nil {
			return fmt.Errorf("datapoint %d: %w", m.ID, err)
		}
		said[m.ID] = &m
	}
	for id, p := range l.points {
		m := p.Meaning
		if said[id] != nil {
			m = said[id]
		}
		if m == nil || m.Property == "" {
			continue
		}
		if other, taken := names[m.Property]; taken {
			return fmt.Errorf("datapoints %d and %d are both called %s: give one of them another name", min(id, other), max(id, other), m.Property)
		}
		names[m.Property] = id
	}
	for id, m := range said {
		l.points[id].Meaning = m
		if m.Property == "" {
			l.points[id].Meaning = nil
		}
	}
	return nil
}

// Clone returns a Learner that can be told names without the other knowing of them.
func (l *Learner) Clone() *Learner {
	clone := &Learner{points: make(map[uint8]*Learnt, len(l.points))}
	for id, p := range l.points {
		copied := *p
		copied.Values = slices.Clip(p.Values)
		clone.points[id] = &copied
	}
	return clone
}

// Adopt takes meanings from a definition that a user has made of such a device, so that they
// are there before the device has said anything. Of any other definition it takes none.
func (l *Learner) Adopt(d *Definition) {
	if l.points == nil {
		l.points = make(map[uint8]*Learnt)
	}
	for id, p := range l.points {
		if p.Meaning = nil; p.Count == 0 {
			delete(l.points, id)
		}
	}
	if d == nil || !d.External {
		return
	}
	meanings, ok := d.meanings()
	if !ok {
		return
	}
	for i := range meanings {
		m := &meanings[i]
		if l.points[m.ID] == nil {
			l.points[m.ID] = &Learnt{ID: m.ID, Type: d.Datapoints[i].Type}
		}
		l.points[m.ID].Meaning = m
	}
}

// Learnable says whether a Learner can make the definition of a device better: there is none,
// it does not explain the datapoints, or it is one that a Learner could have made.
func (d *Definition) Learnable() bool {
	if d == nil || d.Generated || len(d.Datapoints) == 0 && !d.External {
		return true
	}
	_, ok := d.meanings()
	return d.External && ok
}

// Definition makes a definition of what the user has named, to be saved and given to
// others.
func (l *Learner) Definition(model, vendor, description string) *Definition {
	d := &Definition{Model: model, Vendor: vendor, Description: description, External: true,
		Clusters: []uint16{clusterBasic, zigbee.ClusterTuya}, Quirks: learntQuirks()}
	for _, p := range l.Points() {
		if p.Meaning == nil {
			continue
		}
		m := p.Meaning
		d.Datapoints = append(d.Datapoints, Datapoint{ID: m.ID, Property: m.Property, Type: p.Type,
			Conversion: Conversion{Kind: m.Kind, Divisor: m.Divisor, Enum: m.Values}})
		d.Exposes = append(d.Exposes, m.expose(p.Type))
	}
	return d
}
