package wmbus

// A function is what a value is of its time (EN 13757-3, table 6).
type function byte

const (
	instantaneous function = iota
	maximum
	minimum
	duringError
)

// Tables that a VIF is looked up in (EN 13757-3, 6.4).
const (
	tablePrimary = 0x00
	tableFB      = 0xFB
	tableFD      = 0xFD
	tableText    = 0xFC // the meter tells the unit in words
	tableMaker   = 0xFF
)

// maxExtensions is how many DIFE or VIFE there may be (EN 13757-3, 6.3.5 and 6.4.5).
const maxExtensions = 10

// A record is one value of a meter with all that is said of it.
type record struct {
	function function
	storage  int64 // 0: now; others: as of some day
	tariff   int
	unit     int // part of a meter that is several

	field  byte   // data field of the DIF: what data is
	table  byte   // of the VIF
	code   byte   // in the table
	vifes  []byte // without extension bits
	text   string // for tableText
	header []byte // DIF to VIFE as sent
	data   []byte
	length byte // LVAR, for data of variable length
}

// Data fields (EN 13757-3, table 4).
const (
	fieldNone     = 0x0
	fieldReal     = 0x5
	fieldInt48    = 0x6
	fieldInt64    = 0x7
	fieldReadout  = 0x8
	fieldBCD12    = 0xE
	fieldVariable = 0xD
	fieldSpecial  = 0xF
)

// DIFs of the special field (EN 13757-3, table 5).
const (
	difMaker     = 0x0F // the rest is the maker's
	difMakerMore = 0x1F // and there is more in the next telegram
	difIdle      = 0x2F
)

// readHeader reads DIF, DIFE, VIF and VIFE at the head of b. It returns how long they are,
// or 0 if they are not all there or not of the standard.
func (r *record) readHeader(b []byte) int {
	i := 0
	next := func() (byte, bool) {
		if i >= len(b) {
			return 0, false
		}
		i++
		return b[i-1], true
	}
	dif, ok := next()
	if !ok {
		return 0
	}
	r.field = dif & 0x0F
	r.function = function(dif >> 4 & 3)
	r.storage = int64(dif >> 6 & 1)
	more := dif&0x80 != 0
	for n := 0; more; n++ {
		dife, ok := next()
		if !ok || n >= maxExtensions {
			return 0
		}
		// A storage number has 41 bits; what is beyond 32 is nobody's.
		if n < 8 {
			r.storage |= int64(dife&0x0F) << (1 + 4*n)
		}
		r.tariff |= int(dife>>4&3) << (2 * n)
		r.unit |= int(dife>>6&1) << n
		more = dife&0x80 != 0
	}
	vif, ok := next()
	if !ok {
		return 0
	}
	more = vif&0x80 != 0
	switch vif {
	case 0xFB, 0xFD:
		code, ok := next()
		if !ok {
			return 0
		}
		r.table, r.code = vif, code&0x7F
		more = code&0x80 != 0
	default:
		r.table, r.code = tablePrimary, vif&0x7F
		switch r.code {
		case 0x7C:
			r.table = tableText
			length, ok := next()
			if !ok || i+int(length) > len(b) {
				return 0
			}
			r.text = reversedText(b[i : i+int(length)])
			i += int(length)
		case 0x7F:
			r.table = tableMaker
		}
	}
	for n := 0; more; n++ {
		vife, ok := next()
		if !ok || n >= maxExtensions {
			return 0
		}
		r.vifes = append(r.vifes, vife&0x7F)
		more = vife&0x80 != 0
	}
	r.header = b[:i]
	return i
}

// fieldLengths are how long the data of a field is; variable ones are not told.
var fieldLengths = [16]int{0, 1, 2, 3, 4, 4, 6, 8, 0, 1, 2, 3, 4, 0, 6, 0}

// readData reads the data at the head of b. It returns how long it is.
func (r *record) readData(b []byte) (int, bool) {
	n, before := fieldLengths[r.field], 0
	if r.field == fieldVariable {
		if len(b) == 0 {
			return 0, false
		}
		r.length, before = b[0], 1
		if n = variableLength(b[0]); n < 0 {
			return 0, false
		}
	}
	if len(b) < before+n {
		return 0, false
	}
	r.data = b[before : before+n]
	return before + n, true
}

// variableLength is how much data an LVAR announces (EN 13757-3, table 5).
func variableLength(lvar byte) int {
	switch {
	case lvar <= 0xBF:
		return int(lvar) // text
	case lvar <= 0xC9:
		return int(lvar - 0xC0) // BCD
	case 0xD0 <= lvar && lvar <= 0xD9:
		return int(lvar - 0xD0) // negative BCD
	case 0xE0 <= lvar && lvar <= 0xEF:
		return int(lvar - 0xE0) // binary
	case 0xF0 <= lvar && lvar <= 0xF4:
		return 4 * int(lvar-0xEC)
	case lvar == 0xF5:
		return 48
	case lvar == 0xF6:
		return 64
	}
	return -1
}

// contents are what a telegram says.
type contents struct {
	records []record
	maker   []byte // behind DIF 0F
	format  []byte // the headers of all records, as compact frames leave them out
}

// parse reads data records (EN 13757-3, 6). It reports whether they end where b does.
func parse(b []byte) (c contents, ok bool) {
	for len(b) > 0 {
		switch b[0] {
		case difIdle:
			b = b[1:]
			continue
		case difMaker, difMakerMore:
			c.format = append(c.format, b[0])
			c.maker = b[1:]
			return c, true
		}
		if b[0]&0x0F == fieldSpecial {
			return c, false
		}
		var r record
		n := r.readHeader(b)
		if n == 0 {
			return c, false
		}
		m, ok := r.readData(b[n:])
		if !ok {
			return c, false
		}
		b = b[n+m:]
		c.format = append(c.format, r.header...)
		c.records = append(c.records, r)
	}
	return c, true
}

// parseCompact reads the data of a compact frame, whose headers are in format
// (EN 13757-3, 7.3). full is the whole frame that it stands for.
func parseCompact(format, b []byte) (c contents, full []byte, ok bool) {
	for len(format) > 0 {
		if format[0] == difMaker || format[0] == difMakerMore {
			c.maker = b
			return c, append(append(full, format[0]), b...), len(format) == 1
		}
		var r record
		n := r.readHeader(format)
		if n == 0 {
			return c, nil, false
		}
		m, ok := r.readData(b)
		if !ok {
			return c, nil, false
		}
		full = append(append(full, r.header...), b[:m]...)
		format, b = format[n:], b[m:]
		c.records = append(c.records, r)
	}
	for _, filler := range b {
		if filler != difIdle {
			return c, nil, false
		}
	}
	return c, full, true
}
