package devices

import (
	"slices"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// tells says that a message carries values of attributes: it is a report or the
// answer to a read.
func tells(m zigbee.Message) bool {
	return m.Frame.Type == zcl.Global &&
		(m.Frame.Command == zcl.ReportAttributes || m.Frame.Command == zcl.ReadAttributesResponse)
}

// reported returns the value of an attribute that a message tells.
func reported(m zigbee.Message, id uint16) (any, bool) {
	if !tells(m) {
		return nil, false
	}
	for i := len(m.Attributes) - 1; i >= 0; i-- { // the last one, if it is told twice
		if a := m.Attributes[i]; a.ID == id && a.Status == zcl.Success && a.Value != nil {
			return a.Value, true
		}
	}
	return nil, false
}

// reportedNumber returns the value of an attribute that is a number, or a boolean.
func reportedNumber(m zigbee.Message, id uint16) (float64, bool) {
	value, _ := reported(m, id)
	return numberOf(value)
}

// standardNumber is reportedNumber for an attribute of the standard. A value that the table
// of clusters does not allow, or that says "not known" there, is none.
func standardNumber(m zigbee.Message, id uint16) (float64, bool) {
	value, ok := reported(m, id)
	if !ok || m.Frame.ManufacturerCode != 0 {
		return 0, false
	}
	if cluster := zcl.ClusterByID(m.Cluster); cluster != nil {
		if info := cluster.Attribute(id); info != nil {
			if known, err := info.Check(value); err != nil || !known {
				return 0, false
			}
		}
	}
	return numeric(value)
}

// wordAt returns the word of a number on the wire, if there is one.
func wordAt(words []string, n float64) (string, bool) {
	if !(n >= 0 && n < float64(len(words))) {
		return "", false
	}
	return words[int(n)], true
}

// numberOf returns a number on the wire; true is 1.
func numberOf(value any) (float64, bool) {
	if b, ok := value.(bool); ok {
		if b {
			return 1, true
		}
		return 0, true
	}
	return zcl.Float(value)
}

// known returns a number that the device told last, in this message or before.
func (c *Context) known(m zigbee.Message, id uint16) (float64, bool) {
	if n, ok := reportedNumber(m, id); ok {
		return n, true
	}
	value, _ := c.Attribute(m.Endpoint, m.Cluster, id)
	return numberOf(value)
}

// repeated says that a message of that sequence number came from the endpoint
// before, among the last five: some devices send what they have to say several
// times.
func (c *Context) repeated(m zigbee.Message) bool {
	if c.Memory == nil || c.Definition.is("publishDuplicateTransaction") {
		return false
	}
	if c.judged { // another trait has asked
		return c.again
	}
	c.judged = true
	key := "sequence of endpoint " + string(rune('0'+m.Endpoint))
	last, _ := c.Memory[key].([]uint8)
	if c.again = slices.Contains(last, m.Frame.Sequence); c.again {
		return true
	}
	last = append([]uint8{m.Frame.Sequence}, last...)
	c.Memory[key] = last[:min(5, len(last))]
	return false
}

// serves says that the endpoint has the cluster as a server.
func serves(c *Context, endpoint uint8, cluster uint16) bool {
	if c.Device == nil {
		return false
	}
	e := c.Device.Endpoint(endpoint)
	return e != nil && slices.Contains(e.Input, cluster)
}

// exposed returns what the definition exposes of that property, with or without the
// name of an endpoint.
func (d *Definition) exposed(name string) *Expose {
	for _, e := range d.Exposes {
		if e.Name == name || e.Property == name {
			return e
		}
	}
	return nil
}

func (d *Definition) unit(name string) string {
	if e := d.exposed(name); e != nil {
		return e.Unit
	}
	return ""
}

// truthy says whether an option is set.
func truthy(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	}
	n, ok := zcl.Float(value)
	return !ok || n != 0
}
