package devices

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// The keys read, write and command reach any cluster of any device: for what no
// trait knows, and for those who look into a new device. Names are those of
// zigbee-herdsman, numbers do as well.
var (
	rawRead    = &Trait{Name: "read", Keys: []string{"read"}, Set: setRead}
	rawWrite   = &Trait{Name: "write", Keys: []string{"write"}, Set: setWrite}
	rawCommand = &Trait{Name: "command", Keys: []string{"command", "zclcommand"}, Set: setCommand}
)

// reset puts a device back to how it left the factory (Basic cluster, section
// 3.2.2.3.1), without its leaving the network.
var reset = &Trait{
	Name: "reset", Keys: []string{"reset"},
	Set: func(c *Context, _ string, _ any) (Result, error) {
		return sends(command(c, clusterBasic, 0x00, nil), nil), nil
	},
}

// raw is what the three have in common.
type raw struct {
	object       map[string]any
	id           uint16
	cluster      *zcl.Cluster // nil: not in the table
	manufacturer uint16
	quiet        bool // no default response
}

func rawOf(c *Context, key string, value any) (raw, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return raw{}, notObject(key, value)
	}
	r := raw{object: object}
	if name, ok := object["cluster"].(string); ok {
		r.cluster = zcl.ClusterByName(name)
	}
	if r.cluster == nil {
		id, ok := wholeNumber(object["cluster"])
		if !ok || id > 0xffff {
			return raw{}, fmt.Errorf("%s.cluster %s is not known: write its number", key, quoted(object["cluster"]))
		}
		r.cluster, r.id = zcl.ClusterByID(uint16(id)), uint16(id)
	}
	if r.cluster != nil {
		r.id, r.manufacturer = r.cluster.ID, r.cluster.ManufacturerCode
	}
	options, _ := object["options"].(map[string]any)
	if code, said := options["manufacturerCode"]; said && code != nil {
		n, ok := wholeNumber(code)
		if !ok || n > 0xffff {
			return raw{}, notNumber(key+".options.manufacturerCode", code)
		}
		r.manufacturer = uint16(n)
	}
	r.quiet = truthy(options["disableDefaultResponse"])
	return r, nil
}

// wholeNumber reads a number that is not negative, or a text that is one, also in hex.
func wholeNumber(value any) (uint64, bool) {
	if text, ok := value.(string); ok {
		n, err := strconv.ParseUint(text, 0, 32)
		return n, err == nil
	}
	n, ok := strictNumber(value)
	return uint64(max(n, 0)), ok && n >= 0 && n <= 0xffffffff && n == float64(uint64(n))
}

// attribute finds an attribute by name or number.
func (r *raw) attribute(key string, value any) (id uint16, info *zcl.AttributeInfo, err error) {
	if name, ok := value.(string); ok && r.cluster != nil {
		info = r.cluster.AttributeByName(name)
	}
	if info == nil {
		n, ok := wholeNumber(value)
		if !ok || n > 0xffff {
			return 0, nil, fmt.Errorf("%s: attribute %s is not known: write its number", key, quoted(value))
		}
		if r.cluster != nil {
			info = r.cluster.Attribute(uint16(n))
		}
		id = uint16(n)
	}
	if info != nil {
		id = info.ID
	}
	return id, info, nil
}

func setRead(c *Context, key string, value any) (Result, error) {
	r, err := rawOf(c, key, value)
	if err != nil {
		return Result{}, err
	}
	list, ok := r.object["attributes"].([]any)
	if !ok || len(list) == 0 {
		return Result{}, fmt.Errorf("%s.attributes must be a list of names or numbers, not %s", key, quoted(r.object["attributes"]))
	}
	var ids []uint16
	for _, a := range list {
		id, _, err := r.attribute(key, a)
		if err != nil {
			return Result{}, err
		}
		ids = append(ids, id)
	}
	request := c.read(r.id, ids...)
	request.Frame.ManufacturerCode = r.manufacturer
	result := sends(request, nil)
	result.AnswerProperty, _ = r.object["state_property"].(string)
	return result, nil
}

// Answer is what becomes of the answer to a request of Result.AnswerProperty: the
// attributes that it tells, by name.
func Answer(m zigbee.Message) map[string]any {
	values := make(map[string]any)
	for _, a := range m.Attributes {
		if a.Status == zcl.Success && !endless(a.Value) {
			values[zcl.AttributeName(m.Cluster, a.ID)] = a.Value
		}
	}
	return values
}

func setWrite(c *Context, key string, value any) (Result, error) {
	r, err := rawOf(c, key, value)
	if err != nil {
		return Result{}, err
	}
	payload, ok := r.object["payload"].(map[string]any)
	if !ok || len(payload) == 0 {
		return Result{}, notObject(key+".payload", r.object["payload"])
	}
	var attributes []zcl.Attribute
	for _, name := range slices.Sorted(maps.Keys(payload)) {
		id, info, err := r.attribute(key, name)
		if err != nil {
			return Result{}, err
		}
		a := zcl.Attribute{ID: id, Value: payload[name]}
		switch typed, ok := payload[name].(map[string]any); {
		case ok && typed["type"] != nil: // {"value": 1, "type": 32}
			t, ok := wholeNumber(typed["type"])
			if !ok || t > 0xff {
				return Result{}, notNumber(key+".payload."+name+".type", typed["type"])
			}
			a.Type, a.Value = zcl.Type(t), typed["value"]
		case info != nil:
			a.Type = info.Type
		default:
			return Result{}, fmt.Errorf(`%s: attribute %q is not known: write {"value": …, "type": …} with the number of its type`, key, name)
		}
		if info != nil {
			if _, err := info.Check(a.Value); err != nil {
				return Result{}, err
			}
		}
		attributes = append(attributes, a)
	}
	request, err := c.write(r.id, attributes...)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", key, err)
	}
	request.Frame.ManufacturerCode = r.manufacturer
	return sends(request, nil), nil
}

func setCommand(c *Context, key string, value any) (Result, error) {
	r, err := rawOf(c, key, value)
	if err != nil {
		return Result{}, err
	}
	payload, _ := r.object["payload"].(map[string]any)
	var known *zcl.Command
	id, numbered := wholeNumber(r.object["command"])
	switch name, ok := r.object["command"].(string); {
	case r.cluster == nil:
	case ok && r.cluster.CommandByName(name, false) != nil:
		known = r.cluster.CommandByName(name, false)
	case numbered && id <= 0xff:
		known = r.cluster.Command(uint8(id), false)
	}
	var data []byte
	switch {
	case known != nil:
		id = uint64(known.ID)
		if data, err = known.Append(nil, payload); err != nil {
			return Result{}, fmt.Errorf("%s: %w", key, err)
		}
	case !numbered || id > 0xff:
		return Result{}, fmt.Errorf("%s: command %s is not known: write its number", key, quoted(r.object["command"]))
	default: // its bytes as they are
		list, _ := r.object["payload"].([]any)
		for _, b := range list {
			n, ok := wholeNumber(b)
			if !ok || n > 0xff {
				return Result{}, fmt.Errorf("%s.payload of a command that is not known must be a list of bytes", key)
			}
			data = append(data, byte(n))
		}
	}
	request := command(c, r.id, uint8(id), data)
	if known != nil {
		_, answered := known.Response()
		request.Frame.DisableDefaultResponse = request.Frame.DisableDefaultResponse || answered
	}
	request.Frame.DisableDefaultResponse = request.Frame.DisableDefaultResponse || r.quiet
	request.Frame.ManufacturerCode = r.manufacturer
	return sends(request, nil), nil
}
