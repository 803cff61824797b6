package serialbridge

import (
	"slices"
	"strings"
	"unicode"
)

// Limits of what a device may say of itself: it is foreign, and it is kept.
const (
	maxID         = 64  // bytes
	maxName       = 256 // bytes of any one text
	maxProperties = 256
	maxOptions    = 64
	maxText       = 4096     // bytes of a value
	maxEvents     = 16       // that wait for the broker, for each device
	maxRaw        = 64 << 10 // bytes that do, and 64 more for each piece
	maxReasons    = 16       // of damage, for each stick
	maxIgnored    = 64       // reasons why whole frames are ignored, for each stick
)

// validID tells whether an ID may be a level of a topic. The box's own topics
// are below "gateway".
func validID(id string) bool {
	if id == "" || len(id) > maxID || id == "gateway" {
		return false
	}
	return IDPart(id) == id
}

// IDPart makes a part of a Device.ID of what a device says of itself: what may not stand
// in one becomes '_'.
func IDPart(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, s)
}

// validKey tells whether a key may be a level of a topic and a name in JSON.
func validKey(key string) bool {
	if key == "" || len(key) > 64 {
		return false
	}
	return strings.IndexFunc(key, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	}) < 0
}

// taken are levels below a device that mean something else.
var taken = []string{"state", "availability", "set"}

// hasTopic tells whether a property is published on a topic of its own.
func (p *Property) hasTopic() bool {
	return p.Kind == Event || p.Kind == Tag || p.Kind == Raw || p.Kind == Light
}

// cleaned returns a copy of d that is fit to be shown and given away.
func cleaned(d Device) Device {
	for _, s := range []*string{&d.Name, &d.Vendor, &d.Model, &d.SerialNumber, &d.HWVersion, &d.SWVersion} {
		*s = cleanText(*s)
	}
	if d.Via != "" && !validID(d.Via) {
		d.Via = ""
	}
	properties := make([]Property, 0, min(len(d.Properties), maxProperties))
	known := make(map[string]bool)
	for _, p := range d.Properties {
		if len(properties) == maxProperties {
			break
		}
		if !validKey(p.Key) || known[p.Key] || p.hasTopic() && slices.Contains(taken, p.Key) {
			continue
		}
		known[p.Key] = true
		p.Name = cleanText(p.Name)
		p.Options, p.Presets = cleanList(p.Options), cleanList(p.Presets)
		p.Features = slices.Clone(p.Features[:min(len(p.Features), maxOptions)])
		properties = append(properties, p)
	}
	d.Properties = properties
	return d
}

func cleanList(texts []string) []string {
	var cleaned []string
	for _, s := range texts[:min(len(texts), maxOptions)] {
		cleaned = append(cleaned, cleanText(s))
	}
	return cleaned
}

func cleanText(s string) string {
	if len(s) > maxName {
		s = s[:maxName]
	}
	s = strings.ToValidUTF8(s, "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s))
}
