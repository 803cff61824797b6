package jsonlines

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

func TestMatch(t *testing.T) {
	drivertest.Match(t, Driver(), map[hardware.SerialPort]serialbridge.Confidence{
		{VendorID: "303a", ProductID: "1001", Product: "USB JTAG/serial debug unit"}: serialbridge.Possible,
		{VendorID: "1a86", ProductID: "55d4"}:                                        serialbridge.Possible,
		{VendorID: "2341", ProductID: "0043"}:                                        serialbridge.Possible,
		{VendorID: "303a", ProductID: "4001", Product: "Theengs Bridge"}:             serialbridge.Sure,
		{VendorID: "0451", ProductID: "16a8"}:                                        serialbridge.No,
	})
}

func TestDriver(t *testing.T) {
	d := Driver()
	if d.Protocol != "jsonlines" || d.Run != nil || len(d.Lines) != 1 {
		t.Errorf("driver %+v", d)
	}
	r := &recorder{}
	decoder := d.NewDecoder(r)
	for range 3 {
		decoder.Decode([]byte(`{"id":"A4:C1:38:74:B0:85","tempc":20.5}`+"\n"), received)
	}
	if len(r.Readings) != 2 {
		t.Errorf("%d readings, want 2", len(r.Readings))
	}
}
