// Package homeassistant makes the devices of the house appear in Home
// Assistant by MQTT discovery.
//
// A device becomes one document in the device form (Home Assistant 2024.11 and
// later), published retained below the discovery prefix. The documents use the
// abbreviated keys throughout.
//
// # Names that never change
//
// Home Assistant keeps what a person did to an entity under its unique id. It
// is lintel_DEVICE_KEY, where DEVICE is [serialbridge.Device.ID] and KEY is
// [serialbridge.Property.Key]; the device is lintel_DEVICE, and so is the name
// of its document. For the box itself, whose topics say "gateway", DEVICE is
// the id of the box, so that two boxes are two devices.
//
// A component that is left out of a document stays in Home Assistant; it has to be
// removed by name. So a Publisher remembers, in a [Memory], what it has told: what a
// device does not have ten minutes after it was first seen again is removed, though
// the gateway was started anew in between.
//
// # Zigbee
//
// Devices of the Zigbee network have the documents that zigbee2mqtt makes for them, one
// for each entity, so that who comes from there loses nothing: [ZigbeeDocuments]
// turns what a device exposes into them. What a property looks like stands in
// zigbee_properties.tsv.
//
// # Contract
//
// [Document] is pure. [Publisher.Device] may be called from any goroutine and
// does not block. [Publisher.Run] and [BoxState.Run] each own one goroutine,
// the caller's, and talk to the broker from it; the subscription's handler only
// takes note. One lock guards the table of a Publisher; it is never held while
// publishing, nor while the Memory is written.
//
// ZigbeePublisher.Entity, Gone and Bridge may be called from any goroutine and do not block;
// its Run owns the caller's goroutine.
//
// Limits: 1,000 devices, 500 properties each, 200 characters for a name,
// 2,000 devices remembered.
package homeassistant
