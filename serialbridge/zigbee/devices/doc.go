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
package devices
