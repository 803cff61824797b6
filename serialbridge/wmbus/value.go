package wmbus

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// integer returns the number of a record whose data is an integer or BCD. It is
// nothing if the meter says that it knows none.
func (r *record) integer() (n int64, ok bool) {
	switch r.field {
	case 1, 2, 3, 4, fieldInt48, fieldInt64:
		return signed(r.data)
	case 9, 0xA, 0xB, 0xC, fieldBCD12:
		return bcd(r.data)
	case fieldVariable:
		switch {
		case 0xC0 <= r.length && r.length <= 0xC9:
			return bcd(r.data)
		case 0xD0 <= r.length && r.length <= 0xD9:
			n, ok = bcd(r.data)
			return -n, ok
		case 0xE0 <= r.length && r.length <= 0xEF:
			return signed(r.data)
		}
	}
	return 0, false
}

// signed is data type B: two's complement, least significant byte first. The least
// number there is stands for "invalid" (EN 13757-3, annex A).
func signed(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 8 {
		return 0, false
	}
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | int64(b[i])
	}
	shift := 64 - 8*len(b)
	n = n << shift >> shift
	return n, n != math.MinInt64>>shift
}

// bcd is data type A. F in the highest digit is a minus; other digits above 9 stand
// for "invalid".
func bcd(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 9 {
		return 0, false
	}
	negative := false
	for i := len(b) - 1; i >= 0; i-- {
		high, low := int64(b[i]>>4), int64(b[i]&0x0F)
		if i == len(b)-1 && high == 0xF {
			negative, high = true, 0
		}
		if high > 9 || low > 9 {
			return 0, false
		}
		n = n*100 + high*10 + low
	}
	if negative {
		n = -n
	}
	return n, true
}

// scaled is n times ten to the power of exp, as the nearest float to the decimal.
func scaled(n int64, exp int) (float64, bool) {
	f, err := strconv.ParseFloat(strconv.FormatInt(n, 10)+"e"+strconv.Itoa(exp), 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, false
	}
	return f + 0, true // no -0
}

// float returns the number of any record, times ten to the power of exp.
func (r *record) float(exp int) (float64, bool) {
	if r.field == fieldReal {
		real := math.Float32frombits(binary.LittleEndian.Uint32(r.data))
		if f := float64(real); math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, false
		}
		// Through the shortest decimal, so that 0.1 stays 0.1.
		text := strconv.FormatFloat(float64(real), 'e', -1, 32)
		mantissa, power, _ := strings.Cut(text, "e")
		p, err := strconv.Atoi(power)
		if err != nil {
			return 0, false
		}
		f, err := strconv.ParseFloat(mantissa+"e"+strconv.Itoa(p+exp), 64)
		return f + 0, err == nil
	}
	n, ok := r.integer()
	if !ok {
		return 0, false
	}
	return scaled(n, exp)
}

// bits returns data as the bits that it is.
func (r *record) bits() (n uint64, ok bool) {
	if len(r.data) == 0 || len(r.data) > 8 || r.field == fieldReal {
		return 0, false
	}
	for i := len(r.data) - 1; i >= 0; i-- {
		n = n<<8 | uint64(r.data[i])
	}
	return n, true
}

// words returns data as text: what a meter calls itself, or the digits of a number
// that is a name.
func (r *record) words() (string, bool) {
	if len(r.data) == 0 {
		return "", false
	}
	if r.field == fieldVariable && r.length <= 0xBF {
		s := strings.TrimSpace(reversedText(r.data))
		return s, s != ""
	}
	if r.field == fieldReal {
		return "", false
	}
	reversed := make([]byte, len(r.data))
	for i, b := range r.data {
		reversed[len(r.data)-1-i] = b
	}
	return strings.ToUpper(hex.EncodeToString(reversed)), true
}

// reversedText is text as meters send it: ISO 8859-1, the last letter first.
func reversedText(b []byte) string {
	var s strings.Builder
	for i := len(b) - 1; i >= 0; i-- {
		if c := rune(b[i]); c >= ' ' && c != 0x7F && (c < 0x80 || c >= 0xA0) {
			s.WriteRune(c)
		}
	}
	return s.String()
}

// Dates and times. They are of the meter's own clock, whose zone nobody tells: most
// stay on standard time.

// anyYear is the year of a day that comes each year (EN 13757-3, annex A).
const anyYear = 127

// dateG is data type G, as a date or, if it is of any year, as month and day.
func dateG(b []byte) (string, bool) {
	if len(b) != 2 {
		return "", false
	}
	return date(b[0], b[1], 0)
}

// date makes a date of the two bytes that all types share.
func date(low, high, century byte) (string, bool) {
	day, month := int(low&0x1F), int(high&0x0F)
	year := int(low>>5 | high>>4<<3)
	if year == anyYear {
		// 2000 was a leap year.
		if !exists(2000, month, day) {
			return "", false
		}
		return fmt.Sprintf("--%02d-%02d", month, day), true // as ISO 8601:2000
	}
	if year > 99 {
		return "", false
	}
	year += 1900 + 100*int(century)
	if century == 0 && year < 1981 {
		year += 100
	}
	if !exists(year, month, day) {
		return "", false
	}
	return fmt.Sprintf("%04d-%02d-%02d", year, month, day), true
}

func exists(year, month, day int) bool {
	if month < 1 || month > 12 || day < 1 {
		return false
	}
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Month() == time.Month(month)
}

// dateTime is data type F (four bytes), I (six) or J (three).
func dateTime(b []byte) (string, bool) {
	var second, minute, hour byte
	var day string
	ok := true
	switch len(b) {
	case 3:
		second, minute, hour = b[0]&0x3F, b[1]&0x3F, b[2]&0x1F
	case 4:
		if b[0]&0x80 != 0 {
			return "", false // the meter says that its clock is not set
		}
		minute, hour = b[0]&0x3F, b[1]&0x1F
		day, ok = date(b[2], b[3], b[1]>>5&3)
	case 6:
		if b[1]&0x80 != 0 {
			return "", false
		}
		second, minute, hour = b[0]&0x3F, b[1]&0x3F, b[2]&0x1F
		day, ok = date(b[3], b[4], 0)
	default:
		return "", false
	}
	if !ok || second > 59 || minute > 59 || hour > 23 {
		return "", false
	}
	switch len(b) {
	case 3:
		return fmt.Sprintf("%02d:%02d:%02d", hour, minute, second), true
	case 4:
		return fmt.Sprintf("%s %02d:%02d", day, hour, minute), true
	}
	return fmt.Sprintf("%s %02d:%02d:%02d", day, hour, minute, second), true
}
