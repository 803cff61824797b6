// Package bms reads the battery management systems of JK and of Daly: the
// protocols jkbms (frames that begin with 4E 57, 115200 8N1) and dalybms (frames
// that begin with A5, 9600 8N1). They speak only when they are asked, so both
// drivers run only where the user has chosen them.
//
// A JK BMS is asked for everything at once every five seconds. A Daly BMS is
// asked for one thing after the other, every five seconds for all.
//
// The current is positive while the battery is charged and negative while it is
// discharged; so is the power, which is voltage times current. A JK BMS says
// which it is; version 0 of its protocol in another way than version 1. A Daly
// BMS says it in its state; what the sign of its current means differs from
// firmware to firmware, so the state decides. Until the battery has been charged
// or discharged for the first time, more than the zero point counts as charging.
// For boards whose state is wrong as well there is [DalyOptions].InvertCurrent.
//
// Alarms are one text that lists them, "none" if there are none, and one problem
// that is on if there is any, a warning included.
//
// A JK BMS can be told to let charging, discharging and balancing be; its
// protocol marks these three as writable. Daly has not written down how its
// switches are set, so they can only be read here.
//
// # Answers that stand alone
//
// All answers say what they answer, so a capture can be read without the
// questions. Questions that are heard too are passed over. Nothing is published
// before an answer that tells the battery (JK: any, Daly: that of 94, with the
// number of cells) has come twice in a row: sums of 8 and 16 bits let some damage
// pass, and a device is for ever.
//
// Frames are thrown away, and counted with [serialbridge.Sink.Damaged], for
// one of these reasons:
//
//   - "checksum": the sum is wrong
//   - "syntax": the sum is right, but a value is one that no battery has
//   - "truncated": a second passed within a frame
//   - "no answer": a question had none in time, or one that was damaged
//
// The fields of a JK BMS have no lengths. At one that is not known reading stops,
// which is counted with [serialbridge.Sink.Ignored]; what was before is used.
//
// # Identity
//
// A Daly BMS tells a code of 35 characters that its maker may have written:
// dalybms_CODE. It is asked for it first. Without one the device is dalybms and
// anonymous.
//
// A JK BMS tells a manufacturer ID. If it is of the form that the protocol gives
// (BT and 22 digits with date and number) and not its example, which boards are
// sold with, the device is jkbms_BT…. Other texts there are the user's and
// may change. Otherwise the device is jkbms, or jkbms_ and the terminal number
// if that is not 0, and anonymous.
//
// # Sources
//
// Jikong, "Communication protocol between monitoring platform and BMS" (2.5), by
// way of the lists in github.com/syssi/esphome-jk-bms,
// docs/protocol-design-uart-ttl-gps-port.md, and of
// github.com/Kenura-R-Gunarathna/jkbms-esp32, README.md; frames that switch in
// diysolarforum.com, thread 66034. Daly's UART and 485 protocol, by way of
// github.com/dreadnought/python-daly-bms and diysolarforum.com, thread 21898; the
// alarms of github.com/softwarecrash/Daly2MQTT and the code of
// github.com/Louisvdw/dbus-serialbattery, whose issues 65 and 1075 tell of the
// sign. No capture has alarms, a current other than charging, or a code.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one frame of 512 bytes besides the bytes it
// is given, and the last announcement of 64 devices. Run starts the goroutine of
// [serialbridge.Hear].
package bms
