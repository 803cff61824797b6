package dashboard

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxDepth       = 32  // of objects and arrays in each other
	maxInputErrors = 16  // that a problem document lists
	maxNamed       = 200 // bytes of a pointer
)

// decode reads the JSON of a request into v: one object, all of whose fields mean something.
// The error names each part that is wrong. It is stricter than encoding/json, which takes
// names in any case, the last of two equal names, null for everything and what is no UTF-8.
func decode(r *request, v any) error {
	body, err := io.ReadAll(r.Body)
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(large)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problemf(http.StatusRequestTimeout, "", "The body took too long to come. Send it again.")
	}
	if err != nil {
		return wrong("", "The body could not be read: %v.", err)
	}
	return decodeJSON(body, v)
}

func decodeJSON(body []byte, v any) error {
	if !utf8.Valid(body) {
		return wrongInputs([]InputError{{Pointer: "#", Detail: "This is not UTF-8 (RFC 8259 §8.1)."}})
	}
	c := checker{d: json.NewDecoder(bytes.NewReader(body))}
	c.d.UseNumber()
	err := c.value("#", reflect.TypeOf(v).Elem(), 0)
	if err == nil {
		if _, end := c.d.Token(); end == nil {
			c.add("#", "There is more than one value.")
		} else if end != io.EOF {
			err = end
		}
	}
	if err != nil && !errors.Is(err, errTooDeep) {
		c.add(c.at, "%s", c.syntax(err))
	}
	if len(c.inputs) == 0 {
		if err := json.Unmarshal(body, v); err != nil {
			c.add("#", "%v.", err)
		}
	}
	if len(c.inputs) == 0 {
		return nil
	}
	return wrongInputs(c.inputs)
}

var errTooDeep = errors.New("too deep")

// checker compares JSON with the type that it is for.
type checker struct {
	d      *json.Decoder
	at     string // what was read last
	inputs []InputError
}

func (c *checker) add(at, format string, args ...any) {
	if len(c.inputs) < maxInputErrors {
		c.inputs = append(c.inputs, InputError{Pointer: at, Detail: fmt.Sprintf(format, args...)})
	}
}

// syntax says what is wrong with what is no JSON.
func (c *checker) syntax(err error) string {
	if err == io.EOF && c.d.InputOffset() == 0 {
		return "There is nothing. Send a JSON object, such as {}."
	}
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return "The JSON ends too early."
	}
	return fmt.Sprintf("This is not JSON, at byte %d or after it: %v.", c.d.InputOffset(), err)
}

// value reads a value and compares it with a type; nil: any will do. The error is one of
// syntax, after which nothing can be read.
func (c *checker) value(at string, t reflect.Type, depth int) error {
	c.at = at
	if t != nil && ownJSON(t) {
		var raw json.RawMessage
		if err := c.d.Decode(&raw); err != nil {
			return err
		}
		if err := json.Unmarshal(raw, reflect.New(t).Interface()); err != nil {
			c.add(at, "This is not as it is expected here: %v.", err)
		}
		return nil
	}
	nullable := t == nil || t.Kind() == reflect.Pointer
	for t != nil && t.Kind() == reflect.Pointer {
		if t = t.Elem(); ownJSON(t) {
			return c.value(at, t, depth)
		}
	}
	token, err := c.d.Token()
	if err != nil {
		return err
	}
	if depth > maxDepth {
		c.add(at, "This is nested more than %d deep.", maxDepth)
		return errTooDeep
	}
	switch token {
	case json.Delim('{'):
		return c.object(at, t, depth)
	case json.Delim('['):
		return c.array(at, t, depth)
	}
	if t == nil || t.Kind() == reflect.Interface {
		return nil
	}
	kind := t.Kind()
	switch token := token.(type) {
	case nil:
		if depth == 0 || !nullable && kind != reflect.Slice && kind != reflect.Map {
			c.add(at, "This is null: send %s.", kindName(t))
		}
	case string:
		if kind != reflect.String {
			c.add(at, "This is a text: send %s.", kindName(t))
		}
	case bool:
		if kind != reflect.Bool {
			c.add(at, "This is true or false: send %s.", kindName(t))
		}
	case json.Number:
		if !fits(token.String(), t) {
			c.add(at, "The number %.40s does not fit here: send %s.", token, kindName(t))
		}
	}
	return nil
}

func (c *checker) object(at string, t reflect.Type, depth int) error {
	var fields []jsonField
	var values reflect.Type
	isStruct := false
	switch {
	case t == nil || t.Kind() == reflect.Interface:
	case t.Kind() == reflect.Struct:
		fields, isStruct = fieldsOf(t), true
	case t.Kind() == reflect.Map:
		values = t.Elem()
	default:
		c.add(at, "This is an object: send %s.", kindName(t))
	}
	seen := make(map[string]bool)
	for c.d.More() {
		token, err := c.d.Token()
		if err != nil {
			return err
		}
		name := token.(string) // the decoder allows nothing else
		inner, of := pointerTo(at, name), values
		if seen[name] {
			c.add(inner, "This is there twice.")
		}
		seen[name] = true
		switch i := slices.IndexFunc(fields, func(f jsonField) bool { return f.name == name }); {
		case i >= 0:
			of = fields[i].of
		case isStruct:
			c.add(inner, "There is no field %.60q here. %s", name, namesOf(fields))
		case values != nil && t.Key().Kind() != reflect.String && !fits(name, t.Key()):
			c.add(inner, "The name %.40q does not fit here: it is to be %s.", name, kindName(t.Key()))
		}
		if err := c.value(inner, of, depth+1); err != nil {
			return err
		}
	}
	if _, err := c.d.Token(); err != nil { // the brace
		return err
	}
	for _, f := range fields {
		if f.required && !seen[f.name] {
			c.add(pointerTo(at, f.name), "This is missing.")
		}
	}
	return nil
}

func (c *checker) array(at string, t reflect.Type, depth int) error {
	var of reflect.Type
	switch {
	case t == nil || t.Kind() == reflect.Interface:
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		of = t.Elem()
	default:
		c.add(at, "This is a list: send %s.", kindName(t))
	}
	for i := 0; c.d.More(); i++ {
		if err := c.value(pointerTo(at, strconv.Itoa(i)), of, depth+1); err != nil {
			return err
		}
	}
	_, err := c.d.Token() // the bracket
	return err
}

// ownJSON reports whether a type reads JSON in a way of its own, or a text, or bytes.
func ownJSON(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) ||
		t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

// fits reports whether a number can be held by a type.
func fits(number string, t reflect.Type) bool {
	var err error
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		_, err = strconv.ParseInt(number, 10, t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		_, err = strconv.ParseUint(number, 10, t.Bits())
	case reflect.Float32, reflect.Float64:
		_, err = strconv.ParseFloat(number, t.Bits())
	default:
		return false
	}
	return err == nil
}

// kindName is what to send for a type.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("a whole number of %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number of %d bits that is not below 0", t.Bits())
	case reflect.Slice, reflect.Array:
		return "a list"
	}
	return "an object"
}

func namesOf(fields []jsonField) string {
	if len(fields) == 0 {
		return "Send {}."
	}
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	return "There are: " + strings.Join(names, ", ") + "."
}

// pointerTo returns the JSON pointer of something in what at points to, as a fragment of a
// URI (RFC 6901 §6). One that would be too long is that of what it is in.
func pointerTo(at, name string) string {
	name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	inner := at + "/" + url.PathEscape(name)
	if len(inner) > maxNamed {
		return at
	}
	return inner
}

// jsonField is a field of a struct as encoding/json has it.
type jsonField struct {
	name     string
	of       reflect.Type
	required bool // it has to be sent
	omitted  bool // if it is empty
}

// fieldsOf returns the fields of a struct, with those of what is embedded in it.
func fieldsOf(t reflect.Type) (fields []jsonField) {
	add := func(f jsonField) {
		if !slices.ContainsFunc(fields, func(g jsonField) bool { return g.name == f.name }) {
			fields = append(fields, f)
		}
	}
	var embedded []reflect.Type
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		of := f.Type
		if f.Anonymous && name == "" {
			if of.Kind() == reflect.Pointer {
				of = of.Elem()
			}
			if of.Kind() == reflect.Struct {
				embedded = append(embedded, of)
				continue
			}
		}
		if tag == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		add(jsonField{name, f.Type, f.Tag.Get("api") == "required",
			strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")})
	}
	for _, e := range embedded { // what is further in is hidden by what is further out
		for _, f := range fieldsOf(e) {
			add(f)
		}
	}
	return fields
}
