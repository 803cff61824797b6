package air

import (
	"encoding/binary"

	"lintel/serialbridge/zigbee/zcl"
)

// Commands of the IAS Zone cluster (section 8.2.2).
const (
	zoneEnrollResponse = 0x00 // of the client
	zoneStatusChange   = 0x00 // of the server
	zoneEnrollRequest  = 0x01
)

// Bits of ZoneStatus.
const (
	alarm1     = 0x01
	batteryLow = 0x08
)

// enrolling is what a device with an IAS zone does with commands of its cluster.
func enrolling(r *request) (zcl.Status, bool) {
	if r.cluster != clusterIASZone || r.frame.ServerToClient || r.frame.Command != zoneEnrollResponse {
		return 0, false
	}
	if len(r.frame.Payload) < 2 {
		return zcl.MalformedCommand, true
	}
	if r.frame.Payload[0] == 0 {
		r.set(clusterIASZone, 0x0000, 1)
		r.set(clusterIASZone, 0x0011, r.frame.Payload[1])
	}
	return zcl.Success, true
}

// zoneWritten asks to be enrolled when the address to tell alarms to was written.
func zoneWritten(d *device, e *endpoint, key attributeKey) {
	if key.cluster != clusterIASZone || key.id != 0x0010 || e.get(clusterIASZone, 0) != 0 {
		return
	}
	payload := binary.LittleEndian.AppendUint16(nil, uint16(e.get(clusterIASZone, 1)))
	payload = binary.LittleEndian.AppendUint16(payload, d.model.manufacturer)
	d.publish(e, clusterIASZone, zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: zoneEnrollRequest, Payload: payload}, true)
}

// zone returns what sets or clears bits of the zone's status, and tells so. A device
// that nobody has enrolled says nothing.
func zone(set, clear uint16) func(*device) {
	return func(d *device) {
		for _, e := range d.endpoints {
			if e.attributes[attributeKey{cluster: clusterIASZone, id: 2}] == nil {
				continue
			}
			status := uint16(e.get(clusterIASZone, 2))&^clear | set
			d.set(e, clusterIASZone, 2, status)
			if e.get(clusterIASZone, 0) != 1 {
				return
			}
			payload := binary.LittleEndian.AppendUint16(nil, status)
			payload = append(payload, 0, uint8(e.get(clusterIASZone, 0x11)), 0, 0)
			d.publish(e, clusterIASZone, zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: zoneStatusChange, Payload: payload}, true)
		}
	}
}
