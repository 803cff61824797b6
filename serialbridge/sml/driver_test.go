package sml

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
		{hardware.SerialPort{VendorID: "10c4", ProductID: "ea60", Product: "CP2104 USB to UART Bridge Controller"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6001", Product: "FT232R USB UART"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6015"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "1a86", ProductID: "7523"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "067b", ProductID: "2303"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "303a", ProductID: "1001", Product: "Hichi IR Lesekopf"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "303a", ProductID: "1001", Product: "MP100"}, serialbridge.No},
		{hardware.SerialPort{}, serialbridge.No},
	} {
		if got := Driver().Match(test.port); got != test.want {
			t.Errorf("%+v: %d, want %d", test.port, got, test.want)
		}
	}
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
