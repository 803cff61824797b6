package air

import (
	"encoding/binary"
	"math"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// specific carries out a command of the cluster.
func (r *request) specific() zcl.Status {
	if own := r.device.model.specific; own != nil {
		if status, handled := own(r); handled {
			return status
		}
	}
	if r.frame.ManufacturerCode != 0 {
		return zcl.UnsupportedCommand
	}
	if r.frame.ServerToClient {
		r.device.answeredBy(r)
		return zcl.Success
	}
	switch r.cluster {
	case clusterBasic:
		return zcl.Success // reset to factory defaults
	case clusterIdentify:
		return r.identify()
	case clusterGroups:
		return r.groups()
	case clusterScenes:
		return r.scenes()
	case clusterOnOff:
		return r.onOff()
	case clusterLevel:
		return r.level()
	case clusterColor:
		return r.color()
	case clusterCover:
		return r.cover()
	case clusterDoorLock:
		return r.lock()
	case clusterThermostat:
		return r.thermostat()
	case clusterIASZone:
		return zcl.UnsupportedCommand
	case clusterPollControl:
		return r.pollControl()
	}
	return zcl.UnsupportedCommand
}

func (r *request) u8(i int) uint8 {
	if i < len(r.frame.Payload) {
		return r.frame.Payload[i]
	}
	return 0
}

func (r *request) u16(i int) uint16 {
	if i+2 <= len(r.frame.Payload) {
		return binary.LittleEndian.Uint16(r.frame.Payload[i:])
	}
	return 0
}

// set changes an attribute of the cluster.
func (r *request) set(cluster, id uint16, value any) { r.device.set(r.endpoint, cluster, id, value) }

// needs is how long the payloads of commands are at least; it says MalformedCommand of
// shorter ones.
func (r *request) needs(length int) zcl.Status {
	if len(r.frame.Payload) < length {
		return zcl.MalformedCommand
	}
	return zcl.Success
}

// identify is section 3.5.
func (r *request) identify() zcl.Status {
	switch r.frame.Command {
	case 0x00:
		r.device.identifyingUntil = time.Now().Add(time.Duration(r.u16(0)) * time.Second)
		return r.needs(2)
	case 0x01:
		if left := time.Until(r.device.identifyingUntil); left > 0 {
			return r.respond(zcl.Specific, 0x00, binary.LittleEndian.AppendUint16(nil, uint16(left/time.Second)))
		}
		return zcl.Success
	case 0x40: // trigger effect
		return zcl.Success
	}
	return zcl.UnsupportedCommand
}

// onOff is section 3.8.
func (r *request) onOff() zcl.Status {
	on := r.endpoint.get(clusterOnOff, 0) != 0
	switch r.frame.Command {
	case 0x00, 0x40: // off, off with effect
		on = false
	case 0x01, 0x41, 0x42: // on, on with recall of a scene, on with timed off
		on = true
	case 0x02:
		on = !on
	default:
		return zcl.UnsupportedCommand
	}
	r.set(clusterOnOff, 0, on)
	if r.frame.Command == 0x42 && r.u16(1) > 0 {
		d, e, life := r.device, r.endpoint, r.device.life
		d.network.after(time.Duration(r.u16(1))*100*time.Millisecond, func() {
			if d.life == life {
				d.set(e, clusterOnOff, 0, false)
			}
		})
	}
	return zcl.Success
}

// level is section 3.10. Transitions happen at once.
func (r *request) level() zcl.Status {
	level, withOnOff := r.endpoint.get(clusterLevel, 0), r.frame.Command >= 0x04
	step := float64(r.u8(1))
	if r.u8(0) == 1 {
		step = -step
	}
	switch r.frame.Command {
	case 0x00, 0x04: // move to level
		level = float64(r.u8(0))
	case 0x01, 0x05: // move: as far as it goes
		level = 254
		if r.u8(0) == 1 {
			level = 1
		}
	case 0x02, 0x06: // step
		level += step
	case 0x03, 0x07: // stop
		return zcl.Success
	default:
		return zcl.UnsupportedCommand
	}
	lowest := 1.0
	if withOnOff {
		lowest = 0
	}
	level = min(max(level, lowest), 254)
	if withOnOff {
		r.set(clusterOnOff, 0, level > 0)
	}
	if level > 0 {
		r.set(clusterLevel, 0, level)
	}
	return zcl.Success
}

// color is section 5.2. Transitions happen at once.
func (r *request) color() zcl.Status {
	mode := func(m int) { r.set(clusterColor, 8, m); r.set(clusterColor, 0x4001, m) }
	limited := func(mireds float64) float64 {
		return math.Min(math.Max(mireds, r.endpoint.get(clusterColor, 0x400b)), r.endpoint.get(clusterColor, 0x400c))
	}
	switch r.frame.Command {
	case 0x00: // move to hue
		r.set(clusterColor, 0, r.u8(0))
		mode(0)
	case 0x03: // move to saturation
		r.set(clusterColor, 1, r.u8(0))
		mode(0)
	case 0x06: // move to hue and saturation
		r.set(clusterColor, 0, r.u8(0))
		r.set(clusterColor, 1, r.u8(1))
		mode(0)
	case 0x07: // move to color
		r.set(clusterColor, 3, r.u16(0))
		r.set(clusterColor, 4, r.u16(2))
		mode(1)
	case 0x0a: // move to color temperature
		r.set(clusterColor, 7, limited(float64(r.u16(0))))
		mode(2)
	case 0x40, 0x41, 0x42, 0x43: // the same with enhanced hue
		if r.frame.Command == 0x43 {
			r.set(clusterColor, 1, r.u8(2))
		}
		r.set(clusterColor, 0x4000, r.u16(0))
		r.set(clusterColor, 0, r.u16(0)>>8)
		mode(0)
		r.set(clusterColor, 0x4001, 3)
	case 0x4b: // move color temperature
		r.set(clusterColor, 7, limited(map[uint8]float64{0: r.endpoint.get(clusterColor, 7), 1: 65535, 3: 0}[r.u8(0)]))
		mode(2)
	case 0x4c: // step color temperature
		step := float64(r.u16(1))
		if r.u8(0) == 3 {
			step = -step
		}
		r.set(clusterColor, 7, limited(r.endpoint.get(clusterColor, 7)+step))
		mode(2)
	case 0x01, 0x02, 0x04, 0x05, 0x08, 0x09, 0x44, 0x47: // moves, steps, stop
	default:
		return zcl.UnsupportedCommand
	}
	return zcl.Success
}

// cover is section 7.4: the way takes ten seconds from end to end.
func (r *request) cover() zcl.Status {
	var target float64
	switch r.frame.Command {
	case 0x00: // up, open
		target = 0
	case 0x01: // down, close
		target = 100
	case 0x02:
		r.device.moving++
		return zcl.Success
	case 0x05: // go to lift percentage
		if r.u8(0) > 100 {
			return zcl.InvalidValue
		}
		target = float64(r.u8(0))
	case 0x08: // go to tilt percentage
		r.set(clusterCover, 0x0009, r.u8(0))
		return zcl.Success
	default:
		return zcl.UnsupportedCommand
	}
	r.device.moving++
	r.device.roll(r.endpoint, target, r.device.moving)
	return zcl.Success
}

// roll moves a cover on by a tenth of its way, once a second.
func (d *device) roll(e *endpoint, target float64, turn uint64) {
	position := e.get(clusterCover, 0x0008)
	if position == target {
		return
	}
	life := d.life
	d.network.after(time.Second, func() {
		if d.life != life || d.moving != turn {
			return
		}
		d.set(e, clusterCover, 0x0008, position+min(max(target-position, -10), 10))
		d.roll(e, target, turn)
	})
}

// lock is section 7.3.
func (r *request) lock() zcl.Status {
	switch r.frame.Command {
	case 0x00, 0x01, 0x02: // lock, unlock, toggle
		locked := r.frame.Command == 0x00 || r.frame.Command == 0x02 && r.endpoint.get(clusterDoorLock, 0) != 1
		state, event := 2, byte(0x02)
		if locked {
			state, event = 1, 0x01
		}
		d, e, life := r.device, r.endpoint, r.device.life
		d.network.after(800*time.Millisecond, func() { // the bolt moves
			if d.life != life {
				return
			}
			d.set(e, clusterDoorLock, 0, state)
			// Operation event notification: by radio, code, no user.
			payload := []byte{1, event, 0, 0, 0, 0, 0, 0, 0, 0}
			d.publish(e, clusterDoorLock, zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: 0x20, Payload: payload}, false)
		})
		return r.respond(zcl.Specific, r.frame.Command, []byte{byte(zcl.Success)})
	case 0x05: // set PIN code
		return r.respond(zcl.Specific, 0x05, []byte{0})
	case 0x06: // get PIN code: user, status available, type, no code
		return r.respond(zcl.Specific, 0x06, append(binary.LittleEndian.AppendUint16(nil, r.u16(0)), 0, 0xff, 0))
	case 0x07: // clear PIN code
		return r.respond(zcl.Specific, 0x07, []byte{0})
	}
	return zcl.UnsupportedCommand
}

// thermostat is section 6.3.
func (r *request) thermostat() zcl.Status {
	switch r.frame.Command {
	case 0x00: // setpoint raise or lower by tenths of a degree
		r.set(clusterThermostat, 0x0012, r.endpoint.get(clusterThermostat, 0x0012)+float64(int8(r.u8(1)))*10)
		return r.needs(2)
	case 0x01, 0x03: // set and clear the weekly schedule
		return zcl.Success
	case 0x02: // get the weekly schedule: there is none
		return r.respond(zcl.Specific, 0x00, []byte{0, r.u8(0), r.u8(1)})
	}
	return zcl.UnsupportedCommand
}
