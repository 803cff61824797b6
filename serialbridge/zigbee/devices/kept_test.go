package devices

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// TestKeptRows finds out which rows of attributes say other than the traits do, for
// oracle/definitions.mjs to keep, and what the traits tell that the converters do
// not. It is no test but half of how definitions.bin is made:
//
//	node definitions.mjs ../definitions.bin full.jsonl
//	LINTEL_ROWS=$PWD/full.jsonl LINTEL_KEPT=$PWD/kept.jsonl go test -run TestKeptRows ..
//	node definitions.mjs ../definitions.bin full.jsonl kept.jsonl
func TestKeptRows(t *testing.T) {
	from, to := os.Getenv("LINTEL_ROWS"), os.Getenv("LINTEL_KEPT")
	if from == "" || to == "" {
		t.Skip("LINTEL_ROWS and LINTEL_KEPT are not set: this makes definitions.bin")
	}
	db, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<22)
	all, kept, nothing := 0, 0, 0
	for lines.Scan() {
		var r struct {
			record
			PlainRows []struct {
				rowRecord
				Within []float64 `json:"within"` // outside of it the converters tell nothing
			} `json:"plainRows"`
			Code []string `json:"code"`
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Model == "" {
			continue // the last line is not of a definition
		}
		r.Options = nil // their numbers are of another file
		def, err := db.definition(&r.record)
		if err != nil {
			t.Fatal(err)
		}
		var plainRows []rowRecord
		for _, row := range r.PlainRows {
			plainRows = append(plainRows, row.rowRecord)
		}
		rows := (&record{Attributes: plainRows}).attributes()
		result := keptRows{Keep: []int{}}
		for i := range rows {
			// What the traits write and read, they do better.
			commanded := (rows[i].Type != zcl.NoData || rows[i].Read) && !def.commands(rows[i].Property)
			switch {
			case commanded:
				result.Keep = append(result.Keep, i)
			case !def.tells(&rows[i], r.PlainRows[i].Within):
				result.Keep = append(result.Keep, i)
				result.Bare = append(result.Bare, i)
			}
		}
		result.Nothing = def.invented(rows, r.Code)
		all, kept, nothing = all+len(rows), kept+len(result.Keep), nothing+len(result.Nothing)
		line, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s\n", line)
	}
	t.Logf("%d of %d rows are kept, %d say that there is nothing", kept, all, nothing)
	if err := os.WriteFile(to, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

type keptRows struct {
	Keep    []int            `json:"keep"`
	Bare    []int            `json:"bare,omitempty"` // of those, which are not written and read
	Nothing []map[string]any `json:"nothing,omitempty"`
}

// commands says that a trait knows how to set or get the property.
func (d *Definition) commands(property string) bool {
	name, _ := d.Split(property)
	d.Bind()
	return slices.ContainsFunc(d.traits, func(t *Trait) bool {
		return slices.Contains(t.Keys, property) || slices.Contains(t.Keys, name)
	})
}

// trial is a device of the definition with all its clusters everywhere.
func (d *Definition) trial() *zigbee.Device {
	device := &zigbee.Device{ModelID: "trial", Interview: zigbee.Successful}
	ids := []uint8{1}
	for _, id := range d.Endpoints {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		device.Endpoints = append(device.Endpoints, zigbee.Endpoint{ID: id, Profile: 0x0104, Input: d.Clusters, Output: d.Clusters})
	}
	return device
}

// try decodes a report of one attribute.
func (d *Definition) try(device *zigbee.Device, endpoint uint8, cluster, manufacturer, id uint16, t zcl.Type, value any) map[string]any {
	m := zigbee.Message{
		Endpoint: endpoint, DestinationEndpoint: 1, Cluster: cluster, LinkQuality: 100,
		Frame:      zcl.Frame{Command: zcl.ReportAttributes, ServerToClient: true, ManufacturerCode: manufacturer, Sequence: 1},
		Attributes: []zcl.Attribute{{ID: id, Type: t, Value: value}},
	}
	values, _ := d.Decode(&Context{Device: device, State: Values{}, Options: Values{}, Memory: map[string]any{}, Now: time.Unix(1800000000, 0)}, m)
	o, _ := asJSON(values).(map[string]any)
	return o
}

// wireSamples are values to try a row with.
func wireSamples(cluster, id uint16, enum map[int64]any) (zcl.Type, []any) {
	t := zcl.Int32
	var info *zcl.AttributeInfo
	if c := zcl.ClusterByID(cluster); c != nil {
		if info = c.Attribute(id); info != nil {
			t = info.Type
		}
	}
	numbers := []int64{0, 1, 2, 3, 4, 8, 9, 16, 37, 100, 200, 254, 2345, 65534}
	for n := range enum {
		numbers = append(numbers, n)
	}
	var values []any
	for _, n := range numbers {
		data, err := zcl.AppendValue(nil, t, n)
		if err != nil {
			continue
		}
		v, _, err := zcl.ReadValue(t, data)
		if err != nil {
			continue
		}
		if info != nil {
			if known, err := info.Check(v); !known || err != nil {
				continue
			}
		}
		values = append(values, v)
	}
	return t, values
}

// tells says that the traits tell the same as a row.
func (d *Definition) tells(a *Attribute, within []float64) bool {
	device := d.trial()
	t, values := wireSamples(a.Cluster, a.ID, a.Enum)
	for _, e := range device.Endpoints {
		if a.Endpoint != 0 && a.Endpoint != e.ID {
			continue
		}
		property := a.Property
		if a.Endpoint == 0 {
			property = d.property(property, e.ID)
		}
		for _, v := range values {
			if n, ok := numberOf(v); ok && within != nil && (n < within[0] || n > within[1]) {
				continue
			}
			converted, ok := a.Conversion.decode(&Context{Definition: d, Device: device}, v)
			want := Values{}
			if ok {
				want[property] = converted
			}
			d.calibrate(want, nil)
			got := d.try(device, e.ID, a.Cluster, a.ManufacturerCode, a.ID, t, v)
			wanted, _ := asJSON(want).(map[string]any)
			if (got[property] != nil) != (wanted[property] != nil) || !near(got[property], wanted[property]) {
				return false
			}
		}
	}
	return len(values) > 0
}

// invented returns rows for what the traits tell of an attribute and the converters
// do not.
func (d *Definition) invented(rows []Attribute, code []string) []map[string]any {
	device := d.trial()
	var out []map[string]any
	for _, id := range d.Clusters {
		c := zcl.ClusterByID(id)
		if c == nil {
			continue
		}
		for _, info := range c.Attributes {
			if slices.Contains(code, strconv.Itoa(int(id))+":"+strconv.Itoa(int(info.ID))) {
				continue
			}
			t, values := wireSamples(id, info.ID, nil)
			found := make(map[string][]uint8)
			for _, e := range device.Endpoints {
				properties := make(map[string]bool)
				for _, v := range values {
					for p := range d.try(device, e.ID, id, 0, info.ID, t, v) {
						properties[p] = true
					}
				}
				for p := range properties {
					if !slices.ContainsFunc(rows, func(a Attribute) bool {
						return a.Cluster == id && a.ID == info.ID && (a.Property == p || a.Endpoint == 0 && d.property(a.Property, e.ID) == p)
					}) {
						found[p] = append(found[p], e.ID)
					}
				}
			}
			for _, p := range slices.Sorted(maps.Keys(found)) {
				row := map[string]any{"c": id, "i": info.ID, "p": p, "k": "nothing"}
				if len(found[p]) == 1 && len(device.Endpoints) > 1 {
					row["e"] = found[p][0]
				}
				out = append(out, row)
			}
		}
	}
	return out
}
