// Package serialbridge owns the sticks: it finds serial ports, opens them,
// lets a driver speak with what is plugged in, and carries what the driver
// hears to MQTT topics and commands back.
//
// The vocabulary of the house is here: Device, Property, Reading, Command.
// Nobody downstream needs to know more about a protocol than these say.
package serialbridge
