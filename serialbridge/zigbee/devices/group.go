package devices

import (
	"encoding/json"
	"math"
	"slices"
)

// groupQuirks are the quirks that a group has if all of its members have them.
// noOffTransitionWhenOff is one that a single member is enough for.
var groupQuirks = []string{
	"supportsHueAndSaturation", "supportsEnhancedHue", "omitOptionalLevelAndColorParams", "applyRedFix",
	"turnsOffAtBrightness1", "moveToLevelWithOnOffDisable", "coverInverted", "coverPositionTiltDisableReport",
}

// ForGroup returns the definition of a group of devices of those models: it takes
// what any of them takes, without names of endpoints. The color temperature goes as
// far as all of them do. Commands are for Context.GroupID.
func ForGroup(members []*Definition) *Definition {
	d := &Definition{Description: "Group", Endpoints: map[string]uint8{}}
	if len(members) == 0 {
		d.traits = []*Trait{} // nobody would hear
		return d
	}
	seen := make(map[string]bool)
	low, high := math.Inf(-1), math.Inf(1)
	for _, m := range members {
		if m == nil {
			continue
		}
		for _, c := range m.Clusters {
			if !slices.Contains(d.Clusters, c) {
				d.Clusters = append(d.Clusters, c)
			}
		}
		for _, e := range m.Exposes {
			for _, f := range e.Features {
				if f.Name == "color_temp" && f.ValueMin != nil && f.ValueMax != nil {
					low, high = max(low, *f.ValueMin), min(high, *f.ValueMax)
				}
			}
			text, err := json.Marshal(e)
			if err != nil || seen[string(text)] {
				continue
			}
			seen[string(text)] = true
			d.Exposes = append(d.Exposes, e.withoutEndpoint())
		}
		if m.is("noOffTransitionWhenOff") {
			d.setQuirk("noOffTransitionWhenOff", true)
		}
	}
	for _, e := range d.Exposes {
		for _, f := range e.Features {
			if (f.Name == "color_temp" || f.Name == "color_temp_startup") && low <= high && !math.IsInf(low, 0) && !math.IsInf(high, 0) {
				f.ValueMin, f.ValueMax = &low, &high
			}
		}
	}
	for _, name := range groupQuirks {
		d.setQuirk(name, !slices.ContainsFunc(members, func(m *Definition) bool { return !m.agrees(name) }))
	}
	return d
}

// agrees says whether a member of a group has a quirk.
func (d *Definition) agrees(quirk string) bool {
	if d == nil {
		return false
	}
	if _, said := d.quirk(quirk); !said && quirk == "supportsHueAndSaturation" {
		return hasExpose(d, "color_hs")
	}
	return d.is(quirk)
}

// withoutEndpoint is a copy of an expose that names no endpoint.
func (x *Expose) withoutEndpoint() *Expose {
	own := *x
	own.Endpoint = ""
	if own.Property != "" && x.Endpoint != "" {
		own.Property = own.Name
	}
	own.Features = nil
	for _, f := range x.Features {
		own.Features = append(own.Features, f.withoutEndpoint())
	}
	return &own
}
