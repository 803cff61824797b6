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
// What the broker holds is compared with what is to be there: a document that has not
// changed is not written again, a damaged one is replaced when its device is heard, and
// one of ours whose device nobody remembers is taken away. Two versions of a document
// are at least a second apart.
//
// # Kinds
//
// Each kind of [serialbridge.Property] has a platform. What can happen is a device
// trigger too, for the editor of automations. Alarm panels, humidifiers, water heaters,
// vacuum cleaners, lawn mowers, cameras, pictures, scenes and notifications have no kind:
// no serial driver speaks of one. A name that is that of the device class is left out, so
// that Home Assistant says it in its language.
//
// # Order
//
// When Home Assistant has started: documents, those first that others hang below; then
// states; then who is online. After our own start the box is offline until the first
// documents are sent, so that no state of an earlier time is shown as one of now.
//
// # Zigbee
//
// Devices of the Zigbee network have the documents that zigbee2mqtt makes for them, one
// for each entity, so that who comes from there loses nothing: [ZigbeeDocuments]
// turns what a device exposes into them. What a property looks like stands in
// zigbee_properties.tsv.
//
// # Connecting
//
// A [Connector] makes the broker of the box the one of a Home Assistant, without that
// anybody types in more than their own login there. The box is a client that nobody has
// registered: Home Assistant takes one whose client_id and redirect_uri have the same
// scheme and host. With the code that the browser brings it gets tokens, drives the flow
// in which MQTT is set up, and gives the tokens back, whatever came of it.
//
// Each Home Assistant comes to the broker with a login of its own, of [Logins]: it takes a refusal for
// good, so one that somebody has gets no other password.
//
// What answers there may be anything. It is asked without following anybody elsewhere, at
// the address that answered first, over TLS only if an authority or a person vouches for the
// certificate; answers have 1 MiB at most and 10 s, and 30 s where Home Assistant
// connects to the broker meanwhile. Every failure is a [ConnectError]: a sentence for a person.
// Home Assistant gives one answer for a broker that it cannot reach and for a login that is
// refused there; ConnectorOptions.Visit tells them apart. The form of the broker takes
// nothing any more once it has failed, so that each try takes a new flow, and the old one
// is deleted.
//
// # Contract
//
// [Document] is pure. [Publisher.Device] may be called from any goroutine and
// does not block. [Publisher.Run] and [BoxState.Run] each own one goroutine,
// the caller's, and talk to the broker from it; the subscription's handler only
// takes note. One lock guards the table of a Publisher; it is never held while
// publishing, nor while the Memory is written.
//
// [BoxState.Run] calls Values from its goroutine, Republish from that of its caller.
// [Sticks.Run] owns the caller's goroutine, [BoxCommands.Run] one more for each command that is
// being done; their other methods may be called from any. [BoxUpdate.Run] owns a goroutine that installs and one that tells.
//
// ZigbeePublisher.Entity, Gone and Bridge may be called from any goroutine and do not block;
// its Run owns the caller's goroutine.
//
// The methods of [Logins] may be called from any goroutine; [Logins.Visited] does not block, and
// [Logins.Run] owns the caller's goroutine.
//
// [Connector.Begin] and [Connector.Finish] block for as long as Home Assistant takes; they start
// no goroutine that outlives them, but for a connection that is being opened for 10 s at
// most. Finish is to have a context that does not end with the browser's request.
//
// Limits: 16 people on the way to Home Assistant, for ten minutes each, 4 addresses of the
// broker to try, 6 URLs of a Home Assistant that was found, 1,000 devices, 500 properties each, 200 characters for a name,
// 2,000 devices remembered.
package homeassistant
