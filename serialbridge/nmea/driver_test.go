package nmea

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "1546", ProductID: "01a7", Product: "u-blox 7 - GPS/GNSS Receiver"}: serialbridge.Sure,
		{VendorID: "1546", ProductID: "01a8"}:                                          serialbridge.Sure,
		{VendorID: "1546", ProductID: "1102", Product: "u-blox Wireless Module"}:       serialbridge.No,
		{VendorID: "0403", ProductID: "6001", Product: "NMEA 0183 Multiplexer"}:        serialbridge.Sure,
		{VendorID: "067b", ProductID: "2303", Product: "USB-Serial Controller"}:        serialbridge.Possible,
		{VendorID: "10c4", ProductID: "ea60"}:                                          serialbridge.Possible,
		{VendorID: "0451", ProductID: "16a8"}:                                          serialbridge.No,
	})
}

func TestDriver(t *testing.T) {
	d := Driver()
	if d.Protocol != "nmea" || d.Run != nil || len(d.Lines) != 4 {
		t.Errorf("driver %+v", d)
	}
	r := &recorder{}
	d.NewDecoder(r).Decode([]byte(known), received)
	if len(r.Readings) != 1 {
		t.Errorf("%d readings, want 1", len(r.Readings))
	}
}
