package broker

import (
	"fmt"
	"strings"

	"lintel/gateway/mqtt"
)

// What is here looks at packets once more for those who trace.

// traceEvent begins an event about the client of a connection.
func (c *connection) traceEvent(kind TraceKind) TraceEvent {
	e := TraceEvent{Kind: kind, Client: c.clientID, Address: c.address}
	if e.Client == "" {
		e.Client = c.said
	}
	return e
}

// traced is what is known of a message that somebody follows before there is one.
type traced struct {
	number uint64
	topic  string
}

// traceReceived tells of a packet from the client. It returns what is followed from here
// on; nil: the packet brings no message.
func (c *connection) traceReceived(p mqtt.Packet) *traced {
	e := c.traceEvent(TraceReceived)
	if p.Type != mqtt.PUBLISH {
		c.describe(&e, p, true)
		c.broker.traces.tell(e)
		return nil
	}
	e.Message = c.broker.traces.next()
	c.describe(&e, p, true)
	c.broker.traces.tell(e)
	return &traced{e.Message, e.Topic}
}

// traceConnect tells of a CONNECT, without user name, password and authentication data.
func (c *connection) traceConnect(connect *mqtt.Connect, size int) {
	e := c.traceEvent(TraceReceived)
	e.Packet, e.Size = mqtt.CONNECT.String(), size
	e.Properties = propertyTexts(&connect.Properties)
	detail := fmt.Sprintf("version %d, keep alive %d s", connect.Version, connect.KeepAlive)
	if connect.CleanStart {
		detail += ", clean start"
	}
	if connect.HasUserName {
		detail += ", with a user name"
	}
	if connect.HasPassword {
		detail += ", with a password"
	}
	if w := connect.Will; w != nil {
		detail += fmt.Sprintf(", will to %s with QoS %d", w.Topic, w.QoS)
	}
	e.Detail = detail
	c.broker.traces.tell(e)
}

// traceSent tells of packets that were put on their way to the client. Called with conn.mu held.
func (c *connection) traceSent(packets []byte) {
	for len(packets) > 0 {
		p, n, err := mqtt.Parse(packets, c.version, 0)
		if n == 0 || err != nil {
			return
		}
		e := c.traceEvent(TraceSent)
		if p.Type == mqtt.PUBLISH {
			e.Message = c.carries
		}
		c.describe(&e, p, false)
		c.broker.traces.tell(e)
		packets = packets[n:]
	}
}

// describe puts into an event what a packet says.
func (c *connection) describe(e *TraceEvent, p mqtt.Packet, received bool) {
	e.Packet, e.Size = p.Type.String(), packetSize(len(p.Body))
	var err error
	switch p.Type {
	case mqtt.PUBLISH:
		var m mqtt.Publish
		if err = m.Decode(p, c.version); err == nil {
			c.describePublish(e, &m, received)
		}
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		var a mqtt.Ack
		if err = a.Decode(p, c.version); err == nil {
			e.PacketID, e.Code, e.Properties = a.PacketID, c.codeText(a.Code), propertyTexts(&a.Properties)
		}
	case mqtt.SUBSCRIBE:
		var s mqtt.Subscribe
		if err = s.Decode(p, c.version); err == nil {
			e.PacketID, e.Properties = s.PacketID, propertyTexts(&s.Properties)
			var filters []string
			for _, f := range s.Filters[:min(len(s.Filters), maxTracedFilters)] {
				filters = append(filters, fmt.Sprintf("%s (QoS %d)", f.Filter, f.Options.QoS()))
			}
			e.Detail = joined(filters, len(s.Filters))
		}
	case mqtt.UNSUBSCRIBE:
		var u mqtt.Unsubscribe
		if err = u.Decode(p, c.version); err == nil {
			e.PacketID, e.Properties = u.PacketID, propertyTexts(&u.Properties)
			e.Detail = joined(u.Filters[:min(len(u.Filters), maxTracedFilters)], len(u.Filters))
		}
	case mqtt.SUBACK, mqtt.UNSUBACK:
		var s mqtt.Suback
		if err = s.Decode(p, c.version); err == nil {
			e.PacketID, e.Properties = s.PacketID, propertyTexts(&s.Properties)
			var codes []string
			for _, code := range s.Codes[:min(len(s.Codes), maxTracedFilters)] {
				if p.Type == mqtt.SUBACK && code <= 2 {
					codes = append(codes, fmt.Sprintf("QoS %d", code))
				} else {
					codes = append(codes, codeText(code))
				}
			}
			e.Detail = joined(codes, len(s.Codes))
		}
	case mqtt.CONNACK:
		var a mqtt.Connack
		if err = a.Decode(p, c.version); err == nil {
			e.Properties = propertyTexts(&a.Properties)
			if c.version == mqtt.V50 {
				e.Code = codeText(a.Code)
			} else {
				e.Code = fmt.Sprintf("return code %d", a.Code)
			}
			if a.SessionPresent {
				e.Detail = "session present"
			}
		}
	case mqtt.DISCONNECT, mqtt.AUTH:
		var d mqtt.Disconnect
		if err = d.Decode(p, c.version); err == nil {
			e.Code, e.Properties = c.codeText(d.Code), propertyTexts(&d.Properties)
		}
	}
	if err != nil && received {
		e.Detail = err.Error()
	}
}

func (c *connection) describePublish(e *TraceEvent, m *mqtt.Publish, received bool) {
	topic := string(m.Topic)
	if topic == "" && m.TopicAlias != 0 {
		if received {
			topic = c.aliases[m.TopicAlias]
		} else {
			for known, alias := range c.sentAliases {
				if alias == m.TopicAlias {
					topic = known
				}
			}
		}
	}
	e.Topic, e.QoS, e.Retain, e.Dup, e.PacketID = topic, m.QoS, m.Retain, m.Dup, m.PacketID
	e.Bytes = len(m.Payload)
	if c.broker.traces.wantsPayload(topic) {
		e.Payload = tracedPayload(m.Payload)
	}
	if m.TopicAlias != 0 {
		e.Properties = append(e.Properties, fmt.Sprintf("%v: %d", mqtt.TopicAlias, m.TopicAlias))
	}
	if m.HasExpiry {
		e.Properties = append(e.Properties, fmt.Sprintf("%v: %d", mqtt.MessageExpiryInterval, m.Expiry))
	}
	for _, identifier := range m.Identifiers {
		e.Properties = append(e.Properties, fmt.Sprintf("%v: %d", mqtt.SubscriptionIdentifier, identifier))
	}
	if p, err := mqtt.DecodeProperties(m.Properties); err == nil {
		e.Properties = append(e.Properties, propertyTexts(&p)...)
	}
}

const maxTracedFilters = 16

// joined is a list of which the rest is counted.
func joined(texts []string, of int) string {
	text := strings.Join(texts, ", ")
	if of > len(texts) {
		text += fmt.Sprintf(" and %d more", of-len(texts))
	}
	return text
}

func tracedPayload(p []byte) []byte {
	return append([]byte(nil), p[:min(len(p), TracedPayload)]...)
}

// codeText is a reason code with its number; before 5.0 there is none.
func (c *connection) codeText(code mqtt.ReasonCode) string {
	if c.version != mqtt.V50 {
		return ""
	}
	return codeText(code)
}

func codeText(code mqtt.ReasonCode) string { return fmt.Sprintf("0x%02x %v", byte(code), code) }

// propertyTexts leaves out what proves who somebody is.
func propertyTexts(p *mqtt.Properties) (texts []string) {
	for id, text := range p.All() {
		if id != mqtt.AuthenticationData {
			texts = append(texts, id.String()+": "+text)
		}
	}
	return texts
}

// packetSize is the size of a packet with so many bytes behind its fixed header.
func packetSize(body int) int {
	size := 2 + body
	for body >>= 7; body > 0; body >>= 7 {
		size++
	}
	return size
}
