package teleinfo

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "0403", ProductID: "6015", Product: "FT230X Basic UART", Serial: "TINFO-1036"}: serialbridge.Sure,
		{VendorID: "0403", ProductID: "6015", Product: "Teleinfo USB"}:                            serialbridge.Sure,
		{VendorID: "0403", ProductID: "6015", Product: "TIC-DIN"}:                                 serialbridge.Sure,
		{VendorID: "303a", ProductID: "1001", Product: "Linky reader"}:                            serialbridge.Sure,
		{VendorID: "0403", ProductID: "6015", Product: "FT230X Basic UART", Serial: "DN01234"}:    serialbridge.Possible,
		{VendorID: "0403", ProductID: "6001"}:                                                     serialbridge.Possible,
		{VendorID: "1a86", ProductID: "7523"}:                                                     serialbridge.Possible,
		{VendorID: "10c4", ProductID: "ea60"}:                                                     serialbridge.Possible,
		{VendorID: "067b", ProductID: "2303"}:                                                     serialbridge.Possible,
		{VendorID: "1ffb", ProductID: "00b3", Product: "Tic T825"}:                                serialbridge.No,
	})
}

func TestDriver(t *testing.T) {
	d := Driver()
	if d.Protocol != "teleinfo" || d.Run != nil || len(d.Lines) != 2 {
		t.Errorf("driver %+v", d)
	}
	r := &recorder{}
	d.NewDecoder(r).Decode(historicFrame(adco, "IINST 001"), received)
	if len(r.Readings) != 1 {
		t.Errorf("%d readings, want 1", len(r.Readings))
	}
}
