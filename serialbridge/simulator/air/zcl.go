package air

import (
	"encoding/binary"
	"slices"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// handle takes an APS frame.
func (d *device) handle(f Frame) {
	if f.Profile == zigbee.ProfileZDO && f.DestinationEndpoint == 0 {
		d.handleZDO(f)
		return
	}
	frame, err := zcl.ParseFrame(f.Data)
	if err != nil {
		return
	}
	if f.Cluster == clusterGreenPower && f.DestinationEndpoint == zigbee.EndpointGreenPower {
		d.handleGreenPower(frame)
		return
	}
	for _, e := range d.endpoints {
		switch {
		case f.Group != 0 && !slices.Contains(e.groups, f.Group):
		case f.Group == 0 && f.DestinationEndpoint != e.id && f.DestinationEndpoint != 0xff:
		default:
			d.handleZCL(e, f, frame)
		}
	}
}

// handleZCL takes a ZCL frame and answers it: with its response, else with a
// default response where one is due (section 2.5.12.2).
func (d *device) handleZCL(e *endpoint, f Frame, in zcl.Frame) {
	unicast := f.Group == 0 && f.Destination < 0xfff8 && f.DestinationEndpoint != 0xff
	answer := zcl.Frame{
		ServerToClient:         !in.ServerToClient,
		DisableDefaultResponse: true,
		ManufacturerCode:       in.ManufacturerCode,
		Sequence:               in.Sequence,
	}
	r := request{device: d, endpoint: e, cluster: f.Cluster, frame: in, from: f.Source, port: f.SourceEndpoint}
	var status zcl.Status
	switch {
	case in.Type == zcl.Global && in.Command == zcl.DefaultResponse:
		return
	case !in.ServerToClient && !slices.Contains(e.in, f.Cluster), in.ServerToClient && !slices.Contains(e.out, f.Cluster) && !slices.Contains(e.in, f.Cluster):
		status = zcl.UnsupportedCluster
	case in.Type == zcl.Global:
		status = r.global()
	default:
		status = r.specific()
	}
	if !unicast {
		return
	}
	switch {
	case r.answered:
		answer.Type, answer.Command, answer.Payload = r.answerType, r.command, r.payload
	case r.quiet || in.DisableDefaultResponse && status == zcl.Success:
		return
	default:
		answer.Command, answer.Payload = zcl.DefaultResponse, []byte{in.Command, byte(status)}
	}
	d.send(Frame{
		Destination: f.Source, SourceEndpoint: e.id, DestinationEndpoint: f.SourceEndpoint,
		Profile: e.profile, Cluster: f.Cluster,
	}, answer)
}

// send sends a ZCL frame to the coordinator or to another device.
func (d *device) send(f Frame, z zcl.Frame) {
	if !d.there() {
		return
	}
	f.Data = z.Append(nil)
	if f.Group == 0 && f.Destination == zigbee.ToCoordinator {
		d.network.transmit(d, f)
		return
	}
	d.network.between(d, f)
}

// next returns the next sequence number of the device.
func (d *device) next() uint8 {
	d.zclSeq++
	return d.zclSeq
}

// request is a ZCL frame that a device has got, and what it answers.
type request struct {
	device   *device
	endpoint *endpoint
	cluster  uint16
	frame    zcl.Frame
	from     zigbee.NetworkAddress
	port     uint8 // endpoint there

	answered   bool
	answerType zcl.FrameType
	command    uint8
	payload    []byte
	quiet      bool // nothing is answered at all
}

func (r *request) respond(t zcl.FrameType, command uint8, payload []byte) zcl.Status {
	r.answered, r.answerType, r.command, r.payload = true, t, command, payload
	return zcl.Success
}

func (r *request) key(id uint16) attributeKey {
	return attributeKey{r.cluster, r.frame.ManufacturerCode, id}
}

// global carries out a command that works on attributes.
func (r *request) global() zcl.Status {
	switch r.frame.Command {
	case zcl.ReadAttributes:
		return r.read()
	case zcl.WriteAttributes, zcl.WriteAttributesUndivided, zcl.WriteAttributesNoResponse:
		return r.write()
	case zcl.ConfigureReporting:
		return r.configureReporting()
	case zcl.ReadReportingConfiguration:
		return r.readReporting()
	case zcl.DiscoverAttributes:
		return r.discover()
	case zcl.ReadAttributesResponse:
		r.device.toldTime(r)
		r.quiet = true
		return zcl.Success
	case zcl.WriteAttributesResponse, zcl.ConfigureReportingResponse, zcl.ReportAttributes:
		r.quiet = true
		return zcl.Success
	}
	return zcl.UnsupportedGeneral
}

// read answers ReadAttributes (section 2.5.1).
func (r *request) read() zcl.Status {
	ids, err := zcl.ParseIDs(r.frame.Payload)
	if err != nil {
		return zcl.MalformedCommand
	}
	if r.cluster == clusterBasic && slices.Contains(ids, 0xfffe) {
		r.device.spelled = true
	}
	var answers []zcl.Attribute
	for _, id := range ids {
		if len(answers) == 16 { // what a frame has room for
			break
		}
		a := r.endpoint.attributes[r.key(id)]
		if a == nil {
			answers = append(answers, zcl.Attribute{ID: id, Status: zcl.UnsupportedAttribute})
			continue
		}
		answers = append(answers, zcl.Attribute{ID: id, Type: a.kind, Value: a.value})
	}
	payload, err := zcl.AppendAttributes(nil, zcl.ReadAttributesResponse, answers)
	if err != nil {
		return zcl.Failure
	}
	return r.respond(zcl.Global, zcl.ReadAttributesResponse, payload)
}

// write carries out WriteAttributes (section 2.5.3).
func (r *request) write() zcl.Status {
	attributes, err := zcl.ParseAttributes(r.frame.Command, r.frame.Payload)
	if err != nil && len(attributes) == 0 {
		return zcl.MalformedCommand
	}
	check := func(w zcl.Attribute) zcl.Status {
		switch a := r.endpoint.attributes[r.key(w.ID)]; {
		case a == nil:
			return zcl.UnsupportedAttribute
		case !a.writable:
			return zcl.ReadOnly
		case a.kind != w.Type:
			return zcl.InvalidDataType
		}
		return zcl.Success
	}
	var refused []byte
	for _, w := range attributes {
		if status := check(w); status != zcl.Success {
			refused = binary.LittleEndian.AppendUint16(append(refused, byte(status)), w.ID)
		}
	}
	if r.frame.Command != zcl.WriteAttributesUndivided || refused == nil {
		for _, w := range attributes {
			if check(w) == zcl.Success {
				key := r.key(w.ID)
				r.endpoint.attributes[key].value = w.Value
				r.device.changed(r.endpoint, key)
				r.device.written(r.endpoint, key)
			}
		}
	}
	if r.frame.Command == zcl.WriteAttributesNoResponse {
		r.quiet = true
		return zcl.Success
	}
	if refused == nil {
		refused = []byte{byte(zcl.Success)}
	}
	return r.respond(zcl.Global, zcl.WriteAttributesResponse, refused)
}

// discover answers DiscoverAttributes (section 2.5.13).
func (r *request) discover() zcl.Status {
	if len(r.frame.Payload) < 3 {
		return zcl.MalformedCommand
	}
	start, most := binary.LittleEndian.Uint16(r.frame.Payload), min(int(r.frame.Payload[2]), 24)
	var ids []uint16
	for key := range r.endpoint.attributes {
		if key.cluster == r.cluster && key.manufacturer == r.frame.ManufacturerCode && key.id >= start {
			ids = append(ids, key.id)
		}
	}
	slices.Sort(ids)
	complete := byte(1)
	if len(ids) > most {
		ids, complete = ids[:most], 0
	}
	payload := []byte{complete}
	for _, id := range ids {
		payload = binary.LittleEndian.AppendUint16(payload, id)
		payload = append(payload, byte(r.endpoint.attributes[r.key(id)].kind))
	}
	return r.respond(zcl.Global, zcl.DiscoverAttributesResponse, payload)
}
