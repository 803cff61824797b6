package airquality

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "1a86", ProductID: "7523", Product: "USB Serial"}: serialbridge.Possible,
		{VendorID: "0403", ProductID: "6001"}:                        serialbridge.Possible,
		{VendorID: "10c4", ProductID: "ea60"}:                        serialbridge.Possible,
		{VendorID: "0451", ProductID: "16a8"}:                        serialbridge.No,
	})
}

func TestDriver(t *testing.T) {
	d := Driver()
	if d.Protocol != "airquality" || d.Run != nil || len(d.Lines) != 1 {
		t.Errorf("driver %+v", d)
	}
	r := newRecorder()
	decoder := d.NewDecoder(r)
	for range 3 {
		decoder.Decode(sds(6, 0, 6, 0, 0x58, 0xD9), received)
	}
	if len(r.Readings) != 2 {
		t.Errorf("%d readings, want 2", len(r.Readings))
	}
}
