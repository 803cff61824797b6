package drivertest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lintel/serialbridge"
)

// Capture is what one stick said, out of the testdata of the package of a protocol.
type Capture struct {
	Name string
	Data []byte
}

// files are the captures of each protocol, below the folder serialbridge.
var files = []struct {
	protocol, path string
	form           form
}{
	{"airquality", "airquality/testdata/captures.json", hexAt("sensors.*.hexlines")},
	{"dalybms", "bms/testdata/daly.json", oneOf(hexAt("talk.*.answers"))},
	{"dsmr", "dsmr/testdata/telegrams.json", textAt("telegrams.*")},
	{"enocean", "enocean/testdata/packets.json", oneOf(hexAt("*.hex"))},
	{"jkbms", "bms/testdata/jk.json", hexAt("answers.*.hex")},
	{"jsonlines", "jsonlines/testdata/lines.jsonl", lines},
	{"mhz19", "airquality/testdata/captures.json", hexAt("asked.MHZ19B.hexlines")},
	{"mysensors", "mysensors/testdata/lines.txt", lines},
	{"nmea", "nmea/testdata/sentences.json", oneOf(textAt("vectors.*.raw"))},
	{"rflink", "rflink/testdata/lines.txt", lines},
	{"rfxtrx", "rfxtrx/testdata/packets.json", hexAt("*.hex")},
	{"senseair", "airquality/testdata/captures.json", hexAt("examples.S8.hexlines")},
	{"sml", "sml/testdata/meters.json", hexAt("meters.*.hex")},
	{"sps30", "airquality/testdata/captures.json", hexAt("asked.SPS30.hexlines")},
	{"teleinfo", "teleinfo/testdata/frames.json", framesAt("*")},
	{"modbus", "modbus/testdata/solax_sdm230.capture", captured},
	{"wmbus", "wmbus/testdata/lines.txt", lines},
	{"vedirect", "vedirect/testdata/dumps.json", hexAt("*")},
}

// Protocols returns the protocols of which there are captures, sorted.
func Protocols() []string {
	var protocols []string
	for _, f := range files {
		protocols = append(protocols, f.protocol)
	}
	slices.Sort(protocols)
	return slices.Compact(protocols)
}

// Captures reads the captures of a protocol. root is the folder of package
// serialbridge.
func Captures(root, protocol string) ([]Capture, error) {
	var captures []Capture
	for _, f := range files {
		if f.protocol != protocol {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, f.path))
		if err != nil {
			return nil, err
		}
		found, err := f.form(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.path, err)
		}
		for i := range found {
			if found[i].Name == "" {
				found[i].Name = filepath.Base(f.path)
			}
		}
		captures = append(captures, found...)
	}
	return captures, nil
}

// form is how captures are written down in a file.
type form func(file []byte) ([]Capture, error)

// lines is one capture, the file itself; what begins with '#' is a comment.
func lines(file []byte) ([]Capture, error) {
	var data []byte
	for line := range bytes.Lines(file) {
		if !bytes.HasPrefix(line, []byte("#")) {
			data = append(data, line...)
		}
	}
	return []Capture{{Data: data}}, nil
}

// captured is one capture, in the format of [serialbridge.ReadCapture].
func captured(file []byte) ([]Capture, error) {
	var data []byte
	err := serialbridge.ReadCapture(bytes.NewReader(file), func(c serialbridge.Chunk) error {
		if c.Kind == serialbridge.Received {
			data = append(data, c.Data...)
		}
		return nil
	})
	return []Capture{{Data: data}}, err
}

// hexAt makes a capture of each text of hexadecimal digits, or list of such texts,
// at a path in a JSON document.
func hexAt(path string) form {
	return at(path, func(text string) ([]byte, error) { return hex.DecodeString(strings.ReplaceAll(text, " ", "")) })
}

// textAt makes a capture of each text at a path in a JSON document, of which each
// character stands for a byte. A line end is added where there is none.
func textAt(path string) form {
	return at(path, func(text string) ([]byte, error) {
		var b []byte
		for _, r := range strings.TrimSuffix(text, "\r\n") + "\r\n" {
			b = append(b, byte(r))
		}
		return b, nil
	})
}

// framesAt makes a frame of each list of Teleinfo's groups at a path.
func framesAt(path string) form {
	groups := at(path, func(text string) ([]byte, error) { return []byte("\n" + text + "\r"), nil })
	return func(file []byte) ([]Capture, error) {
		captures, err := groups(file)
		for i, c := range captures {
			captures[i].Data = slices.Concat([]byte{0x02}, c.Data, []byte{0x03})
		}
		return captures, err
	}
}

// oneOf makes one capture of many: of a stick that must be heard for a while.
func oneOf(many form) form {
	return func(file []byte) ([]Capture, error) {
		captures, err := many(file)
		var data []byte
		for _, c := range captures {
			data = append(data, c.Data...)
		}
		return []Capture{{Data: data}}, err
	}
}

// at makes a capture of each text, or list of texts, at a path such as "meters.*.hex",
// where '*' is every member, in the order of their names, or every element. It has
// the name of the member.
func at(path string, read func(text string) ([]byte, error)) form {
	return func(file []byte) ([]Capture, error) {
		var document any
		if err := json.Unmarshal(file, &document); err != nil {
			return nil, err
		}
		var captures []Capture
		for _, f := range pick([]found{{value: document}}, path) {
			texts, ok := f.value.([]any)
			if !ok {
				texts = []any{f.value}
			}
			c := Capture{Name: f.name}
			for _, t := range texts {
				text, ok := t.(string)
				if !ok {
					return nil, fmt.Errorf("%s: not a text", path)
				}
				b, err := read(text)
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", path, f.name, err)
				}
				c.Data = append(c.Data, b...)
			}
			captures = append(captures, c)
		}
		return captures, nil
	}
}

// found is a value in a JSON document, and the member that '*' stood for.
type found struct {
	name  string
	value any
}

func pick(from []found, path string) []found {
	for step := range strings.SplitSeq(path, ".") {
		var next []found
		for _, f := range from {
			switch v := f.value.(type) {
			case []any:
				for i, element := range v {
					name, _ := member(element, "name").(string)
					if name == "" {
						name = fmt.Sprintf("%s %d", f.name, i+1)
					}
					next = append(next, found{strings.TrimSpace(name), element})
				}
			case map[string]any:
				if step != "*" {
					if value, ok := v[step]; ok {
						next = append(next, found{f.name, value})
					}
					continue
				}
				for _, name := range slices.Sorted(maps.Keys(v)) {
					next = append(next, found{name, v[name]})
				}
			}
		}
		from = next
	}
	return from
}

func member(v any, name string) any {
	object, _ := v.(map[string]any)
	return object[name]
}
