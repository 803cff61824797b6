package devices

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lintel/serialbridge/zigbee"
)

// Meaning is what a user says of a datapoint.
type Meaning struct {
	ID       uint8  `json:"dp"`
	Property string `json:"name"` // empty: the datapoint has no meaning any more
	// Kind is identity, scale, enum or bool, as a Conversion has it.
	Kind    string  `json:"kind"`
	Divisor float64 `json:"divisor,omitempty"` // of a scale
	Unit    string  `json:"unit,omitempty"`    // of a number
	// Values are number on the wire → value in the state, of an enum or a bool; a bool
	// without any is true and false.
	Values   map[int64]any `json:"values,omitempty"`
	Settable bool          `json:"settable,omitempty"`
}

// Limits of what is said of a datapoint.
const (
	maxMeaningText = 64 // bytes of a name, a unit, a value
	maxMeaningEnum = 64 // values
)

// taken are names that the state has for something else.
var taken = []string{"linkquality", "last_seen", "elapsed", "update", "update_available", "device"}

// check says what is wrong with a meaning, and fills in what goes without saying.
func (m *Meaning) check(typ string) error {
	if m.Property == "" {
		return nil
	}
	bad := func(text string) bool {
		return len(text) > maxMeaningText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl)
	}
	switch {
	case strings.Trim(m.Property, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || len(m.Property) > maxMeaningText:
		return fmt.Errorf("%.64q is no name of a property: it is of at most %d small letters, digits and _", m.Property, maxMeaningText)
	case slices.Contains(taken, m.Property):
		return fmt.Errorf("%s means something else in every state: choose another name", m.Property)
	case !slices.Contains([]string{"identity", "scale", "enum", "bool"}, m.Kind):
		return fmt.Errorf("%.20q is no kind: it is identity, scale, enum or bool", m.Kind)
	case m.Kind == "scale" && (!(m.Divisor > 0) || math.IsInf(m.Divisor, 0)):
		return errors.New("a scale needs a divisor above zero, such as 10")
	case m.Kind == "scale" && typ != "number" && typ != "enum" && typ != "bitmap":
		return fmt.Errorf("it is of the type %s, which is no number: a scale does not fit", typ)
	case m.Kind == "enum" && len(m.Values) == 0:
		return errors.New("an enum needs its values, such as 0=low, 1=high")
	case len(m.Values) > maxMeaningEnum:
		return fmt.Errorf("there are %d values; at most %d are possible", len(m.Values), maxMeaningEnum)
	case (m.Kind == "enum" || m.Kind == "bool") && (typ == "raw" || typ == "string"):
		return fmt.Errorf("it is of the type %s, which has no numbers: choose identity", typ)
	case bad(m.Unit):
		return fmt.Errorf("the unit is longer than %d bytes, or not a text", maxMeaningText)
	}
	if m.Kind != "scale" {
		m.Divisor = 0
	}
	if m.Kind != "enum" && m.Kind != "bool" {
		m.Values = nil
		return nil
	}
	m.Unit = ""
	if m.Kind == "bool" && len(m.Values) == 0 {
		m.Values = map[int64]any{0: false, 1: true}
	}
	shown := make(map[string]int64)
	for n, value := range m.Values {
		switch v := value.(type) {
		case bool, float64, int64: // of JSON or TOML
		case string:
			if v == "" || bad(v) {
				return fmt.Errorf("the value of %d is empty, longer than %d bytes, or not a text", n, maxMeaningText)
			}
		default:
			return fmt.Errorf("the value of %d is none: it is a text, a number, true or false", n)
		}
		text := strings.ToLower(fmt.Sprint(value))
		if other, again := shown[text]; again {
			return fmt.Errorf("%d and %d both mean %s: give them different values", min(n, other), max(n, other), text)
		}
		shown[text] = n
	}
	if _, off := m.Values[0]; m.Kind == "bool" && (len(m.Values) != 2 || !off || m.Values[1] == nil) {
		return errors.New("a bool has the values of 0 and 1, such as 0=OFF, 1=ON, or none for false and true")
	}
	return nil
}

// meanings are what a user says with a definition, by the rows of its datapoints; false if it
// says something else too.
func (d *Definition) meanings() (meanings []Meaning, ok bool) {
	if len(d.Attributes) > 0 || len(d.Endpoints) > 0 || d.OTA || d.Icon != "" || !reflect.DeepEqual(d.Quirks, learntQuirks()) ||
		slices.ContainsFunc(d.Clusters, func(c uint16) bool { return c != clusterBasic && c != zigbee.ClusterTuya }) {
		return nil, false
	}
	shows := 0
	for _, e := range d.Exposes {
		if e.Property != "linkquality" { // which all devices show besides
			shows++
		}
	}
	for _, row := range d.Datapoints {
		i := slices.IndexFunc(d.Exposes, func(e *Expose) bool { return e.Property == row.Property && e.Name == row.Property })
		if i < 0 {
			return nil, false
		}
		e := d.Exposes[i]
		shows--
		m := Meaning{ID: row.ID, Property: row.Property, Kind: row.Kind, Divisor: row.Divisor, Unit: e.Unit, Values: row.Enum, Settable: e.Access&Settable != 0}
		if row.Type == "" || row.Precision != nil || row.Otherwise != nil || row.Argument != nil || row.Silent || m.check(row.Type) != nil ||
			e.ValueMin != nil || e.ValueMax != nil || e.ValueStep != nil || e.Category != "" || e.Description != "" ||
			slices.ContainsFunc(meanings, func(other Meaning) bool { return other.ID == m.ID }) {
			return nil, false
		}
		meanings = append(meanings, m)
	}
	return meanings, shows == 0
}

// learntQuirks are those of all that a Learner makes: it is asked what it has to tell,
// and gets the time as most such devices count it.
func learntQuirks() map[string]any {
	return map[string]any{"tuya": map[string]any{"query": true, "timeStart": "1970"}}
}

// expose is what a named datapoint shows.
func (m *Meaning) expose(typ string) *Expose {
	e := &Expose{Type: "numeric", Name: m.Property, Property: m.Property, Access: Published,
		Label: strings.ToUpper(m.Property[:1]) + strings.ReplaceAll(m.Property[1:], "_", " ")}
	if m.Settable {
		e.Access |= Settable
	}
	switch {
	case m.Kind == "bool":
		e.Type, e.ValueOn, e.ValueOff = "binary", m.Values[1], m.Values[0]
	case m.Kind == "identity" && typ == "bool":
		e.Type, e.ValueOn, e.ValueOff = "binary", true, false
	case m.Kind == "enum":
		e.Type = "enum"
		for _, n := range slices.Sorted(maps.Keys(m.Values)) {
			e.Values = append(e.Values, m.Values[n])
		}
	case typ == "string" || typ == "raw":
		e.Type = "text"
	default:
		e.Unit = m.Unit
	}
	return e
}
