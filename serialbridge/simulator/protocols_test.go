package simulator

import (
	"encoding/hex"
	"math"
	"slices"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/airquality"
	"lintel/serialbridge/bms"
	"lintel/serialbridge/dsmr"
	"lintel/serialbridge/enocean"
	"lintel/serialbridge/jsonlines"
	"lintel/serialbridge/modbus"
	"lintel/serialbridge/mysensors"
	"lintel/serialbridge/nmea"
	"lintel/serialbridge/rflink"
	"lintel/serialbridge/rfxtrx"
	"lintel/serialbridge/sml"
	"lintel/serialbridge/teleinfo"
	"lintel/serialbridge/vedirect"
	"lintel/serialbridge/wmbus"
)

// A protocol is what the tests know of a kind of device and of the driver that
// reads it.
type protocol struct {
	kind   string
	driver func() serialbridge.Driver
	// shows are the properties that show the count, and in which steps: 10 if a
	// step is a tenth.
	shows map[string]float64
	// wrap is after which count they begin again from 0; 0: never.
	wrap int64
	// settle is how long after the port was opened a driver may miss what is said,
	// first which frame from then on it publishes at the latest, if no other is
	// damaged.
	settle time.Duration
	first  int
	// interval is the time between frames in the long form of TestSoak; 0: the
	// device's.
	interval time.Duration
	// asked is how often the driver asks a device that speaks only then; 0: it
	// talks.
	asked time.Duration
	// teaches says that more has to be heard before the first frame with a count
	// is understood.
	teaches bool
	// faults are those that the protocol's checksums can tell.
	faults Faults
}

// checked are faults that every checksum finds. What only has lines or lengths
// cannot tell a wrong digit from a right one.
var checked = Faults{Noise: 0.1, Cut: 0.04, Flip: 0.04, Sum: 0.04}

// soon is what passes at most between the opening of a port and its reader, on a
// machine that is busy.
const soon = time.Second

var protocols = []protocol{
	{kind: "dsmr", driver: p1, shows: map[string]float64{"meter_time": 1}, settle: soon, first: 1, faults: checked},
	{kind: "sml", driver: sml.Driver, shows: map[string]float64{"energy_import": 10_000}, settle: soon, first: 1, faults: checked},
	{kind: "vedirect", driver: vedirect.Driver, shows: map[string]float64{"yield_total": 100}, settle: soon, first: 3, faults: checked},
	{kind: "teleinfo", driver: teleinfo.Driver, shows: map[string]float64{"energy_import": 1000}, settle: soon, first: 1, faults: checked},
	{kind: "teleinfo-standard", driver: teleinfo.Driver, shows: map[string]float64{"energy_import": 1000}, settle: soon, first: 1, faults: checked},
	{kind: "sds011", driver: airquality.Driver, shows: map[string]float64{"pm25": 10}, wrap: 10_000, settle: soon, first: 2, faults: checked},
	{kind: "pms5003", driver: airquality.Driver, shows: map[string]float64{"pm10": 1}, wrap: 1 << 16, settle: soon, first: 2, faults: checked},
	{kind: "nmea", driver: nmea.Driver, shows: map[string]float64{"altitude": 10, "speed": 10}, settle: soon, first: 3, faults: checked},
	// Noise is a part of the line that follows.
	{kind: "jsonlines", driver: jsonlines.Driver, shows: map[string]float64{"illuminance": 1}, wrap: 200_000, settle: soon, first: 2,
		faults: Faults{Noise: 0.1, Cut: 0.1}},
	{kind: "rflink", driver: rflink.Driver, shows: map[string]float64{"rain": 10}, wrap: 1 << 16, settle: soon, first: 2,
		faults: Faults{Noise: 0.1, Cut: 0.1}},
	{kind: "mysensors", driver: mysensors.Driver, shows: map[string]float64{"energy_10": 1000}, settle: soon, first: 2,
		faults: Faults{Noise: 0.1, Cut: 0.1}},
	// The transceiver is reset first, and deaf then.
	{kind: "rfxtrx", driver: rfxtrx.Driver, shows: map[string]float64{"power": 1}, wrap: 1_000_000, settle: 2 * time.Second, first: 2},
	{kind: "enocean", driver: enocean.Driver, shows: map[string]float64{"energy": 1}, wrap: 1 << 24, settle: soon, first: 1, teaches: true, faults: checked},
	{kind: "wmbus", driver: meters, shows: map[string]float64{"water": 1000}, settle: soon, first: 2, interval: 2 * time.Second, faults: checked},
	{kind: "wmbus-aes", driver: encryptedMeters, shows: map[string]float64{"water": 1000}, settle: soon, first: 2, interval: 2 * time.Second, faults: checked},
	{kind: "modbus", driver: bus, shows: map[string]float64{"energy_import": 100}, settle: soon, first: 1, asked: time.Second, faults: checked},
	{kind: "jkbms", driver: bms.JK, shows: map[string]float64{"cycles": 1}, wrap: 1 << 16, settle: soon, first: 2, asked: 5 * time.Second, faults: checked},
	{kind: "dalybms", driver: daly, shows: map[string]float64{"remaining_capacity": 1000}, settle: soon, first: 2, asked: 5 * time.Second, teaches: true, faults: checked},
	{kind: "mhz19", driver: airquality.MHZ19, shows: map[string]float64{"carbon_dioxide": 1}, settle: soon, first: 2, asked: 10 * time.Second, faults: checked},
}

// meters are wireless ones.
func meters() serialbridge.Driver { return wmbus.Driver(wmbus.Options{Receiver: "im871a"}) }

// encryptedMeters are wireless ones whose keys are known.
func encryptedMeters() serialbridge.Driver {
	o := wmbus.Options{Receiver: "im871a", Keys: make(map[string]string)}
	for number := range uint64(64) {
		o.Keys[meterNumber(number)] = hex.EncodeToString(meterKey(number))
	}
	return wmbus.Driver(o)
}

// bus is one with an SDM120 that is asked as often as can be.
func bus() serialbridge.Driver {
	return modbus.Driver(modbus.Options{Units: []modbus.Unit{{Address: 1, Map: "sdm120", Interval: 1, SlowInterval: 1}}})
}

func daly() serialbridge.Driver { return bms.Daly(bms.DalyOptions{}) }

func p1() serialbridge.Driver { return dsmr.Driver(dsmr.Options{}) }

// count returns the count that a reading shows.
func (p *protocol) count(values map[string]any) (int64, bool) {
	for key, steps := range p.shows {
		switch v := values[key].(type) {
		case float64:
			return int64(math.Round(v * steps)), true
		case int64:
			return v * int64(steps), true
		case string:
			t, err := time.Parse(time.RFC3339, v)
			return t.Unix(), err == nil
		}
	}
	return 0, false
}

// shown is what a count looks like in a reading.
func (p *protocol) shown(count int64) int64 {
	if p.wrap > 0 {
		return count % p.wrap
	}
	return count
}

// protocolOf returns the protocol of a kind of device, which is in the table.
func protocolOf(kind string) *protocol {
	return &protocols[slices.IndexFunc(protocols, func(p protocol) bool { return p.kind == kind })]
}
