package textlines

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// maxDigits bounds the text of a number.
const maxDigits = 32

// decimal reads a number as boards write it: -12.50, .5, 1e-3. NaN, Inf, hexadecimal
// digits and everything else that is no plain number is refused.
func decimal(s string) (*big.Rat, bool) {
	if len(s) > maxDigits {
		return nil, false
	}
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], strings.TrimLeft(s[i+1:], "+-")
		if exponent == "" || len(exponent) > 2 || strings.Trim(exponent, digits) != "" || len(s)-i-1 > len(exponent)+1 {
			return nil, false
		}
	}
	if mantissa != "" && (mantissa[0] == '-' || mantissa[0] == '+') {
		mantissa = mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole+fraction == "" || strings.Trim(whole, digits) != "" || strings.Trim(fraction, digits) != "" {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

const digits = "0123456789"

// exact is the number that a person wrote: 0.1 and not the binary fraction next to
// it. What is no number is 0.
func exact(f float64) *big.Rat {
	r, ok := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok || math.Abs(f) > 1e30 || f != 0 && math.Abs(f) < 1e-30 {
		return new(big.Rat)
	}
	return r
}

// scaling is how a number in a line becomes a value.
type scaling struct{ scale, offset *big.Rat }

func newScaling(p *Property) scaling {
	s := scaling{exact(p.Scale), exact(p.Offset)}
	if s.scale.Sign() == 0 {
		s.scale.SetInt64(1)
	}
	return s
}

// value returns the float next to what the number means, which prints as it.
func (s scaling) value(n *big.Rat) float64 {
	r := new(big.Rat).Mul(n, s.scale)
	f, _ := r.Add(r, s.offset).Float64()
	return f + 0 // 0 and not -0
}

// text returns the number that stands for a value in a line, with as many decimals
// as it has, at most three: that of 100 is 255 though the scale is 0.392157.
func (s scaling) text(value float64) string {
	r := exact(value)
	r.Sub(r, s.offset)
	t := r.Quo(r, s.scale).FloatString(3)
	t = strings.TrimRight(strings.TrimRight(t, "0"), ".")
	if t == "-0" || t == "" {
		t = "0"
	}
	return t
}

// within returns the number if it is between the limits, of which each may be missing.
// What is next to a limit is at it, as scales are written with some digits only.
func within(v float64, low, high *float64) (float64, bool) {
	const near = 1e-6
	if low != nil && v < *low {
		return *low, *low-v <= near*max(1, math.Abs(*low))
	}
	if high != nil && v > *high {
		return *high, v-*high <= near*max(1, math.Abs(*high))
	}
	return v, true
}
