package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"lintel/gateway/mqtt"
)

// What is looked into at most. It bounds the time that a message may take.
const (
	maxContent = 16 << 10 // bytes of a payload for a schema or an expression
	maxDepth   = 32       // objects and lists in one another
)

// Content is what the payload of a message must be. All that is set must hold.
//
// It cannot be found out whether a schema or an expression holds if the payload is
// larger than 16 KiB, if it is not one JSON value, if that has an object with two
// values of one name (receivers differ in which they take) or more than 32 levels, or
// if evaluating fails. An expression that does not say payload takes any payload of
// up to 16 KiB.
type Content struct {
	MaxSize int  // in bytes; 0: any. Not for a rule that denies.
	JSON    bool // it is one JSON value, of any size
	Schema  *Schema
	Where   *Expression
}

// truth is what was found out about a condition.
type truth byte

const (
	unknown truth = iota
	no
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// holds reports whether a message is what r is about. The topic was seen to already.
func (r *Rule) holds(m *examined) truth {
	if len(r.QoS) > 0 && !bytes.Contains(r.QoS, []byte{m.qos}) {
		return no
	}
	if r.Retain != nil && *r.Retain != m.retain {
		return no
	}
	c := r.Content
	switch {
	case c == nil:
		return yes
	case c.MaxSize > 0 && len(m.payload) > c.MaxSize:
		return no
	case c.JSON && !(utf8.Valid(m.payload) && json.Valid(m.payload)): // RFC 8259 §8.1
		return no
	}
	if c.Schema != nil {
		if t := c.Schema.holds(m); t != yes {
			return t
		}
	}
	if c.Where != nil {
		return c.Where.holds(m)
	}
	return yes
}

func (c *Content) conditions() []string {
	var list []string
	if c.MaxSize > 0 {
		list = append(list, fmt.Sprintf("it has at most %d bytes", c.MaxSize))
	}
	if c.JSON {
		list = append(list, "it is JSON")
	}
	if c.Schema != nil {
		list = append(list, "it fits the schema "+c.Schema.name)
	}
	if c.Where != nil {
		list = append(list, c.Where.text)
	}
	return list
}

// examined is a message that rules look at.
type examined struct {
	id      *Identity
	topic   string
	qos     mqtt.QoS
	retain  bool
	payload []byte

	decoded *content // nil: not yet
	err     error
}

// content is a payload as a JSON value.
type content struct {
	value any
	count [maxDepth + 1]int // of values, by how many others they are in
}

// json returns the payload as a JSON value.
func (m *examined) json() (*content, error) {
	if m.decoded == nil {
		m.decoded = new(content)
		m.err = m.decoded.decode(m.payload)
	}
	return m.decoded, m.err
}

var errContent = errors.New("the payload cannot be looked into")

// decode decodes one JSON value, as encoding/json does, but refuses what two
// decoders may understand in two ways.
func (c *content) decode(payload []byte) error {
	if len(payload) > maxContent || !utf8.Valid(payload) {
		return errContent
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	var err error
	if c.value, err = c.next(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errContent
	}
	return nil
}

// next decodes a value that is in depth others.
func (c *content) next(d *json.Decoder, depth int) (any, error) {
	c.count[depth]++
	t, err := d.Token()
	_, nested := t.(json.Delim)
	switch {
	case err != nil:
		return nil, err
	case !nested:
		return t, nil
	case depth == maxDepth:
		return nil, errContent
	case t == json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := c.next(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	object := make(map[string]any)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if _, twice := object[name]; !ok || twice {
			return nil, errContent
		}
		if object[name], err = c.next(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err = d.Token()
	return object, err
}
