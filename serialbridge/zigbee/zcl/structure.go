package zcl

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Datapoint is a record of Tuya's cluster 0xEF00.
type Datapoint struct {
	ID   uint8  `json:"dp"`
	Type uint8  `json:"datatype"` // 0 raw, 1 bool, 2 value, 3 string, 4 enum, 5 bitmap
	Data []byte `json:"data"`     // numbers with the most significant byte first
}

// readDatapoints reads those that are whole: some devices cut off the last one.
func readDatapoints(data []byte) []Datapoint {
	list := []Datapoint{}
	for len(data) >= 4 {
		n := int(binary.BigEndian.Uint16(data[2:]))
		if len(data) < 4+n {
			break
		}
		list = append(list, Datapoint{ID: data[0], Type: data[1], Data: append([]byte{}, data[4:4+n]...)})
		data = data[4+n:]
	}
	return list
}

// extensionTypes are the attributes of scenes by cluster, in their order (section 3.7.2.4.2).
var extensionTypes = map[uint16][]Type{
	0x0006: {Uint8},
	0x0008: {Uint8},
	0x0102: {Uint8, Uint8},
	0x0300: {Uint16, Uint16, Uint16, Uint8, Uint8, Uint8, Uint16, Uint16},
}

func readExtensionFields(data []byte) (any, []byte, error) {
	list := []any{}
	for len(data) > 0 {
		if len(data) < 3 || len(data)-3 < int(data[2]) {
			return nil, nil, ErrShort
		}
		cluster, fields := binary.LittleEndian.Uint16(data), data[3:3+int(data[2])]
		set := map[string]any{"clstId": uint64(cluster), "len": uint64(data[2])}
		data = data[3+len(fields):]
		values := []any{}
		types := extensionTypes[cluster]
		for len(fields) > 0 {
			if len(types) == 0 {
				return nil, nil, fmt.Errorf("the scene holds more of cluster 0x%04x than is known", cluster)
			}
			v, rest, err := ReadValue(types[0], fields)
			if err != nil {
				return nil, nil, err
			}
			values, fields, types = append(values, v), rest, types[1:]
		}
		set["extField"] = values
		list = append(list, set)
	}
	return list, nil, nil
}

// readTransitions reads a schedule: mode says which temperatures are in it (section 6.3.2.3.2).
func readTransitions(data []byte, values map[string]any) (any, []byte, error) {
	mode, _ := Int(values["mode"])
	n, ok := Int(values["numoftrans"])
	if !ok {
		return nil, nil, ErrShort
	}
	list := []any{}
	for range n {
		entry := make(map[string]any)
		for _, field := range []struct {
			name string
			of   Type
			bit  int64
		}{{"transitionTime", Uint16, 0}, {"heatSetpoint", Int16, 1}, {"coolSetpoint", Int16, 2}} {
			if field.bit != 0 && mode&field.bit == 0 {
				continue
			}
			v, rest, err := ReadValue(field.of, data)
			if err != nil {
				return nil, nil, err
			}
			entry[field.name], data = v, rest
		}
		list = append(list, entry)
	}
	return list, data, nil
}

type field struct {
	name     string
	of       Type
	optional bool
}

func appendFields(data []byte, object map[string]any, fields ...field) ([]byte, error) {
	for _, f := range fields {
		v, there := object[f.name]
		if !there && f.optional {
			continue
		}
		var err error
		if data, err = AppendValue(data, f.of, v); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return data, nil
}

func appendExtensionFields(data []byte, object map[string]any) ([]byte, error) {
	cluster, _ := Int(object["clstId"])
	values, _ := object["extField"].([]any)
	types := extensionTypes[uint16(cluster)]
	if len(values) > len(types) {
		return nil, fmt.Errorf("a scene holds %d attributes of cluster 0x%04x, not %d", len(types), cluster, len(values))
	}
	var body []byte
	for i, v := range values {
		var err error
		if body, err = AppendValue(body, types[i], v); err != nil {
			return nil, err
		}
	}
	data = binary.LittleEndian.AppendUint16(data, uint16(cluster))
	return append(append(data, byte(len(body))), body...), nil
}

func appendDatapoints(data []byte, value any) ([]byte, error) {
	list, ok := value.([]Datapoint)
	if items, isList := value.([]any); isList {
		ok = true
		for _, item := range items {
			o, _ := item.(map[string]any)
			id, okID := Int(o["dp"])
			kind, okKind := Int(o["datatype"])
			body, okBody := octets(o["data"])
			if !okID || !okKind || !okBody || id < 0 || id > 0xff || kind < 0 || kind > 0xff {
				return nil, errors.New("a datapoint is {dp, datatype, data}, with data a list of bytes")
			}
			list = append(list, Datapoint{ID: uint8(id), Type: uint8(kind), Data: body})
		}
	}
	if !ok {
		return nil, fmt.Errorf("%v (%T) is no list of datapoints", value, value)
	}
	for _, d := range list {
		if len(d.Data) > 0xffff {
			return nil, errors.New("the datapoint is too long")
		}
		data = append(data, d.ID, d.Type)
		data = binary.BigEndian.AppendUint16(data, uint16(len(d.Data)))
		data = append(data, d.Data...)
	}
	return data, nil
}
