package devices

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"lintel/serialbridge/zigbee"
)

var builtIn = sync.OnceValues(func() (*database, error) { return openDatabase(definitionsData) })

// Resolve returns what is known of a device: the definition of its model, or one
// made from its clusters. It reads the definitions anew for each call, so keep
// what it returns; it is the caller's own. It returns nil for a device that has
// told nothing of itself yet.
func Resolve(device *zigbee.Device) *Definition {
	if d := resolve(device); d != nil {
		return d
	}
	if device.ModelID == "" && len(device.Endpoints) == 0 {
		return nil
	}
	return Generate(device)
}

func resolve(device *zigbee.Device) *Definition {
	d, err := builtIn()
	if err != nil {
		return nil // a test has read them all
	}
	model := strings.ToLower(device.ModelID)
	if model == "" {
		model = "null"
	}
	records := d.candidates(model, device.ManufacturerName)
	if len(records) == 0 {
		records = d.candidates(strings.ToLower(trimModel(device.ModelID)), device.ManufacturerName)
	}
	r := choose(records, device)
	if r == nil {
		return nil
	}
	def, err := d.definition(r)
	if err != nil {
		return nil
	}
	for _, w := range r.WhiteLabels {
		if slices.ContainsFunc(w.Fingerprints, func(f fingerprint) bool { return f.matches(device) }) {
			def.Model = w.Model
			if w.Vendor != "" {
				def.Vendor = w.Vendor
			}
			if w.Description != "" {
				def.Description = w.Description
			}
			break
		}
	}
	return def
}

// trimModel takes off what some devices fill their model up with.
func trimModel(model string) string {
	model, _, _ = strings.Cut(model, "\x00")
	return strings.TrimSpace(model)
}

// candidates are the definitions of a model in lower case.
func (d *database) candidates(model, manufacturer string) []*record {
	records, err := d.records(d.find(model, manufacturer))
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(records, func(r *record) bool { return !r.isOf(model) })
}

// isOf tells definitions of the model from those whose hash is the same.
func (r *record) isOf(model string) bool {
	if slices.ContainsFunc(r.ZigbeeModels, func(m string) bool { return strings.ToLower(m) == model }) {
		return true
	}
	return slices.ContainsFunc(r.Fingerprints, func(f fingerprint) bool {
		return strings.ToLower(f.ModelID) == model || f.ModelID == "" && model == "null"
	})
}

// choose finds the definition as zigbee2mqtt does: the only one, if it names the model;
// then the first fingerprint of the highest priority; then the first that
// names the model.
func choose(records []*record, device *zigbee.Device) *record {
	if len(records) == 1 && len(records[0].ZigbeeModels) > 0 {
		return records[0]
	}
	var best *record
	priority := 0
	for _, r := range records {
		for i := range r.Fingerprints {
			f := &r.Fingerprints[i]
			if (best == nil || f.Priority > priority) && f.matches(device) {
				best, priority = r, f.Priority
			}
		}
	}
	if best != nil || device.ModelID == "" {
		return best
	}
	for _, r := range records {
		if slices.Contains(r.ZigbeeModels, device.ModelID) || slices.Contains(r.ZigbeeModels, trimModel(device.ModelID)) {
			return r
		}
	}
	return nil
}

func (f *fingerprint) matches(d *zigbee.Device) bool {
	text := func(want, got string) bool { return want == "" || want == got }
	number := func(want, got *uint8) bool { return want == nil || got != nil && *want == *got }
	switch {
	case !text(f.ModelID, d.ModelID), !text(f.ManufacturerName, d.ManufacturerName), !text(f.Type, string(d.Type)),
		!text(f.DateCode, d.DateCode), !text(f.PowerSource, d.PowerSource), !text(f.SoftwareBuildID, d.SoftwareBuildID),
		!number(f.ApplicationVersion, d.ApplicationVersion), !number(f.HardwareVersion, d.HardwareVersion),
		!number(f.StackVersion, d.StackVersion), !number(f.ZCLVersion, d.ZCLVersion),
		f.ManufacturerID != nil && *f.ManufacturerID != d.ManufacturerCode:
		return false
	}
	if f.IEEEAddress != "" {
		pattern, err := regexp.Compile(f.IEEEAddress)
		if err != nil || !pattern.MatchString(d.IEEEAddress.String()) {
			return false
		}
	}
	return f.Endpoints == nil || f.endpointsMatch(d)
}

func (f *fingerprint) endpointsMatch(d *zigbee.Device) bool {
	if len(f.Endpoints) != len(d.Endpoints) {
		return false
	}
	for _, e := range d.Endpoints {
		if !slices.ContainsFunc(f.Endpoints, func(want fingerprintEndpoint) bool { return want.ID != nil && *want.ID == e.ID }) {
			return false
		}
	}
	for _, want := range f.Endpoints {
		if want.ID == nil {
			continue
		}
		e := d.Endpoint(*want.ID)
		switch {
		case e == nil,
			want.DeviceID != nil && *want.DeviceID != e.DeviceID,
			want.Profile != nil && *want.Profile != e.Profile,
			want.Input != nil && !alike(*want.Input, e.Input),
			want.Output != nil && !alike(*want.Output, e.Output):
			return false
		}
	}
	return true
}

// alike says that both name the same clusters, in any order.
func alike(a, b []uint16) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(c uint16) bool { return !slices.Contains(b, c) })
}
