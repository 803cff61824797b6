package zigbee

import (
	"context"
	"fmt"
	"strings"

	"lintel/serialbridge/journey"
	"lintel/serialbridge/zigbee/zcl"
)

// What is here tells of single messages and requests while somebody watches a device.

const maxFollowed = 8 // attributes of a frame that are named

// followed begins the journey of a message. It returns its number, 0 if nobody watches the
// device. The network is locked.
func (n *Network) followed(d *node, in *Incoming, m *Message, wrong error) (number uint64) {
	book := n.options.Journeys
	if !book.On() {
		return 0
	}
	number = book.Begin(d.device.IEEEAddress.String(), journey.Stage{Kind: journey.Heard, Bytes: in.Data,
		Detail: fmt.Sprintf("from 0x%04x, endpoint %d to %d, cluster 0x%04x, link quality %d", uint16(in.Source), in.SourceEndpoint, in.DestinationEndpoint, in.Cluster, in.LinkQuality)})
	if number == 0 {
		return 0
	}
	book.Tell(number, journey.Stage{Kind: journey.Parsed, Detail: frameText(m.Frame), Text: attributesText(m.Attributes)})
	if wrong != nil {
		book.Tell(number, journey.Stage{Kind: journey.Failed, Detail: wrong.Error()})
	}
	return number
}

// frameText says what a ZCL frame is.
func frameText(f zcl.Frame) string {
	kind, direction := "of the cluster", "to the server"
	if f.Type == zcl.Global {
		kind = "global"
	}
	if f.ServerToClient {
		direction = "to the client"
	}
	text := fmt.Sprintf("ZCL command 0x%02x, %s, %s, sequence number %d", f.Command, kind, direction, f.Sequence)
	if f.ManufacturerCode != 0 {
		text += fmt.Sprintf(", manufacturer 0x%04x", f.ManufacturerCode)
	}
	return text
}

func attributesText(attributes []zcl.Attribute) string {
	var texts []string
	for _, a := range attributes[:min(len(attributes), maxFollowed)] {
		texts = append(texts, fmt.Sprintf("0x%04x = %.100v", a.ID, a.Value))
	}
	if more := len(attributes) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(texts, ", ")
}

// sends tells of a frame that goes to a device. It returns the number of the journey that it belongs to.
func (n *Network) sends(ctx context.Context, out *Outgoing) (number uint64) {
	if !n.options.Journeys.On() {
		return 0
	}
	number = journey.Of(ctx)
	n.options.Journeys.Tell(number, journey.Stage{Kind: journey.Written, Bytes: out.Data,
		Detail: fmt.Sprintf("to 0x%04x, endpoint %d, cluster 0x%04x", uint16(out.Destination), out.DestinationEndpoint, out.Cluster)})
	return number
}

// wasSent tells whether the device has a frame.
func (n *Network) wasSent(number uint64, err error) {
	if number == 0 {
		return
	}
	if err != nil {
		n.options.Journeys.Tell(number, journey.Stage{Kind: journey.Failed, Detail: err.Error()})
		return
	}
	n.options.Journeys.Tell(number, journey.Stage{Kind: journey.Handed, Detail: "the stick says that the device has it"})
}

func (n *Network) wasAnswered(number uint64, f zcl.Frame) {
	if number != 0 {
		n.options.Journeys.Tell(number, journey.Stage{Kind: journey.Answer, Detail: frameText(f), Bytes: f.Append(nil)})
	}
}
