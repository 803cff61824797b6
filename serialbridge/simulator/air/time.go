package air

import (
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// checkIn asks who the Poll Control cluster is bound to whether there is something
// for the device, now and then (section 3.16.5.3).
func (d *device) checkIn() {
	for _, e := range d.endpoints {
		every := e.get(clusterPollControl, 0) // quarters of a second
		if every == 0 {
			continue
		}
		life := d.life
		d.network.after(time.Duration(every)*time.Second/4, func() {
			if d.life == life {
				d.publish(e, clusterPollControl, zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: 0x00}, false)
				d.checkIn()
			}
		})
		return
	}
}

// pollControl carries out commands of the Poll Control cluster (section 3.16.5.4).
func (r *request) pollControl() zcl.Status {
	switch r.frame.Command {
	case 0x00: // check-in response: poll fast, quarters of a second
		if r.u8(0) != 0 {
			until := time.Now().Add(time.Duration(r.u16(1)) * time.Second / 4)
			if until.After(r.device.awakeUntil) {
				r.device.awakeUntil = until
			}
		}
		return r.needs(3)
	case 0x01: // fast poll stop
		r.device.awakeUntil = time.Time{}
		return zcl.Success
	}
	return zcl.UnsupportedCommand
}

// zigbeeEpoch is when the time of Zigbee begins.
var zigbeeEpoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// askTime reads the time and the time zone from the coordinator after joining.
func askTime(d *device) {
	life := d.life
	d.network.after(5*time.Second, func() {
		if d.life != life {
			return
		}
		e := d.endpoints[0]
		d.send(Frame{Destination: zigbee.ToCoordinator, SourceEndpoint: e.id, DestinationEndpoint: 1, Profile: e.profile, Cluster: clusterTime},
			zcl.Frame{Command: zcl.ReadAttributes, Sequence: d.next(), Payload: zcl.AppendIDs(nil, 0x0000, 0x0002, 0x0007)})
	})
}

// toldTime takes the coordinator's answer.
func (d *device) toldTime(r *request) {
	if r.cluster != clusterTime {
		return
	}
	answers, _ := zcl.ParseAttributes(zcl.ReadAttributesResponse, r.frame.Payload)
	for _, a := range answers {
		if seconds, ok := zcl.Int(a.Value); ok && a.ID == 0 && a.Status == zcl.Success {
			d.clock, d.told = zigbeeEpoch.Add(time.Duration(seconds)*time.Second), time.Now()
		}
	}
}
