package dsmr

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// A telegram is what stands between '/' and '!', taken apart but not yet
// understood.
type telegram struct {
	header  string // identification line without '/'
	objects []object
	checked bool   // a CRC vouches for it
	title   string // system title of the meter; empty: it was not encrypted
}

// An object is a line such as 0-1:24.2.1(161129200000W)(00981.443*m3).
type object struct {
	code   string // 0-1:24.2.1
	values []string
}

func (t *telegram) has(code string) bool {
	for _, o := range t.objects {
		if o.code == code {
			return true
		}
	}
	return false
}

// addLine adds a line without its end and reports whether it is well-formed. A
// line of values alone belongs to the object above it (DSMR 2.2, 3).
func (t *telegram) addLine(line []byte) bool {
	if len(line) == 0 {
		return true
	}
	code, rest, found := strings.Cut(string(line), "(")
	if !found {
		return false
	}
	values, ok := splitValues(rest)
	if !ok {
		return false
	}
	if code == "" {
		if len(t.objects) == 0 {
			return false
		}
		last := &t.objects[len(t.objects)-1]
		last.values = append(last.values, values...)
		return true
	}
	if !validCode(code) {
		return false
	}
	// F = 255 is the current value, as is no F at all (IEC 62056-61).
	t.objects = append(t.objects, object{strings.TrimSuffix(code, "*255"), values})
	return true
}

// splitValues takes "a)(b)" apart: what follows the first parenthesis.
func splitValues(s string) ([]string, bool) {
	s, found := strings.CutSuffix(s, ")")
	if !found {
		return nil, false
	}
	values := strings.Split(s, ")(")
	for _, v := range values {
		for i := range len(v) {
			if v[i] < ' ' || v[i] > '~' || v[i] == '(' || v[i] == ')' {
				return nil, false
			}
		}
	}
	return values, true
}

// validCode reports whether s is an OBIS code A-B:C.D.E or A-B:C.D.E*F.
func validCode(s string) bool {
	const separators = "-:..*"
	group := 0
	digits := 0
	for i := range len(s) {
		switch {
		case '0' <= s[i] && s[i] <= '9' && digits < 3:
			digits++
		case digits > 0 && group < len(separators) && s[i] == separators[group]:
			group++
			digits = 0
		default:
			return false
		}
	}
	return digits > 0 && group >= 4
}

// validHeader reports whether line is an identification: '/', three letters
// for the manufacturer, a mode, a name. Control characters do occur: Iskra
// sends 02 in front of the name.
func validHeader(line []byte) bool {
	if len(line) < 5 || line[0] != '/' {
		return false
	}
	for i, b := range line[1:] {
		letter := 'a' <= b|0x20 && b|0x20 <= 'z'
		if i < 3 && !letter || b == 0 || b == '\r' || b == '!' || b > '~' {
			return false
		}
	}
	return true
}

// decimal reports whether s is a number as P1 writes it.
func decimal(s string) bool {
	whole, fraction, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	return digits(whole) && (!point || digits(fraction)) && len(s) <= 24
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// scales holds the units that meters use for a unit of the vocabulary, with the
// power of ten between them.
var scales = map[string][]struct {
	unit     string
	exponent string
}{
	"kWh":   {{"kWh", "e0"}, {"Wh", "e-3"}, {"MWh", "e3"}},
	"kW":    {{"kW", "e0"}, {"W", "e-3"}},
	"kvarh": {{"kvarh", "e0"}, {"varh", "e-3"}},
	"kvar":  {{"kvar", "e0"}, {"var", "e-3"}},
	"kVA":   {{"kVA", "e0"}, {"VA", "e-3"}},
	"GJ":    {{"GJ", "e0"}, {"MJ", "e-3"}},
	"m³":    {{"m3", "e0"}, {"dm3", "e-3"}},
	"V":     {{"V", "e0"}},
	"A":     {{"A", "e0"}},
	"Hz":    {{"Hz", "e0"}},
	"s":     {{"s", "e0"}},
}

// scale turns a decimal in one unit into a number in another and reports
// whether there is a way. The shift is made in the text, so that 286 W is
// exactly 0.286 kW.
func scale(number, from, to string) (float64, bool) {
	if from == to {
		v, err := strconv.ParseFloat(number, 64)
		return v, err == nil
	}
	for _, s := range scales[to] {
		if strings.EqualFold(s.unit, from) { // kvar and kVAr both occur
			v, err := strconv.ParseFloat(number+s.exponent, 64)
			return v, err == nil
		}
	}
	return 0, false
}

// timestamp turns YYMMDDhhmmssX into RFC 3339.
func timestamp(s string) (string, bool) {
	if len(s) != 13 {
		return "", false
	}
	var offset string
	switch s[12] {
	case 'S':
		offset = "+02:00"
	case 'W':
		offset = "+01:00"
	default:
		return "", false
	}
	t, err := time.Parse("060102150405Z07:00", s[:12]+offset)
	if err != nil {
		return "", false
	}
	// The layout's 06 means 1969 to 2068; there was no P1 before 2000.
	if t.Year() < 2000 {
		t = t.AddDate(100, 0, 0)
	}
	return t.Format(time.RFC3339), true
}

// hexText decodes an octet string that is text, and reports whether it is.
func hexText(s string) (string, bool) {
	decoded, err := hex.DecodeString(s)
	if err != nil {
		return "", false
	}
	for _, b := range decoded {
		if b < ' ' || b > '~' {
			return "", false
		}
	}
	return string(decoded), true
}
