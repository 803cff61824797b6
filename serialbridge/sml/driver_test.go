package sml

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "10c4", ProductID: "ea60", Product: "CP2104 USB to UART Bridge Controller"}: serialbridge.Possible,
		{VendorID: "0403", ProductID: "6001", Product: "FT232R USB UART"}:                      serialbridge.Possible,
		{VendorID: "0403", ProductID: "6015"}:                                                  serialbridge.Possible,
		{VendorID: "1a86", ProductID: "7523"}:                                                  serialbridge.Possible,
		{VendorID: "067b", ProductID: "2303"}:                                                  serialbridge.Possible,
		{VendorID: "303a", ProductID: "1001", Product: "Hichi IR Lesekopf"}:                    serialbridge.Possible,
		{VendorID: "303a", ProductID: "1001", Product: "MP100"}:                                serialbridge.No,
	})
}

func TestDriver(t *testing.T) {
	d := Driver()
	if d.Protocol != "sml" || d.Run != nil || len(d.Lines) != 1 {
		t.Errorf("driver %+v", d)
	}
	r := &recorder{}
	d.NewDecoder(r).Decode(frame(listMessage(energy)), received)
	if len(r.Readings) != 1 {
		t.Errorf("%d readings, want 1", len(r.Readings))
	}
}
