package dsmr

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(Options{}), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "0403", ProductID: "6001", Product: "FT232R USB UART"}:    serialbridge.Possible,
		{VendorID: "0403", ProductID: "6015"}:                                serialbridge.Possible,
		{VendorID: "1a86", ProductID: "7523", Product: "USB Serial"}:         serialbridge.Possible,
		{VendorID: "10c4", ProductID: "ea60"}:                                serialbridge.Possible,
		{VendorID: "067b", ProductID: "2303"}:                                serialbridge.Possible,
		{VendorID: "0403", ProductID: "6001", Product: "P1 Converter Cable"}: serialbridge.Sure,
		{VendorID: "303a", ProductID: "1001", Product: "Smart Meter Reader"}: serialbridge.Sure,
		{VendorID: "303a", ProductID: "1001", Product: "MP100"}:              serialbridge.No,
		{VendorID: "0451", ProductID: "16a8"}:                                serialbridge.No,
	})
}

func TestDriver(t *testing.T) {
	d := Driver(Options{})
	if d.Protocol != "dsmr" || d.Run != nil || len(d.Lines) != 2 {
		t.Errorf("driver %+v", d)
	}
	telegrams, _ := readTelegrams(t)
	r := &recorder{}
	d.NewDecoder(r).Decode(telegrams["TELEGRAM_V5"], received)
	if len(r.Readings) != 2 {
		t.Errorf("%d readings, want 2", len(r.Readings))
	}
}
