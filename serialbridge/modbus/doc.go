// Package modbus reads and sets the registers of devices on a Modbus RTU line:
// energy meters, solar inverters, relays. It is written to the "MODBUS Application
// Protocol Specification" 1.1b3 and "MODBUS over Serial Line" 1.02 of the Modbus
// Organization, with functions 1 to 6, 15 and 16.
//
// What the registers of a device mean is said by a map: a file in maps, or one of
// the user's own in [Options]. The sources of each map stand at its top. A user's
// own looks the same:
//
//	units = [
//	  { address = 1, map = "sdm630", name = "Heat pump" },
//	  { address = 9, map = "relays", interval = 2 },
//	]
//
//	[[maps]]
//	name = "relays"
//	function = "coil"
//	registers = [
//	  { key = "pump", name = "Pump", address = 0, writable = true },
//	  { key = "target", name = "Target", function = "holding", type = "i16", address = 5,
//	    scale = 0.1, unit = "°C", writable = true, min = 5, max = 30 },
//	]
//
// (Without the line break: a table in braces stands on one line.)
//
// # The master
//
// Units are asked one at a time, each register as often as its map and the unit's
// intervals say. Registers that stand together are read at once. If a unit refuses
// that, halves are tried until it is clear which registers it does not have; they
// vanish from its properties and are tried again each hour. The line is silent for
// 3.5 characters before a question, and for as long as the map says the device needs.
//
// A question without a good answer is repeated, and then the unit is left alone for
// ten seconds, which grow to a minute. It gives no readings meanwhile and the others
// are polled on. If nothing at all has answered for five minutes, Run ends with what
// to do. What is wrong is counted with [serialbridge.Sink.Damaged]:
//
//   - "no answer": none has begun in time
//   - "short": the answer broke off
//   - "checksum": the CRC of the answer is wrong
//   - "noise": bytes that are no frame
//   - "late answer": it came when the question had been given up. The unit is given
//     more time from then on
//
// An answer does not tell which question it is to. So behind a question that was given
// up the line is left alone until what may still come has come; an answer that is up
// to ten seconds late is never taken for that to another question.
//
// What a unit refuses is told in words by [serialbridge.Sink.Ignored].
//
// What is written is read back and then published.
//
// # Identity
//
// A unit is asked for its serial number, if its map says where that is, before
// anything of it is published, and again whenever it had been silent. The ID is made
// of the map's name and the serial number: modbus_sdm120_17012345. If it has none,
// which a refusal says, or three questions in vain while it answers others, the ID is
// made of the address, and the device is anonymous: modbus_sdm120_1.
//
// # Listening
//
// With listen the driver sends nothing: another master, such as an inverter, asks
// the units. The decoder reads each answer by the question before it, which an RTU
// frame needs: it says neither whether it is a question nor of which registers an
// answer is. So a capture is read if it holds both directions, in their order: what a
// listener has heard, or what a master has sent and received. Of answers alone
// nothing can be known; each is counted with Ignored. So are units that are in no
// setting. An answer is not used if more than a few bytes of noise, or five seconds,
// lie between it and the question: there may have been another one.
//
// A unit that is listened to has its address in its ID, whatever else is heard, and
// takes no commands.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its sink
// from Decode. Run starts one goroutine, which reads the port, and calls its sink from
// its own. Both hold at most a frame of 256 bytes, and of each of at most 64 units
// what it says of itself.
package modbus
