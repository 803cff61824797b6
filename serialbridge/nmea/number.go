package nmea

import (
	"strings"
	"time"
)

// A decimal is a number as it was written: n / 10^scale.
type decimal struct {
	n     int64
	scale int
}

// parseDecimal parses an optional sign and digits with an optional point, at
// most 12 of them: enough for all that is measured, and what it is multiplied
// by here leaves it exact.
func parseDecimal(s string) (decimal, bool) {
	rest, negative := strings.CutPrefix(s, "-")
	var v decimal
	digits, point := 0, false
	for _, c := range []byte(rest) {
		switch {
		case c == '.' && !point:
			point = true
			continue
		case c < '0' || c > '9':
			return decimal{}, false
		}
		v.n = 10*v.n + int64(c-'0')
		if point {
			v.scale++
		}
		if digits++; digits > 12 {
			return decimal{}, false
		}
	}
	if negative {
		v.n = -v.n
	}
	return v, digits > 0
}

// times returns v · n / 10^scale.
func (v decimal) times(n int64, scale int) decimal { return decimal{v.n * n, v.scale + scale} }

// float returns the float nearest to v: dividend and divisor are exact.
func (v decimal) float() float64 { return float64(v.n) / float64(power(v.scale)) }

func power(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// number parses digits without sign.
func number(s string, limit int) (int, bool) {
	if len(s) == 0 || len(s) > 4 {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, n <= limit
}

// minuteScale is to how many decimals of a minute an angle is read: 2 mm.
const minuteScale = 6

// angle parses degrees and minutes, dddmm.mmm, which may not be more than limit
// degrees. It returns degrees to 8 decimals. Positive is north and east.
func angle(text, hemisphere string, degreeDigits, limit int, positive, negative string) (float64, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(whole) != degreeDigits+2 || len(text) == len(whole)+1 {
		return 0, false
	}
	degrees, ok1 := number(whole[:degreeDigits], limit)
	minutes, ok2 := number(whole[degreeDigits:], 59)
	if !ok1 || !ok2 {
		return 0, false
	}
	n := int64(60*degrees + minutes)
	for i := range max(minuteScale, len(fraction)) {
		digit := byte('0')
		if i < len(fraction) {
			digit = fraction[i]
		}
		if digit < '0' || digit > '9' {
			return 0, false
		}
		if i < minuteScale {
			n = 10*n + int64(digit-'0')
		}
	}
	if n > int64(limit)*60*power(minuteScale) {
		return 0, false
	}
	// n / (60 · 10^6) degrees, rounded to 10^-8.
	eighth := (n*power(8-minuteScale) + 30) / 60
	switch hemisphere {
	case positive:
		return float64(eighth) / 1e8, true
	case negative:
		return float64(-eighth) / 1e8, true
	}
	return 0, false
}

// clock parses hhmmss.sss.
func clock(s string) (time.Duration, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(whole) != 6 {
		return 0, false
	}
	hour, ok1 := number(whole[0:2], 23)
	minute, ok2 := number(whole[2:4], 59)
	second, ok3 := number(whole[4:6], 60) // 60: a leap second
	if !ok1 || !ok2 || !ok3 || len(s) == len(whole)+1 {
		return 0, false
	}
	t := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	unit := time.Second
	for _, c := range []byte(fraction) {
		if c < '0' || c > '9' {
			return 0, false
		}
		unit /= 10
		t += time.Duration(c-'0') * unit
	}
	return t, true
}

// moment returns a day and a time of it, as they are published.
func moment(year, month, day int, t time.Duration) (string, bool) {
	date := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if date.Day() != day || date.Month() != time.Month(month) {
		return "", false
	}
	return date.Add(t).Format("2006-01-02T15:04:05.999Z07:00"), true
}
