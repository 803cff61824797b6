package z2m

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// rawCommand is a read, a write or a command of a cluster that a user spells out.
type rawCommand struct {
	kind string
	body map[string]any
}

// takeRaw takes raw access out of a message.
func takeRaw(message map[string]any) []rawCommand {
	var list []rawCommand
	for _, kind := range []string{"read", "write", "command"} {
		body, ok := object(message[kind])
		if ok && body["cluster"] != nil {
			delete(message, kind)
			list = append(list, rawCommand{kind, body})
		}
	}
	return list
}

// clusterOf finds a cluster by name or number. It returns one without names if the
// number is not in the table.
func clusterOf(v any) (*zcl.Cluster, error) {
	if name, ok := v.(string); ok {
		if c := zcl.ClusterByName(name); c != nil {
			return c, nil
		}
		v, _ = strconv.ParseUint(name, 0, 16)
		if v == uint64(0) && name != "0" {
			return nil, errNoCluster
		}
	}
	n, ok := number(v)
	if !ok || n < 0 || n > 0xffff || n != float64(uint16(n)) {
		return nil, errNoCluster
	}
	if c := zcl.ClusterByID(uint16(n)); c != nil {
		return c, nil
	}
	return &zcl.Cluster{ID: uint16(n), Name: strconv.Itoa(int(n))}, nil
}

// attributeOf finds an attribute by name, number, or {ID, type}. The type is
// zcl.NoData if it is not known.
func attributeOf(c *zcl.Cluster, v any) (id uint16, kind zcl.Type, err error) {
	wrong := fmt.Errorf("%s has no attribute %v: give the name that bridge/definitions has, its number, or {\"ID\":…,\"type\":…}", c.Name, v)
	if o, ok := object(v); ok {
		n, okID := number(o["ID"])
		t, okType := number(o["type"])
		if !okID || !okType || n < 0 || n > 0xffff || t < 0 || t > 0xff {
			return 0, 0, wrong
		}
		return uint16(n), zcl.Type(t), nil
	}
	if name, ok := v.(string); ok {
		if a := c.AttributeByName(name); a != nil {
			return a.ID, a.Type, nil
		}
		n, err := strconv.ParseUint(name, 0, 16)
		if err != nil {
			return 0, 0, wrong
		}
		v = n
	}
	n, ok := number(v)
	if !ok || n < 0 || n > 0xffff {
		return 0, 0, wrong
	}
	if a := c.Attribute(uint16(n)); a != nil {
		return a.ID, a.Type, nil
	}
	return uint16(n), zcl.NoData, nil
}

// manufacturer is the code that a raw command is to carry.
func manufacturer(body map[string]any) uint16 {
	options, _ := object(body["options"])
	n, _ := number(options["manufacturerCode"])
	return uint16(n)
}

// carryOutRaw does what a user has spelled out.
func (b *Bridge) carryOutRaw(ctx context.Context, id string, endpoint uint8, r rawCommand) error {
	cluster, err := clusterOf(r.body["cluster"])
	if err != nil {
		return err
	}
	b.mu.Lock()
	e, ok := b.find(id)
	if !ok {
		b.mu.Unlock()
		return zigbee.ErrNoDevice
	}
	if e.device != nil && endpoint == 0 {
		endpoint = e.device.serves(cluster.ID)
	}
	b.mu.Unlock()
	if e.device == nil && r.kind == "read" {
		return errors.New("a group has no answer; read from its members")
	}
	switch r.kind {
	case "read":
		return b.rawRead(ctx, e.device.IEEEAddress, endpoint, cluster, r.body)
	case "write":
		return b.rawWrite(ctx, e, endpoint, cluster, r.body)
	}
	return b.rawCommand(ctx, e, endpoint, cluster, r.body)
}

// serves is the first endpoint that serves a cluster, or the first one.
func (d *device) serves(cluster uint16) uint8 {
	for i := range d.Endpoints {
		if slices.Contains(d.Endpoints[i].Input, cluster) {
			return d.Endpoints[i].ID
		}
	}
	if e := d.endpoint(""); e != nil {
		return e.ID
	}
	return 1
}

func (b *Bridge) rawRead(ctx context.Context, ieee zigbee.IEEEAddress, endpoint uint8, cluster *zcl.Cluster, body map[string]any) error {
	list, ok := body["attributes"].([]any)
	if !ok || len(list) == 0 || len(list) > 64 {
		return errors.New("read needs attributes: a list of 1 to 64 names or numbers")
	}
	var ids []uint16
	for _, v := range list {
		id, _, err := attributeOf(cluster, v)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	attributes, err := b.network.Read(ctx, ieee, endpoint, cluster.ID, manufacturer(body), ids...)
	if err != nil {
		return err
	}
	values := make(map[string]any)
	for _, a := range attributes {
		if a.Status != zcl.Success {
			b.log.Warn("an attribute could not be read", "device", ieee, "cluster", cluster.Name, "attribute", attributeName(cluster, a.ID), "status", a.Status)
			continue
		}
		values[attributeName(cluster, a.ID)] = a.Value
	}
	b.log.Info("attributes were read", "device", ieee, "cluster", cluster.Name, "values", string(encode(values)))
	if property, ok := body["state_property"].(string); ok && property != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		if d := b.devices[ieee]; d != nil {
			b.publishState(b.ofDevice(d), map[string]any{property: values}, changed)
		}
	}
	return nil
}

func attributeName(c *zcl.Cluster, id uint16) string {
	if a := c.Attribute(id); a != nil {
		return a.Name
	}
	return strconv.Itoa(int(id))
}

func (b *Bridge) rawWrite(ctx context.Context, e entity, endpoint uint8, cluster *zcl.Cluster, body map[string]any) error {
	payload, ok := object(body["payload"])
	if !ok || len(payload) == 0 || len(payload) > 64 {
		return errors.New("write needs payload: an object of attributes and values")
	}
	var attributes []zcl.Attribute
	for key, value := range payload {
		var of any = key
		if o, ok := object(value); ok && o["type"] != nil {
			n, err := strconv.ParseUint(key, 0, 16)
			if err == nil {
				of, value = map[string]any{"ID": float64(n), "type": o["type"]}, o["value"]
			}
		}
		id, kind, err := attributeOf(cluster, of)
		if err != nil {
			return err
		}
		if kind == zcl.NoData {
			return fmt.Errorf("the type of attribute %s is not known: write {\"value\":…,\"type\":…}", key)
		}
		attributes = append(attributes, zcl.Attribute{ID: id, Type: kind, Value: value})
	}
	code := manufacturer(body)
	if e.device != nil {
		return b.network.Write(ctx, e.device.IEEEAddress, endpoint, cluster.ID, code, attributes...)
	}
	data, err := zcl.AppendAttributes(nil, zcl.WriteAttributesNoResponse, attributes)
	if err != nil {
		return err
	}
	return b.network.GroupRequest(ctx, e.group.id, zigbee.Request{
		Cluster: cluster.ID, NoResponse: true,
		Frame: zcl.Frame{Type: zcl.Global, ManufacturerCode: code, Command: zcl.WriteAttributesNoResponse, DisableDefaultResponse: true, Payload: data},
	})
}

func (b *Bridge) rawCommand(ctx context.Context, e entity, endpoint uint8, cluster *zcl.Cluster, body map[string]any) error {
	var command *zcl.Command
	if name, ok := body["command"].(string); ok {
		if command = cluster.CommandByName(name, false); command == nil {
			if n, err := strconv.ParseUint(name, 0, 8); err == nil {
				body["command"] = float64(n)
			}
		}
	}
	if n, ok := number(body["command"]); ok && n >= 0 && n <= 0xff {
		if command = cluster.Command(uint8(n), false); command == nil {
			command = &zcl.Command{ID: uint8(n), Name: fmt.Sprint(n), Parameters: []zcl.Parameter{{Name: "data", Type: zcl.Bytes}}}
		}
	}
	if command == nil {
		return fmt.Errorf("%s has no command %v: give the name that bridge/definitions has, or its number", cluster.Name, body["command"])
	}
	parameters, _ := object(body["payload"])
	if parameters == nil {
		parameters = make(map[string]any)
	}
	if len(command.Parameters) == 1 && command.Parameters[0].Type == zcl.Bytes && parameters[command.Parameters[0].Name] == nil {
		parameters = map[string]any{command.Parameters[0].Name: []byte{}}
	}
	data, err := command.Append(nil, parameters)
	if err != nil {
		return err
	}
	options, _ := object(body["options"])
	code := manufacturer(body)
	if code == 0 {
		code = cluster.ManufacturerCode
	}
	return b.send(ctx, e, []zigbee.Request{{
		Endpoint: endpoint, Cluster: cluster.ID,
		Frame: zcl.Frame{Type: zcl.Specific, ManufacturerCode: code, Command: command.ID, Payload: data,
			DisableDefaultResponse: flag(options, "disableDefaultResponse", false)},
		NoResponse: flag(options, "disableResponse", false),
	}})
}
