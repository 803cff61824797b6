package zigbee

import (
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// Message is a ZCL frame that a device has sent.
type Message struct {
	Device              IEEEAddress
	Endpoint            uint8 // of the device
	DestinationEndpoint uint8
	Group               uint16 // 0: it was sent to the coordinator
	Broadcast           bool
	Cluster             uint16
	LinkQuality         uint8
	Received            time.Time
	Frame               zcl.Frame

	// Attributes are those of a report, a read response or a write. Of a frame
	// that ends in what is of no type they are those before it.
	Attributes []zcl.Attribute

	// Trace is the number of the journey of the message; 0: nobody watches the device.
	Trace uint64
}

// Request is a ZCL frame for a device or a group. The sequence number and the
// direction are set by who sends it; a request goes to the server unless
// Frame.ServerToClient is set.
type Request struct {
	Endpoint       uint8 // of the device; ignored for a group
	SourceEndpoint uint8 // 0: EndpointHome
	Cluster        uint16
	Profile        uint16 // 0: ProfileHomeAutomation, which Light Link endpoints take too
	Frame          zcl.Frame

	// NoResponse says not to wait for an answer: it is sent when the device
	// has it. Otherwise that is the response of the same sequence number: the
	// one of the command, or a default response.
	NoResponse bool
	// Once says not to send it again when no answer comes. Only what may be done twice is:
	// to read and to write, to switch on and off, but not to toggle.
	Once bool
	// Timeout is how long to wait for an answer; 0: ten seconds.
	Timeout time.Duration

	// Hold is how long the request may wait for a sleeping device to wake up,
	// after it was sent in vain. 0: not at all, but of a device that checks in
	// until it has done so; negative: not even then.
	Hold time.Duration
}

// StatusError is an answer of a device that says no.
type StatusError struct {
	Status zcl.Status
}

func (e *StatusError) Error() string {
	return "zigbee: the device answers " + e.Status.String()
}

// ParseMessage reads the ZCL frame of an APS message. A frame whose attributes cannot be
// read to the end is returned with those before, and with an error.
func ParseMessage(in Incoming, received time.Time) (Message, error) {
	frame, err := zcl.ParseFrame(in.Data)
	if err != nil {
		return Message{}, err
	}
	m := Message{
		Device: in.IEEEAddress, Endpoint: in.SourceEndpoint, DestinationEndpoint: in.DestinationEndpoint,
		Group: in.Group, Broadcast: in.Broadcast, Cluster: in.Cluster, LinkQuality: in.LinkQuality,
		Received: received, Frame: frame,
	}
	if frame.Type == zcl.Global {
		switch frame.Command {
		case zcl.ReportAttributes, zcl.ReadAttributesResponse,
			zcl.WriteAttributes, zcl.WriteAttributesUndivided, zcl.WriteAttributesNoResponse:
			m.Attributes, err = zcl.ParseAttributes(frame.Command, frame.Payload)
		}
	}
	return m, err
}
