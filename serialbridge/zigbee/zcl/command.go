package zcl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// condition says when a parameter is there.
type condition struct {
	kind   byte // '<' bytes left, '=' equal, '>' greater, '&' mask set, '!' mask not set, '[' bits equal
	of     string
	n      int64 // number, mask
	offset uint8
	size   uint8
}

func parseCondition(text string) (c condition, ok bool) {
	var err error
	number := func(s string) int64 {
		n, e := strconv.ParseInt(s, 0, 64)
		err = errors.Join(err, e)
		return n
	}
	if rest, found := strings.CutPrefix(text, "left>="); found {
		c = condition{kind: '<', n: number(rest)}
	} else if name, rest, found := strings.Cut(text, "["); found {
		bits, value, _ := strings.Cut(rest, "]==")
		offset, size, _ := strings.Cut(bits, ":")
		c = condition{kind: '[', of: name, n: number(value), offset: uint8(number(offset)), size: uint8(number(size))}
	} else if name, rest, found := strings.Cut(text, "=="); found {
		c = condition{kind: '=', of: name, n: number(rest)}
	} else if name, rest, found := strings.Cut(text, ">"); found {
		c = condition{kind: '>', of: name, n: number(rest)}
	} else if name, rest, found := strings.Cut(text, "&"); found {
		c = condition{kind: '&', of: name, n: number(rest)}
		if name[0] == '!' {
			c.kind, c.of = '!', name[1:]
		}
	} else {
		return c, false
	}
	return c, err == nil
}

func (c condition) object() map[string]any {
	switch c.kind {
	case '<':
		return map[string]any{"type": "minimumRemainingBufferBytes", "value": c.n}
	case '=':
		return map[string]any{"type": "fieldEquals", "field": c.of, "value": c.n}
	case '>':
		return map[string]any{"type": "fieldGT", "field": c.of, "value": c.n}
	case '[':
		return map[string]any{"type": "bitFieldEnum", "param": c.of, "offset": c.offset, "size": c.size, "value": c.n}
	}
	o := map[string]any{"type": "bitMaskSet", "param": c.of, "mask": c.n}
	if c.kind == '!' {
		o["reversed"] = true
	}
	return o
}

// applies says whether the parameter is there; left is how many bytes of the
// payload are, or -1 when it is being made.
func (p *Parameter) applies(values map[string]any, left int) bool {
	there := true
	p.all(func(key, value string) {
		if key != "if" {
			return
		}
		c, ok := parseCondition(value)
		n, _ := Int(values[c.of])
		switch c.kind {
		case '<':
			ok = left < 0 || left >= int(c.n)
		case '=':
			ok = n == c.n && values[c.of] != nil
		case '>':
			ok = n > c.n
		case '&':
			ok = n&c.n == c.n
		case '!':
			ok = n&c.n != c.n
		case '[':
			ok = n>>c.offset&(1<<c.size-1) == c.n
		}
		there = there && ok
	})
	return there
}

// optional says that the parameter may be left out at the end of a payload: older
// devices do not know it.
func (p *Parameter) optional() bool {
	return strings.Contains(string(p.facts), "if=left>=")
}

// Parse reads the payload of a command into its parameters by name. For what a
// type becomes see [ReadValue] and [ParameterType]. Bytes that are left are ignored,
// as section 2.4.2 demands.
func (c *Command) Parse(payload []byte) (map[string]any, error) {
	values := make(map[string]any, len(c.Parameters))
	before := -1
	for i := range c.Parameters {
		p := &c.Parameters[i]
		if !p.applies(values, len(payload)) {
			continue
		}
		value, rest, err := p.read(payload, values, before)
		if err == nil {
			_, err = p.check(p.Name, p.Type, value)
		}
		if err != nil {
			return nil, fmt.Errorf("zcl: %s of %s: %w", p.Name, c.Name, err)
		}
		n, isNumber := Int(value)
		if before = -1; isNumber {
			before = int(n)
		}
		values[p.Name], payload = value, rest
	}
	return values, nil
}

func (p *Parameter) read(data []byte, values map[string]any, before int) (value any, rest []byte, err error) {
	if p.Type <= 0xff {
		return ReadValue(Type(p.Type), data)
	}
	switch p.Type {
	case ListUint8, ListUint16, ListUint24, ListUint32:
		t := Uint8 + Type(p.Type-ListUint8)
		width := int(t-Uint8) + 1
		if before < 0 || before > len(data)/width {
			return nil, nil, ErrShort
		}
		list := make([]any, 0, before)
		for range before {
			list = append(list, fixedValue(t, data[:width]))
			data = data[width:]
		}
		return list, data, nil
	case ListZone:
		if before < 0 || before > len(data)/3 {
			return nil, nil, ErrShort
		}
		list := make([]any, 0, before)
		for range before {
			list = append(list, map[string]any{
				"zoneID":     uint64(data[0]),
				"zoneStatus": uint64(binary.LittleEndian.Uint16(data[1:])),
			})
			data = data[3:]
		}
		return list, data, nil
	case ExtensionFields:
		return readExtensionFields(data)
	case ListTransition:
		return readTransitions(data, values)
	case Bytes:
		return append([]byte{}, data...), nil, nil
	case GreenPowerFrame:
		n, _ := Int(values["payloadSize"])
		if n == 0xff {
			n = 0
		}
		if n < 0 || int(n) > len(data) {
			return nil, nil, ErrShort
		}
		return append([]byte{}, data[:n]...), data[n:], nil
	case ListDatapoint:
		return readDatapoints(data), nil, nil
	}
	return nil, nil, fmt.Errorf("type %d cannot be read", p.Type)
}

// Append appends the payload of a command from its parameters by name, which may
// be as Parse returns them or as JSON decodes them. A parameter whose condition does
// not hold may be there and is left out.
func (c *Command) Append(data []byte, values map[string]any) ([]byte, error) {
	for i := range c.Parameters {
		p := &c.Parameters[i]
		if !p.applies(values, -1) {
			continue
		}
		value, there := values[p.Name]
		if !there || value == nil {
			if p.optional() {
				continue
			}
			return nil, fmt.Errorf("zcl: %s needs %s; add it to the payload", c.Name, p.Name)
		}
		_, err := p.check(p.Name, p.Type, value)
		if err == nil {
			data, err = p.append(data, value)
		}
		if err != nil {
			return nil, fmt.Errorf("zcl: %s of %s: %w", p.Name, c.Name, err)
		}
	}
	return data, nil
}

func (p *Parameter) append(data []byte, value any) ([]byte, error) {
	if p.Type <= 0xff {
		t := Type(p.Type)
		switch v := value.(type) {
		case string:
			if n, err := strconv.ParseUint(v, 0, 64); t == IEEE && err == nil {
				value = n
			}
		case []any, map[string]any:
			if b, ok := octets(v); ok {
				value = b
			}
		}
		return AppendValue(data, t, value)
	}
	switch p.Type {
	case Bytes, ListUint8:
		b, ok := octets(value)
		if !ok {
			return nil, fmt.Errorf("%v (%T) is no list of bytes", value, value)
		}
		return append(data, b...), nil
	case GreenPowerFrame:
		b, ok := octets(value)
		if !ok || len(b) > 0xfe {
			return nil, fmt.Errorf("%v (%T) is no frame of at most 254 bytes", value, value)
		}
		return append(append(data, byte(len(b))), b...), nil
	case ListDatapoint:
		return appendDatapoints(data, value)
	}
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("%v (%T) is no list", value, value)
	}
	for _, item := range list {
		var err error
		object, _ := item.(map[string]any)
		switch p.Type {
		case ListUint16, ListUint24, ListUint32:
			data, err = AppendValue(data, Uint8+Type(p.Type-ListUint8), item)
		case ListZone:
			data, err = appendFields(data, object, field{"zoneID", Uint8, false}, field{"zoneStatus", Uint16, false})
		case ListTransition:
			data, err = appendFields(data, object, field{"transitionTime", Uint16, false}, field{"heatSetpoint", Int16, true}, field{"coolSetpoint", Int16, true})
		case ExtensionFields:
			data, err = appendExtensionFields(data, object)
		default:
			err = fmt.Errorf("type %d cannot be made", p.Type)
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// octets takes bytes as Go has them, as a list of numbers, or as JavaScript writes
// a buffer: {"type": "Buffer", "data": [...]}.
func octets(value any) ([]byte, bool) {
	switch v := value.(type) {
	case []byte:
		return v, true
	case map[string]any:
		if v["type"] == "Buffer" {
			return octets(v["data"])
		}
	case []any:
		b := make([]byte, 0, len(v))
		for _, item := range v {
			n, ok := Int(item)
			if !ok || n < 0 || n > 0xff {
				return nil, false
			}
			b = append(b, byte(n))
		}
		return b, true
	}
	return nil, false
}
