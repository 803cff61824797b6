package devices

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// The clusters of what can be commanded (ZCL, table 2-2 and the chapters' first
// pages).
const (
	clusterIdentify       = 0x0003
	clusterScenes         = 0x0005
	clusterOnOff          = 0x0006
	clusterLevel          = 0x0008
	clusterDoorLock       = 0x0101
	clusterWindowCovering = 0x0102
	clusterThermostat     = 0x0201
	clusterFan            = 0x0202
	clusterThermostatUI   = 0x0204
	clusterColor          = 0x0300
	clusterBallast        = 0x0301
	clusterWarning        = 0x0502
)

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

// command is a request that has no response of its own: a default response tells
// whether it was taken. What goes to a group is answered by nobody.
func command(c *Context, cluster uint16, id uint8, payload []byte) zigbee.Request {
	return zigbee.Request{Endpoint: c.target(cluster), Cluster: cluster, NoResponse: c.Group, Frame: zcl.Frame{
		Type: zcl.Specific, DisableDefaultResponse: c.Group || c.Definition.is("disableDefaultResponse"), Command: id, Payload: payload}}
}

// inquiry is a command that a response belongs to.
func inquiry(c *Context, cluster uint16, id uint8, payload []byte) zigbee.Request {
	r := command(c, cluster, id, payload)
	r.Frame.DisableDefaultResponse = true
	return r
}

// read is a request for attributes of the standard.
func (c *Context) read(cluster uint16, ids ...uint16) zigbee.Request {
	r := readRequest(c.target(cluster), cluster, 0, ids...)
	r.NoResponse = c.Group
	return r
}

// write is a request that writes them.
func (c *Context) write(cluster uint16, attributes ...zcl.Attribute) (zigbee.Request, error) {
	r, err := writeRequest(c.target(cluster), cluster, 0, attributes...)
	r.NoResponse = c.Group
	return r, err
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

// reads are the requests of a Get that reads attributes of one cluster.
func reads(cluster uint16, ids ...uint16) func(*Context, string) ([]zigbee.Request, error) {
	return func(c *Context, _ string) ([]zigbee.Request, error) {
		return []zigbee.Request{c.read(cluster, ids...)}, nil
	}
}

// sends is the result of one request.
func sends(r zigbee.Request, state Values) Result {
	return Result{Requests: []zigbee.Request{r}, State: state}
}

// pack puts numbers behind each other as they go over the air.
func pack(values ...any) []byte {
	var data []byte
	for _, v := range values {
		switch v := v.(type) {
		case uint8:
			data = append(data, v)
		case int8:
			data = append(data, byte(v))
		case uint16:
			data = binary.LittleEndian.AppendUint16(data, v)
		case []byte:
			data = append(data, v...)
		}
	}
	return data
}

// byteOf and wordOf are numbers of a user as they go over the air: what is behind
// the point is cut off, what has no room is refused.
func byteOf(name string, f float64) (uint8, error) {
	if !(f >= 0 && f < 256) {
		return 0, fmt.Errorf("%s must be from 0 to 255, not %v", name, f)
	}
	return uint8(f), nil
}

func wordOf(name string, f float64) (uint16, error) {
	if !(f >= 0 && f < 65536) {
		return 0, fmt.Errorf("%s must be from 0 to 65535, not %v", name, f)
	}
	return uint16(f), nil
}

// numeric returns what JavaScript's Number makes of a value: texts that are
// numbers count as such, a boolean is 0 or 1.
func numeric(value any) (float64, bool) {
	switch v := value.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case string:
		text := strings.TrimSpace(v)
		if text == "" {
			return 0, true
		}
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil && !math.IsNaN(f)
	}
	f, ok := zcl.Float(value)
	return f, ok && !math.IsNaN(f)
}

// strictNumber returns a value that is a number and not a text.
func strictNumber(value any) (float64, bool) {
	switch value.(type) {
	case string, bool:
		return 0, false
	}
	return numeric(value)
}

func notNumber(key string, value any) error {
	return fmt.Errorf("%s must be a number, not %v", key, quoted(value))
}

// quoted is a value as a user writes it.
func quoted(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// oneOf finds a word of the user, in whatever case, among those there are.
func oneOf[T any](key string, value any, words map[string]T) (T, error) {
	var none T
	word, ok := value.(string)
	if ok {
		if found, ok := words[word]; ok {
			return found, nil
		}
		if found, ok := words[strings.ToLower(word)]; ok {
			return found, nil
		}
	}
	all := make([]string, 0, len(words))
	for w := range words {
		all = append(all, w)
	}
	slices.Sort(all)
	return none, fmt.Errorf("%s cannot be %s: choose one of %s", key, quoted(value), strings.Join(all, ", "))
}

// rescale carries a number over from one range to another and rounds it, as
// the converters of zigbee2mqtt do it.
func rescale(value, fromLow, fromHigh, toLow, toHigh float64, places int) float64 {
	return round(toLow+(value-fromLow)*(toHigh-toLow)/(fromHigh-fromLow), places)
}

// state returns the last known value of a property of the endpoint that a command
// is for.
func (c *Context) state(property string) any { return c.State[property+c.suffix] }

// remember, recall and forget keep what a trait needs to know later of an
// endpoint, or of the group.
func (c *Context) remember(name string, value any) {
	if c.Memory != nil {
		c.Memory[c.memory(name)] = value
	}
}

func (c *Context) recall(name string) any { return c.Memory[c.memory(name)] }

func (c *Context) forget(name string) { delete(c.Memory, c.memory(name)) }

func (c *Context) memory(name string) string { return name + c.suffix }

// feature returns the feature of a light, cover or the like, of the endpoint that
// a command is for, or of the definition.
func (c *Context) feature(name string) *Expose {
	if c.Definition == nil {
		return nil
	}
	var other *Expose
	for _, e := range c.Definition.Exposes {
		if !slices.Contains(nameless, e.Type) {
			continue
		}
		for _, f := range e.Features {
			if f.Name != name {
				continue
			}
			if e.Endpoint == "" || "_"+e.Endpoint == c.suffix {
				return f
			}
			other = f
		}
	}
	if c.suffix == "" {
		return other
	}
	return nil
}

func notObject(key string, value any) error {
	return fmt.Errorf("%s must be an object, not %s", key, quoted(value))
}
