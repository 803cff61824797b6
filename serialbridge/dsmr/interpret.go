package dsmr

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge"
)

// A report is a device and what one telegram says of it.
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

// fit is how well an object's values are of the form that is expected.
type fit byte

const (
	good  fit = iota // there is a value
	empty            // there is none, and none was meant
	odd              // of a form not known here, or a time that does not exist
	wrong            // no meter sends this
)

// interpret returns what a telegram says, the electricity meter first, or that
// it cannot be trusted.
func interpret(t *telegram, definitions map[string]definition) ([]report, bool) {
	meter := report{values: make(map[string]any)}
	channels := make(map[int][]object)
	seen := make(map[string]bool)
	for _, o := range t.objects {
		if !t.checked && seen[o.code] {
			return nil, false // two telegrams that lost what stood between them
		}
		seen[o.code] = true
		f := good
		if d, known := definitions[o.code]; known {
			f = meter.add(d, o.values)
		} else if n, ok := channel(o.code); ok {
			channels[n] = append(channels[n], o)
		} else {
			switch o.code {
			case "1-0:99.97.0":
				f = meter.addFailureLog(o.values)
			case "0-0:98.1.0":
				f = meter.addHistory(o.values, definitions)
			}
		}
		if !acceptable(f, t.checked) {
			return nil, false
		}
	}
	if !t.checked && !slices.ContainsFunc(meter.device.Properties, isEnergy) {
		return nil, false
	}

	id, serial := identity(t)
	meter.device.ID = id
	meter.device.SerialNumber = serial
	meter.device.Vendor, meter.device.Model = identification(t.header)
	meter.device.SWVersion = version(t)
	meter.device.Name = "Smart meter"
	if slices.ContainsFunc(meter.device.Properties, isEnergy) {
		meter.device.Name = "Electricity meter"
	}

	var reports []report
	if len(meter.values) > 0 {
		reports = append(reports, meter)
	}
	numbers := make([]int, 0, len(channels))
	for n := range channels {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		r, f := interpretChannel(channels[n])
		if !acceptable(f, t.checked) {
			return nil, false
		}
		if f != good {
			continue
		}
		r.device.Via = id
		if r.device.ID == "" {
			r.device.ID = id + "_mbus" + strconv.Itoa(n)
		}
		if slices.ContainsFunc(reports, func(q report) bool { return q.device.ID == r.device.ID }) {
			r.device.ID += "_" + strconv.Itoa(n) // one device with two registers
		}
		reports = append(reports, r)
	}
	return reports, true
}

func acceptable(f fit, checked bool) bool {
	return f == good || f == empty || f == odd && checked
}

func isEnergy(p serialbridge.Property) bool { return p.Class == "energy" }

// add adds what an object says.
func (r *report) add(d definition, values []string) fit {
	p := d.properties[0]
	v := values[len(values)-1]
	if v == "" && d.form != octets {
		return empty
	}
	switch d.form {
	case number:
		return r.addNumber(v, d.properties...)
	case stamped:
		f := r.addNumber(v, p)
		if f != good || len(values) < 2 {
			return f
		}
		return r.addTime(values[0], p.Key+"_time", "Time of "+strings.ToLower(p.Name[:1])+p.Name[1:])
	case counter:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || !digits(v) {
			return wrong
		}
		r.set(p, n)
	case indicator:
		if !digits(v) {
			return wrong
		}
		r.set(p, cmp.Or(strings.TrimLeft(v, "0"), "0"))
	case label:
		r.set(p, v)
	case octets:
		text, ok := hexText(v)
		if !ok {
			return odd
		}
		r.set(p, text)
	case clock:
		return r.addTime(v, p.Key, p.Name)
	case enumerated:
		n, err := strconv.Atoi(v)
		if err != nil || !digits(v) {
			return wrong
		}
		if n >= len(p.Options) {
			return odd
		}
		r.set(p, p.Options[n])
	}
	return good
}

// addNumber adds "value*unit" as the property among candidates that has a unit
// to which it converts.
func (r *report) addNumber(value string, candidates ...serialbridge.Property) fit {
	text, unit, _ := strings.Cut(value, "*")
	if !decimal(text) {
		return wrong
	}
	for _, p := range candidates {
		if n, ok := scale(text, unit, p.Unit); ok {
			r.set(p, n)
			return good
		}
	}
	return odd
}

func (r *report) addTime(value, key, name string) fit {
	t, ok := timestamp(value)
	if !ok {
		return odd
	}
	r.set(serialbridge.Moment(key, name), t)
	return good
}

// addFailureLog adds the latest entry of the log of long power failures:
// (count)(0-0:96.7.19) and then (end)(duration) for each (DSMR 5.0.2 P1).
func (r *report) addFailureLog(values []string) fit {
	if len(values) < 2 || len(values)%2 != 0 || values[1] != "0-0:96.7.19" {
		if len(values) == 1 && (values[0] == "" || values[0] == "0") {
			return empty
		}
		return odd
	}
	var end, duration string
	for i := 2; i < len(values); i += 2 {
		t, ok := timestamp(values[i])
		if !ok {
			return odd
		}
		// By the digits: the letter matters for one hour in the year.
		if end == "" || values[i] > end {
			end, duration = values[i], values[i+1]
			r.set(serialbridge.Moment("last_power_failure_end", "End of last long power failure"), t)
		}
	}
	if end == "" {
		return empty
	}
	return r.addNumber(duration, serialbridge.Number("last_power_failure_duration", "Duration of last long power failure", "s", "duration", 0).AsDiagnostic())
}

// addHistory adds the latest entry of the monthly history. Belgium sends
// (count)(1-0:1.6.0)(1-0:1.6.0) and then (end of month)(time of peak)(peak) for
// each month, E.ON Hungary one time and the registers of monthEnd.
func (r *report) addHistory(values []string, definitions map[string]definition) fit {
	codes := strings.Fields(monthEnd)
	switch {
	case len(values) == 1+len(codes):
		if f := r.addTime(values[0], "month_end_time", "Month end"); f != good {
			return f
		}
		for i, code := range codes {
			if f := r.addNumber(values[i+1], monthEndProperty(code, definitions)); f != good {
				return f
			}
		}
		return good
	case len(values) >= 6 && len(values)%3 == 0 && values[1] == "1-0:1.6.0":
		latest := 3
		for i := 6; i < len(values); i += 3 {
			if values[i] > values[latest] {
				latest = i
			}
		}
		peak := serialbridge.Measured("peak_demand_last_month", "Peak demand of last month", "kW", "power", 3)
		peak.StateClass = ""
		return r.add(definition{stamped, []serialbridge.Property{peak}}, values[latest+1:latest+3])
	}
	return odd
}

// channel returns n of a code 0-n:… that belongs to an M-Bus channel.
func channel(code string) (int, bool) {
	rest, ok := strings.CutPrefix(code, "0-")
	if !ok {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(number)
	return n, err == nil && n > 0
}

// interpretChannel returns what a meter on the M-Bus says; its device has no ID
// if it does not tell one. A channel without a value, or with a time that
// cannot be, has no meter: some electricity meters fill it with 63-25-25.
func interpretChannel(objects []object) (report, fit) {
	r := report{values: make(map[string]any)}
	deviceType := 0
	for _, o := range objects {
		_, suffix, _ := strings.Cut(o.code, ":")
		v := o.values[0]
		switch suffix {
		case "24.1.0":
			n, err := strconv.Atoi(v)
			if v != "" && (err != nil || !digits(v)) {
				return r, wrong
			}
			deviceType = n
		case "96.1.0", "96.1.1":
			if id := equipment(v); id != "" && r.device.ID == "" {
				r.device.ID = deviceID(id)
				r.device.SerialNumber = id
			}
		}
	}
	r.device.Name = mbusName(deviceType)

	var others []object
	for _, o := range objects {
		_, suffix, _ := strings.Cut(o.code, ":")
		switch suffix {
		case "24.2.1", "24.2.3", "24.3.0":
			if f := r.addChannelValue(suffix, o.values, deviceType); f == wrong || f == odd {
				return r, f
			}
		case "24.4.0":
			others = append(others, o)
		}
	}
	if len(r.values) == 0 {
		return r, empty
	}
	valve := definition{enumerated, []serialbridge.Property{serialbridge.OneOf("valve", "Valve", breakerStates()...).AsDiagnostic()}}
	for _, o := range others {
		if f := r.add(valve, o.values); f == wrong {
			return r, f
		}
	}
	return r, good
}

// addChannelValue adds the reading of a meter on the M-Bus:
//
//	24.2.1(time)(value*unit)                      DSMR 4 and later
//	24.2.3(time)(value*unit)                      Belgium: gas not converted to 0 °C
//	24.3.0(time)(status)(60)(1)(code)(unit)(value)  DSMR 2.2 and 3
func (r *report) addChannelValue(suffix string, values []string, deviceType int) fit {
	v := values[len(values)-1]
	if v == "" || len(values) < 2 {
		return empty
	}
	if suffix == "24.3.0" {
		if len(values) != 7 {
			return empty // no value, or several in an order that is not known
		}
		if strings.Contains(v, "*") {
			return wrong
		}
		v += "*" + values[5]
	} else if len(values) != 2 {
		return odd
	}
	text, unit, _ := strings.Cut(v, "*")
	if !decimal(text) {
		return wrong
	}
	t, timeOK := timestamp(values[0])
	if !timeOK && !withoutOffset(values[0]) {
		return empty
	}
	p, ok := mbusProperty(deviceType, unit)
	if !ok {
		return odd
	}
	if suffix == "24.2.3" && p.Key == "gas" {
		p.Key, p.Name = "gas_uncorrected", "Gas (not temperature-corrected)"
	}
	n, ok := scale(text, cmp.Or(unit, strings.Replace(p.Unit, "³", "3", 1)), p.Unit)
	if !ok {
		return odd
	}
	r.set(p, n)
	if timeOK {
		r.set(serialbridge.Moment("time", "Time of reading"), t)
	}
	return good
}

// withoutOffset reports whether s is a time as DSMR 2.2 and 3 write it.
func withoutOffset(s string) bool {
	_, ok := timestamp(s + "W")
	return ok
}
