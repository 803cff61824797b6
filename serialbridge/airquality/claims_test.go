package airquality

import (
	"strings"
	"testing"
)

// Frames that look alike are told apart.
func TestClaims(t *testing.T) {
	var (
		plain   = plantower(1, 2, 3, 1, 2, 3, 900, 250, 40, 6, 2, 1, 0x9700)
		warm    = plantower(1, 2, 3, 1, 2, 3, 900, 250, 40, 6, 215, 453, 0x9A00)
		frost   = plantower(1, 2, 3, 1, 2, 3, 900, 250, 40, 6, 0xFF38, 453, 0x9A00)
		clean   = plantower(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 215, 453, 0x9A00)
		smoke   = plantower(90, 500, 600, 80, 400, 500, 60000, 20000, 9000, 3000, 900, 800, 0x9700)
		either  = plantower(90, 500, 600, 80, 400, 500, 60000, 20000, 9000, 3000, 400, 300, 0x9700)
		zeros   = plantower(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x9700)
		s0      = plantower(0, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0051)
		c0      = plantower(4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		rising  = plantower(1, 2, 3, 1, 2, 3, 250, 900, 40, 6, 2, 1, 0x9700)
		dry     = plantower(1, 2, 3, 1, 2, 3, 900, 250, 140, 60, 49, 49, 0x9700)
		hot     = plantower(1, 2, 3, 1, 2, 3, 900, 250, 40, 6, 851, 453, 0x9A00)
		wet     = plantower(1, 2, 3, 1, 2, 3, 900, 250, 40, 6, 215, 1001, 0x9A00)
		noCount = plantower(1, 2, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0x9700)
	)
	for _, test := range []struct {
		name    string
		frames  [][]byte
		want    string // kinds of the readings
		damaged int
	}{
		{"counts", [][]byte{plain, plain}, "pmsx003", 0},
		{"warm", [][]byte{warm, warm}, "pms5003t", 0},
		{"frost", [][]byte{frost, frost}, "pms5003t", 0},
		{"clean air", [][]byte{clean, clean}, "pms5003t", 0},
		{"smoke", [][]byte{smoke, smoke}, "pmsx003", 0},
		{"few large particles", [][]byte{dry, dry}, "pmsx003", 0},
		{"either, not known", [][]byte{either, either, either}, "", 0},
		{"either, counts before", [][]byte{plain, either}, "pmsx003", 0},
		{"either, warm before", [][]byte{warm, either}, "pms5003t", 0},
		{"zeros, not known", [][]byte{zeros, zeros}, "", 0},
		{"zeros, counts before", [][]byte{plain, zeros, plain}, "pmsx003", 0},
		{"zeros, Honeywell before", [][]byte{s0, zeros}, "hpma115s0", 0},
		{"zeros, compact before", [][]byte{c0, zeros}, "hpma115c0", 0},
		{"rising counts", [][]byte{rising, rising}, "", 2},
		{"too hot", [][]byte{hot, hot}, "", 2},
		{"too wet", [][]byte{wet, wet}, "", 2},
		{"dust without particles", [][]byte{noCount, noCount}, "", 2},
		{"two sensors in turn", [][]byte{plain, warm, plain, warm}, "", 0},
	} {
		r := decode(t, test.frames...)
		var kinds []string
		for _, reading := range r.Readings {
			kinds = append(kinds, strings.TrimPrefix(reading.Device, "airquality_"))
		}
		if got := strings.Join(kinds, " "); got != test.want || len(r.Damage) != test.damaged {
			t.Errorf("%s: %q, damaged %q; want %q, %d", test.name, got, r.Damage, test.want, test.damaged)
		}
		for _, reason := range r.Damage {
			if reason != "syntax" {
				t.Errorf("%s: damaged %q", test.name, r.Damage)
			}
		}
	}
}
