package airquality

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
)

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		port hardware.SerialPort
		want serialbridge.Confidence
	}{
		{hardware.SerialPort{VendorID: "1a86", ProductID: "7523", Product: "USB Serial"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6001"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "10c4", ProductID: "ea60"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "0451", ProductID: "16a8"}, serialbridge.No},
		{hardware.SerialPort{}, serialbridge.No},
	} {
		if got := Driver().Match(test.port); got != test.want {
			t.Errorf("%+v: %d, want %d", test.port, got, test.want)
		}
	}
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
