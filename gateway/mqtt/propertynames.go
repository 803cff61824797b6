package mqtt

import (
	"encoding/hex"
	"fmt"
	"iter"
	"strconv"
	"unicode/utf8"
)

// propertyNames are the names of table 2-4 of the standard.
var propertyNames = [len(propertyTable)]string{
	PayloadFormatIndicator:          "Payload Format Indicator",
	MessageExpiryInterval:           "Message Expiry Interval",
	ContentType:                     "Content Type",
	ResponseTopic:                   "Response Topic",
	CorrelationData:                 "Correlation Data",
	SubscriptionIdentifier:          "Subscription Identifier",
	SessionExpiryInterval:           "Session Expiry Interval",
	AssignedClientIdentifier:        "Assigned Client Identifier",
	ServerKeepAlive:                 "Server Keep Alive",
	AuthenticationMethod:            "Authentication Method",
	AuthenticationData:              "Authentication Data",
	RequestProblemInformation:       "Request Problem Information",
	WillDelayInterval:               "Will Delay Interval",
	RequestResponseInformation:      "Request Response Information",
	ResponseInformation:             "Response Information",
	ServerReference:                 "Server Reference",
	ReasonString:                    "Reason String",
	ReceiveMaximum:                  "Receive Maximum",
	TopicAliasMaximum:               "Topic Alias Maximum",
	TopicAlias:                      "Topic Alias",
	MaximumQoS:                      "Maximum QoS",
	RetainAvailable:                 "Retain Available",
	UserProperty:                    "User Property",
	MaximumPacketSize:               "Maximum Packet Size",
	WildcardSubscriptionAvailable:   "Wildcard Subscription Available",
	SubscriptionIdentifierAvailable: "Subscription Identifier Available",
	SharedSubscriptionAvailable:     "Shared Subscription Available",
}

// String returns the name that the standard has for the property.
func (id PropertyID) String() string {
	if int(id) < len(propertyNames) && propertyNames[id] != "" {
		return propertyNames[id]
	}
	return fmt.Sprintf("property 0x%02x", byte(id))
}

// All returns the properties in their order with their values as a person reads them: a
// number, a text, name=value of a user property, binary data in hexadecimal.
func (p *Properties) All() iter.Seq2[PropertyID, string] {
	return func(yield func(PropertyID, string) bool) {
		for i := range p.values {
			v := &p.values[i]
			var text string
			switch propertyTable[v.id].typ {
			case typeString:
				text = v.text
			case typeBinary:
				if text = v.text; !utf8.ValidString(text) {
					text = "0x" + hex.EncodeToString([]byte(text))
				}
			case typePair:
				text = v.text + "=" + v.more
			default:
				text = strconv.FormatUint(uint64(v.num), 10)
			}
			if !yield(v.id, text) {
				return
			}
		}
	}
}
