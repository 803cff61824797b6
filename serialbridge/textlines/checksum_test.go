package textlines

import (
	"testing"
)

func TestChecksums(t *testing.T) {
	// The check values that such sums are known by.
	const check = "123456789"
	if got := xor([]byte(check)); got != 0x31 {
		t.Errorf("xor %02X", got)
	}
	if got := sum8([]byte(check)); got != 0xDD {
		t.Errorf("sum8 %02X", got)
	}
}
