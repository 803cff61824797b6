package drivertest

import (
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Match holds how sure a driver is of each stick against how sure it should be. Of one
// without USB strings it should not be.
func Match(t *testing.T, d serialbridge.Driver, sticks map[hardware.SerialPort]serialbridge.Confidence) {
	t.Helper()
	if c := d.Match(hardware.SerialPort{}); c != serialbridge.No {
		t.Errorf("a stick without USB strings: %d, want %d", c, serialbridge.No)
	}
	for stick, want := range sticks {
		if got := d.Match(stick); got != want {
			t.Errorf("%+v: %d, want %d", stick, got, want)
		}
	}
}
