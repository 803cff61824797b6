package wmbus

import (
	"encoding/binary"

	"lintel/serialbridge"
)

// What makers do besides or in place of the standard. The forms are facts of the
// open decoders of these meters (wmbusmeters, FHEM).

// fixed reads telegrams that hold no records but a form of their maker. It reports
// whether it knows the form.
func fixed(t *telegram) (*reading, bool) {
	switch b := t.payload; {
	case t.scramble == diehlPRIOS || t.scramble == diehlSappel:
		return izar(t.raw, t.meter)
	case t.meter.isOf("TCH") && 0xA0 <= t.ci && t.ci <= 0xA2:
		return techem(b, t.meter)
	case t.meter.isOf("APT") && t.ci == 0xA0 && len(b) >= 4:
		// AT-WMBUS-08: thirds of a litre, of water whatever the type says.
		n := int64(binary.LittleEndian.Uint32(b))
		r := &reading{model: "Water meter"}
		r.number(volumeOf(water, -3), (2*n+3)/6, -3)
		return r, true
	case isRFMTX1(t):
		return rfmTX1(t.raw)
	}
	return nil, false
}

// techem reads the forms of Techem's meters: the value at the last set day and what
// came since, each in a number of two bytes.
func techem(b []byte, a address) (*reading, bool) {
	if len(b) < 9 {
		return nil, false
	}
	before := int64(binary.LittleEndian.Uint16(b[3:]))
	since := int64(binary.LittleEndian.Uint16(b[7:]))
	r := new(reading)
	// Five bits of day, four of month, six of year.
	setDate := binary.LittleEndian.Uint16(b[1:])
	setDay, setMonth, setYear := byte(setDate)&0x1F, byte(setDate>>5)&0x0F, byte(setDate>>9)&0x3F
	setOn, set := date(setDay|setYear<<5, setMonth|setYear>>3<<4, 0)
	if set {
		r.text(diagnosticText("set_date", "Set date", "date"), setOn)
	}
	amounts := func(p serialbridge.Property, exp int) {
		p.Precision = decimals(exp)
		r.number(p, before+since, exp)
		r.number(history(p, "set_date", "at set date"), before, exp)
		p.StateClass = "total_increasing"
		p.Key += "_since"
		p.Name += " since set date"
		r.number(p, since, exp)
	}
	switch a.kind {
	case 0x62, 0x72: // MK Radio 3 and 4
		amounts(volumeOf(water, -1), -1)
	case 0x04, 0x43, 0x45, 0xC3:
		if a.version == 0x27 { // Vario 4, 4.5.1
			amounts(serialbridge.Counted("energy", "Energy", "MJ", "energy", 0), 0)
		} else { // Compact V
			amounts(serialbridge.Counted("energy", "Energy", "kWh", "energy", 0), 0)
		}
	case 0x80: // FHKV data III: the room and the radiator too
		r.number(heatUnits(), since, 0)
		r.number(history(heatUnits(), "set_date", "at set date"), before, 0)
		at := 9
		if a.version == 0x94 {
			at = 10
		}
		if a.version != 0x94 && a.version != 0x69 || len(b) < at+4 {
			return r, true
		}
		for i, p := range []serialbridge.Property{
			serialbridge.Measured("room_temperature", "Room temperature", "°C", "temperature", 0),
			serialbridge.Measured("radiator_temperature", "Radiator temperature", "°C", "temperature", 0),
		} {
			p.Precision = 1
			r.number(p, int64(binary.LittleEndian.Uint16(b[at+2*i:])), -2)
		}
		// Day and month of now: the first behind the set day.
		day, month, year := (b[5]>>4|b[6]<<4)&0x1F, b[6]>>1&0x0F, setYear
		if month < setMonth || month == setMonth && day <= setDay {
			year++
		}
		if d, ok := date(day|year<<5, month|year>>3<<4, 0); ok && set {
			r.text(diagnosticText("date", "Date", "date"), d)
		}
	case 0xF0: // smoke detector
		r.set(smokeProperty(), b[0]&0x01 != 0)
	default:
		return nil, false
	}
	return r, true
}

func smokeProperty() serialbridge.Property {
	return serialbridge.Flag("smoke", "Smoke", "smoke")
}

// isRFMTX1 reports whether a telegram is of the first form of BMeters' RFM-TX1, which
// has a configuration field of its own.
func isRFMTX1(t *telegram) bool {
	return t.meter.isOf("BMT") && t.meter.kind == 0x07 && t.meter.version == 0x05 && t.ci == ciShort &&
		len(t.raw) >= 33 && t.raw[linkLayer] == ciShort && t.raw[12] == 0x06 && t.raw[13] == 0x10
}

// rfmTX1 reads the first form of BMeters' RFM-TX1: the volume is hidden behind a
// byte that chooses one of sixteen masks; the time is in clear.
func rfmTX1(b []byte) (*reading, bool) {
	masks := [16][4]byte{
		{122, 16, 26, 10}, {112, 19, 34, 19}, {185, 11, 142, 153}, {121, 7, 74, 22},
		{7, 154, 203, 105}, {50, 161, 57, 14}, {156, 126, 96, 153}, {180, 196, 128, 163},
		{10, 206, 25, 3}, {240, 5, 165, 134}, {22, 152, 17, 94}, {12, 201, 125, 162},
		{74, 72, 228, 31}, {119, 46, 138, 232}, {189, 120, 87, 140}, {57, 111, 40, 5},
	}
	choice := b[10]
	var volume [4]byte
	for i := range volume {
		volume[i] = b[16+i] ^ choice ^ masks[choice&0x0F][i]
	}
	n, ok := bcd(volume[:])
	if !ok || n < 0 {
		return nil, false
	}
	r := new(reading)
	r.number(volumeOf(water, -3), n, -3)
	// Second, minute, hour, day, month and year in BCD.
	var clock [6]byte
	for i, c := range b[27:33] {
		v, ok := bcd([]byte{c})
		if !ok || v < 0 {
			return r, true
		}
		clock[i] = byte(v)
	}
	year := clock[5]
	if s, ok := dateTime([]byte{clock[0], clock[1], clock[2], clock[3] | year<<5, clock[4] | year>>3<<4, 0}); ok {
		r.text(diagnosticText("time", "Time", ""), s)
	}
	return r, true
}

// hydrodigit reads what BMeters' Hydrodigit sends behind its records: the battery,
// water that ran backward and the counter at the end of each month.
func (r *reading) hydrodigit(b []byte) {
	if len(b) < 2 || b[0] != 0x15 && b[0] != 0x95 {
		return
	}
	voltages := [16]int64{370, 190, 210, 220, 230, 240, 250, 265, 280, 290, 305, 320, 335, 350, 370, 370}
	r.number(serialbridge.Number("battery_voltage", "Battery voltage", "V", "voltage", 2).AsDiagnostic(), voltages[b[1]&0x0F], -2)
	leak := b[0] == 0x95
	b = b[2:]
	if leak {
		if len(b) < 3 {
			return
		}
		var clock [3]byte
		for i := range clock {
			v, _ := bcd(b[i : i+1])
			clock[i] = byte(max(v, 0))
		}
		if d, ok := date(clock[2]|clock[0]<<5, clock[1]|clock[0]>>3<<4, 0); ok {
			r.text(diagnosticText("leak_date", "Date of leak", "date"), d)
		}
		b = b[3:]
	}
	if len(b) < 4 {
		return
	}
	backward := volumeOf(water, -3)
	backward.Key += "_backward"
	backward.Name += ", backward"
	r.number(backward, int64(binary.LittleEndian.Uint32(b)), -3)
	b = b[4:]
	for _, month := range [12]string{"January", "February", "March", "April", "May", "June",
		"July", "August", "September", "October", "November", "December"} {
		if len(b) < 3 {
			return
		}
		n := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
		b = b[3:]
		p := history(volumeOf(water, -2), lower(month), "end of "+month)
		if n >= 100_000_00 {
			r.set(p, nil) // the meter was not there yet
			continue
		}
		r.number(p, n, -2)
	}
}

// makersRecord adds a record that means something else with this maker, or something
// at all. It reports whether it did.
func (r *reading) makersRecord(rec *record, a address) bool {
	bits, ok := rec.bits()
	if !ok {
		return false
	}
	header := string(rec.header)
	switch {
	case a.isOf("LAS") && a.kind == 0x1A && header == "\x02\xFD\x97\x1D":
		// Lansen's smoke detector.
		r.set(smokeProperty(), bits&0x04 != 0)
		return false // and show the bits
	case a.isOf("APA") && header == "\x04\x7F":
		// Apator's ELF: bits of errors.
		s, _ := rec.words()
		r.text(diagnosticText("error_flags", "Error flags", ""), s)
		r.flag("error", "Error", "problem", bits != 0)
		return true
	case a.isOf("AXI") && header == "\x01\xFD\x74" && bits <= 100:
		// Axioma: the battery in percent and not in days.
		p := serialbridge.Number("battery", "Battery", "%", "battery", 0).AsDiagnostic()
		p.StateClass = "measurement"
		r.number(p, int64(bits), 0)
		return true
	case a.isOf("KAM", "KAW") && header == "\x02\xFF\x20":
		// Kamstrup's information codes.
		s, _ := rec.words()
		r.text(diagnosticText("info_codes", "Information codes", ""), s)
		if a.medium() == water {
			r.flag("dry", "Dry", "problem", bits&0x01 != 0)
			r.flag("reverse_flow", "Reverse flow", "problem", bits&0x02 != 0)
			r.flag("leak", "Leak", "problem", bits&0x04 != 0)
			r.flag("burst", "Burst", "problem", bits&0x08 != 0)
		}
		return true
	}
	return false
}
