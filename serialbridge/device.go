package serialbridge

import (
	"context"
	"slices"
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
	Icon         string // mdi:NAME, as a person has chosen it; no driver sets it
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
	Text        Kind = "text"        // a text that can be commanded, of Min to Max characters
	Tag         Kind = "tag"         // the text of a tag that was read: as an Event never retained, and no part of the state
)

// The kinds that are several things in one. The value of such a property is an
// object, a map[string]any, and so is its command. A reading may carry only some of
// the members; a command carries those that are to change. Names and words are Home
// Assistant's. The members of each, with what they can be commanded to be:
//
//	Light    state ON, OFF · brightness 0 to 255 · color_temp in kelvin, Min to Max ·
//	         color {r, g, b} or {r, g, b, w}, each 0 to 255 · effect, one of Options ·
//	         said only: color_mode brightness, color_temp, rgb, rgbw · commanded only: transition in seconds
//	Cover    state open, opening, closed, closing, stopped; commanded: open, close, stop ·
//	         position 0 (closed) to 100 · tilt 0 to 100
//	Valve    as a Cover, without tilt
//	Climate  mode, one of Options, of which Home Assistant knows off, heat, cool, heat_cool, auto, dry, fan_only ·
//	         temperature, or temperature_low and temperature_high, Min to Max in Unit · preset, one of Presets ·
//	         said only: current_temperature, current_humidity, action off, heating, cooling, drying, idle, fan
//	Lock     state locked, locking, unlocked, unlocking, open, opening, jammed; commanded: lock, unlock, open
//	Fan      state ON, OFF · speed 0 to Max · preset, one of Presets · oscillating · direction forward, reverse
//	Siren    state ON, OFF · commanded only: tone, one of Options; volume_level 0 to 1; duration in seconds
//	Tracker  said only: latitude, longitude in degrees; gps_accuracy, altitude in metres
//	Update   said only: installed_version, latest_version, title, release_summary, release_url, in_progress,
//	         update_percentage, which is null when nothing is in progress; commanded: the text install, no object
//
// What a property has of that besides the first members is said by its Features and
// lists. Alarm panels, humidifiers and water heaters are missing: no serial protocol
// of the house speaks of one. Those of the Zigbee network have documents of their own.
const (
	Light   Kind = "light"
	Cover   Kind = "cover"
	Valve   Kind = "valve"
	Climate Kind = "climate"
	Lock    Kind = "lock"
	Fan     Kind = "fan"
	Siren   Kind = "siren"
	Tracker Kind = "tracker"
	Update  Kind = "update"
)

// Feature is something that some properties of a kind can do, and others not.
type Feature string

// The features. Named lists and ranges say the rest: a Fan has speeds if Max is
// above 0, a Climate has presets if Presets has any.
const (
	Brightness       Feature = "brightness"          // of a Light; the three that follow include it
	ColorTemperature Feature = "color_temp"          // of a Light, between Min and Max kelvin
	RGB              Feature = "rgb"                 // of a Light
	RGBW             Feature = "rgbw"                // of a Light, in place of RGB
	Transition       Feature = "transition"          // of a Light: it can change slowly
	Position         Feature = "position"            // of a Cover or Valve
	Tilt             Feature = "tilt"                // of a Cover
	Stop             Feature = "stop"                // of a Cover or Valve: it can be stopped half-way
	Setpoint         Feature = "temperature"         // of a Climate: one temperature to keep
	SetpointRange    Feature = "temperature_range"   // of a Climate: temperature_low and temperature_high
	RoomTemperature  Feature = "current_temperature" // of a Climate: it measures
	RoomHumidity     Feature = "current_humidity"    // of a Climate: it measures
	Action           Feature = "action"              // of a Climate: it tells what it is doing
	Latch            Feature = "latch"               // of a Lock: it can be opened, not just unlocked
	Oscillation      Feature = "oscillation"         // of a Fan
	Direction        Feature = "direction"           // of a Fan
	Volume           Feature = "volume"              // of a Siren
	Duration         Feature = "duration"            // of a Siren
	Assumed          Feature = "assumed"             // of what can be commanded: nobody confirms it, the state is what was heard or sent last
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
	Presets    []string // of a Climate or Fan
	Features   []Feature
	Min, Max   float64 // range of a Setting
	Step       float64
	Category   Category
}

// Has tells whether a property has a feature.
func (p *Property) Has(f Feature) bool { return slices.Contains(p.Features, f) }

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
	Values map[string]any // Property.Key → float64, int64, bool, string, []byte of a Raw, map[string]any of a Light or the like, or nil: not known any more
}

// Command is what somebody wants of a device: one property, one value as it
// stands in the JSON of the command (string, float64, bool). That of a Light or the
// like is a map[string]any with at least one member, each one that the property has,
// and within its range.
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
