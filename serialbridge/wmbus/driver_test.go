package wmbus

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(Options{}), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "03eb", ProductID: "204b", Manufacturer: "busware.de", Product: "CUL868"}:   serialbridge.Sure,
		{VendorID: "10c4", ProductID: "ea60", Product: "iM871A-USB"}:                           serialbridge.Sure,
		{VendorID: "0403", ProductID: "6001", Product: "AMB8465-M"}:                            serialbridge.Sure,
		{VendorID: "10c4", ProductID: "ea60", Product: "CP2102 USB to UART Bridge Controller"}: serialbridge.Possible,
		{VendorID: "0403", ProductID: "6001", Product: "FT232R USB UART"}:                      serialbridge.Possible,
		{VendorID: "03eb", ProductID: "204b", Product: "LUFA USB-RS232 Adapter"}:               serialbridge.No,
		{VendorID: "03eb", ProductID: "204b", Product: "CUL433"}:                               serialbridge.No,
	})
}

func TestDriver(t *testing.T) {
	if d := Driver(Options{}); d.Protocol != "wmbus" || len(d.Lines) != 2 || d.Lines[0].Baud != 57600 {
		t.Errorf("%s %v", d.Protocol, d.Lines)
	}
	if d := Driver(Options{Receiver: "amber"}); len(d.Lines) != 1 || d.Lines[0].Baud != 9600 {
		t.Errorf("%v", d.Lines)
	}
}
