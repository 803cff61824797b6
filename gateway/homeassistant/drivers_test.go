package homeassistant

import (
	"slices"
	"testing"
	"time"

	"lintel/gateway/homeassistant/judge"
	"lintel/serialbridge"
	"lintel/serialbridge/airquality"
	"lintel/serialbridge/bms"
	"lintel/serialbridge/drivertest"
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

// protocolDevices is a driver, and how many devices the captures of its package tell of.
type protocolDevices struct {
	driver  serialbridge.Driver
	devices int
}

var protocols = []protocolDevices{
	{airquality.Driver(), 7},
	{airquality.MHZ19(), 1},
	{airquality.Senseair(), 1},
	{airquality.SPS30(), 1},
	{bms.Daly(bms.DalyOptions{}), 1},
	{bms.JK(), 1},
	{dsmr.Driver(dsmr.Options{}), 17},
	{enocean.Driver(), 4},
	{jsonlines.Driver(), 6},
	{mysensors.Driver(), 1},
	{nmea.Driver(), 3},
	{rflink.Driver(), 35},
	{rfxtrx.Driver(), 4},
	{sml.Driver(), 8},
	{teleinfo.Driver(), 5},
	{vedirect.Driver(), 3},
	{wmbus.Driver(wmbus.Options{}), 28},
	{modbus.Driver(modbus.Options{Listen: true, Units: []modbus.Unit{{Address: 1, Map: "sdm230"}}}), 1},
}

// eachProtocol runs check with what the devices of a protocol said.
func eachProtocol(t *testing.T, check func(*testing.T, *drivertest.Recorder)) {
	for _, p := range protocols {
		t.Run(p.driver.Protocol, func(t *testing.T) {
			captures, err := drivertest.Captures("../../serialbridge", p.driver.Protocol)
			if err != nil {
				t.Fatal(err)
			}
			said := new(drivertest.Recorder)
			for _, capture := range captures {
				decoder := p.driver.NewDecoder(said)
				for range 2 { // some decoders want to hear a device twice before they believe in it
					decoder.Decode(capture.Data, time.Now())
				}
			}
			if len(said.Devices) != p.devices || said.Disorder != "" {
				t.Errorf("%d devices, want %d: %s", len(said.Devices), p.devices, said.Disorder)
			}
			check(t, said)
		})
	}
}

// TestDrivers holds the documents of real devices against what Home Assistant
// accepts without dropping a key.
func TestDrivers(t *testing.T) {
	for _, protocol := range drivertest.Protocols() {
		if !slices.ContainsFunc(protocols, func(p protocolDevices) bool { return p.driver.Protocol == protocol }) {
			t.Errorf("%s is missing in protocols", protocol)
		}
	}
	eachProtocol(t, func(t *testing.T, said *drivertest.Recorder) {
		for _, d := range said.Announcements {
			doc, err := Document(testBox, d, Options{})
			if err != nil {
				t.Error(err)
				continue
			}
			if err := judge.Judge(Topic(testBox, d.ID, Options{}), doc).Clean(); err != nil {
				t.Errorf("%s: %v", d.ID, err)
			}
		}
	})
}

// energyDashboard has the units of the totals that Home Assistant's energy
// dashboard offers its user, by device class.
var energyDashboard = map[string][]string{
	"energy": {"Wh", "kWh", "MWh", "MJ", "GJ"},
	"gas":    {"m³"},
	"water":  {"m³", "L"},
}

// TestEnergyDashboard finds totals that a person would miss there, and meters
// that have none.
func TestEnergyDashboard(t *testing.T) {
	history := []string{"yield_yesterday"} // besides what is diagnostic
	meters := map[string]bool{"Electricity meter": true, "Gas meter": true, "Water meter": true, "Heat meter": true}
	eachProtocol(t, func(t *testing.T, said *drivertest.Recorder) {
		for id, d := range said.Devices {
			offered := 0
			for _, p := range d.Properties {
				units, total := energyDashboard[p.Class]
				if !total || p.Category != "" || slices.Contains(history, p.Key) {
					continue
				}
				offered++
				if p.Kind != serialbridge.Measurement || !slices.Contains(units, p.Unit) ||
					p.StateClass != "total_increasing" && p.StateClass != "total" {
					t.Errorf("%s: %s is %s of class %s in %q with statistics %q", id, p.Key, p.Kind, p.Class, p.Unit, p.StateClass)
				}
			}
			if meters[d.Name] && offered == 0 {
				t.Errorf("%s has nothing for the energy dashboard", id)
			}
		}
	})
}
