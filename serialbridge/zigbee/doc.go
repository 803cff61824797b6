// Package zigbee is a Zigbee network, whatever the radio: who is in it, how
// devices join and are interviewed, what they say and are told.
//
// A [Coordinator] is a stick; packages znp and ezsp make them. What devices
// mean is told by package devices; package z2m carries it to MQTT.
package zigbee
