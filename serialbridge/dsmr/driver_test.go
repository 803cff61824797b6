package dsmr

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
		{hardware.SerialPort{VendorID: "0403", ProductID: "6001", Product: "FT232R USB UART"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6015"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "1a86", ProductID: "7523", Product: "USB Serial"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "10c4", ProductID: "ea60"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "067b", ProductID: "2303"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6001", Product: "P1 Converter Cable"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "303a", ProductID: "1001", Product: "Smart Meter Reader"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "303a", ProductID: "1001", Product: "MP100"}, serialbridge.No},
		{hardware.SerialPort{VendorID: "0451", ProductID: "16a8"}, serialbridge.No},
		{hardware.SerialPort{}, serialbridge.No},
	} {
		if got := Driver(Options{}).Match(test.port); got != test.want {
			t.Errorf("%+v: %d, want %d", test.port, got, test.want)
		}
	}
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
