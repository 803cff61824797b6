package mqtt

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// SubscriptionOptions is the byte that follows a topic filter in SUBSCRIBE
// (5.0 §3.8.3.1). Before 5.0 it is the requested QoS.
type SubscriptionOptions byte

// QoS is the maximum QoS that the subscriber asks for.
func (o SubscriptionOptions) QoS() QoS { return QoS(o & 3) }

// NoLocal: what this client publishes is not sent back to it.
func (o SubscriptionOptions) NoLocal() bool { return o&0x04 != 0 }

// RetainAsPublished keeps the RETAIN flag of messages that are forwarded.
func (o SubscriptionOptions) RetainAsPublished() bool { return o&0x08 != 0 }

// RetainHandling: 0 send retained messages, 1 only if the subscription is new,
// 2 do not send them.
func (o SubscriptionOptions) RetainHandling() byte { return byte(o) >> 4 & 3 }

// The bits of SubscriptionOptions besides the QoS.
const (
	NoLocal           SubscriptionOptions = 0x04
	RetainAsPublished SubscriptionOptions = 0x08
)

// FilterRequest is one topic filter of a SUBSCRIBE. The filter is valid UTF-8
// and nothing more: a wrong filter is refused by itself, in the SUBACK.
type FilterRequest struct {
	Filter  string
	Options SubscriptionOptions
}

// Subscribe is a SUBSCRIBE packet.
type Subscribe struct {
	PacketID   uint16
	Filters    []FilterRequest
	Properties Properties
}

// Decode reads a SUBSCRIBE.
func (s *Subscribe) Decode(p Packet, v Version) error {
	d := decoder{b: p.Body}
	*s = Subscribe{PacketID: d.packetID()}
	if v == V50 {
		s.Properties = d.properties(in(SUBSCRIBE))
	}
	for len(d.b) > 0 {
		f := FilterRequest{Filter: d.string("topic filter")}
		f.Options = SubscriptionOptions(d.uint8("subscription options"))
		if d.err != nil {
			break
		}
		if v == V50 {
			switch {
			case f.Options&0xC0 != 0: // [v5 MQTT-3.8.3-5]
				return malformed("reserved bits of the subscription options")
			case f.Options.QoS() == 3:
				return protocolError("subscription with QoS 3")
			case f.Options.RetainHandling() == 3:
				return protocolError("retain handling 3")
			case f.Options.NoLocal() && strings.HasPrefix(f.Filter, "$share/"): // [v5 MQTT-3.8.3-4]
				return protocolError("no local on a shared subscription")
			}
		} else if f.Options > 2 { // [v3 MQTT-3.8.3-4]
			return malformed("requested QoS")
		}
		s.Filters = append(s.Filters, f)
	}
	if d.err == nil && len(s.Filters) == 0 && v != V31 { // [v5 MQTT-3.8.3-2]
		return protocolError("SUBSCRIBE without a topic filter")
	}
	return d.err
}

// Append appends the packet to dst in the form of version v.
func (s *Subscribe) Append(dst []byte, v Version) []byte {
	b := binary.BigEndian.AppendUint16(nil, s.PacketID)
	if v == V50 {
		b = s.Properties.append(b)
	}
	for _, f := range s.Filters {
		b = append(appendString(b, f.Filter), byte(f.Options))
	}
	return append(appendHeader(dst, SUBSCRIBE, 2, len(b)), b...)
}

// Unsubscribe is an UNSUBSCRIBE packet.
type Unsubscribe struct {
	PacketID   uint16
	Filters    []string
	Properties Properties
}

// Decode reads an UNSUBSCRIBE.
func (u *Unsubscribe) Decode(p Packet, v Version) error {
	d := decoder{b: p.Body}
	*u = Unsubscribe{PacketID: d.packetID()}
	if v == V50 {
		u.Properties = d.properties(in(UNSUBSCRIBE))
	}
	for len(d.b) > 0 {
		u.Filters = append(u.Filters, d.string("topic filter"))
	}
	if d.err == nil && len(u.Filters) == 0 && v != V31 { // [v5 MQTT-3.10.3-2]
		return protocolError("UNSUBSCRIBE without a topic filter")
	}
	return d.err
}

// Append appends the packet to dst in the form of version v.
func (u *Unsubscribe) Append(dst []byte, v Version) []byte {
	b := binary.BigEndian.AppendUint16(nil, u.PacketID)
	if v == V50 {
		b = u.Properties.append(b)
	}
	for _, f := range u.Filters {
		b = appendString(b, f)
	}
	return append(appendHeader(dst, UNSUBSCRIBE, 2, len(b)), b...)
}

// Suback is a SUBACK or UNSUBACK packet. Before MQTT 5.0 an UNSUBACK has no
// codes.
type Suback struct {
	Type       PacketType
	PacketID   uint16
	Codes      []ReasonCode
	Properties Properties
}

// Append appends the packet to dst in the form of version v. Before 5.0 every
// failure is 0x80; MQTT 3.1 does not know that either and a client of it is
// told QoS 0: its SUBACK holds granted QoS levels only.
func (s *Suback) Append(dst []byte, v Version) []byte {
	b := binary.BigEndian.AppendUint16(nil, s.PacketID)
	if v == V50 {
		b = s.Properties.append(b)
	}
	if v == V50 || s.Type == SUBACK {
		for _, c := range s.Codes {
			if c >= 0x80 && v == V311 {
				c = UnspecifiedError
			} else if c >= 0x80 && v == V31 {
				c = Success
			}
			b = append(b, byte(c))
		}
	}
	return append(appendHeader(dst, s.Type, 0, len(b)), b...)
}

// Decode reads a SUBACK or UNSUBACK.
func (s *Suback) Decode(p Packet, v Version) error {
	d := decoder{b: p.Body}
	*s = Suback{Type: p.Type, PacketID: d.packetID()}
	if v == V50 {
		s.Properties = d.properties(in(p.Type))
	}
	if d.err != nil {
		return d.err
	}
	if v != V50 && p.Type == UNSUBACK {
		return d.end(p.Type)
	}
	for _, b := range d.b {
		c := ReasonCode(b)
		// [v5 MQTT-3.9.3-2, MQTT-3.11.3-2, v3 MQTT-3.9.3-2]
		known := c <= GrantedQoS2 || v == V311 && c == UnspecifiedError
		if v == V50 {
			known = c.BelongsTo(p.Type)
		}
		if !known {
			return malformed(fmt.Sprintf("%v with reason code 0x%02x", p.Type, b))
		}
		s.Codes = append(s.Codes, c)
	}
	return nil
}

// Disconnect is a DISCONNECT or AUTH packet: both are a reason code and
// properties. Before MQTT 5.0 a DISCONNECT is empty and there is no AUTH.
type Disconnect struct {
	Type       PacketType
	Code       ReasonCode
	Properties Properties
}

// Append appends the packet to dst in the form of version v.
func (x *Disconnect) Append(dst []byte, v Version) []byte {
	if v != V50 || x.Code == Success && len(x.Properties.values) == 0 {
		return append(dst, byte(x.Type)<<4, 0)
	}
	if len(x.Properties.values) == 0 && x.Type == DISCONNECT {
		return append(dst, byte(x.Type)<<4, 1, byte(x.Code))
	}
	b := x.Properties.append([]byte{byte(x.Code)})
	return append(appendHeader(dst, x.Type, 0, len(b)), b...)
}

// Decode reads a DISCONNECT or AUTH.
func (x *Disconnect) Decode(p Packet, v Version) error {
	d := decoder{b: p.Body}
	*x = Disconnect{Type: p.Type}
	if v == V50 && len(d.b) > 0 {
		x.Code = ReasonCode(d.uint8("reason code"))
		if !x.Code.BelongsTo(p.Type) { // [v5 MQTT-3.14.2-1, MQTT-3.15.2-1]
			return malformed(fmt.Sprintf("%v with reason code 0x%02x", p.Type, byte(x.Code)))
		}
		// AUTH has no form with a code and nothing else (5.0 §3.15.2.1).
		if len(d.b) > 0 || p.Type == AUTH {
			x.Properties = d.properties(in(p.Type))
		}
	}
	if err := d.end(p.Type); err != nil {
		return err
	}
	// The method is never left out (5.0 §3.15.2.2.2), but in the empty AUTH.
	if p.Type == AUTH && len(p.Body) > 0 && !x.Properties.Has(AuthenticationMethod) {
		return protocolError("AUTH without an authentication method")
	}
	return nil
}

// ClientMaySend reports whether the code is one that a client sends: Decode
// lets those of both sides through [v5 MQTT-3.14.2-1, MQTT-3.15.2-1].
func (x *Disconnect) ClientMaySend() bool {
	if x.Type == AUTH {
		return x.Code != Success
	}
	switch x.Code {
	case NotAuthorized, ServerBusy, ServerShuttingDown, KeepAliveTimeout, SessionTakenOver, TopicFilterInvalid:
		return false
	}
	return x.Code < RetainNotSupported
}

// ServerMaySend reports whether the code is one that a server sends, and that
// there is no session expiry interval [v5 MQTT-3.14.2-2].
func (x *Disconnect) ServerMaySend() bool {
	if x.Type == AUTH {
		return x.Code != ReAuthenticate
	}
	return x.Code != DisconnectWithWill && !x.Properties.Has(SessionExpiryInterval)
}
