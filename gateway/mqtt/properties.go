package mqtt

import (
	"encoding/binary"
	"fmt"
)

// PropertyID identifies a property of MQTT 5.0 (§2.2.2.2).
type PropertyID byte

// The properties.
const (
	PayloadFormatIndicator          PropertyID = 0x01
	MessageExpiryInterval           PropertyID = 0x02
	ContentType                     PropertyID = 0x03
	ResponseTopic                   PropertyID = 0x08
	CorrelationData                 PropertyID = 0x09
	SubscriptionIdentifier          PropertyID = 0x0B
	SessionExpiryInterval           PropertyID = 0x11
	AssignedClientIdentifier        PropertyID = 0x12
	ServerKeepAlive                 PropertyID = 0x13
	AuthenticationMethod            PropertyID = 0x15
	AuthenticationData              PropertyID = 0x16
	RequestProblemInformation       PropertyID = 0x17
	WillDelayInterval               PropertyID = 0x18
	RequestResponseInformation      PropertyID = 0x19
	ResponseInformation             PropertyID = 0x1A
	ServerReference                 PropertyID = 0x1C
	ReasonString                    PropertyID = 0x1F
	ReceiveMaximum                  PropertyID = 0x21
	TopicAliasMaximum               PropertyID = 0x22
	TopicAlias                      PropertyID = 0x23
	MaximumQoS                      PropertyID = 0x24
	RetainAvailable                 PropertyID = 0x25
	UserProperty                    PropertyID = 0x26
	MaximumPacketSize               PropertyID = 0x27
	WildcardSubscriptionAvailable   PropertyID = 0x28
	SubscriptionIdentifierAvailable PropertyID = 0x29
	SharedSubscriptionAvailable     PropertyID = 0x2A
)

type propertyType byte

const (
	typeByte propertyType = iota + 1
	typeUint16
	typeUint32
	typeVarint
	typeString
	typeBinary
	typePair
)

// where is the set of packets that may carry a property, a bit for each
// PacketType; bit 0 stands for the will properties of CONNECT.
type where uint16

const inWill where = 1

func in(types ...PacketType) (w where) {
	for _, t := range types {
		w |= 1 << t
	}
	return w
}

// propertyTable is table 2-4 of the standard.
var propertyTable = [0x2B]struct {
	typ propertyType
	in  where
}{
	PayloadFormatIndicator:          {typeByte, in(PUBLISH) | inWill},
	MessageExpiryInterval:           {typeUint32, in(PUBLISH) | inWill},
	ContentType:                     {typeString, in(PUBLISH) | inWill},
	ResponseTopic:                   {typeString, in(PUBLISH) | inWill},
	CorrelationData:                 {typeBinary, in(PUBLISH) | inWill},
	SubscriptionIdentifier:          {typeVarint, in(PUBLISH, SUBSCRIBE)},
	SessionExpiryInterval:           {typeUint32, in(CONNECT, CONNACK, DISCONNECT)},
	AssignedClientIdentifier:        {typeString, in(CONNACK)},
	ServerKeepAlive:                 {typeUint16, in(CONNACK)},
	AuthenticationMethod:            {typeString, in(CONNECT, CONNACK, AUTH)},
	AuthenticationData:              {typeBinary, in(CONNECT, CONNACK, AUTH)},
	RequestProblemInformation:       {typeByte, in(CONNECT)},
	WillDelayInterval:               {typeUint32, inWill},
	RequestResponseInformation:      {typeByte, in(CONNECT)},
	ResponseInformation:             {typeString, in(CONNACK)},
	ServerReference:                 {typeString, in(CONNACK, DISCONNECT)},
	ReasonString:                    {typeString, in(CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH)},
	ReceiveMaximum:                  {typeUint16, in(CONNECT, CONNACK)},
	TopicAliasMaximum:               {typeUint16, in(CONNECT, CONNACK)},
	TopicAlias:                      {typeUint16, in(PUBLISH)},
	MaximumQoS:                      {typeByte, in(CONNACK)},
	RetainAvailable:                 {typeByte, in(CONNACK)},
	UserProperty:                    {typePair, 0xffff},
	MaximumPacketSize:               {typeUint32, in(CONNECT, CONNACK)},
	WildcardSubscriptionAvailable:   {typeByte, in(CONNACK)},
	SubscriptionIdentifierAvailable: {typeByte, in(CONNACK)},
	SharedSubscriptionAvailable:     {typeByte, in(CONNACK)},
}

// Pair is a user property.
type Pair struct{ Name, Value string }

// Properties are the properties of a packet, in the order of the packet. Its
// accessors return the zero value for what is not there.
type Properties struct {
	values []property
}

type property struct {
	id   PropertyID
	num  uint32
	text string // string, binary data, or the name of a user property
	more string // value of a user property
}

// Has reports whether the property is there.
func (p *Properties) Has(id PropertyID) bool {
	for i := range p.values {
		if p.values[i].id == id {
			return true
		}
	}
	return false
}

// Uint returns a numeric property, or missing if it is not there.
func (p *Properties) Uint(id PropertyID, missing uint32) uint32 {
	for i := range p.values {
		if p.values[i].id == id {
			return p.values[i].num
		}
	}
	return missing
}

// Text returns a string or binary property.
func (p *Properties) Text(id PropertyID) string {
	for i := range p.values {
		if p.values[i].id == id {
			return p.values[i].text
		}
	}
	return ""
}

// User returns the user properties in their order.
func (p *Properties) User() []Pair {
	var user []Pair
	for i := range p.values {
		if p.values[i].id == UserProperty {
			user = append(user, Pair{p.values[i].text, p.values[i].more})
		}
	}
	return user
}

// SetUint adds a numeric property.
func (p *Properties) SetUint(id PropertyID, x uint32) {
	p.values = append(p.values, property{id: id, num: x})
}

// SetText adds a string or binary property.
func (p *Properties) SetText(id PropertyID, s string) {
	p.values = append(p.values, property{id: id, text: s})
}

// AddUser adds a user property.
func (p *Properties) AddUser(name, value string) {
	p.values = append(p.values, property{id: UserProperty, text: name, more: value})
}

// Encode appends the properties to dst in wire form, without their length: see
// Message.Properties.
func (p *Properties) Encode(dst []byte) []byte {
	for i := range p.values {
		dst = p.values[i].append(dst)
	}
	return dst
}

// append appends the property length and the properties.
func (p *Properties) append(dst []byte) []byte {
	var scratch [128]byte
	b := p.Encode(scratch[:0])
	dst = appendVarint(dst, uint32(len(b)))
	return append(dst, b...)
}

func (v *property) append(b []byte) []byte {
	b = append(b, byte(v.id))
	switch propertyTable[v.id].typ {
	case typeByte:
		b = append(b, byte(v.num))
	case typeUint16:
		b = binary.BigEndian.AppendUint16(b, uint16(v.num))
	case typeUint32:
		b = binary.BigEndian.AppendUint32(b, v.num)
	case typeVarint:
		b = appendVarint(b, v.num)
	case typeString, typeBinary:
		b = appendString(b, v.text)
	case typePair:
		b = appendString(appendString(b, v.text), v.more)
	}
	return b
}

// scan reads one property off d. Values of strings and binary data stay in
// place. seen has a bit for each property that was there before.
func (d *decoder) scan(w where, seen *uint64) (id PropertyID, num uint32, text, more []byte) {
	x := d.varint("property identifier")
	if d.err != nil {
		return
	}
	if x >= uint32(len(propertyTable)) || propertyTable[x].typ == 0 {
		d.fail(fmt.Sprintf("unknown property 0x%02x", x))
		return
	}
	id = PropertyID(x)
	if propertyTable[id].in&w == 0 {
		d.fail(fmt.Sprintf("property 0x%02x does not belong in this packet", byte(id)))
		return
	}
	// Only user properties may come twice, and in a PUBLISH from a server
	// the subscription identifiers (5.0 §2.2.2.2, §3.3.2.3.8).
	repeats := id == UserProperty || id == SubscriptionIdentifier && w&in(PUBLISH) != 0
	if *seen&(1<<id) != 0 && !repeats {
		d.err = protocolError(fmt.Sprintf("property 0x%02x twice", byte(id)))
		return
	}
	*seen |= 1 << id
	switch propertyTable[id].typ {
	case typeByte:
		num = uint32(d.uint8("property"))
		if d.err == nil && num > 1 {
			d.err = protocolError(fmt.Sprintf("property 0x%02x is neither 0 nor 1", byte(id)))
		}
	case typeUint16:
		num = uint32(d.uint16("property"))
	case typeUint32:
		num = d.uint32("property")
	case typeVarint:
		num = d.varint("property")
	case typeString:
		text = d.stringBytes("property")
	case typeBinary:
		text = d.binary("property")
	case typePair:
		text = d.stringBytes("user property")
		more = d.stringBytes("user property")
	}
	if d.err != nil {
		return
	}
	switch id {
	case ReceiveMaximum, MaximumPacketSize, SubscriptionIdentifier:
		if num == 0 {
			d.err = protocolError(fmt.Sprintf("property 0x%02x is 0", byte(id)))
		}
	case TopicAlias:
		if num == 0 {
			d.err = &Error{TopicAliasInvalid, "topic alias 0"}
		}
	case ResponseTopic:
		// [v5 MQTT-3.3.2-14]
		if !ValidTopicName(text) {
			d.err = protocolError("response topic is not a topic name")
		}
	}
	return
}

// DecodeProperties reads the properties of a message: see Message.Properties.
// Those that belong to a hop are not among them.
func DecodeProperties(b []byte) (Properties, error) {
	d := decoder{b: b}
	p := d.rest(in(PUBLISH))
	for _, id := range []PropertyID{MessageExpiryInterval, TopicAlias, SubscriptionIdentifier} {
		if d.err == nil && p.Has(id) {
			d.err = protocolError(fmt.Sprintf("property 0x%02x does not travel with a message", byte(id)))
		}
	}
	if d.err != nil {
		return Properties{}, d.err
	}
	return p, nil
}

// properties reads a property length and the properties for packet w.
func (d *decoder) properties(w where) Properties {
	sub := decoder{b: d.take(int(d.varint("property length")), "properties")}
	p := sub.rest(w)
	if sub.err != nil {
		d.err, d.b = sub.err, nil
		return Properties{}
	}
	return p
}

// rest reads all that is left as properties for packet w.
func (d *decoder) rest(w where) (p Properties) {
	var seen uint64
	for len(d.b) > 0 && d.err == nil {
		id, num, text, more := d.scan(w, &seen)
		p.values = append(p.values, property{id, num, string(text), string(more)})
	}
	return p
}
