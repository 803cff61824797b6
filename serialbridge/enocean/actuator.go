package enocean

import (
	"encoding/binary"
	"fmt"
	"math"

	"lintel/serialbridge"
)

// Commands of D2-01, in the low four bits of the first byte (EEP 2.6.7, D2-01).
const (
	cmdSetOutput    = 0x1
	cmdStatusQuery  = 0x3
	cmdStatus       = 0x4
	cmdMeasureQuery = 0x6
	cmdMeasurement  = 0x7
)

// allChannels addresses all outputs of an actuator at once.
const allChannels = 0x1E

// An actuator is a type of D2-01.
type actuator struct {
	channels int
	dims     bool
}

// actuators are the types of D2-01 by number. Sources do not agree whether 00 and
// 09 dim; they are shown as switches, which works with both.
var actuators = []actuator{
	0x00: {1, false}, 0x01: {1, false}, 0x02: {1, true}, 0x03: {1, true},
	0x04: {1, true}, 0x05: {1, true}, 0x06: {1, false}, 0x07: {1, false},
	0x08: {1, true}, 0x09: {1, false}, 0x0A: {1, false}, 0x0B: {1, false},
	0x0C: {1, false}, 0x0D: {1, false}, 0x0E: {1, false}, 0x0F: {1, false},
	0x10: {2, false}, 0x11: {2, false}, 0x12: {2, false}, 0x13: {4, false},
	0x14: {8, false}, 0x15: {4, false}, 0x16: {2, true},
}

// An executor does what it is told and answers what it is asked: an actuator or a blind.
type executor interface {
	// properties are those that can be commanded.
	properties() []serialbridge.Property
	// read adds to values what a telegram says, and returns the properties for it. It
	// reports false if the telegram is not of its length. What says nothing is passed over.
	read(payload []byte, values map[string]any) ([]serialbridge.Property, bool)
	// command returns the payload that does what is wanted, or that it has no such
	// property.
	command(key string, value any, s *sender) ([]byte, bool)
	// queries ask for all that it knows, the state first.
	queries() [][]byte
}

// executorOf returns the executor of a profile.
func executorOf(p profileID) (executor, bool) {
	switch {
	case p.rorg == vld && p.fn == 0x01 && int(p.typ) < len(actuators):
		return actuators[p.typ], true
	case p == profileID{vld, 0x05, 0x00}:
		return blind{}, true
	}
	return nil, false
}

// numbered names one of several channels. An actuator with one has no numbers.
func (a actuator) numbered(p serialbridge.Property, channel int) serialbridge.Property {
	if a.channels > 1 {
		p.Key += fmt.Sprintf("_%d", channel+1)
		p.Name += fmt.Sprintf(" %d", channel+1)
	}
	return p
}

func (a actuator) output(channel int) serialbridge.Property {
	return a.numbered(serialbridge.Property{Key: "output", Name: "Output", Kind: serialbridge.Switch, Precision: -1}, channel)
}

// level is what an output that dims is, in place of output.
func (a actuator) level(channel int) serialbridge.Property {
	return a.numbered(serialbridge.Property{Key: "light", Name: "Light", Kind: serialbridge.Light,
		Features: []serialbridge.Feature{serialbridge.Brightness}, Precision: -1}, channel)
}

func (a actuator) properties() []serialbridge.Property {
	var ps []serialbridge.Property
	for channel := range a.channels {
		if a.dims {
			ps = append(ps, a.level(channel))
		} else {
			ps = append(ps, a.output(channel))
		}
	}
	return ps
}

// hardwareState is the error level of a channel; level 3 is "not supported".
func hardwareState() serialbridge.Property {
	return serialbridge.Property{Key: "hardware", Name: "Hardware", Kind: serialbridge.State, Precision: -1,
		Options: []string{"ok", "warning", "failure"}}.AsDiagnostic()
}

func (a actuator) read(payload []byte, values map[string]any) ([]serialbridge.Property, bool) {
	switch payload[0] & 0x0F {
	case cmdStatus:
		if len(payload) < 3 {
			return nil, false
		}
		return a.readStatus(payload, values), true
	case cmdMeasurement:
		if len(payload) < 6 {
			return nil, false
		}
		return a.readMeasurement(payload, values), true
	}
	return nil, true
}

// readStatus reads "Actuator Status Response": power failure, over current,
// error level, channel, output value.
func (a actuator) readStatus(payload []byte, values map[string]any) []serialbridge.Property {
	channel := int(payload[1] & 0x1F)
	if channel >= a.channels {
		return nil // the input, or more outputs than the type has
	}
	p := a.output(channel)
	if a.dims {
		p = a.level(channel)
	}
	ps := []serialbridge.Property{p}
	switch v := payload[2] & 0x7F; {
	case v > 100: // 0x7F: not valid
	case !a.dims:
		values[p.Key] = v > 0
	case v == 0:
		values[p.Key] = map[string]any{"state": "OFF", "color_mode": "brightness"}
	default:
		values[p.Key] = map[string]any{"state": "ON", "brightness": math.Round(float64(v) * 255 / 100), "color_mode": "brightness"}
	}
	overload := a.numbered(serialbridge.Flag("overload", "Overload", "problem").AsDiagnostic(), channel)
	ps = append(ps, overload)
	values[overload.Key] = payload[1]&0x80 != 0
	hardware := a.numbered(hardwareState(), channel)
	if level := int(payload[1] >> 5 & 3); level < len(hardware.Options) {
		ps = append(ps, hardware)
		values[hardware.Key] = hardware.Options[level]
	}
	if payload[0]&0x80 != 0 { // looks for power failures
		failure := serialbridge.Flag("power_failure", "Power failure", "problem").AsDiagnostic()
		ps = append(ps, failure)
		values[failure.Key] = payload[0]&0x40 != 0
	}
	return ps
}

// readMeasurement reads "Actuator Measurement Response": unit, channel, value.
func (a actuator) readMeasurement(payload []byte, values map[string]any) []serialbridge.Property {
	channel := int(payload[1] & 0x1F)
	if channel >= a.channels {
		return nil
	}
	n := int64(binary.BigEndian.Uint32(payload[2:]))
	p := serialbridge.Counted("energy", "Energy", "kWh", "energy", 0)
	var value float64
	switch payload[1] >> 5 {
	case 0: // Ws
		p.Precision = 3
		value = decimal((n+1800)/3600, 3)
	case 1: // Wh
		p.Precision = 3
		value = decimal(n, 3)
	case 2: // kWh
		p.Precision = 3
		value = float64(n)
	case 3: // W
		p = serialbridge.Measured("power", "Power", "W", "power", 0)
		value = float64(n)
	case 4: // kW
		p = serialbridge.Measured("power", "Power", "W", "power", 0)
		value = float64(n * 1000)
	default:
		return nil
	}
	p = a.numbered(p, channel)
	values[p.Key] = value
	return []serialbridge.Property{p}
}

func (a actuator) command(key string, value any, s *sender) ([]byte, bool) {
	for channel := range a.channels {
		switch {
		case !a.dims && key == a.output(channel).Key:
			on, ok := value.(bool)
			if on {
				return setOutput(channel, 100), ok
			}
			return setOutput(channel, 0), ok
		case a.dims && key == a.level(channel).Key:
			wanted, ok := value.(map[string]any)
			brightness, bright := wanted["brightness"].(float64)
			switch {
			case !ok || !bright && wanted["state"] == nil:
				return nil, false
			case wanted["state"] == "OFF" || bright && brightness == 0:
				return setOutput(channel, 0), true
			case !bright: // as bright as it was
				if brightness, bright = s.brightness[key]; !bright {
					brightness = 255
				}
			}
			return setOutput(channel, byte(max(1, math.Round(brightness*100/255)))), true
		}
	}
	return nil, false
}

// setOutput is "Actuator Set Output", at once.
func setOutput(channel int, value byte) []byte { return []byte{cmdSetOutput, byte(channel), value} }

// queries are "Actuator Status Query" for all outputs, and the measurements.
func (a actuator) queries() [][]byte {
	return append([][]byte{{cmdStatusQuery, allChannels}}, queryMeasurements()...)
}

// queryMeasurements are "Actuator Measurement Query" for the energy and the power
// of all outputs. Who measures nothing does not answer.
func queryMeasurements() [][]byte {
	const power = 0x20
	return [][]byte{{cmdMeasureQuery, allChannels}, {cmdMeasureQuery, power | allChannels}}
}
