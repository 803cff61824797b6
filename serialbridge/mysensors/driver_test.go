package mysensors

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "1a86", ProductID: "7523", Product: "USB Serial"}:        serialbridge.Possible,
		{VendorID: "2341", ProductID: "0043"}:                               serialbridge.Possible,
		{VendorID: "2341", ProductID: "8036", Product: "MySensors Gateway"}: serialbridge.Sure,
		{VendorID: "0451", ProductID: "16a8"}:                               serialbridge.No,
	})
}
