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

// target is the endpoint that a command for a cluster goes to: the one that was named,
// else the one that the definition calls default, else the first that has the
// cluster.
func (c *Context) target(cluster uint16) uint8 {
	if c.Endpoint != 0 || c.Device == nil {
		return c.Endpoint
	}
	if id := c.Definition.Endpoints["default"]; id != 0 {
		return id
	}
	for _, e := range c.Device.Endpoints {
		if slices.Contains(e.Input, cluster) {
			return e.ID
		}
	}
	if len(c.Device.Endpoints) > 0 {
		return c.Device.Endpoints[0].ID
	}
	return zigbee.EndpointHome
}

// readOf returns a Get that reads attributes.
func readOf(cluster uint16, ids ...uint16) func(*Context, string) ([]zigbee.Request, error) {
	return func(c *Context, _ string) ([]zigbee.Request, error) {
		return []zigbee.Request{readRequest(c.target(cluster), cluster, 0, ids...)}, nil
	}
}

func readRequest(endpoint uint8, cluster, manufacturer uint16, ids ...uint16) zigbee.Request {
	return zigbee.Request{Endpoint: endpoint, Cluster: cluster, Frame: zcl.Frame{
		DisableDefaultResponse: true, ManufacturerCode: manufacturer,
		Command: zcl.ReadAttributes, Payload: zcl.AppendIDs(nil, ids...)}}
}

func writeRequest(endpoint uint8, cluster, manufacturer uint16, attributes ...zcl.Attribute) (zigbee.Request, error) {
	payload, err := zcl.AppendAttributes(nil, zcl.WriteAttributes, attributes)
	return zigbee.Request{Endpoint: endpoint, Cluster: cluster, Frame: zcl.Frame{
		DisableDefaultResponse: true, ManufacturerCode: manufacturer,
		Command: zcl.WriteAttributes, Payload: payload}}, err
}

// report binds a cluster and sets reports up, four in a message: more do not fit
// with some stacks.
func report(endpoint uint8, cluster uint16, reports ...zigbee.Reporting) []Step {
	steps := []Step{{Endpoint: endpoint, Bind: []uint16{cluster}}}
	for i := range reports {
		reports[i].Cluster = cluster
	}
	for chunk := range slices.Chunk(reports, 4) {
		steps = append(steps, Step{Endpoint: endpoint, Report: chunk})
	}
	return steps
}

// readStep reads what is reported later, so that it is known at once. A device that
// does not answer is no reason to give up.
func readStep(endpoint uint8, cluster uint16, ids ...uint16) Step {
	request := readRequest(endpoint, cluster, 0, ids...)
	return Step{Endpoint: endpoint, Request: &request, Optional: true}
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
