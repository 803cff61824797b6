package z2m

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"

	"lintel/serialbridge/zigbee/devices"
)

// encode writes a value as JSON, keys of objects in alphabetical order as
// zigbee2mqtt has them. What cannot be written is null.
func encode(v any) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte("null")
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// plain turns structures into objects, lists, texts and numbers, so that
// encode orders their keys.
func plain(v any) any {
	p, err := decode(encode(v))
	if err != nil {
		return nil
	}
	return p
}

// decode reads one JSON value. Numbers stay as they are written.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more follows the value")
	}
	return v, nil
}

// numbers turns the numbers of decode into float64, which is what package devices
// is given.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return nil
		}
		return f
	case map[string]any:
		for k, x := range v {
			v[k] = numbers(x)
		}
	case []any:
		for i, x := range v {
			v[i] = numbers(x)
		}
	}
	return v
}

// object returns v as an object if it is one.
func object(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, v != nil
	case devices.Values:
		return v, v != nil
	}
	return nil, false
}

// merge returns an object with what is in both, objects in objects too; that of update
// counts. Neither is changed.
func merge(old, update map[string]any) map[string]any {
	merged := make(map[string]any, len(old)+len(update))
	maps.Copy(merged, old)
	for key, value := range update {
		if o, ok := object(value); ok {
			before, _ := object(merged[key])
			merged[key] = merge(before, o)
			continue
		}
		merged[key] = value
	}
	return merged
}

// mergeNulls is merge, but null takes a key away.
func mergeNulls(old, update map[string]any) map[string]any {
	merged := merge(old, update)
	for key, value := range merged {
		if value == nil {
			delete(merged, key)
		} else if o, ok := object(value); ok {
			merged[key] = mergeNulls(o, nil)
		}
	}
	return merged
}
