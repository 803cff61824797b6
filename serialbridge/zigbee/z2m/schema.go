package z2m

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaText is the JSON Schema of what may be set, in the form in which front ends
// of zigbee2mqtt make settings pages of it: with titles and descriptions.
//
//go:embed schema.json
var schemaText []byte

// schemaTree is schemaText for bridge/info.
var schemaTree = sync.OnceValue(func() any {
	v, err := decode(schemaText)
	if err != nil {
		panic("z2m: schema.json: " + err.Error()) // a test has read it
	}
	return v
})

// The parts of the schema that something is validated against.
var (
	configSchema = compiled("")
	deviceSchema = compiled("#/definitions/device")
	groupSchema  = compiled("#/definitions/group")
)

func compiled(part string) func() *jsonschema.Schema {
	return sync.OnceValue(func() *jsonschema.Schema {
		const name = "lintel:zigbee"
		c := jsonschema.NewCompiler()
		err := c.AddResource(name, schemaTree())
		if err == nil {
			var s *jsonschema.Schema
			if s, err = c.Compile(name + part); err == nil {
				return s
			}
		}
		panic("z2m: schema.json: " + err.Error())
	})
}

// validate says what of a value is not as the schema wants it.
func validate(schema func() *jsonschema.Schema, value any) error {
	err := schema().Validate(plain(value))
	var wrong *jsonschema.ValidationError
	if !errors.As(err, &wrong) {
		return err
	}
	// The first line is of the whole, the others of what is wrong in it.
	var texts []string
	for line := range strings.Lines(wrong.Error()) {
		if _, text, ok := strings.Cut(strings.TrimSpace(line), "- at "); ok {
			texts = append(texts, text)
		}
	}
	return fmt.Errorf("the settings do not fit: at %s", strings.Join(texts, "; at "))
}

// deviceOptionNames are the options that every device has.
var deviceOptionNames = sync.OnceValue(func() []string {
	schema, _ := schemaTree().(map[string]any)
	definitions, _ := schema["definitions"].(map[string]any)
	device, _ := definitions["device"].(map[string]any)
	properties, _ := device["properties"].(map[string]any)
	var names []string
	for name := range properties {
		names = append(names, name)
	}
	return names
})
