// Package jsonlines reads gateways that write what Bluetooth and radio sensors say as
// lines of JSON: OpenMQTTGateway, Theengs, rtl_433, and sketches that use their names.
//
//	{"id":"A4:C1:38:74:B0:85","brand":"Oria","model":"TH Sensor","tempc":25.89,"hum":43.36,"batt":100,"rssi":-70}
//	{"model":"Acurite-Tower","id":2043,"channel":"B","battery_ok":1,"temperature_C":5.3,"humidity":81,"rssi":-81}
//
// A line is one object, or what OpenMQTTGateway logs of one:
//
//	N: Send on /RTL_433toMQTT/Acurite-Tower/B/2043 msg {"model":"Acurite-Tower", …}
//
// What of it is published is in two tables of definitions, one for sensors with a
// Bluetooth address and one for those of rtl_433, which have a model and an ID. Other
// members are passed over, and so are values of another JSON type than the table's or
// outside of what a house can hold: several gateways use one name for two things,
// such as "open" for a contact and for a blind. Of the codes that receivers with the
// library rc-switch tell, {"value":1315156,"protocol":1,"length":24}, each is a device
// with one event.
//
// All other lines that do not begin with '{' are the talk of the gateway's firmware
// and are passed over. Objects without an address or a model, or with nothing that is
// known but the strength of their signal, are passed over too: the air is full of
// phones. So are the tyres of passing cars (type TPMS). An encrypted sensor is told to
// [serialbridge.Sink.Ignored].
//
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
// # Remote controls and contacts
//
// A command that a remote control sends, the press of a button and motion are events;
// a switch that was put on or off, and a contact, are states. Sensors say everything
// several times: an event is not told again while the number of the packet is the same,
// or, of radio sensors, which have none, within a second. What a remote control can say
// becomes known as it says it, up to 32 commands. Devices that measure nothing are
// announced as speaking only when they are used.
//
// # Identity
//
// The ID is made from the sensor's Bluetooth address, "id" or else "mac":
// jsonlines_A4C13874B085. Nothing is published of a sensor before its second
// line. Addresses that change are those of phones, whose lines hold nothing that
// is known.
//
// The ID of a radio sensor is made from its model, its ID and its channel, if it has
// one: jsonlines_rf_Acurite-Tower_2043_B. Many sensors choose another ID when their
// battery is changed, and are new devices then. At most 128 radio sensors are told of,
// those that are heard first: the neighbours have some too.
//
// # Sources
//
// github.com/theengs/decoder, tests/BLE/test_ble.cpp: the names and values of the
// members for some hundred sensors.
//
// github.com/merbanan/rtl_433, docs/DATA_FORMAT.md and src/devices: the names, units
// and words of radio sensors. A contact says open or close as its state, a receiver of
// switches ON or OFF; battery_ok is 0, 1 or a level in between.
//
// github.com/1technophile/OpenMQTTGateway, main.cpp: the log; docs/use/rf.md: codes.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one line of 4 KiB and 256 sensors.
package jsonlines
