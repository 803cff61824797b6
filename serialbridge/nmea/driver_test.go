package nmea

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
		{hardware.SerialPort{VendorID: "1546", ProductID: "01a7", Product: "u-blox 7 - GPS/GNSS Receiver"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "1546", ProductID: "01a8"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "1546", ProductID: "1102", Product: "u-blox Wireless Module"}, serialbridge.No},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6001", Product: "NMEA 0183 Multiplexer"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "067b", ProductID: "2303", Product: "USB-Serial Controller"}, serialbridge.Possible},
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
	if d.Protocol != "nmea" || d.Run != nil || len(d.Lines) != 4 {
		t.Errorf("driver %+v", d)
	}
	r := &recorder{}
	d.NewDecoder(r).Decode([]byte(known), received)
	if len(r.Readings) != 1 {
		t.Errorf("%d readings, want 1", len(r.Readings))
	}
}
