package homeassistant

import "lintel/serialbridge"

// connectedKey is the property of a stick whose state is the stick's availability. It
// stays available when the stick does not: that is what it tells.
const connectedKey = "connected"

// Stick is what Home Assistant is told of a stick.
type Stick struct {
	ID           string // serialbridge.StickStatus.Device
	Name         string // what a person calls it
	Vendor       string
	Model        string
	SerialNumber string
	Firmware     string
	Forgettable  bool // it may be forgotten, once it is unplugged
}

// stickDevice returns a stick as a device. It is its own Stick.
func stickDevice(s Stick) serialbridge.Device {
	d := serialbridge.Device{
		ID: s.ID, Stick: s.ID, Via: GatewayID,
		Name: s.Name, Vendor: s.Vendor, Model: s.Model, SerialNumber: s.SerialNumber, SWVersion: s.Firmware,
		Properties: []serialbridge.Property{
			{Key: connectedKey, Name: "Connected", Kind: serialbridge.Binary, Class: "connectivity"},
			{Key: "state", Name: "State", Kind: serialbridge.State, Options: []string{
				string(serialbridge.Waiting), string(serialbridge.Listening), string(serialbridge.Online),
				string(serialbridge.Failed), string(serialbridge.Unknown)}},
			{Key: "protocol", Name: "Protocol", Kind: serialbridge.State},
			{Key: "problem", Name: "Problem", Kind: serialbridge.State},
			{Key: "frames_per_minute", Name: "Frames per minute", Kind: serialbridge.Measurement,
				StateClass: "measurement", Precision: 0},
			{Key: "damaged", Name: "Frames damaged", Kind: serialbridge.Measurement,
				StateClass: "total_increasing", Precision: 0},
			{Key: "devices", Name: "Devices", Kind: serialbridge.Measurement, StateClass: "measurement", Precision: 0},
		},
	}
	for i := range d.Properties {
		d.Properties[i].Category = serialbridge.Diagnostic
	}
	if s.Forgettable {
		d.Properties = append(d.Properties, serialbridge.ForgetButton())
	}
	return d
}

// isStick tells whether a device is a stick.
func isStick(d *serialbridge.Device) bool { return d.Stick != "" && d.Stick == d.ID }

// becomeConnected makes a component one whose state is the availability on a topic.
func (c component) becomeConnected(availability string) {
	delete(c, "val_tpl")
	c["stat_t"], c["pl_on"], c["pl_off"] = availability, "online", "offline"
}
