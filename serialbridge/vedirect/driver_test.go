package vedirect

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
		{hardware.SerialPort{VendorID: "0403", ProductID: "6015", Manufacturer: "VictronEnergy BV", Product: "VE Direct cable"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6001", Manufacturer: "VictronEnergy BV", Product: "MK3-USB Interface"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6015", Product: "FT230X Basic UART"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "1a86", ProductID: "7523"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "10c4", ProductID: "ea60"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "067b", ProductID: "2303"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "303a", ProductID: "1001"}, serialbridge.No},
		{hardware.SerialPort{}, serialbridge.No},
	} {
		if got := Driver().Match(test.port); got != test.want {
			t.Errorf("%+v: %d, want %d", test.port, got, test.want)
		}
	}
}

func TestDriver(t *testing.T) {
	d := Driver()
	if d.Protocol != "vedirect" || d.Run != nil || len(d.Lines) != 1 {
		t.Errorf("driver %+v", d)
	}
	r := &recorder{}
	d.NewDecoder(r).Decode(lead, received)
	if len(r.Readings) != 1 {
		t.Errorf("%d readings, want 1", len(r.Readings))
	}
}
