// Package mqtt is the wire of MQTT 3.1, 3.1.1 and 5.0: packets, properties,
// reason codes, topic names and topic filters. It does no I/O.
package mqtt
