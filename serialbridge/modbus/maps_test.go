package modbus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge"
)

// accepted are the units of each class of a sensor that Home Assistant knows, of
// those that maps of the house use.
var accepted = map[string][]string{
	"": {"", "%", "°"}, "voltage": {"V"}, "current": {"A"}, "power": {"W"}, "apparent_power": {"VA"}, "reactive_power": {"var"},
	"energy": {"kWh"}, "reactive_energy": {"kvarh"}, "power_factor": {""}, "frequency": {"Hz"}, "temperature": {"°C"},
}

func TestMaps(t *testing.T) {
	tables, wrong := Options{}.tables()
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	want := []string{"dtsu666", "growatt_mic", "growatt_min", "growatt_tl3x", "pzem004t", "sdm120", "sdm230", "sdm630", "sun2000", "sun2000_meter"}
	if names := slices.Sorted(maps.Keys(tables)); !slices.Equal(names, want) {
		t.Errorf("maps %v", names)
	}
	for _, m := range tables {
		if m.Title == "" || m.Vendor == "" || m.Model == "" || m.Line == "" {
			t.Errorf("%s does not say what it is: %+v", m.Name, m)
		}
		d := newUnit(Unit{Address: 1}, m).device()
		energy := false
		for _, p := range d.Properties {
			totals := p.Class == "energy" || p.Class == "reactive_energy"
			energy = energy || p.Class == "energy"
			switch p.Kind {
			case serialbridge.Measurement:
				if !slices.Contains(accepted[p.Class], p.Unit) {
					t.Errorf("%s: %s in %q is not of class %q", m.Name, p.Key, p.Unit, p.Class)
				}
				if totals != (p.StateClass == "total_increasing") {
					t.Errorf("%s: %s is %q", m.Name, p.Key, p.StateClass)
				}
				if p.Precision < 0 || p.Precision > 3 {
					t.Errorf("%s: %s has precision %d", m.Name, p.Key, p.Precision)
				}
			case serialbridge.State:
				if len(p.Options) == 0 {
					t.Errorf("%s: %s has no options", m.Name, p.Key)
				}
			case serialbridge.Binary, serialbridge.Setting:
			default:
				t.Errorf("%s: %s is a %s", m.Name, p.Key, p.Kind)
			}
		}
		if !energy {
			t.Errorf("%s has no energy", m.Name)
		}
		if m.Vendor == "Eastron" {
			for _, b := range append(newUnit(Unit{Address: 1}, m).blocks, m.join(m.identity)...) {
				if b.address%2 != 0 || b.count%2 != 0 {
					t.Errorf("%s: %d registers at %d: only pairs can be read", m.Name, b.count, b.address)
				}
			}
		}
	}
}

// TestBlocks looks at what is read at once.
func TestBlocks(t *testing.T) {
	tables, wrong := Options{}.tables()
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for name, want := range map[string]string{
		"pzem004t":      "4:0+10 3:1+1",
		"sdm120":        "4:0+32 4:70+2 4:72+8 4:342+4",
		"sdm630":        "4:0+72 4:72+8 4:200+6 4:224+2 4:342+22",
		"dtsu666":       "3:8192+50 3:8260+2 3:4126+12",
		"sun2000":       "3:32016+4 3:32064+27 3:32106+10",
		"sun2000_meter": "3:37100+38 3:37119+4",
		"growatt_min":   "4:3000+28 3:3+1 4:3049+57",
	} {
		var blocks []string
		for _, b := range newUnit(Unit{}, tables[name]).blocks {
			blocks = append(blocks, fmt.Sprintf("%d:%d+%d", b.function, b.address, b.count))
		}
		if got := strings.Join(blocks, " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	// Neither longer than the device takes, nor over more than may be read along.
	m := Map{Name: "test", MaxRead: 4, MaxGap: 1, Function: "holding", Type: "u16"}
	for _, address := range []int{0, 1, 2, 3, 4, 6, 9, 10} {
		m.Registers = append(m.Registers, Register{Key: fmt.Sprint("r", address), Name: "R", Address: address})
	}
	m.Registers = append(m.Registers, Register{Key: "wide", Name: "Wide", Address: 2, Type: "u32"})
	table, wrong := m.compile()
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	var got []string
	for _, b := range table.join(table.registers) {
		got = append(got, fmt.Sprintf("%d+%d", b.address, b.count))
	}
	if want := "0+4 4+3 9+2"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// TestMapValues reads registers as the devices have them.
func TestMapValues(t *testing.T) {
	tables, wrong := Options{}.tables()
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for _, test := range []struct {
		name     string
		function byte
		address  uint16
		data     string
		want     map[string]any
	}{
		{"sdm120", 4, 0x0046, "42480000", map[string]any{"frequency": 50.0}},
		{"sdm120", 4, 0x0156, "44fa199a", map[string]any{"energy": 2000.8}},
		{"sdm630", 4, 0x0034, "c48020c5", map[string]any{"power": -1025.0}},
		{"pzem004t", 4, 3, "5678 0001", map[string]any{"power": 8767.2}},
		{"pzem004t", 4, 9, "ffff", map[string]any{"alarm": true}},
		{"dtsu666", 3, 0x2006, "450fd800 450fe000", map[string]any{"voltage_l1": 230.2, "voltage_l2": 230.2}},
		{"dtsu666", 3, 0x2044, "459c3000", map[string]any{"frequency": 49.98}},
		{"dtsu666", 3, 0x101E, "44fa199a", map[string]any{"energy_import": 2000.8}},
		{"sun2000", 3, 32080, "ffffff9c", map[string]any{"power": int64(-100)}},
		{"sun2000", 3, 32087, "0177", map[string]any{"temperature": 37.5}},
		{"sun2000", 3, 32087, "7fff", map[string]any{"temperature": nil}},
		{"sun2000", 3, 32089, "0200", map[string]any{"status": "On grid"}},
		{"sun2000", 3, 32089, "1234", map[string]any{"status": nil}},
		{"sun2000", 3, 32106, "0001e240", map[string]any{"energy": 1234.56}},
		{"sun2000_meter", 3, 37119, "ffffff9c 00000064", map[string]any{"energy_export": 1.0, "energy_import": 1.0}},
		{"growatt_min", 4, 3000, "0601", map[string]any{"status": "Normal"}},
		{"growatt_min", 4, 3051, "0000 c350", map[string]any{"energy": 5000.0}},
		{"growatt_min", 3, 3, "00ff", map[string]any{"power_limit": nil}},
		{"growatt_tl3x", 4, 37, "1386", map[string]any{"frequency": 49.98}},
		{"growatt_mic", 4, 11, "0000 3039", map[string]any{"power": 1234.5}},
	} {
		data := unhex(t, test.data)
		values := make(map[string]any)
		tables[test.name].values(request{function: test.function, address: test.address, count: len(data) / 2}, data, values)
		if !maps.Equal(values, test.want) {
			t.Errorf("%s: %v, want %v", test.name, values, test.want)
		}
	}
}
