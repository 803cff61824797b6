package mqtt

import (
	"encoding/binary"
	"fmt"
)

// Publish is a PUBLISH packet. After Decode its slices are parts of the packet.
type Publish struct {
	Dup      bool
	QoS      QoS
	Retain   bool
	PacketID uint16 // QoS 1 and 2
	Topic    []byte // may be empty if there is a TopicAlias
	Payload  []byte

	// MQTT 5.0 only.
	TopicAlias  uint16 // 0: none
	Expiry      uint32 // message expiry interval in seconds, if HasExpiry
	HasExpiry   bool
	Identifiers []uint32 // subscription identifiers; only a server sends them
	Properties  []byte   // what travels on: see Message.Properties
}

// Decode reads a PUBLISH.
func (m *Publish) Decode(p Packet, v Version) error {
	*m = Publish{
		Dup:    p.Flags&8 != 0,
		QoS:    p.Flags >> 1 & 3,
		Retain: p.Flags&1 != 0,
	}
	if m.QoS == 3 { // [v5 MQTT-3.3.1-4]
		return malformed("QoS 3")
	}
	if m.QoS == 0 && m.Dup && v != V31 { // [v5 MQTT-3.3.1-2]
		return malformed("DUP with QoS 0")
	}
	d := decoder{b: p.Body}
	m.Topic = d.stringBytes("topic name")
	if m.QoS > 0 {
		m.PacketID = d.packetID()
	}
	if v == V50 {
		m.properties(&d)
	}
	if d.err != nil {
		return d.err
	}
	m.Payload = d.b
	if len(m.Topic) == 0 {
		if m.TopicAlias == 0 {
			if v == V50 {
				return protocolError("empty topic name without topic alias")
			}
			return &Error{TopicNameInvalid, "empty topic name"}
		}
		return nil
	}
	if !ValidTopicName(m.Topic) { // [v5 MQTT-3.3.2-2]
		return &Error{TopicNameInvalid, fmt.Sprintf("topic name %.40q", m.Topic)}
	}
	return nil
}

// properties checks the properties and sorts them: what belongs to this hop
// into fields, the rest into Properties. If nothing is of this hop, as is usual,
// the bytes stay where they are.
func (m *Publish) properties(d *decoder) {
	all := d.take(int(d.varint("property length")), "properties")
	sub := decoder{b: all}
	var seen uint64
	var kept []byte
	whole := true // nothing was taken out so far
	for len(sub.b) > 0 {
		start := sub.b
		id, num, _, _ := sub.scan(in(PUBLISH), &seen)
		if sub.err != nil {
			break
		}
		own := true
		switch id {
		case TopicAlias:
			m.TopicAlias = uint16(num)
		case MessageExpiryInterval:
			m.Expiry, m.HasExpiry = num, true
		case SubscriptionIdentifier:
			m.Identifiers = append(m.Identifiers, num)
		default:
			own = false
		}
		if own && whole {
			whole = false
			kept = append(kept, all[:len(all)-len(start)]...)
		} else if !own && !whole {
			kept = append(kept, start[:len(start)-len(sub.b)]...)
		}
	}
	if sub.err != nil {
		d.err, d.b = sub.err, nil
		return
	}
	if whole {
		kept = all
	}
	if len(kept) > 0 {
		m.Properties = kept
	}
}

// Append appends the packet to dst in the form of version v.
func (m *Publish) Append(dst []byte, v Version) []byte {
	return m.AppendTopic(dst, v, string(m.Topic))
}

// AppendTopic is Append with another topic name in place of m.Topic. It
// allocates nothing if dst has room.
func (m *Publish) AppendTopic(dst []byte, v Version, topic string) []byte {
	var flags byte
	if m.Dup {
		flags |= 8
	}
	flags |= m.QoS << 1
	if m.Retain {
		flags |= 1
	}
	length := 2 + len(topic) + len(m.Payload)
	if m.QoS > 0 {
		length += 2
	}
	properties := 0
	if v == V50 {
		properties = m.propertiesSize()
		length += varintSize(uint32(properties)) + properties
	}
	dst = appendHeader(dst, PUBLISH, flags, length)
	dst = appendString(dst, topic)
	if m.QoS > 0 {
		dst = binary.BigEndian.AppendUint16(dst, m.PacketID)
	}
	if v == V50 {
		dst = appendVarint(dst, uint32(properties))
		dst = append(dst, m.Properties...)
		if m.HasExpiry {
			dst = append(dst, byte(MessageExpiryInterval))
			dst = binary.BigEndian.AppendUint32(dst, m.Expiry)
		}
		if m.TopicAlias != 0 {
			dst = append(dst, byte(TopicAlias))
			dst = binary.BigEndian.AppendUint16(dst, m.TopicAlias)
		}
		for _, id := range m.Identifiers {
			dst = append(dst, byte(SubscriptionIdentifier))
			dst = appendVarint(dst, id)
		}
	}
	return append(dst, m.Payload...)
}

func (m *Publish) propertiesSize() int {
	n := len(m.Properties)
	if m.HasExpiry {
		n += 5
	}
	if m.TopicAlias != 0 {
		n += 3
	}
	for _, id := range m.Identifiers {
		n += 1 + varintSize(id)
	}
	return n
}

// SetPacketID writes the packet identifier of a PUBLISH with QoS 1 or 2 that
// Append made.
func SetPacketID(packet []byte, id uint16) {
	i := 2
	for packet[i-1] >= 0x80 {
		i++
	}
	i += 2 + int(binary.BigEndian.Uint16(packet[i:]))
	binary.BigEndian.PutUint16(packet[i:], id)
}

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP packet.
type Ack struct {
	Type       PacketType
	PacketID   uint16
	Code       ReasonCode // MQTT 5.0 only
	Properties Properties // MQTT 5.0 only
}

// Append appends the packet to dst in the form of version v, in the shortest
// form that says all.
func (a *Ack) Append(dst []byte, v Version) []byte {
	var flags byte
	if a.Type == PUBREL {
		flags = 2
	}
	if v != V50 || a.Code == Success && len(a.Properties.values) == 0 {
		return append(dst, byte(a.Type)<<4|flags, 2, byte(a.PacketID>>8), byte(a.PacketID))
	}
	if len(a.Properties.values) == 0 {
		return append(dst, byte(a.Type)<<4|flags, 3, byte(a.PacketID>>8), byte(a.PacketID), byte(a.Code))
	}
	b := a.Properties.append([]byte{byte(a.PacketID >> 8), byte(a.PacketID), byte(a.Code)})
	return append(appendHeader(dst, a.Type, flags, len(b)), b...)
}

// Decode reads a PUBACK, PUBREC, PUBREL or PUBCOMP.
func (a *Ack) Decode(p Packet, v Version) error {
	d := decoder{b: p.Body}
	*a = Ack{Type: p.Type, PacketID: d.packetID()}
	if v == V50 && len(d.b) > 0 {
		a.Code = ReasonCode(d.uint8("reason code"))
		if !a.Code.BelongsTo(p.Type) { // [v5 MQTT-3.4.2-1, MQTT-3.5.2-1, MQTT-3.6.2-1, MQTT-3.7.2-1]
			return malformed(fmt.Sprintf("%v with reason code 0x%02x", p.Type, byte(a.Code)))
		}
		if len(d.b) > 0 {
			a.Properties = d.properties(in(p.Type))
		}
	}
	return d.end(p.Type)
}
