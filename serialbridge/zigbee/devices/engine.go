package devices

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lintel/serialbridge/zigbee"
)

// Outcome is what one key of a command becomes.
type Outcome struct {
	Key      string // as the user wrote it
	Endpoint uint8  // that it is for; 0: not said
	Result
	Err error
}

// traits are all that there are, in the order in which they are asked.
func traits() []*Trait {
	return slices.Concat(
		actuatorTraits,
		sensorTraits,
		vendorTraits,
	)
}

// bind finds the traits that are at work.
func (d *Definition) bind() []*Trait {
	if d.traits != nil {
		return d.traits
	}
	names := make(map[string]bool)
	for _, e := range d.Exposes {
		names[e.Type] = true
		names[e.Name] = true
	}
	for _, t := range traits() {
		exposed := len(t.Exposes) == 0 || slices.ContainsFunc(t.Exposes, func(n string) bool { return names[n] })
		used := len(t.Clusters) == 0 || slices.ContainsFunc(t.Clusters, func(c uint16) bool { return slices.Contains(d.Clusters, c) })
		if exposed && used {
			d.traits = append(d.traits, t)
		}
	}
	return d.traits
}

// Decode returns what a message says: values by property, as they are published,
// and those that are to be published later.
func (d *Definition) Decode(c *Context, m zigbee.Message) (Values, []Later) {
	c.Definition, c.Endpoint, c.later = d, m.Endpoint, nil
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
	d.calibrate(values, c.Options)
	return values, c.later
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

// property is the name of a property of an endpoint in the state.
func (d *Definition) property(name string, endpoint uint8) string {
	if !d.MultiEndpoint || slices.Contains(d.MultiEndpointSkip, name) {
		return name
	}
	for suffix, id := range d.Endpoints {
		if id == endpoint {
			if strings.HasSuffix(name, "_"+suffix) {
				return name
			}
			return name + "_" + suffix
		}
	}
	return name
}

// Split takes the name of an endpoint off the end of a key, if the definition has such
// an endpoint and the key is none of its own.
func (d *Definition) Split(key string) (name string, endpoint uint8) {
	for suffix, id := range d.Endpoints {
		if name, ok := strings.CutSuffix(key, "_"+suffix); ok && name != "" {
			return name, id
		}
	}
	return key, 0
}

// Set returns what the keys of c.Message become, in the order in which it is to be
// sent: state and brightness first, since bulbs take a color only while they are
// on, but a state of OFF last.
func (d *Definition) Set(c *Context) []Outcome {
	c.Definition = d
	endpoint := c.Endpoint
	keys := slices.Sorted(maps.Keys(c.Message))
	off := strings.EqualFold(fmt.Sprint(c.Message["state"]), "off")
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
		name, of := key, uint8(0)
		t := d.settable(key)
		if t == nil {
			if name, of = d.Split(key); of != 0 {
				t = d.settable(name)
			}
		}
		if of == 0 {
			of = endpoint
		}
		o := Outcome{Key: key, Endpoint: of}
		if t == nil {
			o.Err = fmt.Errorf("no converter available for %q: see the exposes of the device for its keys", key)
			outcomes = append(outcomes, o)
			continue
		}
		if ran[done{t, of}] {
			continue
		}
		ran[done{t, of}] = true
		c.Endpoint = of
		o.Result, o.Err = t.Set(c, name, c.Message[key])
		for _, k := range o.Taken {
			taken[k] = true
		}
		o.State = d.named(t, o.State, c.Endpoint)
		outcomes = append(outcomes, o)
	}
	c.Endpoint = endpoint
	return outcomes
}

func rank(key string, off bool) int {
	for _, first := range []string{"state", "brightness", "brightness_percent"} {
		if key == first || strings.HasPrefix(key, first+"_") && first == "state" {
			if off {
				return 2
			}
			return 0
		}
	}
	return 1
}

func (d *Definition) settable(key string) *Trait {
	for _, t := range d.bind() {
		if t.Set != nil && t.Takes != nil && t.Takes(d, key, false) {
			return t
		}
	}
	for _, t := range d.bind() {
		if t.Set != nil && slices.Contains(t.Keys, key) {
			return t
		}
	}
	return nil
}

// Get returns the requests that read the keys of c.Message.
func (d *Definition) Get(c *Context) []Outcome {
	c.Definition = d
	endpoint := c.Endpoint
	var outcomes []Outcome
	for _, key := range slices.Sorted(maps.Keys(c.Message)) {
		o := Outcome{Key: key, Endpoint: endpoint}
		name := key
		t := d.gettable(key)
		if t == nil {
			var of uint8
			if name, of = d.Split(key); of != 0 {
				t, o.Endpoint = d.gettable(name), of
			}
		}
		if t == nil {
			o.Err = fmt.Errorf("no converter available for %q: see the exposes of the device for its keys", key)
		} else {
			c.Endpoint = o.Endpoint
			o.Requests, o.Err = t.Get(c, name)
		}
		outcomes = append(outcomes, o)
	}
	c.Endpoint = endpoint
	return outcomes
}

func (d *Definition) gettable(key string) *Trait {
	for _, t := range d.bind() {
		if t.Get != nil && t.Takes != nil && t.Takes(d, key, true) {
			return t
		}
	}
	for _, t := range d.bind() {
		if t.Get != nil && slices.Contains(t.Keys, key) {
			return t
		}
	}
	return nil
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
			if len(t.Clusters) > 0 && !slices.ContainsFunc(t.Clusters, func(id uint16) bool { return slices.Contains(e.Input, id) || slices.Contains(e.Output, id) }) {
				continue
			}
			c.Endpoint = e.ID
			steps = append(steps, t.Configure(c, e.ID)...)
		}
	}
	return steps
}
