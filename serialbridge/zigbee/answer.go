package zigbee

import (
	"context"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// Statuses and commands of the clusters that the coordinator serves.
const (
	pollControlCheckIn  = 0x00 // from the device; to it: the response
	pollControlFastStop = 0x01
	iasZoneEnrolRequest = 0x01 // from the device; the response is 0x00
	otaQueryNextImage   = 0x01
	otaQueryResponse    = 0x02
	otaImageBlock       = 0x03
	otaImagePage        = 0x04
	otaBlockResponse    = 0x05
	fastPollTimeout     = 30 * time.Second
)

// attend has a message answered that wants to be. The network is locked.
func (n *Network) attend(d *node, m Message) {
	// What went to many is not answered (section 2.5.12.2).
	if m.Broadcast || m.Group != 0 || d.device.Type == GreenPower || isAnswer(m.Frame) {
		return
	}
	device := d.device
	if len(n.session.answers) == cap(n.session.answers) {
		n.counters.NotAnswered++
		return
	}
	n.session.answers <- func(ctx context.Context) { n.reply(ctx, d, device, m) }
}

// isAnswer says that a frame is one that nothing is to be said to.
func isAnswer(f zcl.Frame) bool {
	if f.Type != zcl.Global {
		return false
	}
	switch f.Command {
	case zcl.DefaultResponse, zcl.ReadAttributesResponse, zcl.WriteAttributesResponse,
		zcl.WriteAttributesNoResponse, zcl.ConfigureReportingResponse, zcl.ReadReportingConfigurationResponse,
		zcl.DiscoverAttributesResponse, zcl.WriteAttributesStructuredResponse, zcl.DiscoverCommandsReceivedResponse,
		zcl.DiscoverCommandsGeneratedResponse, zcl.DiscoverAttributesExtendedResponse:
		return true
	}
	return false
}

// reply answers a message, if there is something to say.
func (n *Network) reply(ctx context.Context, d *node, device Device, m Message) {
	if n.options.Answer != nil && n.options.Answer(device, m) {
		return
	}
	var frame zcl.Frame
	done := false
	if m.Frame.Type == zcl.Global {
		frame, done = n.answerGlobal(m)
	} else {
		frame, done = n.answerSpecific(m)
	}
	switch {
	case done:
		frame.DisableDefaultResponse = true
		frame.ManufacturerCode = m.Frame.ManufacturerCode
		n.say(ctx, m, frame)
	case m.Cluster == clusterPollControl && m.Frame.Type == zcl.Specific && m.Frame.Command == pollControlCheckIn:
		n.checkIn(ctx, d, m)
	case !m.Frame.DisableDefaultResponse:
		// Section 2.5.12.2: a default response to what has no response of its own.
		n.say(ctx, m, zcl.Frame{
			DisableDefaultResponse: true, ManufacturerCode: m.Frame.ManufacturerCode,
			Command: zcl.DefaultResponse, Payload: []byte{m.Frame.Command, byte(defaultStatus(m.Frame))},
		})
	}
}

// defaultStatus is what a default response says: what is asked of attributes that the
// coordinator does not have is refused, what devices tell is welcome.
func defaultStatus(f zcl.Frame) zcl.Status {
	if f.Type == zcl.Global && f.Command != zcl.ReportAttributes {
		return zcl.UnsupportedGeneral
	}
	return zcl.Success
}

func (n *Network) say(ctx context.Context, m Message, f zcl.Frame) {
	if err := n.Respond(ctx, m, f); err != nil {
		n.undelivered(err)
		n.log.Debug("a Zigbee device was not answered", "device", m.Device, "cluster", m.Cluster, "err", err)
	}
}

// answerGlobal answers reads of the clusters that the coordinator serves, and
// accepts what devices write: that is how some tell things.
func (n *Network) answerGlobal(m Message) (zcl.Frame, bool) {
	switch m.Frame.Command {
	case zcl.ReadAttributes:
		ids, err := zcl.ParseIDs(m.Frame.Payload)
		if err != nil {
			return zcl.Frame{Command: zcl.DefaultResponse, Payload: []byte{m.Frame.Command, byte(zcl.MalformedCommand)}}, true
		}
		var served map[uint16]zcl.Attribute
		if m.Frame.ManufacturerCode == 0 {
			switch m.Cluster {
			case clusterTime:
				served = n.timeAttributes()
			case clusterBasic:
				served = basicOfCoordinator
			}
		}
		var attributes []zcl.Attribute
		for _, id := range ids[:min(len(ids), readAtOnce)] {
			a, ok := served[id]
			if a.ID = id; !ok {
				a.Status = zcl.UnsupportedAttribute
			}
			attributes = append(attributes, a)
		}
		payload, err := zcl.AppendAttributes(nil, zcl.ReadAttributesResponse, attributes)
		return zcl.Frame{Command: zcl.ReadAttributesResponse, Payload: payload}, err == nil
	case zcl.WriteAttributes, zcl.WriteAttributesUndivided:
		return zcl.Frame{Command: zcl.WriteAttributesResponse, Payload: []byte{byte(zcl.Success)}}, true
	}
	return zcl.Frame{}, false
}

// answerSpecific answers commands that have responses of their own.
func (n *Network) answerSpecific(m Message) (zcl.Frame, bool) {
	reply := zcl.Frame{Type: zcl.Specific}
	switch {
	case m.Cluster == clusterIASZone && m.Frame.ServerToClient && m.Frame.Command == iasZoneEnrolRequest:
		reply.Command, reply.Payload = 0x00, []byte{0, iasZoneID}
	case m.Cluster == clusterOTA && !m.Frame.ServerToClient:
		switch m.Frame.Command {
		case otaQueryNextImage:
			reply.Command, reply.Payload = otaQueryResponse, []byte{byte(zcl.NoImageAvailable)}
		case otaImageBlock, otaImagePage: // of an upgrade that nobody does any more
			reply.Command, reply.Payload = otaBlockResponse, []byte{byte(zcl.Abort)}
		default:
			return zcl.Frame{}, false
		}
	case m.Cluster == ClusterTuya && m.Frame.Command == TuyaSyncTime:
		now, right := n.clock()
		if !right {
			return zcl.Frame{}, false // a thermostat keeps better time by itself
		}
		// Most count from 1970; Options.Answer sees to those that do not.
		reply.Command, reply.Payload = TuyaSyncTime, TuyaTime(now, TuyaSince1970)
	case m.Cluster == ClusterTuya && m.Frame.Command == TuyaConnectionStatus:
		reply.Command, reply.Payload = TuyaConnectionStatus, []byte{1, 0, 1} // length; connected
	default:
		return zcl.Frame{}, false
	}
	return reply, true
}

// checkIn answers a device that asks whether there is something for it (section
// 3.16.5): it polls fast while requests wait for it.
func (n *Network) checkIn(ctx context.Context, d *node, m Message) {
	n.mu.Lock()
	waiting := d.held > 0
	n.mu.Unlock()
	payload := []byte{0, 0, 0}
	if waiting {
		payload[0] = 1
	}
	err := n.Respond(ctx, m, zcl.Frame{Type: zcl.Specific, DisableDefaultResponse: true, Command: 0x00, Payload: payload})
	if err != nil {
		n.undelivered(err)
		return
	}
	if !waiting {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	d.wake()
	if n.session != nil {
		n.session.start(func(ctx context.Context) { n.endFastPoll(ctx, d, m) })
	}
}

// endFastPoll tells a device that polls fast to stop, when nobody waits for it any
// more: polling takes its battery.
func (n *Network) endFastPoll(ctx context.Context, d *node, m Message) {
	// Those who wait have the gate one after the other; who gets it last is done.
	end := time.NewTimer(fastPollTimeout)
	defer end.Stop()
	for {
		select {
		case d.gate <- struct{}{}:
			<-d.gate
			n.mu.Lock()
			done := d.queued == 0
			n.mu.Unlock()
			if !done {
				continue
			}
		case <-end.C:
		case <-ctx.Done():
			return
		}
		break
	}
	n.say(ctx, m, zcl.Frame{Type: zcl.Specific, DisableDefaultResponse: true, Command: pollControlFastStop})
}

// clock returns the time of the house, and whether it is right.
func (n *Network) clock() (time.Time, bool) {
	if n.options.Clock == nil {
		return time.Now(), true
	}
	return n.options.Clock()
}

// zigbeeEpoch is where UTC times of Zigbee begin.
var zigbeeEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// noTime is a time that is not known (section 2.6.2.20).
const noTime = 0xffffffff

// timeAttributes are those of the Time cluster (section 3.12.2.2).
func (n *Network) timeAttributes() map[uint16]zcl.Attribute {
	now, right := n.clock()
	_, offset := now.Zone()
	standard, start, end, shift := offset, time.Time{}, time.Time{}, 0
	if now.IsDST() {
		start, end = now.ZoneBounds()
		if !start.IsZero() {
			_, standard = start.Add(-time.Second).Zone()
			shift = offset - standard
		}
	} else if _, next := now.ZoneBounds(); !next.IsZero() && next.IsDST() {
		_, summer := next.Zone()
		start, shift = next, summer-offset
		_, end = next.ZoneBounds()
	}
	since := func(t time.Time) uint64 {
		if t.IsZero() || t.Before(zigbeeEpoch) {
			return noTime
		}
		return uint64(t.Unix() - zigbeeEpoch.Unix())
	}
	utc := since(now)
	status := uint64(0b1101) // master, of zone and summer time too, to be believed
	valid := since(now.Add(24 * time.Hour))
	local := func(offset int) uint64 { return uint64(int64(utc) + int64(offset)) }
	attributes := map[uint16]zcl.Attribute{
		0x0001: {Type: zcl.Bitmap8, Value: status},
		0x0002: {Type: zcl.Int32, Value: int64(standard)},
		0x0003: {Type: zcl.Uint32, Value: since(start)},
		0x0004: {Type: zcl.Uint32, Value: since(end.Add(-time.Second))},
		0x0005: {Type: zcl.Int32, Value: int64(shift)},
		0x0006: {Type: zcl.Uint32, Value: local(standard)},
		0x0007: {Type: zcl.Uint32, Value: local(offset)},
		0x0000: {Type: zcl.UTCTime, Value: utc},
		0x0008: {Type: zcl.UTCTime, Value: utc},
		0x0009: {Type: zcl.UTCTime, Value: valid},
	}
	if !right || utc == noTime {
		for _, id := range []uint16{0x0000, 0x0006, 0x0007, 0x0008, 0x0009} {
			a := attributes[id]
			a.Value = uint64(noTime)
			attributes[id] = a
		}
		attributes[0x0001] = zcl.Attribute{Type: zcl.Bitmap8, Value: uint64(0)} // neither master nor synchronised
	}
	return attributes
}

// basicOfCoordinator are the attributes of the coordinator's own Basic cluster.
var basicOfCoordinator = map[uint16]zcl.Attribute{
	0x0000:            {Type: zcl.Uint8, Value: uint64(8)}, // the revision of the library
	0x0001:            {Type: zcl.Uint8, Value: uint64(0)},
	0x0002:            {Type: zcl.Uint8, Value: uint64(0)},
	0x0003:            {Type: zcl.Uint8, Value: uint64(0)},
	basicManufacturer: {Type: zcl.CharString, Value: "Lintel"},
	basicModel:        {Type: zcl.CharString, Value: "Coordinator"},
	0x0007:            {Type: zcl.Enum8, Value: uint64(1)},
}
