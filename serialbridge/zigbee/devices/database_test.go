package devices

import (
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge/zigbee"
)

// TestDefinitions unpacks every definition, and finds each by the models and
// fingerprints that it names.
func TestDefinitions(t *testing.T) {
	d, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	types := []string{"binary", "numeric", "enum", "text", "list", "composite", "light", "switch", "cover", "lock", "fan", "climate"}
	var check func(r *record, e *Expose)
	check = func(r *record, e *Expose) {
		if !slices.Contains(types, e.Type) {
			t.Errorf("%s %s: %q is no type of expose", r.Vendor, r.Model, e.Type)
		}
		if e.Name == "" && !slices.Contains(nameless, e.Type) && e.Type != "composite" {
			t.Errorf("%s %s: an expose of type %s has no name", r.Vendor, r.Model, e.Type)
		}
		for _, f := range e.Features {
			check(r, f)
		}
	}
	var numbers []int
	for n := range d.definitions {
		numbers = append(numbers, n)
	}
	records, err := d.records(numbers)
	if err != nil {
		t.Fatal(err)
	}
	for n, r := range records {
		def, err := d.definition(r)
		if err != nil {
			t.Fatal(err)
		}
		if def.Model == "" || def.Vendor == "" || def.Description == "" {
			t.Errorf("definition %d has no name: %+v", n, def)
		}
		for _, e := range def.Exposes {
			check(r, e)
		}
		for _, model := range r.ZigbeeModels {
			if !slices.Contains(d.find(strings.ToLower(model), ""), n) {
				t.Errorf("%s %s is not found by %q", r.Vendor, r.Model, model)
			}
		}
		for _, f := range r.Fingerprints {
			if f.ModelID != "" && !slices.Contains(d.find(strings.ToLower(f.ModelID), f.ManufacturerName), n) {
				t.Errorf("%s %s is not found by fingerprint %q", r.Vendor, r.Model, f.ModelID)
			}
		}
	}
	if d.definitions != 4478 {
		t.Errorf("%d definitions", d.definitions)
	}
}

func TestResolve(t *testing.T) {
	for _, test := range []struct{ model, manufacturer, want string }{
		{"lumi.weather", "LUMI", "Aqara WSDCGQ11LM"},
		{"TS0201", "_TZ3000_bguser20", "Tuya WSD500A"},
		{"TS0601", "_TZE200_b6wax7g0", "Moes BRT-100-TRV"},
		{"TRADFRI bulb E27 WS opal 980lm", "IKEA of Sweden", "IKEA LED1545G12"},
		{" lumi.weather\x00\x00 ", "LUMI", "Aqara WSDCGQ11LM"},
	} {
		d := Resolve(&zigbee.Device{ModelID: test.model, ManufacturerName: test.manufacturer})
		if d == nil || d.Vendor+" "+d.Model != test.want {
			t.Errorf("%q of %q is %v, want %s", test.model, test.manufacturer, d, test.want)
		}
	}
	if d := Resolve(&zigbee.Device{}); d != nil {
		t.Errorf("a device that told nothing is %+v", d)
	}
	unknown := &zigbee.Device{ModelID: "PLUG-9000", ManufacturerName: "ACME", Endpoints: []zigbee.Endpoint{{ID: 1, Input: []uint16{0, 6}}}}
	if d := Resolve(unknown); !d.Generated || d.Model != "PLUG-9000" || d.Vendor != "ACME" || d.MultiEndpoint {
		t.Errorf("an unknown device is %+v", d)
	}
}

func TestDamagedDefinitions(t *testing.T) {
	for _, data := range [][]byte{nil, []byte("LZD1"), definitionsData[:20000], append([]byte("LZD2"), definitionsData[4:]...)} {
		if _, err := openDatabase(data); err == nil || !strings.Contains(err.Error(), "devices: ") {
			t.Errorf("%d bytes were taken: %v", len(data), err)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	device := &zigbee.Device{ModelID: "lumi.weather", ManufacturerName: "LUMI"}
	b.ReportAllocs()
	for b.Loop() {
		Resolve(device)
	}
}
