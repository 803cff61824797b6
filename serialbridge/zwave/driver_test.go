package zwave

import (
	"strings"
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
)

func TestMatch(t *testing.T) {
	d := Driver()
	for _, test := range []struct {
		port hardware.SerialPort
		want serialbridge.Confidence
	}{
		{hardware.SerialPort{VendorID: "0658", ProductID: "0200"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "10c4", ProductID: "8a2a", Product: "HubZ Smart Home Controller", Interface: "00"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "10c4", ProductID: "8a2a", Product: "HubZ Smart Home Controller", Interface: "01"}, serialbridge.No},
		{hardware.SerialPort{VendorID: "303a", ProductID: "4001", Product: "Nabu Casa ZWA-2"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "10c4", ProductID: "ea60", Product: "CP2102N USB to UART Bridge Controller"}, serialbridge.No},
		{hardware.SerialPort{}, serialbridge.No},
	} {
		if got := d.Match(test.port); got != test.want {
			t.Errorf("%+v: %v, want %v", test.port, got, test.want)
		}
	}
	if d.Run != nil || d.NewDecoder != nil || !strings.Contains(d.Advice, "Z-Wave") {
		t.Error("the driver does more than to give advice")
	}
}
