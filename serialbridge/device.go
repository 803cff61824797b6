package serialbridge

import (
	"context"
	"time"

	"lintel/gateway/mqtt"
)

// Device is a thing in the house that can be told from all others: a meter, a
// sensor, the box itself.
type Device struct {
	// ID is stable for ever and made from what the device says of itself
	// (meter number, IEEE address, USB serial number), never from a port
	// name. It holds only [a-zA-Z0-9_-]: it is a topic level and an
	// object id of Home Assistant.
	ID           string
	Name         string // what a person calls it
	Vendor       string
	Model        string
	SerialNumber string
	HWVersion    string
	SWVersion    string
	Via          string // ID of the device that it hangs below; empty for the box itself

	// Stick is StickStatus.Device of the stick through which the device is heard.
	// The supervisor sets it.
	Stick string

	// Anonymous says that the device does not tell itself from others of its
	// kind: ID is that of the kind, and the supervisor adds the serial number
	// of the stick, or the place where it is plugged in, to it.
	Anonymous bool
	// WhenUsed says that the device speaks only when something happens to it,
	// as a remote control does: it is online as long as its stick is.
	WhenUsed bool

	Properties []Property
}

// Kind is what a property is in a house.
type Kind string

// The kinds of properties.
const (
	Measurement Kind = "measurement" // a number that is measured
	State       Kind = "state"       // a text, one of Options if there are any
	Binary      Kind = "binary"      // true or false, read only
	Event       Kind = "event"       // something that happens and has no state: never retained
	Switch      Kind = "switch"      // true or false, can be commanded
	Setting     Kind = "setting"     // a number that can be commanded, between Min and Max
	Choice      Kind = "choice"      // one of Options, can be commanded
	Button      Kind = "button"      // can be pressed, has no state
	Raw         Kind = "raw"         // bytes as they came, each on its own: never retained, no part of the state; can be commanded
)

// Category says whether a property is what the device is for (empty), tells
// how it is doing, or sets how it works.
type Category string

// The categories besides the empty one, spelled as in Home Assistant.
const (
	Diagnostic Category = "diagnostic"
	Config     Category = "config"
)

// Property is one thing that a device knows or can do.
type Property struct {
	Key        string // key in the state object: lower case, digits, underscores
	Name       string // what a person reads
	Kind       Kind
	Unit       string // as Home Assistant spells it: kWh, W, °C, m³
	Class      string // device_class of Home Assistant, may be empty
	StateClass string // measurement, total, total_increasing; empty: no statistics
	Precision  int    // decimals worth showing; negative: not said
	Options    []string
	Min, Max   float64 // range of a Setting
	Step       float64
	Category   Category
}

// ForgetButton is the property of a device that is remembered though it says
// nothing: pressing it makes the driver forget the device.
func ForgetButton() Property {
	return Property{Key: "forget", Name: "Forget", Kind: Button, Category: Config, Precision: -1}
}

// Reading is what a device said at one moment. It may carry only some of the
// device's properties; what it leaves out keeps its last value.
type Reading struct {
	Device string // Device.ID
	Time   time.Time
	Values map[string]any // Property.Key → float64, int64, bool, string, []byte of a Raw, or nil: not known any more
}

// Command is what somebody wants of a device: one property, one value as it
// stands in the JSON of the command (string, float64, bool).
type Command struct {
	Device string
	Key    string
	Value  any // []byte for a Raw
}

// Broker is what the house needs of the MQTT broker. The broker's in-process
// client is one; it keeps the same rules as a client on a socket.
type Broker interface {
	// Publish hands a message to the broker. It returns when the broker
	// has taken responsibility for it, as PUBACK would say.
	Publish(ctx context.Context, m mqtt.Message) error

	// Subscribe calls handle for every message that matches filter,
	// retained ones first, one at a time, in the order of arrival,
	// until the client is closed. handle may publish and may block.
	Subscribe(ctx context.Context, filter string, options mqtt.SubscriptionOptions, handle func(mqtt.Message)) error
}
