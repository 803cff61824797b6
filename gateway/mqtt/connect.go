package mqtt

import (
	"encoding/binary"
	"fmt"
)

// Connect is a CONNECT packet.
type Connect struct {
	Version    Version
	Bridge     bool // protocol level with the bridge bit 0x80 of mosquitto and others
	CleanStart bool // CleanSession before 5.0
	KeepAlive  uint16
	ClientID   string
	Properties Properties

	Will          *Message // nil: none. Expires is not set: it counts from publication
	WillDelay     uint32   // seconds
	WillExpiry    uint32   // message expiry interval in seconds, if HasWillExpiry
	HasWillExpiry bool
	HasUserName   bool
	UserName      string
	HasPassword   bool
	Password      []byte
}

// Decode reads a CONNECT. Version is set even if it fails with
// UnsupportedProtocolVersion; it is 0 if the packet is not MQTT at all, and
// then nothing may be answered [v3 MQTT-3.1.2-1, v5 MQTT-3.1.2-1].
func (c *Connect) Decode(p Packet) error {
	*c = Connect{}
	d := decoder{b: p.Body}
	name := d.string("protocol name")
	level := d.uint8("protocol level")
	if d.err != nil {
		return d.err
	}
	if name != "MQTT" && name != "MQIsdp" {
		return &Error{UnsupportedProtocolVersion, fmt.Sprintf("protocol name %.40q", name)}
	}
	c.Version, c.Bridge = Version(level&0x7f), level&0x80 != 0
	known := name == "MQTT" && (c.Version == V311 || c.Version == V50) || name == "MQIsdp" && c.Version == V31
	if !known {
		return &Error{UnsupportedProtocolVersion, fmt.Sprintf("%s level %d", name, level)}
	}
	if p.Flags != 0 && c.Version != V31 {
		return malformed("CONNECT with wrong flags")
	}
	// MQTT 3.1 leaves the reserved bit unused and disregards the bits of a
	// will that is not there (3.1 §3.1).
	flags := d.uint8("connect flags")
	c.KeepAlive = d.uint16("keep alive")
	c.CleanStart = flags&0x02 != 0
	willQoS := flags >> 3 & 3
	if c.Version != V31 && flags&1 != 0 { // [v5 MQTT-3.1.2-3]
		return malformed("reserved connect flag")
	}
	if c.Version != V31 && flags&0x04 == 0 && flags&0x38 != 0 { // [v5 MQTT-3.1.2-11, MQTT-3.1.2-13]
		return malformed("will QoS or retain without a will")
	}
	if flags&0x04 != 0 && willQoS == 3 { // [v5 MQTT-3.1.2-12]
		return malformed("will QoS 3")
	}
	if c.Version != V50 && flags&0xC0 == 0x40 { // [v3 MQTT-3.1.2-22], 3.1 §3.1
		return malformed("password without user name")
	}
	if c.Version == V50 {
		c.Properties = d.properties(in(CONNECT))
		if d.err == nil && c.Properties.Has(AuthenticationData) && !c.Properties.Has(AuthenticationMethod) {
			return protocolError("authentication data without method")
		}
	}
	c.ClientID = d.string("client identifier")
	if flags&0x04 != 0 {
		c.Will = &Message{QoS: willQoS, Retain: flags&0x20 != 0}
		if c.Version == V50 {
			c.decodeWillProperties(&d)
		}
		topic := d.stringBytes("will topic")
		payload := d.binary("will message")
		if d.err != nil {
			return d.err
		}
		if !ValidTopicName(topic) {
			return &Error{TopicNameInvalid, "will topic"}
		}
		c.Will.Topic = string(topic)
		c.Will.Payload = append([]byte(nil), payload...)
	}
	// MQTT 3.1 lets the fields be missing though the flags are set: the
	// remaining length wins (3.1 §3.1).
	if flags&0x80 != 0 && !(c.Version == V31 && len(d.b) == 0) {
		c.HasUserName, c.UserName = true, d.string("user name")
	}
	if flags&0x40 != 0 && !(c.Version == V31 && len(d.b) == 0) {
		c.HasPassword, c.Password = true, append([]byte(nil), d.binary("password")...)
	}
	return d.end(CONNECT)
}

func (c *Connect) decodeWillProperties(d *decoder) {
	raw := decoder{b: d.take(int(d.varint("property length")), "will properties")}
	var seen uint64
	for len(raw.b) > 0 && raw.err == nil {
		start := raw.b
		id, num, _, _ := raw.scan(inWill, &seen)
		switch id {
		case WillDelayInterval: // never sent on [v5 MQTT-3.1.3-10]
			c.WillDelay = num
		case MessageExpiryInterval:
			c.WillExpiry, c.HasWillExpiry = num, true
		default:
			if raw.err == nil {
				c.Will.Properties = append(c.Will.Properties, start[:len(start)-len(raw.b)]...)
			}
		}
	}
	if raw.err != nil {
		d.err, d.b = raw.err, nil
	}
}

// Append appends the packet to dst.
func (c *Connect) Append(dst []byte) []byte {
	name := "MQTT"
	if c.Version == V31 {
		name = "MQIsdp"
	}
	var flags byte
	if c.CleanStart {
		flags |= 0x02
	}
	if c.Will != nil {
		flags |= 0x04 | c.Will.QoS<<3
		if c.Will.Retain {
			flags |= 0x20
		}
	}
	if c.HasPassword {
		flags |= 0x40
	}
	if c.HasUserName {
		flags |= 0x80
	}
	level := byte(c.Version)
	if c.Bridge {
		level |= 0x80
	}
	b := appendString(nil, name)
	b = append(b, level, flags)
	b = binary.BigEndian.AppendUint16(b, c.KeepAlive)
	if c.Version == V50 {
		b = c.Properties.append(b)
	}
	b = appendString(b, c.ClientID)
	if c.Will != nil {
		if c.Version == V50 {
			var own Properties
			if c.WillDelay > 0 {
				own.SetUint(WillDelayInterval, c.WillDelay)
			}
			if c.HasWillExpiry {
				own.SetUint(MessageExpiryInterval, c.WillExpiry)
			}
			w := append(own.Encode(nil), c.Will.Properties...)
			b = appendVarint(b, uint32(len(w)))
			b = append(b, w...)
		}
		b = appendString(b, c.Will.Topic)
		b = appendString(b, c.Will.Payload)
	}
	if c.HasUserName {
		b = appendString(b, c.UserName)
	}
	if c.HasPassword {
		b = appendString(b, c.Password)
	}
	return append(appendHeader(dst, CONNECT, 0, len(b)), b...)
}

// Connack is a CONNACK packet. Before MQTT 5.0 Code is the return code 0 to 5
// as it stands on the wire.
type Connack struct {
	SessionPresent bool
	Code           ReasonCode
	Properties     Properties
}

// Append appends the packet to dst in the form of version v. MQTT 3.1 does not
// know SessionPresent.
func (c *Connack) Append(dst []byte, v Version) []byte {
	var b [256]byte
	body := b[:2]
	if c.SessionPresent && v != V31 {
		body[0] = 1
	}
	body[1] = byte(c.Code)
	if v == V50 {
		body = c.Properties.append(body)
	}
	return append(appendHeader(dst, CONNACK, 0, len(body)), body...)
}

// Decode reads a CONNACK.
func (c *Connack) Decode(p Packet, v Version) error {
	d := decoder{b: p.Body}
	flags := d.uint8("connect acknowledge flags")
	*c = Connack{SessionPresent: flags == 1 && v != V31, Code: ReasonCode(d.uint8("reason code"))}
	if d.err == nil && flags > 1 && v != V31 { // [v5 MQTT-3.2.2-1]
		return malformed("reserved connect acknowledge flags")
	}
	if v == V50 && !c.Code.BelongsTo(CONNACK) || v != V50 && c.Code > 5 { // [v5 MQTT-3.2.2-8]
		return malformed(fmt.Sprintf("CONNACK with code 0x%02x", byte(c.Code)))
	}
	if v == V50 {
		c.Properties = d.properties(in(CONNACK))
	}
	return d.end(CONNACK)
}
