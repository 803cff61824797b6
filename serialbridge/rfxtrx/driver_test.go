package rfxtrx

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "0403", ProductID: "6001", Manufacturer: "RFXCOM", Product: "RFXtrx433"}: serialbridge.Sure,
		{VendorID: "0403", ProductID: "6015", Product: "RFXtrx433XL"}:                       serialbridge.Sure,
		{VendorID: "0403", ProductID: "6001", Product: "FT232R USB UART"}:                   serialbridge.No,
	})
}
