package air

import (
	"fmt"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// endpoint is an application of a device.
type endpoint struct {
	id         uint8
	profile    uint16
	deviceID   uint16
	in, out    []uint16
	attributes map[attributeKey]*attribute
	keys       []attributeKey // of attributes, as the model names them
	groups     []uint16
	scenes     map[sceneKey]map[attributeKey]any
}

// attributeKey names an attribute. Its manufacturer is 0 for those of the standard.
type attributeKey struct {
	cluster, manufacturer, id uint16
}

// attribute is an attribute of a device. Its value is as package zcl reads one.
type attribute struct {
	kind      zcl.Type
	value     any
	writable  bool
	lowest    float64 // of a measurement that moves by itself
	highest   float64
	step      float64
	unplanned bool // it is not reportable
}

// endpoint returns the endpoint of that number, or nil.
func (d *device) endpoint(id uint8) *endpoint {
	for _, e := range d.endpoints {
		if e.id == id {
			return e
		}
	}
	return nil
}

// get returns the value of an attribute of the standard as a number.
func (e *endpoint) get(cluster, id uint16) float64 {
	if a := e.attributes[attributeKey{cluster: cluster, id: id}]; a != nil {
		if b, ok := a.value.(bool); ok {
			if b {
				return 1
			}
			return 0
		}
		v, _ := zcl.Float(a.value)
		return v
	}
	return 0
}

// set changes an attribute of the standard and reports it if that was asked for.
// The number becomes what the type of the attribute wants.
func (d *device) set(e *endpoint, cluster, id uint16, value any) {
	key := attributeKey{cluster: cluster, id: id}
	if a := e.attributes[key]; a != nil {
		if v, err := normal(a.kind, value); err == nil {
			a.value = v
			d.changed(e, key)
		}
	}
}

// normal returns the value as package zcl reads one of that type.
func normal(kind zcl.Type, value any) (any, error) {
	data, err := zcl.AppendValue(nil, kind, value)
	if err != nil {
		return nil, err
	}
	v, _, err := zcl.ReadValue(kind, data)
	return v, err
}

// Set changes an attribute of the standard, as if the world around the device
// had: it reports it if that was asked for.
func (n *Network) Set(a zigbee.IEEEAddress, endpoint uint8, cluster, id uint16, value any) error {
	var failed error
	if err := n.with(a, func(d *device) {
		e := d.endpoint(endpoint)
		key := attributeKey{cluster, 0, id}
		if e == nil || e.attributes[key] == nil {
			failed = fmt.Errorf("air: %s has no attribute 0x%04x of cluster 0x%04x on endpoint %d", a, id, cluster, endpoint)
			return
		}
		attr := e.attributes[key]
		v, err := normal(attr.kind, value)
		if err != nil {
			failed = fmt.Errorf("air: %s: %w", a, err)
			return
		}
		attr.value = v
		d.changed(e, key)
	}); err != nil {
		return err
	}
	return failed
}

// Attribute returns the value of an attribute of the standard, in the form of
// [zcl.ReadValue].
func (n *Network) Attribute(a zigbee.IEEEAddress, endpoint uint8, cluster, id uint16) (value any, ok bool) {
	_ = n.with(a, func(d *device) {
		if e := d.endpoint(endpoint); e != nil {
			if attr := e.attributes[attributeKey{cluster: cluster, id: id}]; attr != nil {
				value, ok = attr.value, true
			}
		}
	})
	return value, ok
}
