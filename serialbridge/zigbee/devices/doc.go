// Package devices knows what Zigbee devices mean: which values their frames
// carry, which frames make them do something, and what has to be set up in
// them.
//
// A [Definition] is a device model: vendor and names as data, and a list of
// what it exposes, in the model of zigbee2mqtt (packages and files of others
// read it). What it exposes decides which traits are at work: a [Trait] turns
// frames into values and values into frames for one thing that devices can do,
// such as temperature, or light. Devices that nobody has described get a
// definition made from their clusters.
//
// # Contract
//
// There are no goroutines and no I/O: a [Context] brings what is known of the device, and
// what comes back is what has to be sent. The database is part of the program; its index is
// read once, when it is first asked. A definition is bound ([Definition.Bind]) before
// several goroutines use it, and is not changed after that; calls that share the state
// or the memory of one Context follow each other.
package devices
