package rfxtrx

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"

	"lintel/serialbridge"
)

// An action is what a command of a remote control does.
type action byte

const (
	nothing action = iota
	off
	on
	level
	groupOff
	groupOn
	up
	down
	stop
)

// A remote is a type of packet that switches.
type remote struct {
	name     string
	id       int                      // bytes of the ID, from byte 3 on
	levelMax byte                     // 0: cannot dim
	commands map[byte]map[byte]action // by subtype and command
}

// lighting1Commands are those of remote controls with code wheels. Dim and bright
// tell no level and are left out.
var lighting1Commands = map[byte]action{0: off, 1: on, 5: groupOff, 6: groupOn}

// remotes are the remote controls by type. After the ID stand the unit, the
// command and, for Lighting2 and Lighting5, the level.
var remotes = map[byte]remote{
	lighting1: {"Lighting1", 1, 0, map[byte]map[byte]action{
		0: lighting1Commands, 1: lighting1Commands, 2: lighting1Commands, 3: lighting1Commands,
		4: lighting1Commands, 5: lighting1Commands, 6: lighting1Commands, 7: lighting1Commands,
	}},
	lighting2: {"Lighting2", 4, 15, map[byte]map[byte]action{
		0: {0: off, 1: on, 2: level, 3: groupOff, 4: groupOn}, // AC
		1: {0: off, 1: on, 2: level, 3: groupOff, 4: groupOn}, // HomeEasy EU
		2: {0: off, 1: on, 2: level, 3: groupOff, 4: groupOn}, // ANSLUT
	}},
	lighting5: {"Lighting5", 3, 31, map[byte]map[byte]action{
		0: {0: off, 1: on, 2: groupOff, 0x10: level}, // LightwaveRF, Siemens
		1: {0: off, 1: on},                           // EMW100
		2: {0: off, 1: on, 2: groupOff, 3: groupOn},  // BBSB
	}},
	blinds1: {"RollerTrol", 3, 0, map[byte]map[byte]action{
		0: {0: up, 1: down, 2: stop},
	}},
}

// Blinds: what can be wanted of them, and what they are then as far as anybody knows.
var (
	blindCommands = map[any]action{"open": up, "close": down, "stop": stop}
	blindStates   = map[action]string{up: "open", down: "closed", stop: "stopped"}
)

// unit is the place of a switch.
type unit struct {
	number byte
	dims   bool // it is a light
}

// lit returns the state of a light at a level.
func (r remote) lit(n byte) map[string]any {
	if n == 0 {
		return lighted(false)
	}
	return map[string]any{"state": "ON", "brightness": math.Round(float64(n) * 255 / float64(r.levelMax)), "color_mode": "brightness"}
}

// lighted returns the state of a light of which no more is known.
func lighted(on bool) map[string]any {
	if on {
		return map[string]any{"state": "ON", "color_mode": "brightness"}
	}
	return map[string]any{"state": "OFF", "color_mode": "brightness"}
}

// property returns the property of a unit.
func (r remote) property(u unit) serialbridge.Property {
	n := strconv.Itoa(int(u.number))
	switch {
	case r.blinds():
		return serialbridge.Property{Key: "blind_" + n, Name: "Blind " + n, Kind: serialbridge.Cover, Precision: -1,
			Features: []serialbridge.Feature{serialbridge.Stop, serialbridge.Assumed}}
	case u.dims:
		return serialbridge.Property{Key: "light_" + n, Name: "Light " + n, Kind: serialbridge.Light, Precision: -1,
			Features: []serialbridge.Feature{serialbridge.Brightness, serialbridge.Assumed}}
	}
	return serialbridge.Property{Key: "switch_" + n, Name: "Switch " + n, Kind: serialbridge.Switch, Precision: -1,
		Features: []serialbridge.Feature{serialbridge.Assumed}}
}

func (r remote) blinds() bool { return r.name == "RollerTrol" }

// identity returns the ID in a packet, and whether it is one. Lighting1 has a
// house code from A to P.
func (r remote) identity(p packet) (string, bool) {
	id := p[3 : 3+r.id]
	if r.id == 1 {
		return string(id), id[0] >= 'A' && id[0] <= 'P'
	}
	return hex.EncodeToString(id), slices.Max(id) > 0
}

// read returns what a packet does to which unit.
func (r remote) read(p packet) (u unit, a action, n byte) {
	u.number = p[3+r.id]
	a = r.commands[p.subtype()][p[4+r.id]]
	if a == level {
		n = p[5+r.id]
	}
	return u, a, n
}

// packet returns the packet, without its length, that does something to a unit.
// It reports false if the remote control has no such command.
func (r remote) packet(kind, subtype, number byte, id []byte, u unit, a action, n byte) (packet, bool) {
	for command, does := range r.commands[subtype] {
		if does != a {
			continue
		}
		p := append(packet{kind, subtype, number}, id...)
		p = append(p, u.number, command)
		if r.levelMax > 0 {
			p = append(p, n)
		}
		return append(p, 0), true
	}
	return nil, false
}
