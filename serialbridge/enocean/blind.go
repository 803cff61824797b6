package enocean

import (
	"math"

	"lintel/serialbridge"
)

// Commands of D2-05, in the low four bits of the last byte (EEP 2.6.7, D2-05).
const (
	cmdGoTo       = 0x1
	cmdStop       = 0x2
	cmdWhere      = 0x3
	cmdIsAt       = 0x4
	keepAsItIs    = 127 // position or angle: not to be changed, or not known
	fullyDown     = 100
	positionsMask = 0x7F
)

// blind is an actuator of the profile D2-05-00: position and angle of one blind.
// Both are 0 when it is up or its slats are open, and 100 the other way round; the
// house counts from closed to open.
type blind struct{}

func (blind) property(tilts bool) serialbridge.Property {
	p := serialbridge.Property{Key: "cover", Name: "Cover", Kind: serialbridge.Cover, Precision: -1,
		Features: []serialbridge.Feature{serialbridge.Position, serialbridge.Stop}}
	if tilts {
		p.Features = append(p.Features, serialbridge.Tilt)
	}
	return p
}

func (b blind) properties() []serialbridge.Property {
	return []serialbridge.Property{b.property(false)}
}

// read reads "Reply Position and Angle". A shutter without slats has no angle.
func (b blind) read(payload []byte, values map[string]any) ([]serialbridge.Property, bool) {
	if payload[len(payload)-1]&0x0F != cmdIsAt {
		return nil, true
	}
	if len(payload) != 4 {
		return nil, false
	}
	at := make(map[string]any)
	position, angle := payload[0]&positionsMask, payload[1]&positionsMask
	if position <= fullyDown {
		at["position"] = float64(fullyDown - position)
		at["state"] = "open"
		if position == fullyDown {
			at["state"] = "closed"
		}
	}
	tilts := angle <= fullyDown
	if tilts {
		at["tilt"] = float64(fullyDown - angle)
	}
	p := b.property(tilts)
	if len(at) > 0 {
		values[p.Key] = at
	}
	return []serialbridge.Property{p}, true
}

// command is "Go to Position and Angle" or "Stop".
func (b blind) command(key string, value any, _ *sender) ([]byte, bool) {
	wanted, ok := value.(map[string]any)
	if !ok || key != b.property(false).Key {
		return nil, false
	}
	position, angle := byte(keepAsItIs), byte(keepAsItIs)
	switch wanted["state"] {
	case "stop":
		return []byte{cmdStop}, true
	case "open":
		position = 0
	case "close":
		position = fullyDown
	}
	if p, ok := wanted["position"].(float64); ok {
		position = fullyDown - byte(math.Round(p))
	}
	if t, ok := wanted["tilt"].(float64); ok {
		angle = fullyDown - byte(math.Round(t))
	}
	return []byte{position, angle, 0, cmdGoTo}, position != keepAsItIs || angle != keepAsItIs
}

func (blind) queries() [][]byte { return [][]byte{{cmdWhere}} }
