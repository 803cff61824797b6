package devices

import (
	"slices"
	"strings"
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
	d := &Definition{Description: "Group", Exposes: []*Expose{}, Endpoints: map[string]uint8{}}
	members = slices.DeleteFunc(slices.Clone(members), func(m *Definition) bool { return m == nil })
	if len(members) == 0 {
		d.traits = []*Trait{} // nobody would hear
		return d
	}
	for _, m := range members {
		for _, c := range m.Clusters {
			if !slices.Contains(d.Clusters, c) {
				d.Clusters = append(d.Clusters, c)
			}
		}
		for _, e := range m.Exposes {
			d.merge(e)
		}
		if m.is("noOffTransitionWhenOff") {
			d.setQuirk("noOffTransitionWhenOff", true)
		}
	}
	for _, name := range groupQuirks {
		d.setQuirk(name, !slices.ContainsFunc(members, func(m *Definition) bool { return !m.agrees(name) }))
	}
	return d
}

// merge adds an expose of a member. One light stands for all lights, with all that
// any of them has.
func (d *Definition) merge(e *Expose) {
	i := slices.IndexFunc(d.Exposes, func(o *Expose) bool { return o.Type == e.Type && o.Name == e.Name })
	if i < 0 {
		d.Exposes = append(d.Exposes, e.withoutEndpoint())
		return
	}
	for _, f := range e.Features {
		own := d.Exposes[i]
		k := slices.IndexFunc(own.Features, func(o *Expose) bool { return o.Name == f.Name })
		if k < 0 {
			own.Features = append(own.Features, f.withoutEndpoint())
			continue
		}
		known := own.Features[k]
		if f.Name != "color_temp" && f.Name != "color_temp_startup" || f.ValueMin == nil || f.ValueMax == nil || known.ValueMin == nil || known.ValueMax == nil {
			continue
		}
		if low, high := max(*known.ValueMin, *f.ValueMin), min(*known.ValueMax, *f.ValueMax); low <= high {
			known.ValueMin, known.ValueMax = &low, &high
		}
	}
}

// agrees says whether a member of a group has a quirk.
func (d *Definition) agrees(quirk string) bool {
	if _, said := d.quirk(quirk); !said && quirk == "supportsHueAndSaturation" {
		return hasExpose(d, "color_hs")
	}
	return d.is(quirk)
}

// withoutEndpoint is a copy of an expose that names no endpoint.
func (x *Expose) withoutEndpoint() *Expose {
	own := *x
	if x.Endpoint != "" {
		own.Property, own.Endpoint = strings.TrimSuffix(x.Property, "_"+x.Endpoint), ""
	}
	own.Features = nil
	for _, f := range x.Features {
		own.Features = append(own.Features, f.withoutEndpoint())
	}
	return &own
}
