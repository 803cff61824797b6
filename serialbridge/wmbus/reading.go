package wmbus

import (
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge"
)

const (
	// maxProperties bounds what one device may have. Home Assistant makes an
	// entity of each.
	maxProperties = 128
	// maxHistory bounds the values of the past among them.
	maxHistory = 64
	// maxProfile bounds the values of one compact profile.
	maxProfile = 24
)

// A reading is what a telegram says of its meter.
type reading struct {
	properties []serialbridge.Property
	values     map[string]any // nil: the meter says that it does not know
	past       int            // values of the past
	model      string         // what the meter is, where the maker's letters tell more
}

// set adds a value. If there is one of that key already, it is another of the same
// kind: heat and cooling meters send two energies.
func (r *reading) set(p serialbridge.Property, v any) {
	base, name := p.Key, p.Name
	for i := 2; ; i++ {
		if _, taken := r.values[p.Key]; !taken {
			break
		}
		p.Key = base + "_" + strconv.Itoa(i)
		p.Name = name + " (" + strconv.Itoa(i) + ")"
	}
	if len(p.Key) > 64 || len(r.properties) >= maxProperties {
		return
	}
	if r.values == nil {
		r.values = make(map[string]any)
	}
	r.properties = append(r.properties, p)
	r.values[p.Key] = v
}

// number adds n times ten to the power of exp.
func (r *reading) number(p serialbridge.Property, n int64, exp int) {
	if v, ok := scaled(n, exp); ok {
		r.set(p, v)
	}
}

func (r *reading) text(p serialbridge.Property, s string) { r.set(p, s) }

// flag adds a yes or no about the meter itself.
func (r *reading) flag(key, name, class string, v bool) {
	r.set(serialbridge.Flag(key, name, class).AsDiagnostic(), v)
}

// modifiers are what the VIFE make of a quantity.
type modifiers struct {
	keys, names []string
	exp         int
	unknown     bool // the meter says that it does not know the value
	standard    bool // bits have the meaning that the standard gives them
	profile     byte // a VIFE of compactProfiles
}

// VIFE (EN 13757-3, tables 15 to 17).
const (
	vifeNoData       = 0x15
	vifeOverflow     = 0x16
	vifeUnderflow    = 0x17
	vifeDataError    = 0x18
	vifeStandard     = 0x1D // standard conform data content
	vifeProfile      = 0x1E // compact profile with registers
	vifePlainProfile = 0x1F // compact profile
	vifeUncorrected  = 0x3A
	vifeForward      = 0x3B // only positive contributions
	vifeBackward     = 0x3C // only negative contributions
	vifeBase         = 0x3E // at base conditions
	vifeFactor       = 0x70 // 10 to the power of the low three bits less 6
	vifeTable        = 0x7C // a code of the extended table follows
	vifeThousand     = 0x7D
	vifeFuture       = 0x7E
)

// phases of table 17.
var phases = map[byte][2]string{
	0x01: {"l1", "L1"}, 0x02: {"l2", "L2"}, 0x03: {"l3", "L3"}, 0x04: {"n", "N"},
	0x05: {"l1_l2", "L1 to L2"}, 0x06: {"l2_l3", "L2 to L3"}, 0x07: {"l3_l1", "L3 to L1"},
}

// modify reads VIFE. It reports whether all are known: one that is not may change
// the meaning altogether, as "upper limit of" does.
func modify(vifes []byte, m medium) (o modifiers, ok bool) {
	add := func(key, name string) {
		o.keys = append(o.keys, key)
		o.names = append(o.names, name)
	}
	for i := 0; i < len(vifes); i++ {
		switch v := vifes[i]; {
		case v == 0:
		case v >= vifeNoData && v <= vifeDataError:
			o.unknown = true
		case v == vifeStandard:
			o.standard = true
		case v == vifeProfile || v == vifePlainProfile:
			o.profile = v
		case v == vifeUncorrected:
			add("uncorrected", "not corrected")
		case v == vifeForward:
			add("forward", "forward")
		case v == vifeBackward && m == electricity:
			add("export", "export")
		case v == vifeBackward:
			add("backward", "backward")
		case v == vifeBase:
			add("base", "base conditions")
		case v&0x78 == vifeFactor:
			o.exp += int(v&7) - 6
		case v == vifeThousand:
			o.exp += 3
		case v == vifeFuture:
			add("future", "future")
		case v == vifeTable && i+1 < len(vifes):
			i++
			p, known := phases[vifes[i]]
			if !known {
				return o, false
			}
			add(p[0], p[1])
		default:
			return o, false
		}
	}
	return o, true
}

// add adds what a record says, if it is known. all are the records of the telegram.
func (r *reading) add(rec *record, all []record, m medium) {
	q, ok := quantityOf(rec, m)
	if !ok {
		return
	}
	o, ok := modify(rec.vifes, m)
	if !ok {
		return
	}
	q.exp += o.exp
	p := q.property
	if q.form == number && o.exp != 0 {
		p.Precision = decimals(q.exp)
	}
	switch rec.function {
	case maximum:
		p.Key, p.Name, p.StateClass = "max_"+p.Key, "Maximum "+lower(p.Name), ""
	case minimum:
		p.Key, p.Name, p.StateClass = "min_"+p.Key, "Minimum "+lower(p.Name), ""
	case duringError:
		p.Key, p.Name, p.StateClass = "error_"+p.Key, p.Name+" at error", ""
	}
	for i, key := range o.keys {
		p.Key += "_" + key
		p.Name += ", " + o.names[i]
	}
	if slices.Contains(o.keys, "future") {
		p.StateClass = ""
	}
	if rec.tariff > 0 {
		n := strconv.Itoa(rec.tariff)
		p.Key += "_tariff_" + n
		p.Name += ", tariff " + n
	}
	if rec.unit > 0 {
		n := strconv.Itoa(rec.unit)
		p.Key += "_unit_" + n
		p.Name += ", unit " + n
	}
	if rec.storage > 0 {
		if r.past >= maxHistory {
			return
		}
		r.past++
		n := strconv.FormatInt(rec.storage, 10)
		p = history(p, "storage_"+n, "storage "+n)
	}
	if o.profile != 0 {
		r.addProfile(rec, all, p, q)
		return
	}
	r.addValue(rec, p, q, &o)
}

// addValue adds the value of a record as p.
func (r *reading) addValue(rec *record, p serialbridge.Property, q quantity, o *modifiers) {
	var v any
	known := false
	switch q.form {
	case number:
		v, known = rec.float(q.exp)
	case counter:
		// Counters use all their bits: FF is 255.
		n, ok := rec.bits()
		count := int64(n)
		if rec.field >= 9 {
			count, ok = rec.integer()
		}
		v, known = count, ok && count >= 0
	case days:
		var s string
		if s, known = dateG(rec.data); known && strings.HasPrefix(s, "--") {
			p.Key, p.Name, p.Class = p.Key+"_yearly", p.Name+", each year", ""
		}
		v = s
	case clock:
		v, known = dateTime(rec.data)
	case words:
		v, known = rec.words()
	case flags:
		v, known = rec.words()
		n, ok := rec.bits()
		if ok && rec.code == 0x17 && rec.storage == 0 && rec.function == instantaneous && !o.standard {
			r.flag("error", "Error", "problem", n != 0)
		}
	}
	if !known || o.unknown {
		v = nil
	}
	r.set(p, v)
}

// The first byte of a compact profile: how values follow from each other, in what
// their distance is counted, and the data field of each. The second is the distance.
const (
	profileModes      = 0xC0
	profileAbsolute   = 0x00
	profileIncrements = 0x40
	profileDays       = 0x30 // bits of the unit: days or months
	profileMonth      = 0xFE // a distance
)

// addProfile adds the values of a compact profile (EN 13757-3, annex F). They follow,
// the oldest first, on the value that has the same storage number.
func (r *reading) addProfile(rec *record, all []record, p serialbridge.Property, q quantity) {
	if rec.field != fieldVariable || len(rec.data) < 2 || q.form != number {
		return
	}
	control, distance := rec.data[0], rec.data[1]
	field := control & 0x0F
	size := fieldLengths[field]
	if size == 0 || field == fieldReal {
		return
	}
	var last int64
	switch control & profileModes {
	case profileAbsolute:
	case profileIncrements:
		i := slices.IndexFunc(all, func(base record) bool {
			return base.storage == rec.storage && base.tariff == rec.tariff && base.unit == rec.unit &&
				base.function == rec.function && base.table == rec.table && base.code == rec.code && len(base.vifes) == len(rec.vifes)-1
		})
		if i < 0 {
			return
		}
		var ok bool
		if last, ok = all[i].integer(); !ok {
			return
		}
	default:
		return // differences with a sign, which no meter known here sends
	}
	key, name := "value_", "value "
	if control&profileDays == profileDays && distance == profileMonth {
		key, name = "month_", "month "
	}
	for i, b := 1, rec.data[2:]; len(b) >= size && i <= maxProfile && r.past < maxHistory; i++ {
		value := record{field: field, data: b[:size]}
		b = b[size:]
		n, ok := value.integer()
		if control&profileModes == profileIncrements {
			step, known := value.bits()
			if ok = known && step < 1<<48; field < 9 {
				n = int64(step)
			}
			if !ok || n < 0 {
				return
			}
			last += n
			n = last
		}
		if !ok {
			continue // the meter was not there yet
		}
		r.past++
		r.number(history(p, key+strconv.Itoa(i), name+strconv.Itoa(i)), n, q.exp)
	}
}

func lower(name string) string { return strings.ToLower(name[:1]) + name[1:] }

// addStatus adds the status of a header (EN 13757-7, 7.5.6).
func (r *reading) addStatus(status byte) {
	var say []string
	switch status & 3 {
	case 1:
		say = append(say, "busy")
	case 2:
		say = append(say, "application error")
	case 3:
		say = append(say, "abnormal condition")
	}
	for _, s := range []struct {
		bit  byte
		text string
	}{
		{0x04, "low power"},
		{0x08, "permanent error"},
		{0x10, "temporary error"},
		{0x20, "maker's alarm 1"},
		{0x40, "maker's alarm 2"},
		{0x80, "maker's alarm 3"},
	} {
		if status&s.bit != 0 {
			say = append(say, s.text)
		}
	}
	text := "OK"
	if len(say) > 0 {
		text = strings.Join(say, ", ")
	}
	r.text(diagnosticText("status", "Status", ""), text)
	r.flag("battery_low", "Battery low", "battery", status&0x04 != 0)
	r.flag("problem", "Problem", "problem", status&0x03 > 1 || status&0x18 != 0)
}
