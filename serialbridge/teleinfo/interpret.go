package teleinfo

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge"
)

// A report is the meter and what one frame says of it.
type report struct {
	device serialbridge.Device
	values map[string]any // by Property.Key
}

func (r *report) set(p serialbridge.Property, v any) {
	if _, again := r.values[p.Key]; !again {
		r.device.Properties = append(r.device.Properties, p)
	}
	r.values[p.Key] = v
}

// interpret returns what a frame says, or why it cannot be trusted.
func interpret(f *frame, definitions map[string]definition) (r report, reason string) {
	meter := cmp.Or(f.get("ADCO"), f.get("ADSC"))
	r = report{device: anonymous(), values: make(map[string]any)}
	if strings.Trim(meter, "0") != "" {
		if len(meter) != 12 || !digits(meter) {
			return report{}, serialbridge.DamagedSyntax
		}
		r.device = device(meter)
	}
	if v := f.get("VTIC"); v != "" {
		r.device.SWVersion = "TIC " + v
	}
	for _, g := range f.groups {
		if d, known := definitions[g.label]; known && !r.add(d, g) {
			return report{}, serialbridge.DamagedSyntax
		}
	}

	// What is told by groups that come and go. PTEC is in all frames of
	// historic mode but the short ones, which are sent while there is an
	// overload on three phases.
	if overload := f.has("ADPS", "ADIR1", "ADIR2", "ADIR3"); overload || f.has("PTEC") {
		r.set(overloaded, overload)
	}
	if f.has("EJPHN") {
		r.set(serialbridge.Flag("mobile_peak_notice", "Mobile peak notice", ""), f.has("PEJP"))
	}
	return r, ""
}

// overloaded is the same in both modes: ADPS and ADIR, or a bit of STGE.
var overloaded = serialbridge.Flag("overload", "Overload", "problem")

// add adds what a group says and reports whether it is of the form that the
// label has.
func (r *report) add(d definition, g group) bool {
	switch d.form {
	case number:
		if !digits(g.value) {
			return false
		}
		// The shift is made in the text, so that 27553175 Wh are exactly
		// 27553.175 kWh.
		n, err := strconv.ParseFloat(g.value+d.exponent, 64)
		if err != nil {
			return false
		}
		r.set(d.property, n)
		if d.stamped {
			p := d.property
			r.addTime(serialbridge.Moment(p.Key+"_time", "Time of "+strings.ToLower(p.Name[:1])+p.Name[1:]), g.time)
		}
	case integer:
		n, err := strconv.ParseInt(g.value, 10, 64)
		if err != nil || !digits(g.value) {
			return false
		}
		r.set(d.property, n)
	case text:
		r.set(d.property, strings.Join(strings.Fields(g.value), " "))
	case code:
		if strings.HasPrefix(g.value, "BBR") { // the rest is about a heater
			r.set(d.property, "Tempo")
			return true
		}
		if name, known := d.names[g.value]; known || d.property.Options == nil {
			r.set(d.property, cmp.Or(name, g.value))
		}
	case clock:
		r.addTime(d.property, g.time)
		return g.value == ""
	case status:
		return r.addStatus(g.value)
	case relays:
		n, err := strconv.ParseUint(g.value, 10, 8)
		if err != nil || !digits(g.value) {
			return false
		}
		// The first relay is the dry contact, the others are for devices
		// that listen (Enedis-NOI-CPT_54E).
		for i := range 8 {
			r.set(serialbridge.Flag(fmt.Sprintf("relay_%d", i+1), fmt.Sprintf("Relay %d", i+1), ""), n&(1<<i) != 0)
		}
	}
	return true
}

// addTime adds a time, unless the meter is not sure of it.
func (r *report) addTime(p serialbridge.Property, s string) {
	if t, ok := timestamp(s); ok {
		r.set(p, t)
	}
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 12
}

// timestamp turns SYYMMDDhhmmss into RFC 3339. S is E in summer and H in winter,
// in small letters if the clock is not sure.
func timestamp(s string) (string, bool) {
	var offset string
	switch {
	case strings.HasPrefix(s, "E"):
		offset = "+02:00"
	case strings.HasPrefix(s, "H"):
		offset = "+01:00"
	default:
		return "", false
	}
	t, err := time.Parse("060102150405Z07:00", s[1:]+offset)
	if err != nil {
		return "", false
	}
	// The layout's 06 means 1969 to 2068; there was no Linky before 2000.
	if t.Year() < 2000 {
		t = t.AddDate(100, 0, 0)
	}
	return t.Format(time.RFC3339), true
}
