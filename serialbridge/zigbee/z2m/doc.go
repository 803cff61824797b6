// Package z2m speaks the MQTT contract of zigbee2mqtt 2: its topics, payloads and
// requests, so that what people have built on them (dashboards, automations, its
// front end, the entities of Home Assistant) works with a Zigbee network of this
// house. Facts are those of zigbee2mqtt 2.14.1, measured on the wire.
//
// A [Bridge] owns a [zigbee.Network] and stands between it and the broker:
//
//	network → Handler methods → state cache → BASE/NAME
//	BASE/NAME/set, BASE/bridge/request/… → jobs → network
//
// # What differs from zigbee2mqtt
//
// Commands that were retained before the bridge subscribed are not carried out.
// There is no JavaScript: converters and extensions are empty lists, and requests
// for them, for touchlink and for actions answer with an error that says so.
// bridge/logging has one line for what happens, not one for each message that is
// published. The availability of a device that was removed is emptied. Settings take
// effect at once: nothing needs a restart. What belongs to the configuration of the
// box (base topic, Home Assistant, the stick) is shown in bridge/info and is not
// changed by bridge/request/options.
//
// # Contract
//
// [Bridge.Run] owns all goroutines: one hands messages to the broker in the order
// in which they were made, one writes what is kept, and there is one for each
// device or request that is being worked for. What is for one device is done in
// order.
//
// Locks, in the order in which they are taken: Bridge.mu guards devices, groups,
// settings and the cache and is held for no I/O; then those of jobs, outbox, timers
// and saver. Methods of Network that wait are called without any of them.
//
// Limits: [maxJobs] commands wait for one device, more are refused with a line in
// bridge/logging; [maxOutbox] messages wait for the broker, of more the oldest
// that are neither retained nor acknowledged are dropped and counted; a payload
// from outside has at most [maxPayload] bytes; a WebSocket that does not read is
// closed when [maxFrames] frames wait for it.
package z2m
