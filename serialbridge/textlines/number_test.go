package textlines

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Numbers print as they are meant.
func TestNumbers(t *testing.T) {
	for _, test := range []struct {
		text          string
		scale, offset float64
		want          string
	}{
		{"217", 0.1, 0, "21.7"},
		{"3", 0.1, 0, "0.3"},
		{"0.1", 3, 0, "0.3"},
		{"215", 0.1, 0.2, "21.7"},
		{"29999999", 1e-3, 0, "29999.999"},
		{"-1", 0.01, 0, "-0.01"},
		{"77", 0.5555555555555556, -17.77777777777778, "25.00000000000000"},
		{"0", 0, -0.1, "-0.1"},
		{"1e-30", 1e-15, 0, "1e-45"},
	} {
		s := newScaling(&Property{Scale: test.scale, Offset: test.offset})
		n, ok := decimal(test.text)
		if !ok {
			t.Fatal(test.text)
		}
		b, _ := json.Marshal(s.value(n))
		if got := string(b); got != test.want && !strings.HasPrefix(test.want, got) {
			t.Errorf("%s * %v + %v = %s, want %s", test.text, test.scale, test.offset, got, test.want)
		}
	}
	for f := range 2001 {
		// All tenths, both ways.
		n := f - 1000
		s := newScaling(&Property{Scale: 0.1})
		r, _ := decimal(fmt.Sprint(n))
		v := s.value(r)
		sign, size := "", n
		if n < 0 {
			sign, size = "-", -n
		}
		want := strings.TrimSuffix(fmt.Sprintf("%s%d.%d", sign, size/10, size%10), ".0")
		if b, _ := json.Marshal(v); string(b) != want || s.text(v) != fmt.Sprint(n) {
			t.Fatalf("%d: %s, want %s; back %s", n, b, want, s.text(v))
		}
	}
}

// 255 is 100 percent, with as many digits as a person writes for the scale.
func TestLimits(t *testing.T) {
	zero, hundred := 0.0, 100.0
	for _, scale := range []float64{0.392157, 0.3921569, 0.39215686, 0.39215687} {
		s := newScaling(&Property{Scale: scale})
		n, _ := decimal("255")
		if v, ok := within(s.value(n), &zero, &hundred); !ok || v < 99.99 || v > 100 || s.text(100) != "255" {
			t.Errorf("%v: %v, %v, back %s", scale, v, ok, s.text(100))
		}
	}
	for v, want := range map[float64]bool{-1e-7: true, -1e-5: false, 100.00005: true, 100.0002: false, 50: true} {
		if got, ok := within(v, &zero, &hundred); ok != want || ok && (got < 0 || got > 100) {
			t.Errorf("%v: %v, %v", v, got, ok)
		}
	}
	if v, ok := within(1e9, &zero, nil); v != 1e9 || !ok {
		t.Error(v, ok)
	}
}
