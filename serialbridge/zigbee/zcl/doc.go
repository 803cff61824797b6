// Package zcl is the Zigbee Cluster Library: frames, data types, the commands
// that work on attributes, and the tables of clusters.
//
// The source is the Zigbee Cluster Library Specification, revision 8
// (07-5123-08); sections are cited where they decide something. The names of
// clusters, attributes and commands are those of zigbee-herdsman, because the
// MQTT contract of zigbee2mqtt tells them to others.
//
// # Contract
//
// Everything is pure: no goroutines, no I/O, no clock. What parses takes any
// bytes, returns an error for those that it cannot read, never panics, and
// holds no more memory than a small multiple of what it was given. Values that
// it returns share no memory with the bytes that they were read from.
package zcl
