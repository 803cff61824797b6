package zwave

import (
	"strings"
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "0658", ProductID: "0200"}: serialbridge.Sure,
		{VendorID: "10c4", ProductID: "8a2a", Product: "HubZ Smart Home Controller", Interface: "00"}: serialbridge.Sure,
		{VendorID: "10c4", ProductID: "8a2a", Product: "HubZ Smart Home Controller", Interface: "01"}: serialbridge.No,
		{VendorID: "303a", ProductID: "4001", Product: "Nabu Casa ZWA-2"}:                             serialbridge.Sure,
		{VendorID: "10c4", ProductID: "ea60", Product: "CP2102N USB to UART Bridge Controller"}:       serialbridge.No,
	})
}

func TestDriver(t *testing.T) {
	if d := Driver(); d.Run != nil || d.NewDecoder != nil || !strings.Contains(d.Advice, "Z-Wave") {
		t.Error("the driver does more than to give advice")
	}
}
