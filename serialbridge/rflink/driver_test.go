package rflink

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "2341", ProductID: "0042", Product: "Arduino Mega 2560"}: serialbridge.Possible,
		{VendorID: "1a86", ProductID: "7523", Product: "USB Serial"}:        serialbridge.Possible,
		{VendorID: "2341", ProductID: "0042", Product: "RFLink Gateway"}:    serialbridge.Sure,
		{VendorID: "0451", ProductID: "16a8"}:                               serialbridge.No,
	})
}
