package vedirect

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "0403", ProductID: "6015", Manufacturer: "VictronEnergy BV", Product: "VE Direct cable"}:   serialbridge.Sure,
		{VendorID: "0403", ProductID: "6001", Manufacturer: "VictronEnergy BV", Product: "MK3-USB Interface"}: serialbridge.Possible,
		{VendorID: "0403", ProductID: "6015", Product: "FT230X Basic UART"}:                                   serialbridge.Possible,
		{VendorID: "1a86", ProductID: "7523"}:                                                                 serialbridge.Possible,
		{VendorID: "10c4", ProductID: "ea60"}:                                                                 serialbridge.Possible,
		{VendorID: "067b", ProductID: "2303"}:                                                                 serialbridge.Possible,
		{VendorID: "303a", ProductID: "1001"}:                                                                 serialbridge.No,
	})
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
