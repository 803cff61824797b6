package devices

import (
	"fmt"
	"math"
	"slices"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// tableTraits are those of rows of a definition. It is a function since rows are named
// by what is exposed, and so bound.
func tableTraits() []*Trait { return []*Trait{wakeTrait, datapointTrait, attributeTrait()} }

// attributeTrait is that of the rows in Definition.Attributes.
func attributeTrait() *Trait {
	return &Trait{
		Name: "attributes", Named: true,
		Decode: func(c *Context, m zigbee.Message) Values {
			if c.Definition.special(m) || m.Frame.Type == zcl.Specific && c.Definition.hasCommand(m) && c.repeated(m) {
				return nil
			}
			values := Values{}
			for i := range c.Definition.Attributes {
				a := &c.Definition.Attributes[i]
				if a.Cluster != m.Cluster {
					continue
				}
				for property, value := range a.decode(c, m) {
					if a.Endpoint == 0 {
						property = c.Definition.property(property, m.Endpoint)
					}
					values[property] = value
				}
			}
			return values
		},
		Takes: func(d *Definition, key string, get bool) bool {
			a := d.attribute(key)
			return a != nil && (get && a.Read || !get && a.Type != zcl.NoData)
		},
		Set: func(c *Context, key string, value any) (Result, error) {
			a := c.Definition.attribute(key)
			result, err := a.set(c, value)
			if a.Endpoint == 0 {
				result.State = c.Definition.named(&Trait{}, result.State, c.Endpoint)
			}
			return result, err
		},
		Get: func(c *Context, key string) ([]zigbee.Request, error) {
			return []zigbee.Request{c.Definition.attribute(key).read(c)}, nil
		},
		Configure: configureAttributes,
	}
}

// special says that a trait knows more of the message than rows can say.
func (d *Definition) special(m zigbee.Message) bool {
	switch m.Cluster {
	case clusterPressure:
		return d.uses("pressure")
	case clusterAnalogInput, clusterMultistateInput:
		return d.Model == "MFKZQ01LM" || d.Model == "CTP-R01"
	case clusterDoorLock:
		return d.uses("lumi.lumi_vibration_analog")
	case clusterLumi:
		_, turned := reported(m, knobTurned)
		_, slid := reported(m, sliderMoved)
		return turned || slid
	}
	return false
}

// hasCommand says that a row is of the command of the message.
func (d *Definition) hasCommand(m zigbee.Message) bool {
	return slices.ContainsFunc(d.Attributes, func(a Attribute) bool {
		return a.Cluster == m.Cluster && a.Command != nil && *a.Command == m.Frame.Command
	})
}

// attribute finds the row of a key.
func (d *Definition) attribute(key string) *Attribute {
	i := slices.IndexFunc(d.Attributes, func(a Attribute) bool { return a.Property == key })
	if i < 0 {
		return nil
	}
	return &d.Attributes[i]
}

// setting makes a trait of a row, for what many models have.
func setting(a Attribute) *Trait {
	t := &Trait{
		Name: a.Property, Exposes: []string{a.Property}, Clusters: []uint16{a.Cluster}, Keys: []string{a.Property},
		Decode: func(c *Context, m zigbee.Message) Values { return a.decode(c, m) },
	}
	if a.Type != zcl.NoData {
		t.Set = func(c *Context, _ string, value any) (Result, error) { return a.set(c, value) }
	}
	if a.Read {
		t.Get = func(c *Context, _ string) ([]zigbee.Request, error) { return []zigbee.Request{a.read(c)}, nil }
		t.Configure = func(c *Context, endpoint uint8) []Step {
			if !serves(c, endpoint, a.Cluster) || !c.Definition.shows(a.Property) {
				return nil
			}
			return []Step{a.readStep(endpoint)}
		}
	}
	return t
}

// decode returns what a message says of the row.
func (a *Attribute) decode(c *Context, m zigbee.Message) Values {
	if a.Endpoint != 0 && a.Endpoint != m.Endpoint {
		return nil
	}
	var raw any
	if a.Command != nil {
		f := m.Frame
		if f.Type != zcl.Specific || f.Command != *a.Command {
			return nil
		}
		raw = uint64(0)
		if len(f.Payload) > 0 {
			raw = uint64(f.Payload[0])
		}
	} else if a.Tag != nil {
		members := structureOf(m, a.ID)
		var ok bool
		if raw, ok = members[*a.Tag]; !ok {
			return nil
		}
		if raw = a.plausible(raw); raw == nil {
			return nil
		}
	} else {
		var ok bool
		if raw, ok = reported(m, a.ID); !ok {
			return nil
		}
		if n, ok := numberOf(raw); ok && n == 0xff && a.Cluster == clusterPower {
			return nil // not known
		}
		if m.Frame.ManufacturerCode != 0 && a.ManufacturerCode != 0 && m.Frame.ManufacturerCode != a.ManufacturerCode {
			return nil
		}
		if m.Frame.ManufacturerCode == 0 && a.ManufacturerCode != 0 && standardAttribute(a.Cluster, a.ID) {
			return nil // it is that of the standard; the maker's has the same number
		}
	}
	return a.values(c, a.Property, raw)
}

// values converts a value into what the state gets.
func (v *Conversion) values(c *Context, property string, raw any) Values {
	value, ok := v.decode(c, raw)
	if !ok {
		return nil
	}
	if several, ok := value.(Values); ok {
		if own, ok := several[""]; ok { // that of the property itself
			delete(several, "")
			several[property] = own
			return several
		}
		if property == "" {
			return several
		}
	}
	if property != "" {
		return Values{property: value}
	}
	several, _ := value.(map[string]any)
	return several
}

// set returns the write of a value of the user.
func (a *Attribute) set(c *Context, value any) (Result, error) {
	raw, err := a.encode(c, value)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", a.Property, err)
	}
	if n, ok := raw.(float64); ok && a.Type != zcl.Single && a.Type != zcl.Double && a.Type != zcl.Semi {
		raw = math.Floor(n + 0.5)
	}
	request, err := writeRequest(a.endpoint(c), a.Cluster, a.ManufacturerCode, zcl.Attribute{ID: a.ID, Type: a.Type, Value: raw})
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", a.Property, err)
	}
	return Result{Requests: []zigbee.Request{request}, State: Values{a.Property: value}}, nil
}

func (a *Attribute) endpoint(c *Context) uint8 {
	if a.Endpoint != 0 {
		return a.Endpoint
	}
	return c.target(a.Cluster)
}

func (a *Attribute) read(c *Context) zigbee.Request {
	return readRequest(a.endpoint(c), a.Cluster, a.ManufacturerCode, a.ID)
}

func (a *Attribute) readStep(endpoint uint8) Step {
	request := readRequest(endpoint, a.Cluster, a.ManufacturerCode, a.ID)
	return Step{Endpoint: endpoint, Request: &request, Optional: true}
}

// configureAttributes sets up the rows of an endpoint: binding and reports of those that
// report, and a read of those that can be read.
func configureAttributes(c *Context, endpoint uint8) []Step {
	var steps []Step
	var bound []uint16
	for i := range c.Definition.Attributes {
		a := &c.Definition.Attributes[i]
		if !serves(c, endpoint, a.Cluster) || a.Endpoint != 0 && a.Endpoint != endpoint || a.Command != nil || a.Tag != nil {
			continue
		}
		if a.Report != nil {
			if !slices.Contains(bound, a.Cluster) {
				bound = append(bound, a.Cluster)
				steps = append(steps, Step{Endpoint: endpoint, Bind: []uint16{a.Cluster}})
			}
			steps = append(steps, Step{Endpoint: endpoint, Report: []zigbee.Reporting{{
				Cluster: a.Cluster, ManufacturerCode: a.ManufacturerCode, Attribute: a.ID, Type: uint8(a.reportType()),
				Min: a.Report.Min, Max: a.Report.Max, Change: a.Report.Change}}})
		}
		if a.Read {
			steps = append(steps, a.readStep(endpoint))
		}
	}
	return steps
}

// reportType is the type that a report of the row is set up with.
func (a *Attribute) reportType() zcl.Type {
	if a.Report.Type != zcl.NoData {
		return a.Report.Type
	}
	return a.Type
}

// standardAttribute says that the standard has an attribute of that number. The table
// has makers' too, from 0x4000 on.
func standardAttribute(cluster, id uint16) bool {
	c := zcl.ClusterByID(cluster)
	return c != nil && id < 0x4000 && c.Attribute(id) != nil
}
