package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Device is what is behind a stick. It has Talk, Answer, or both.
type Device struct {
	Protocol string        // serialbridge.Driver.Protocol of the driver that understands it
	Interval time.Duration // between two calls of Talk

	// Talk returns what the device says by itself.
	Talk func(now time.Time) []Frame
	// Answer is given what the device has heard, from the first byte that it has
	// not done with. It returns how many bytes it has done with, none if more
	// have to come, and what it says to them.
	Answer func(heard []byte) (n int, answers []Frame)
}

// A Frame is what a device says at once.
type Frame struct {
	Data []byte
	// Count is a number that one of the values of the frame shows, and that is
	// greater in each frame that follows; 0: it has none.
	Count int64
	// Sum is where in Data the checksum begins. It guards all that is before
	// it. 0: there is none.
	Sum int
}

// one is what a device says in a single frame.
func one(data []byte, count int64, sum int) []Frame {
	return []Frame{{Data: data, Count: count, Sum: sum}}
}

// kinds are the devices by name. The number tells devices of one kind apart, as
// far as they tell it themselves.
var kinds = map[string]func(number uint64) Device{
	"dsmr":              func(number uint64) Device { return P1Meter(NewHousehold(number)) },
	"sml":               smlMeter,
	"vedirect":          solarCharger,
	"teleinfo":          linkyHistoric,
	"teleinfo-standard": linkyStandard,
	"sds011":            sds011,
	"pms5003":           func(uint64) Device { return pms5003() },
	"nmea":              func(uint64) Device { return satelliteReceiver() },
	"jsonlines":         bluetoothGateway,
	"rflink":            rflinkGateway,
	"mysensors":         mysensorsGateway,
	"rfxtrx":            rfxtrxTransceiver,
	"enocean":           enoceanTransceiver,
	"wmbus":             func(number uint64) Device { return waterMeter(number, nil) },
	"wmbus-aes":         func(number uint64) Device { return waterMeter(number, meterKey(number)) },
	"modbus":            func(number uint64) Device { return sdm120(1, uint32(number)) },
	"jkbms":             func(uint64) Device { return jkBMS() },
	"dalybms":           dalyBMS,
	"mhz19":             func(uint64) Device { return mhz19() },
}

// Kinds returns the names that [NewDevice] knows, sorted.
func Kinds() []string {
	var names []string
	for name := range kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// NewDevice returns a device by the name of its kind: that of its protocol, with
// a suffix where a protocol has several, or that of the sensor. Devices with
// different numbers, below 50, are different devices.
func NewDevice(kind string, number uint64) (Device, error) {
	f, ok := kinds[kind]
	if !ok {
		return Device{}, fmt.Errorf("simulator: there is no device %q, only %s", kind, strings.Join(Kinds(), ", "))
	}
	return f(number), nil
}
