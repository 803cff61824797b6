package devices

import (
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// Definition is what is known of a device model.
type Definition struct {
	Model       string
	Vendor      string
	Description string
	// Generated says that the definition was made from the device's clusters.
	Generated bool
	// External says that a user has written it.
	External bool
	OTA      bool
	Icon     string

	Exposes []*Expose
	// Options are what a user may set for such a device.
	Options []*Expose

	// Endpoints are the names of endpoints ("l1", "left").
	Endpoints map[string]uint8
	// MultiEndpoint says that properties get the name of their endpoint
	// appended, but those in MultiEndpointSkip.
	MultiEndpoint     bool
	MultiEndpointSkip []string

	// Clusters are those that the traits may listen to.
	Clusters []uint16
	// Attributes are what is no trait of its own: settings and values of one
	// attribute each. What a row says goes before what a trait would say.
	Attributes []Attribute
	// Datapoints are Tuya's.
	Datapoints []Datapoint
	// Quirks are what differs from the standard, by name. The names are those
	// that the converters of zigbee2mqtt have in "meta" (battery, thermostat,
	// tuyaSendCommand …), and those in file quirks.go.
	Quirks map[string]any

	traits     []*Trait        // found by Bind
	properties map[string]bool // of all exposes, by Bind
}

// Attribute is a row of a table of attributes: one attribute on the wire and
// what it means.
type Attribute struct {
	Cluster          uint16
	ID               uint16
	ManufacturerCode uint16 // that a read or a write carries; 0: none
	// Type is what a write carries; NoData: the attribute is not written.
	Type zcl.Type
	// Endpoint is where it is; 0: wherever the cluster is. Property then gets
	// the name of the endpoint if MultiEndpoint says so.
	Endpoint uint8
	Property string // the key in the state
	Conversion
	// Command says that the value is the first byte of that command of the
	// cluster instead of an attribute: a button that tells what was done to it.
	// What has no payload is 0.
	Command *uint8
	// Tag says that the value is the member of that number in the structure that
	// the attribute holds (see file xiaomi.go).
	Tag *uint8
	// Report is when it is to be reported; nil: it is not set up.
	Report *Report
	// Read says that a value can be asked for.
	Read bool
}

// Report is when an attribute is to be reported.
type Report struct {
	Min, Max time.Duration
	Change   float64  // in units of the wire
	Type     zcl.Type // of the attribute; NoData: that of the row
}

// Datapoint is a row of Tuya's table: a number on the wire and what it means.
type Datapoint struct {
	ID uint8
	// Property is the key in the state, with the name of the endpoint; empty if
	// the conversion makes several.
	Property string
	Conversion
	// Type is what it is sent as: raw, bool, number, string, enum, bitmap; empty:
	// as the value suggests.
	Type string
	// Also says that the datapoint tells this besides what another row of the
	// same ID says; else the first row of an ID counts.
	Also bool
	// Silent says that the state changes only when the device says so.
	Silent bool
}

// Conversion is what a value on the wire means in the state.
type Conversion struct {
	// Kind is
	//
	//	identity    the value itself
	//	scale       the value divided by Divisor
	//	range       Wire[0] to Wire[1] on the wire is State[0] to State[1], as a
	//	            whole number
	//	enum, bool  by Enum; what is not in it is Otherwise, or nothing if that is nil
	//	bit, no bit whether one of the bits of Argument is set, or none
	//	write-only  it is only sent, as Enum or Divisor say
	//	nothing     what a trait makes of it does not hold for this device; Property
	//	            is that of the state
	//
	// or the name of a conversion that takes code: see namedConversions.
	Kind string
	// Divisor of a scale. When the value is sent it is multiplied by it, unless
	// ReadScaleOnly is set.
	Divisor       float64
	ReadScaleOnly bool
	// Precision is how many decimals of a scale are kept; nil: all.
	Precision   *int
	Wire, State [2]float64
	// Enum is value on the wire → value in the state. A boolean on the wire is 0 or 1.
	Enum      map[int64]any
	Otherwise any
	// Argument is what a named conversion needs to know besides.
	Argument any
}
