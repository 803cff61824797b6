package zcl

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Writable says that the standard lets the attribute be written.
func (a *AttributeInfo) Writable() bool {
	writable := false
	a.all(func(key, _ string) { writable = writable || key == "write" })
	return writable
}

// Check says whether a value that a device has told, or that is to be written,
// is one that the attribute can have. Known is false for the value that says
// that there is none (section 2.6.2, "non-value"). The error is of a value
// outside of what the standard allows: what a device tells so is noise.
func (a *AttributeInfo) Check(value any) (known bool, err error) {
	return a.check(a.Name, ParameterType(a.Type), value)
}

func (s facts) check(name string, t ParameterType, value any) (known bool, err error) {
	number, isNumber := Float(value)
	length := -1
	switch v := value.(type) {
	case string:
		length = len(v)
	case []byte:
		length = len(v)
	}
	low, high := math.Inf(-1), math.Inf(1)
	special := false
	s.all(func(key, text string) {
		limit, limitErr := strconv.ParseFloat(text, 64)
		switch key {
		case "default":
			special = special || isNumber && limitErr == nil && limit == number
		case "special":
			for pair := range strings.SplitSeq(text, ",") {
				n, _, _ := strings.Cut(pair, ":")
				v, err := strconv.ParseFloat(n, 64)
				special = special || isNumber && err == nil && v == number
			}
		case "min":
			low = limit
		case "max":
			high = limit
		case "minLen", "maxLen", "length":
			if length >= 0 && limitErr == nil && (key == "minLen" && length < int(limit) || key == "maxLen" && length > int(limit) || key == "length" && length != int(limit)) {
				err = fmt.Errorf("zcl: %s is of %d bytes; %s is %s", name, length, key, text)
			}
		}
	})
	switch {
	case special:
		return true, nil
	case !isNumber:
		return err == nil, err
	}
	if none, has := nonValue(t); has && number == none && number != low && number != high {
		return false, nil
	}
	if number < low || number > high {
		return false, fmt.Errorf("zcl: %s is %v; it goes from %v to %v", name, value, low, high)
	}
	return true, nil
}

// nonValue is the value of a number that says that there is none (section 2.6.2, table 2-12).
func nonValue(t ParameterType) (float64, bool) {
	if t > 0xff {
		return 0, false
	}
	kind := Type(t)
	n, fixed := kind.size()
	switch {
	case !fixed:
		return 0, false
	case kind.signed():
		return -math.Ldexp(1, 8*n-1), true
	case kind >= Uint8 && kind <= Uint64, kind == Enum8, kind == Enum16, kind == ClusterID, kind == AttributeID,
		kind == TimeOfDay, kind == Date, kind == UTCTime, kind == BACnetOID:
		return math.Ldexp(1, 8*n) - 1, true
	}
	return 0, false
}

// MarshalJSON writes the cluster as zigbee2mqtt does in bridge/definitions.
func (c *Cluster) MarshalJSON() ([]byte, error) {
	attributes := make(map[string]any, len(c.Attributes))
	for _, a := range c.Attributes {
		o := a.object()
		o["ID"], o["name"], o["type"] = a.ID, a.Name, a.Type
		attributes[a.Name] = o
	}
	o := map[string]any{
		"ID": c.ID, "name": c.Name,
		"attributes":       attributes,
		"commands":         commandObjects(c.Commands),
		"commandsResponse": commandObjects(c.Responses),
	}
	if c.ManufacturerCode != 0 {
		o["manufacturerCode"] = c.ManufacturerCode
	}
	return json.Marshal(o)
}

func commandObjects(commands []Command) map[string]any {
	objects := make(map[string]any, len(commands))
	for _, m := range commands {
		parameters := make([]map[string]any, 0, len(m.Parameters))
		for _, p := range m.Parameters {
			o := p.object()
			o["name"], o["type"] = p.Name, p.Type
			parameters = append(parameters, o)
		}
		o := m.object()
		o["ID"], o["name"], o["parameters"] = m.ID, m.Name, parameters
		objects[m.Name] = o
	}
	return objects
}

// object is the facts as zigbee2mqtt tells them.
func (s facts) object() map[string]any {
	o := make(map[string]any)
	var conditions []map[string]any
	s.all(func(key, value string) {
		switch {
		case key == "if":
			if c, ok := parseCondition(value); ok {
				conditions = append(conditions, c.object())
			}
		case key == "special":
			special := make(map[string]string)
			for pair := range strings.SplitSeq(value, ",") {
				n, name, _ := strings.Cut(pair, ":")
				special[n] = name
			}
			o[key] = special
		case value == "":
			o[key] = true
		case value[0] == '"':
			text, _ := strconv.Unquote(value)
			o[key] = text
		case value == "true" || value == "false":
			o[key] = value == "true"
		default:
			o[key] = json.Number(value)
		}
	})
	if conditions != nil {
		o["conditions"] = conditions
	}
	return o
}
