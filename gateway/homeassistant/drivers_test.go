package homeassistant

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/airquality"
	"lintel/serialbridge/drivertest"
	"lintel/serialbridge/dsmr"
	"lintel/serialbridge/enocean"
	"lintel/serialbridge/jsonlines"
	"lintel/serialbridge/mysensors"
	"lintel/serialbridge/nmea"
	"lintel/serialbridge/rflink"
	"lintel/serialbridge/rfxtrx"
	"lintel/serialbridge/sml"
	"lintel/serialbridge/teleinfo"
	"lintel/serialbridge/vedirect"
)

// protocols has a line for each driver: a file in the testdata of its package, the
// captures in it, and how many devices they tell of.
var protocols = []struct {
	driver   serialbridge.Driver
	file     string
	captures captures
	devices  int
}{
	{airquality.Driver(), "captures.json", hexAt("sensors.*.hexlines"), 7},
	{dsmr.Driver(dsmr.Options{}), "telegrams.json", textAt("telegrams.*"), 17},
	{enocean.Driver(), "packets.json", oneOf(hexAt("*.hex")), 6},
	{jsonlines.Driver(), "lines.jsonl", lines, 6},
	{mysensors.Driver(), "lines.txt", lines, 1},
	{nmea.Driver(), "sentences.json", oneOf(textAt("vectors.*.raw")), 3},
	{rflink.Driver(), "lines.txt", lines, 35},
	{rfxtrx.Driver(), "packets.json", hexAt("*.hex"), 4},
	{sml.Driver(), "meters.json", hexAt("meters.*.hex"), 8},
	{teleinfo.Driver(), "frames.json", framesAt("*"), 5},
	{vedirect.Driver(), "dumps.json", hexAt("*"), 3},
}

// captures gives the bytes that are written down in a file. Each capture is of
// one stick.
type captures func(t *testing.T, file []byte) [][]byte

// lines is one capture, the file itself; what begins with '#' is a comment.
func lines(t *testing.T, file []byte) [][]byte {
	var capture []byte
	for line := range strings.Lines(string(file)) {
		if !strings.HasPrefix(line, "#") {
			capture = append(capture, line...)
		}
	}
	return [][]byte{capture}
}

// hexAt makes a capture of each text of hexadecimal digits, or list of such
// texts, at a path in a JSON document.
func hexAt(path string) captures {
	return at(path, func(t *testing.T, text string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

// textAt makes a capture of each text at a path in a JSON document, of which
// each character stands for a byte. A line end is added where there is none.
func textAt(path string) captures {
	return at(path, func(t *testing.T, text string) []byte {
		var b []byte
		for _, r := range strings.TrimSuffix(text, "\r\n") + "\r\n" {
			b = append(b, byte(r))
		}
		return b
	})
}

// framesAt makes a frame of each list of Teleinfo's groups at a path.
func framesAt(path string) captures {
	groups := at(path, func(t *testing.T, text string) []byte { return []byte("\n" + text + "\r") })
	return func(t *testing.T, file []byte) [][]byte {
		var frames [][]byte
		for _, g := range groups(t, file) {
			frames = append(frames, slices.Concat([]byte{0x02}, g, []byte{0x03}))
		}
		return frames
	}
}

// oneOf makes one capture of many: of a stick that must be heard for a while.
func oneOf(many captures) captures {
	return func(t *testing.T, file []byte) [][]byte { return [][]byte{slices.Concat(many(t, file)...)} }
}

func at(path string, read func(t *testing.T, text string) []byte) captures {
	return func(t *testing.T, file []byte) [][]byte {
		var all [][]byte
		for _, v := range pick(t, file, path) {
			list, ok := v.([]any)
			if !ok {
				list = []any{v}
			}
			var capture []byte
			for _, text := range list {
				capture = append(capture, read(t, text.(string))...)
			}
			all = append(all, capture)
		}
		return all
	}
}

// pick returns what stands at a path such as "meters.*.hex", where '*' is every
// member, in the order of their names, or every element.
func pick(t *testing.T, file []byte, path string) []any {
	t.Helper()
	var document any
	if err := json.Unmarshal(file, &document); err != nil {
		t.Fatal(err)
	}
	found := []any{document}
	for step := range strings.SplitSeq(path, ".") {
		var next []any
		for _, v := range found {
			switch v := v.(type) {
			case []any:
				next = append(next, v...)
			case object:
				if step != "*" {
					next = append(next, v[step])
					continue
				}
				for _, name := range slices.Sorted(maps.Keys(v)) {
					next = append(next, v[name])
				}
			}
		}
		found = next
	}
	return found
}

// eachProtocol runs check with what the devices of a protocol said.
func eachProtocol(t *testing.T, check func(*testing.T, *drivertest.Recorder)) {
	for _, p := range protocols {
		t.Run(p.driver.Protocol, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join("../../serialbridge", p.driver.Protocol, "testdata", p.file))
			if err != nil {
				t.Fatal(err)
			}
			said := new(drivertest.Recorder)
			for _, capture := range p.captures(t, file) {
				decoder := p.driver.NewDecoder(said)
				for range 2 { // some decoders want to hear a device twice before they believe in it
					decoder.Decode(capture, time.Now())
				}
			}
			if len(said.Devices) != p.devices || said.Disorder != "" {
				t.Errorf("%d devices, want %d: %s", len(said.Devices), p.devices, said.Disorder)
			}
			check(t, said)
		})
	}
}

// TestDrivers holds the documents of real devices against what Home Assistant
// accepts without dropping a key.
func TestDrivers(t *testing.T) {
	s := loadSchema(t)
	eachProtocol(t, func(t *testing.T, said *drivertest.Recorder) {
		for _, d := range said.Announcements {
			doc, err := Document(testBox, d, Options{})
			if err != nil {
				t.Error(err)
				continue
			}
			if ignored, err := s.validate(Topic(testBox, d.ID, Options{}), string(doc)); err != nil || len(ignored) > 0 {
				t.Errorf("%s: %v, drops %q", d.ID, err, ignored)
			}
		}
	})
}

// energyDashboard has the units of the totals that Home Assistant's energy
// dashboard offers its user, by device class.
var energyDashboard = map[string][]string{
	"energy": {"Wh", "kWh", "MWh", "MJ", "GJ"},
	"gas":    {"m³"},
	"water":  {"m³", "L"},
}

// TestEnergyDashboard finds totals that a person would miss there, and meters
// that have none.
func TestEnergyDashboard(t *testing.T) {
	history := []string{"yield_yesterday"} // besides what is diagnostic
	meters := map[string]bool{"Electricity meter": true, "Gas meter": true, "Water meter": true, "Heat meter": true}
	eachProtocol(t, func(t *testing.T, said *drivertest.Recorder) {
		for id, d := range said.Devices {
			offered := 0
			for _, p := range d.Properties {
				units, total := energyDashboard[p.Class]
				if !total || p.Category != "" || slices.Contains(history, p.Key) {
					continue
				}
				offered++
				if p.Kind != serialbridge.Measurement || !slices.Contains(units, p.Unit) ||
					p.StateClass != "total_increasing" && p.StateClass != "total" {
					t.Errorf("%s: %s is %s of class %s in %q with statistics %q", id, p.Key, p.Kind, p.Class, p.Unit, p.StateClass)
				}
			}
			if meters[d.Name] && offered == 0 {
				t.Errorf("%s has nothing for the energy dashboard", id)
			}
		}
	})
}
