package air

import (
	"encoding/binary"
	"slices"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// sceneKey names a scene.
type sceneKey struct {
	group uint16
	id    uint8
}

// maxGroups is how many groups an endpoint may be in.
const maxGroups = 16

// groups is section 3.6.
func (r *request) groups() zcl.Status {
	e, group := r.endpoint, r.u16(0)
	status := zcl.Success
	add := func() {
		switch {
		case slices.Contains(e.groups, group):
			status = zcl.Success
		case len(e.groups) >= maxGroups:
			status = zcl.InsufficientSpace
		default:
			e.groups = append(e.groups, group)
		}
	}
	answer := func(s zcl.Status) zcl.Status {
		return r.respond(zcl.Specific, r.frame.Command, binary.LittleEndian.AppendUint16([]byte{byte(s)}, group))
	}
	switch r.frame.Command {
	case 0x00: // add
		add()
		return answer(status)
	case 0x01: // view
		if !slices.Contains(e.groups, group) {
			status = zcl.NotFound
		}
		payload := binary.LittleEndian.AppendUint16([]byte{byte(status)}, group)
		return r.respond(zcl.Specific, 0x01, append(payload, 0)) // no name
	case 0x02: // get membership
		count := int(r.u8(0))
		asked := func(g uint16) bool {
			for i := range count {
				if r.u16(1+2*i) == g {
					return true
				}
			}
			return count == 0
		}
		payload, n := []byte{byte(maxGroups - len(e.groups)), 0}, byte(0)
		for _, g := range e.groups {
			if asked(g) {
				payload, n = binary.LittleEndian.AppendUint16(payload, g), n+1
			}
		}
		payload[1] = n
		return r.respond(zcl.Specific, 0x02, payload)
	case 0x03: // remove
		i := slices.Index(e.groups, group)
		if i < 0 {
			return answer(zcl.NotFound)
		}
		e.groups = slices.Delete(e.groups, i, i+1)
		return answer(zcl.Success)
	case 0x04: // remove all
		e.groups = nil
		return zcl.Success
	case 0x05: // add if identifying
		if time.Now().Before(r.device.identifyingUntil) {
			add()
		}
		return status
	}
	return zcl.UnsupportedCommand
}

// scenic are the attributes that a scene holds.
var scenic = []attributeKey{
	{cluster: clusterOnOff, id: 0}, {cluster: clusterLevel, id: 0},
	{cluster: clusterColor, id: 3}, {cluster: clusterColor, id: 4}, {cluster: clusterColor, id: 7}, {cluster: clusterColor, id: 8},
	{cluster: clusterCover, id: 8},
}

// maxScenes is how many scenes an endpoint holds.
const maxScenes = 16

// scenes is section 3.7.
func (r *request) scenes() zcl.Status {
	e, key := r.endpoint, sceneKey{r.u16(0), r.u8(2)}
	status := zcl.Success
	answer := func() zcl.Status {
		payload := binary.LittleEndian.AppendUint16([]byte{byte(status)}, key.group)
		return r.respond(zcl.Specific, r.frame.Command, append(payload, key.id))
	}
	member := key.group == 0 || slices.Contains(e.groups, key.group)
	held, exists := e.scenes[key]
	if !member {
		status = zcl.InvalidField
	}
	store := func(values map[attributeKey]any) {
		switch {
		case !member:
		case !exists && len(e.scenes) >= maxScenes:
			status = zcl.InsufficientSpace
		default:
			e.scenes[key] = values
			r.set(clusterScenes, 0x0000, len(e.scenes))
		}
	}
	switch r.frame.Command {
	case 0x00, 0x40: // add, enhanced add
		store(r.sceneFields())
		return answer()
	case 0x01: // view
		if member && !exists {
			status = zcl.NotFound
		}
		payload := binary.LittleEndian.AppendUint16([]byte{byte(status)}, key.group)
		payload = append(payload, key.id)
		if status == zcl.Success {
			payload = append(payload, 0, 0, 0)
		}
		return r.respond(zcl.Specific, 0x01, payload)
	case 0x02: // remove
		if member && !exists {
			status = zcl.NotFound
		}
		delete(e.scenes, key)
		return answer()
	case 0x03: // remove all of the group
		for k := range e.scenes {
			if k.group == key.group {
				delete(e.scenes, k)
			}
		}
		payload := binary.LittleEndian.AppendUint16([]byte{byte(status)}, key.group)
		return r.respond(zcl.Specific, 0x03, payload)
	case 0x04: // store
		values := make(map[attributeKey]any)
		for _, k := range scenic {
			if a := e.attributes[k]; a != nil {
				values[k] = a.value
			}
		}
		store(values)
		return answer()
	case 0x05: // recall
		if !exists {
			return zcl.NotFound
		}
		for _, k := range scenic {
			if v, ok := held[k]; ok {
				r.set(k.cluster, k.id, v)
			}
		}
		r.set(clusterScenes, 0x0001, key.id)
		r.set(clusterScenes, 0x0002, key.group)
		return zcl.Success
	case 0x06: // get membership
		payload := binary.LittleEndian.AppendUint16([]byte{byte(status), byte(maxScenes - len(e.scenes))}, key.group)
		var ids []byte
		for k := range e.scenes {
			if k.group == key.group {
				ids = append(ids, k.id)
			}
		}
		slices.Sort(ids)
		payload = append(payload, byte(len(ids)))
		return r.respond(zcl.Specific, 0x06, append(payload, ids...))
	}
	return zcl.UnsupportedCommand
}

// sceneFields reads the extension fields of an added scene (section 3.7.2.4.2):
// group, scene, transition time, name, then cluster, length and values.
func (r *request) sceneFields() map[attributeKey]any {
	values := make(map[attributeKey]any)
	data := r.frame.Payload
	if len(data) < 6 || len(data) < 6+int(data[5]) {
		return values
	}
	data = data[6+int(data[5]):]
	for len(data) >= 3 && len(data) >= 3+int(data[2]) {
		cluster, field := binary.LittleEndian.Uint16(data), data[3:3+int(data[2])]
		data = data[3+len(field):]
		switch {
		case cluster == clusterOnOff && len(field) >= 1:
			values[attributeKey{cluster: cluster}] = field[0] != 0
		case cluster == clusterLevel && len(field) >= 1:
			values[attributeKey{cluster: cluster}] = uint64(field[0])
		case cluster == clusterColor && len(field) >= 4:
			x, y := binary.LittleEndian.Uint16(field), binary.LittleEndian.Uint16(field[2:])
			values[attributeKey{cluster: cluster, id: 3}], values[attributeKey{cluster: cluster, id: 4}] = uint64(x), uint64(y)
			if len(field) >= 13 {
				if mireds := binary.LittleEndian.Uint16(field[11:]); mireds != 0 {
					values[attributeKey{cluster: cluster, id: 7}], values[attributeKey{cluster: cluster, id: 8}] = uint64(mireds), uint64(2)
				}
			}
		}
	}
	return values
}
