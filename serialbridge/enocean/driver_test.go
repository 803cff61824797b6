package enocean

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "0403", ProductID: "6001", Manufacturer: "EnOcean GmbH", Product: "EnOcean USB 300 DB"}: serialbridge.Sure,
		{VendorID: "0403", ProductID: "6001", Product: "TCM310"}:                                           serialbridge.Sure,
		{VendorID: "0403", ProductID: "6001", Product: "FT232R USB UART"}:                                  serialbridge.Possible,
		{VendorID: "1a86", ProductID: "7523"}:                                                              serialbridge.Possible,
		{VendorID: "0451", ProductID: "16a8"}:                                                              serialbridge.No,
	})
}
