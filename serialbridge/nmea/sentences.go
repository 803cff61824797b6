package nmea

import "strings"

// A report is what one sentence says.
type report struct {
	valid  bool // there is a fix; before: whether there was one
	values map[string]any
}

// formatters are the kinds of sentences that are read. Each function returns
// whether the fields are of the form that is expected. fields[0] is the first
// one behind the address, which descriptions of NMEA 0183 call 1.
var formatters = map[string]func(r *report, fields []string) bool{
	"GGA": parseGGA,
	"GLL": parseGLL,
	"GNS": parseGNS,
	"GSA": parseGSA,
	"RMC": parseRMC,
	"VTG": parseVTG,
	"ZDA": parseZDA,
}

// fieldOf returns a field that may be missing: later versions of the standard
// have more.
func fieldOf(fields []string, i int) string {
	if i < len(fields) {
		return fields[i]
	}
	return ""
}

// parseGGA: 0 time, 1–4 position, 5 quality, 6 satellites, 7 HDOP, 8 altitude and
// 9 its unit, 10 geoidal separation and 11 its unit.
func parseGGA(r *report, fields []string) bool {
	if len(fields) < 12 {
		return false
	}
	quality, ok := number(fields[5], len(qualities())-1)
	if !ok {
		return false
	}
	r.values["fix_quality"] = qualities()[quality]
	r.setValid(1 <= quality && quality <= 5)
	return r.addCount("satellites", fields[6]) &&
		r.addPosition(fields[1:5]) &&
		(!r.valid || r.addNumber("hdop", fields[7], 1, 0) &&
			(fields[9] != "M" || r.addSigned("altitude", fields[8])) &&
			(fields[11] != "M" || r.addSigned("geoid_separation", fields[10])))
}

// parseGLL: 0–3 position, 4 time, 5 status, 6 mode.
func parseGLL(r *report, fields []string) bool {
	if len(fields) < 6 {
		return len(fields) >= 4 // before NMEA 2.0: nobody knows whether it is valid
	}
	return r.addStatus(fields[5], fieldOf(fields, 6)) && r.addPosition(fields[0:4])
}

// parseGNS: 0 time, 1–4 position, 5 mode of each system, 6 satellites, 7 HDOP, 8
// altitude, 9 geoidal separation.
func parseGNS(r *report, fields []string) bool {
	if len(fields) < 10 {
		return false
	}
	// One system that measures is enough; N is one that does not take part.
	valid := false
	for _, mode := range []byte(fields[5]) {
		switch {
		case measured(mode):
			valid = true
		case strings.IndexByte("EMNS", mode) < 0:
			return false
		}
	}
	r.setValid(valid && !strings.ContainsAny(fields[5], "EMS"))
	return r.addCount("satellites", fields[6]) &&
		r.addPosition(fields[1:5]) &&
		(!r.valid || r.addNumber("hdop", fields[7], 1, 0) &&
			r.addSigned("altitude", fields[8]) &&
			r.addSigned("geoid_separation", fields[9]))
}

// parseGSA: 0 who chooses the dimensions, 1 how many there are, 2–13 satellites,
// 14 PDOP, 15 HDOP, 16 VDOP.
func parseGSA(r *report, fields []string) bool {
	if len(fields) < 17 {
		return false
	}
	dimensions, ok := number(fields[1], 3)
	if !ok || dimensions == 0 {
		return false
	}
	r.values["fix_type"] = types()[dimensions-1]
	if dimensions == 1 {
		return true
	}
	return r.addNumber("pdop", fields[14], 1, 0) &&
		r.addNumber("hdop", fields[15], 1, 0) &&
		r.addNumber("vdop", fields[16], 1, 0)
}

// parseRMC: 0 time, 1 status, 2–5 position, 6 speed in knots, 7 course, 8 date, 9
// magnetic variation and 10 its direction, 11 mode.
func parseRMC(r *report, fields []string) bool {
	if len(fields) < 9 || !r.addStatus(fields[1], fieldOf(fields, 11)) {
		return false
	}
	if !r.valid {
		return true
	}
	// A variation without direction says nothing.
	if direction := fieldOf(fields, 10); direction != "" {
		v, ok := parseDecimal(fields[9])
		if !ok || v.n < 0 || direction != "E" && direction != "W" {
			return false
		}
		if direction == "W" {
			v.n = -v.n
		}
		r.values["magnetic_variation"] = v.float()
	}
	if fields[0] != "" && fields[8] != "" {
		t, ok := clock(fields[0])
		if !ok || len(fields[8]) != 6 {
			return false
		}
		day, ok1 := number(fields[8][0:2], 31)
		month, ok2 := number(fields[8][2:4], 12)
		year, ok3 := number(fields[8][4:6], 99)
		if year < 80 {
			year += 100
		}
		text, ok4 := moment(1900+year, month, day, t)
		if !ok1 || !ok2 || !ok3 || !ok4 {
			return false
		}
		r.values["time"] = text
	}
	// A knot is 1.852 km/h.
	return r.addPosition(fields[2:6]) &&
		r.addNumber("speed", fields[6], 1852, 3) &&
		r.addNumber("course", fields[7], 1, 0)
}

// parseVTG: 0 course and 1 T, 2 magnetic course and 3 M, 4 speed and 5 N for
// knots, 6 speed and 7 K for km/h, 8 mode.
func parseVTG(r *report, fields []string) bool {
	if len(fields) < 8 || fields[1] != "T" || fields[3] != "M" || fields[5] != "N" || fields[7] != "K" {
		return false
	}
	valid := r.valid
	if mode := fieldOf(fields, 8); mode != "" {
		if len(mode) != 1 {
			return false
		}
		valid = measured(mode[0])
	}
	if !valid {
		return true
	}
	return r.addNumber("course", fields[0], 1, 0) &&
		r.addNumber("magnetic_course", fields[2], 1, 0) &&
		r.addNumber("speed", fields[6], 1, 0)
}

// parseZDA: 0 time, 1 day, 2 month, 3 year; the time is UTC, whatever zone the
// last two fields name.
func parseZDA(r *report, fields []string) bool {
	if len(fields) < 4 {
		return false
	}
	if !r.valid || fields[0] == "" {
		return true
	}
	t, ok := clock(fields[0])
	day, ok1 := number(fields[1], 31)
	month, ok2 := number(fields[2], 12)
	year, ok3 := number(fields[3], 9999)
	if !ok || !ok1 || !ok2 || !ok3 || year < 1980 {
		return false
	}
	text, ok := moment(year, month, day, t)
	r.values["time"] = text
	return ok
}

// measured reports whether a mode indicator means a position that was measured:
// autonomous, differential, float RTK, precise or RTK. The others are estimated,
// manual, simulator and not valid.
func measured(mode byte) bool { return strings.IndexByte("ADFPR", mode) >= 0 }

func (r *report) setValid(valid bool) {
	r.valid = valid
	r.values["fix"] = valid
}

// addStatus adds whether there is a fix, from a status and a mode that may be
// missing.
func (r *report) addStatus(status, mode string) bool {
	if status != "A" && status != "V" || len(mode) > 1 {
		return false
	}
	r.setValid(status == "A" && (mode == "" || measured(mode[0])))
	return true
}

// addPosition adds latitude, N or S, longitude, E or W if there is a fix: then
// they have to be there.
func (r *report) addPosition(fields []string) bool {
	if !r.valid {
		return true
	}
	latitude, ok1 := angle(fields[0], fields[1], 2, 90, "N", "S")
	longitude, ok2 := angle(fields[2], fields[3], 3, 180, "E", "W")
	if !ok1 || !ok2 {
		return false
	}
	r.values["latitude"], r.values["longitude"] = latitude, longitude
	return true
}

// addNumber adds a number that is not negative, times n / 10^scale, if there is
// one.
func (r *report) addNumber(key, text string, n int64, scale int) bool {
	if text == "" {
		return true
	}
	v, ok := parseDecimal(text)
	if !ok || v.n < 0 {
		return false
	}
	r.values[key] = v.times(n, scale).float()
	return true
}

// addSigned adds a number of metres that may be below something, if there is one.
func (r *report) addSigned(key, text string) bool {
	if text == "" {
		return true
	}
	v, ok := parseDecimal(text)
	r.values[key] = v.float()
	return ok
}

func (r *report) addCount(key, text string) bool {
	if text == "" {
		return true
	}
	n, ok := number(text, 999)
	r.values[key] = int64(n)
	return ok
}
