package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge"
	"lintel/serialbridge/zigbee/devices"
)

// propertyView is one thing that a device knows or can do, whatever the bridge. A light or
// another kind that is several things in one is as many properties as it has members, with
// keys such as lamp.brightness.
type propertyView struct {
	Key      string   `json:"key"`
	Name     string   `json:"name"`
	Value    any      `json:"value"` // null: not known
	Unit     string   `json:"unit,omitempty"`
	Category string   `json:"category,omitempty"` // config, diagnostic; empty: what the device is for
	Control  control  `json:"control,omitempty"`  // how it is set; empty: it cannot be
	Options  []string `json:"options,omitempty"`  // of a choice, and the words of buttons
	Min      *float64 `json:"min,omitempty"`      // of a number, and of the length of a text
	Max      *float64 `json:"max,omitempty"`
	Step     float64  `json:"step,omitempty"`
	On       any      `json:"on,omitempty"` // values of a switch, where it is not true and false
	Off      any      `json:"off,omitempty"`

	Device string `json:"-"` // its id, on the page of the device
	Note   string `json:"-"` // what a person has to know to set it

	precision int    // decimals; negative: not said
	class     string // device class of Home Assistant
}

// control is how a property is set.
type control string

const (
	switchControl control = "switch" // On or Off
	numberControl control = "number" // Min to Max
	choiceControl control = "choice" // one of Options
	textControl   control = "text"
	buttonControl control = "button"  // is pressed: true
	wordsControl  control = "buttons" // one of Options, each a word of command
	colorControl  control = "color"   // #rrggbb, or an object as it stands in the state
	jsonControl   control = "json"    // an object or a list
)

// serialProperties are those of a device behind a serial stick.
func serialProperties(d *serialbridge.Device, values map[string]any) []propertyView {
	var all []propertyView
	for i := range d.Properties {
		p := &d.Properties[i]
		v := propertyView{Key: p.Key, Name: cmp.Or(p.Name, nameOfKey(p.Key)), Value: values[p.Key], Unit: p.Unit,
			Category: string(p.Category), precision: -1, class: p.Class}
		switch p.Kind {
		case serialbridge.Measurement:
			v.precision = p.Precision
		case serialbridge.Switch:
			v.Control = switchControl
		case serialbridge.Setting:
			v.Control, v.Step, v.precision = numberControl, p.Step, p.Precision
			if p.Min < p.Max {
				v.Min, v.Max = &p.Min, &p.Max
			}
		case serialbridge.Choice:
			v.Control, v.Options = choiceControl, p.Options
		case serialbridge.Button:
			v.Control = buttonControl
		case serialbridge.Raw:
			v.Control = textControl
		case serialbridge.Text:
			v.Control = textControl
			if p.Min < p.Max {
				v.Min, v.Max = &p.Min, &p.Max
			}
		case serialbridge.State, serialbridge.Binary, serialbridge.Event, serialbridge.Tag:
		case serialbridge.Update:
			all = append(all, memberViews(p, v, values)...)
			v.Value, v.Control, v.Options = nil, wordsControl, []string{"install"}
		default:
			all = append(all, memberViews(p, v, values)...)
			continue
		}
		all = append(all, v)
	}
	return all
}

// memberViews are the members of a property that is several things in one.
func memberViews(p *serialbridge.Property, of propertyView, values map[string]any) []propertyView {
	object, _ := values[p.Key].(map[string]any)
	var all []propertyView
	add := func(member string, change func(v *propertyView)) {
		v := of
		v.Key, v.Name, v.Value, v.Unit, v.class = p.Key+"."+member, of.Name+": "+nameOfKey(member), object[member], "", ""
		if member == "state" {
			v.Name, v.class = of.Name, of.class
		}
		change(&v)
		all = append(all, v)
	}
	read := func(v *propertyView) {}
	onOff := func(v *propertyView) { v.Control, v.On, v.Off = switchControl, "ON", "OFF" }
	number := func(low, high, step float64, unit string) func(*propertyView) {
		return func(v *propertyView) {
			v.Control, v.Step, v.Unit = numberControl, step, unit
			if low < high {
				v.Min, v.Max = &low, &high
			}
		}
	}
	choice := func(options ...string) func(*propertyView) {
		return func(v *propertyView) { v.Control, v.Options = choiceControl, options }
	}
	words := func(options ...string) func(*propertyView) {
		return func(v *propertyView) { v.Control, v.Options = wordsControl, options }
	}
	has := p.Has
	switch p.Kind {
	case serialbridge.Light:
		add("state", onOff)
		if has(serialbridge.Brightness) || has(serialbridge.ColorTemperature) || has(serialbridge.RGB) || has(serialbridge.RGBW) {
			add("brightness", number(0, 255, 1, ""))
		}
		if has(serialbridge.ColorTemperature) {
			add("color_temp", number(p.Min, p.Max, 1, "K"))
		}
		if has(serialbridge.RGB) || has(serialbridge.RGBW) {
			add("color", func(v *propertyView) { v.Control = colorControl })
		}
		if len(p.Options) > 0 {
			add("effect", choice(p.Options...))
		}
	case serialbridge.Cover, serialbridge.Valve:
		does := []string{"open", "close"}
		if has(serialbridge.Stop) {
			does = []string{"open", "stop", "close"}
		}
		add("state", words(does...))
		if has(serialbridge.Position) {
			add("position", number(0, 100, 1, "%"))
		}
		if p.Kind == serialbridge.Cover && has(serialbridge.Tilt) {
			add("tilt", number(0, 100, 1, "%"))
		}
	case serialbridge.Climate:
		step := cmp.Or(p.Step, 0.5)
		if len(p.Options) > 0 {
			add("mode", choice(p.Options...))
		}
		if has(serialbridge.Setpoint) {
			add("temperature", number(p.Min, p.Max, step, of.Unit))
		}
		if has(serialbridge.SetpointRange) {
			add("temperature_low", number(p.Min, p.Max, step, of.Unit))
			add("temperature_high", number(p.Min, p.Max, step, of.Unit))
		}
		if has(serialbridge.RoomTemperature) {
			add("current_temperature", func(v *propertyView) { v.Unit = of.Unit })
		}
		if has(serialbridge.RoomHumidity) {
			add("current_humidity", func(v *propertyView) { v.Unit = "%" })
		}
		if has(serialbridge.Action) {
			add("action", read)
		}
		if len(p.Presets) > 0 {
			presets := p.Presets
			if !slices.Contains(presets, "none") {
				presets = append(slices.Clone(presets), "none")
			}
			add("preset", choice(presets...))
		}
	case serialbridge.Lock:
		does := []string{"lock", "unlock"}
		if has(serialbridge.Latch) {
			does = append(does, "open")
		}
		add("state", words(does...))
	case serialbridge.Fan:
		add("state", onOff)
		if p.Max > 0 {
			add("speed", number(0, p.Max, 1, ""))
		}
		if len(p.Presets) > 0 {
			add("preset", choice(p.Presets...))
		}
		if has(serialbridge.Oscillation) {
			add("oscillating", func(v *propertyView) { v.Control = switchControl })
		}
		if has(serialbridge.Direction) {
			add("direction", choice("forward", "reverse"))
		}
	case serialbridge.Siren:
		add("state", onOff)
		if len(p.Options) > 0 {
			add("tone", choice(p.Options...))
		}
		if has(serialbridge.Volume) {
			add("volume_level", number(0, 1, 0.05, ""))
		}
		if has(serialbridge.Duration) {
			add("duration", number(0, 86400, 1, "s"))
		}
	case serialbridge.Tracker:
		for _, member := range []string{"latitude", "longitude", "gps_accuracy", "altitude"} {
			add(member, read)
		}
	case serialbridge.Update:
		for _, member := range []string{"installed_version", "latest_version", "in_progress", "update_percentage"} {
			add(member, read)
		}
	}
	return all
}

// zigbeeProperties are those of a device in the Zigbee network.
func zigbeeProperties(exposes []*devices.Expose, state map[string]any) []propertyView {
	var all []propertyView
	for _, e := range exposes {
		if e.Name == "" { // a light, switch, cover, lock, fan or climate
			for _, f := range e.Features {
				all = append(all, zigbeeProperty(f, state))
			}
			continue
		}
		all = append(all, zigbeeProperty(e, state))
	}
	// Two ways to say one color, or one thing that is told and set in two places.
	seen := make(map[string]int)
	return slices.DeleteFunc(all, func(v propertyView) bool {
		seen[v.Key]++
		return v.Key == "" || seen[v.Key] > 1
	})
}

func zigbeeProperty(e *devices.Expose, state map[string]any) propertyView {
	v := propertyView{Key: e.Property, Name: cmp.Or(e.Label, nameOfKey(e.Name)), Value: state[e.Property], Unit: e.Unit,
		Category: e.Category, precision: -1, Note: e.Description, class: e.Name}
	settable := e.Access&devices.Settable != 0
	if !settable && e.Type != "composite" {
		return v
	}
	switch e.Type {
	case "binary":
		v.Control, v.On, v.Off = switchControl, e.ValueOn, e.ValueOff
	case "numeric":
		v.Control, v.Min, v.Max = numberControl, e.ValueMin, e.ValueMax
		if e.ValueStep != nil {
			v.Step = *e.ValueStep
		}
	case "enum":
		v.Control = choiceControl
		if e.Name == "state" || e.Access&devices.Published == 0 { // what is done, not what is
			v.Control = wordsControl
		}
		for _, value := range e.Values {
			v.Options = append(v.Options, fmt.Sprint(value))
		}
	case "text":
		v.Control = textControl
	case "composite":
		v.Control = jsonControl
		if e.Property == "color" || strings.HasPrefix(e.Property, "color_") {
			v.Control = colorControl
		} else if !settable {
			v.Control = ""
		}
	case "list":
		v.Control = jsonControl
	}
	return v
}

// nameOfKey makes a name from a key: power_delivered becomes Power delivered.
func nameOfKey(key string) string {
	s := strings.TrimSpace(strings.ReplaceAll(key, "_", " "))
	if s == "" {
		return key
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// Number is the value as a number, if it is one.
func (v propertyView) Number() (float64, bool) {
	f, ok := numberOf(v.Value)
	return f, ok && v.Control != colorControl
}

// Known reports whether there is a value.
func (v propertyView) Known() bool { return v.Value != nil }

// Is reports whether the value is that one.
func (v propertyView) Is(value any) bool { return v.Value != nil && sameValue(v.Value, value) }

// IsOn and IsOff are about a switch.
func (v propertyView) IsOn() bool  { return v.Is(cmp.Or(v.On, any(true))) }
func (v propertyView) IsOff() bool { return v.Is(cmp.Or(v.Off, any(false))) }

// OnWord and OffWord are what stands on the buttons of a switch; empty: On and Off.
func (v propertyView) OnWord() string  { return wordOf(v.On, "ON", "true") }
func (v propertyView) OffWord() string { return wordOf(v.Off, "OFF", "false") }

func wordOf(value any, usual ...string) string {
	if value == nil || slices.Contains(usual, fmt.Sprint(value)) {
		return ""
	}
	return fmt.Sprint(value)
}

// Text is the value as a person reads it, without the unit; empty: there is none.
func (v propertyView) Text() string {
	if v.Value == nil {
		return ""
	}
	if v.Control == switchControl {
		switch {
		case v.IsOn():
			return cmp.Or(v.OnWord(), "on")
		case v.IsOff():
			return cmp.Or(v.OffWord(), "off")
		}
	}
	switch value := v.Value.(type) {
	case map[string]any, []any:
		if v.Control == colorControl {
			return v.Color()
		}
		b, _ := json.Marshal(value) // it came from JSON
		return shorten(string(b))
	case string:
		return formatValue(serialbridge.Property{Class: v.class}, value)
	}
	if f, ok := numberOf(v.Value); ok {
		kind := serialbridge.Property{Precision: v.precision}
		if v.precision >= 0 {
			kind.Kind = serialbridge.Measurement
		}
		return formatValue(kind, f)
	}
	return formatValue(serialbridge.Property{}, v.Value)
}

// Raw is the value as it stands in the field of a form.
func (v propertyView) Raw() string {
	switch value := v.Value.(type) {
	case nil:
		return ""
	case string:
		return shorten(value)
	case map[string]any, []any:
		b, _ := json.Marshal(value)
		return string(b)
	}
	if f, ok := numberOf(v.Value); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v.Value)
}

// numberOf returns a value as a number, if it is one.
func numberOf(v any) (float64, bool) {
	switch n := reflect.ValueOf(v); {
	case n.CanFloat():
		return n.Float(), true
	case n.CanInt():
		return float64(n.Int()), true
	case n.CanUint():
		return float64(n.Uint()), true
	}
	return 0, false
}

// sameValue compares what is wanted with what a device says: words in any case, numbers as
// near as devices round them.
func sameValue(x, y any) bool {
	if f, ok := numberOf(x); ok {
		g, ok := numberOf(y)
		return ok && math.Abs(f-g) <= 0.01*max(1, math.Abs(f))
	}
	switch x := x.(type) {
	case string:
		y, ok := y.(string)
		return ok && strings.EqualFold(x, y)
	case bool:
		return x == y
	}
	return false
}
