package devices

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Outcome is what one key of a command becomes.
type Outcome struct {
	Key      string // as the user wrote it
	Endpoint uint8  // that it is for; 0: not said
	Result
	Err error
}

// traits are all that there are. Where two know the same, the later one is the
// more special and wins.
func traits() []*Trait {
	return slices.Concat(
		actuatorTraits,
		sensorTraits,
		vendorTraits,
		[]*Trait{greenPowerTrait},
		tableTraits(),
	)
}

// nameless are the exposes that have no name of their own, but features.
var nameless = []string{"light", "switch", "cover", "lock", "fan", "climate"}

// Bind finds the traits that are at work. The first use of a definition does it
// too; one that several goroutines use has to be bound before.
func (d *Definition) Bind() {
	if d.traits != nil {
		return
	}
	names := make(map[string]bool)
	for _, x := range d.Exposes {
		names[x.Type] = true
		names[x.Name] = true
		if slices.Contains(nameless, x.Type) {
			for _, f := range x.Features {
				names[f.Name] = true
			}
		}
	}
	d.index()
	if converters, ok := d.quirk("converters"); ok { // they are called what they expose
		list, _ := converters.([]any)
		for _, name := range list {
			text, _ := name.(string)
			names[text] = true
		}
	}
	d.traits = []*Trait{}
	for _, t := range traits() {
		exposed := len(t.Exposes) == 0 || slices.ContainsFunc(t.Exposes, func(n string) bool { return names[n] })
		used := len(t.Clusters) == 0 || slices.ContainsFunc(t.Clusters, func(c uint16) bool { return slices.Contains(d.Clusters, c) })
		if exposed && used {
			d.traits = append(d.traits, t)
		}
	}
}

// index finds the properties that are exposed.
func (d *Definition) index() {
	if d.properties != nil {
		return
	}
	d.properties = make(map[string]bool)
	for _, x := range d.Exposes {
		d.properties[x.Property] = true
		if slices.Contains(nameless, x.Type) {
			for _, f := range x.Features {
				d.properties[f.Property] = true
			}
		}
	}
}

func (d *Definition) bind() []*Trait {
	d.Bind()
	return d.traits
}

// Decode returns what a message says: values by property, as they are published,
// and those that are to be published later.
func (d *Definition) Decode(c *Context, m zigbee.Message) (Values, []Later) {
	c.Definition, c.Endpoint, c.later = d, m.Endpoint, nil
	c.suffix, c.judged = "", false
	values := make(Values)
	for _, t := range d.bind() {
		if t.Decode == nil || len(t.Clusters) > 0 && !slices.Contains(t.Clusters, m.Cluster) {
			continue
		}
		first := len(c.later)
		maps.Copy(values, d.named(t, t.Decode(c, m), m.Endpoint))
		for i := first; i < len(c.later); i++ {
			c.later[i].Values = d.named(t, c.later[i].Values, m.Endpoint)
		}
	}
	for i := range d.Attributes {
		if a := &d.Attributes[i]; a.Kind == "nothing" && a.says(m) && !(a.Cluster == clusterPower && d.is("distrusted")) { // the voltage says it
			delete(values, a.Property)
		}
	}
	d.calibrate(values, c.Options)
	maps.DeleteFunc(values, func(_ string, v any) bool { return endless(v) })
	return values, c.later
}

// endless says that a value is, or holds, a number that JSON cannot write: infinite, or none
// at all, as devices tell what they do not know (ZCL, section 2.6.2.8).
func endless(v any) bool {
	switch v := v.(type) {
	case float64:
		return math.IsNaN(v) || math.IsInf(v, 0)
	case map[string]any:
		for _, member := range v {
			if endless(member) {
				return true
			}
		}
	case zcl.List:
		return slices.ContainsFunc(v.Items, endless)
	case zcl.Struct:
		return slices.ContainsFunc(v, func(f zcl.Field) bool { return endless(f.Value) })
	}
	return false
}

// says that the message tells of the attribute of the row.
func (a *Attribute) says(m zigbee.Message) bool {
	_, ok := reported(m, a.ID)
	return ok && a.Cluster == m.Cluster && (a.Endpoint == 0 || a.Endpoint == m.Endpoint)
}

// named returns the values of a trait by property with endpoint.
func (d *Definition) named(t *Trait, values Values, endpoint uint8) Values {
	if t.Named {
		return values
	}
	named := make(Values, len(values))
	for property, value := range values {
		named[d.property(property, endpoint)] = value
	}
	return named
}

// property is the name of a property of an endpoint in the state: what the
// definition exposes, with the name of the endpoint or without it, and else what
// MultiEndpoint says. An action carries the name of its endpoint in its value.
func (d *Definition) property(name string, endpoint uint8) string {
	suffix := d.suffix(endpoint)
	if suffix == "" || name == "action" || strings.HasPrefix(name, "action_") {
		return name
	}
	d.index()
	switch {
	case d.properties[name+suffix]:
		return name + suffix
	case strings.HasSuffix(name, suffix) && d.properties[name]:
		return name
	case d.properties[name], !d.MultiEndpoint, slices.Contains(d.MultiEndpointSkip, name):
		return name
	}
	return name + suffix
}

// suffix is what the properties of an endpoint end in, empty if it has no name.
// The name "default" tells where commands go that name no endpoint.
func (d *Definition) suffix(endpoint uint8) string {
	if endpoint == 0 {
		return ""
	}
	found := ""
	for name, id := range d.Endpoints {
		if id == endpoint && name != "default" && (found == "" || len(name) < len(found) || len(name) == len(found) && name < found) {
			found = name
		}
	}
	switch {
	case found != "":
		return "_" + found
	case d.MultiEndpoint && len(d.Endpoints) == 0: // they go by their numbers
		return "_" + strconv.Itoa(int(endpoint))
	}
	return ""
}

// Split takes the name of an endpoint off the end of a key, if the definition has such
// an endpoint.
func (d *Definition) Split(key string) (name string, endpoint uint8) {
	longest := ""
	for suffix, id := range d.Endpoints {
		if suffix == "default" || len(suffix) < len(longest) {
			continue
		}
		if n, ok := strings.CutSuffix(key, "_"+suffix); ok && n != "" {
			name, endpoint, longest = n, id, suffix
		}
	}
	if endpoint == 0 {
		return key, 0
	}
	return name, endpoint
}

// lookup finds the trait that knows a key: as the definition has it, of the endpoint
// whose name it ends in, or of the whole device.
func (d *Definition) lookup(key string, get bool) (t *Trait, name string, endpoint uint8) {
	has := func(t *Trait) bool { return t.Set != nil && !get || t.Get != nil && get }
	for _, t := range slices.Backward(d.bind()) {
		if has(t) && t.Takes != nil && t.Takes(d, key, get) {
			return t, key, 0
		}
	}
	if name, endpoint = d.Split(key); endpoint != 0 {
		if t = d.knows(name, endpoint, has); t != nil {
			return t, name, endpoint
		}
	}
	return d.knows(key, 0, has), key, 0
}

// knows returns the trait that knows the key. Where endpoints differ, such as a
// light and a switch in one device, it is the one whose expose the endpoint has.
func (d *Definition) knows(key string, endpoint uint8, has func(*Trait) bool) *Trait {
	var found *Trait
	suffix := d.suffix(endpoint)
	for _, t := range slices.Backward(d.bind()) {
		if !has(t) || !slices.Contains(t.Keys, key) {
			continue
		}
		if suffix == "" {
			return t
		}
		for _, e := range d.Exposes {
			if "_"+e.Endpoint == suffix && (slices.Contains(t.Exposes, e.Type) || slices.Contains(t.Exposes, e.Name)) {
				return t
			}
		}
		if found == nil {
			found = t
		}
	}
	return found
}

// Set returns what the keys of c.Message become, in the order in which it is to be
// sent: state and brightness first, since bulbs take a color only while they are
// on, but a state of OFF last.
func (d *Definition) Set(c *Context) []Outcome {
	c.Definition = d
	endpoint, message := c.Endpoint, c.Message
	defer func() { c.Endpoint, c.Message, c.suffix = endpoint, message, "" }()

	keys := slices.Sorted(maps.Keys(message))
	state, _ := message["state"].(string)
	off := strings.EqualFold(state, "off")
	slices.SortStableFunc(keys, func(a, b string) int { return rank(a, off) - rank(b, off) })
	type done struct {
		t        *Trait
		endpoint uint8
	}
	ran := make(map[done]bool)
	taken := make(map[string]bool)
	var outcomes []Outcome
	for _, key := range keys {
		if taken[key] {
			continue
		}
		t, name, of := d.lookup(key, false)
		if of == 0 {
			of = endpoint
		}
		o := Outcome{Key: key, Endpoint: of}
		if t == nil {
			o.Err = noConverter(key)
			outcomes = append(outcomes, o)
			continue
		}
		// A trait sees the whole message and takes what it knows of it, so it
		// runs once for an endpoint, unless it says otherwise.
		if ran[done{t, of}] && !t.Each {
			continue
		}
		ran[done{t, of}] = true
		c.Endpoint, c.suffix = of, d.suffix(of)
		c.Message = stripped(message, c.suffix)
		o.Result, o.Err = t.Set(c, name, message[key])
		for _, k := range o.Taken {
			taken[k] = true
			taken[k+c.suffix] = true
		}
		// The name of the endpoint goes to all that was assumed for it.
		if len(o.State) > 0 && c.suffix != "" && !t.Named {
			named := make(Values, len(o.State))
			for property, value := range o.State {
				named[property+c.suffix] = value
			}
			o.State = named
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// stripped is the message with the name of the endpoint taken off its keys.
func stripped(message Values, suffix string) Values {
	own := make(Values, len(message))
	maps.Copy(own, message)
	if suffix == "" {
		return own
	}
	for key, value := range message {
		if name, ok := strings.CutSuffix(key, suffix); ok {
			delete(own, key)
			own[name] = value
		}
	}
	return own
}

// rank says when a key is sent.
func rank(key string, off bool) int {
	switch key {
	case "state", "brightness", "brightness_percent":
		if off {
			return 2
		}
		return 0
	}
	return 1
}

func noConverter(key string) error {
	return fmt.Errorf("no converter available for %q: see the exposes of the device for its keys", key)
}

// Get returns the requests that read the keys of c.Message.
func (d *Definition) Get(c *Context) []Outcome {
	c.Definition = d
	endpoint, message := c.Endpoint, c.Message
	defer func() { c.Endpoint, c.Message, c.suffix = endpoint, message, "" }()

	var outcomes []Outcome
	for _, key := range slices.Sorted(maps.Keys(message)) {
		t, name, of := d.lookup(key, true)
		if of == 0 {
			of = endpoint
		}
		o := Outcome{Key: key, Endpoint: of}
		if t == nil {
			o.Err = noConverter(key)
		} else {
			c.Endpoint, c.suffix = of, d.suffix(of)
			c.Message = stripped(message, c.suffix)
			o.Requests, o.Err = t.Get(c, name)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// Steps returns what has to be set up in a device so that it tells by itself what
// it knows.
func (d *Definition) Steps(c *Context) []Step {
	c.Definition = d
	var steps []Step
	for _, t := range d.bind() {
		if t.Configure == nil {
			continue
		}
		for i := range c.Device.Endpoints {
			e := &c.Device.Endpoints[i]
			clusters := e.Input
			if t.Client {
				clusters = e.Output
			}
			if len(t.Clusters) > 0 && !slices.ContainsFunc(t.Clusters, func(id uint16) bool { return slices.Contains(clusters, id) }) {
				continue
			}
			c.Endpoint = e.ID
			steps = append(steps, t.Configure(c, e.ID)...)
		}
	}
	return steps
}
