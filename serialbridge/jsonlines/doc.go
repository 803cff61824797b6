// Package jsonlines reads gateways that write what Bluetooth sensors say as lines
// of JSON: OpenMQTTGateway, Theengs, and sketches that use their names.
//
//	{"id":"A4:C1:38:74:B0:85","brand":"Oria","model":"TH Sensor","tempc":25.89,"hum":43.36,"batt":100,"rssi":-70}
//
// A line is one object. What of it is published is the table of definitions;
// other members are passed over, and so are values of another JSON type than the
// table's or outside of what a house can hold: several gateways use one name for
// two things, such as "open" for a contact and for a blind.
//
// Lines that do not begin with '{' are the talk of the gateway's firmware and are
// passed over. Objects without an address, or with nothing that is known but
// the strength of their signal, are passed over too: the air is full of phones.
// A line that begins with '{' is thrown away, and counted with
// [serialbridge.Sink.Damaged], for one of these reasons:
//
//   - "syntax": it is no JSON object, not UTF-8, nested deeper than 8, or has
//     a member twice, as when two lines lost what stood between them
//   - "too long": no line end within 4 KiB
//
// # No checksum
//
// Nothing tells a digit that was damaged from one that was meant. What can be
// done is done by the table's limits and by the rule for new devices below.
//
// # Identity
//
// The ID is made from the sensor's Bluetooth address, "id" or else "mac":
// jsonlines_A4C13874B085. Nothing is published of a sensor before its second
// line. Addresses that change are those of phones, whose lines hold nothing that
// is known.
//
// # Sources
//
// github.com/theengs/decoder, tests/BLE/test_ble.cpp: the names and values of the
// members for some hundred sensors.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one line of 4 KiB and 256 sensors.
package jsonlines
