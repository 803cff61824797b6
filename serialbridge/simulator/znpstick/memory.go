package znpstick

import (
	"encoding/binary"
	"slices"

	"lintel/serialbridge/zigbee"
)

func putU32(b []byte, v uint32)           { binary.LittleEndian.PutUint32(b, v) }
func u16(b []byte) uint16                 { return binary.LittleEndian.Uint16(b) }
func u32(b []byte) uint32                 { return binary.LittleEndian.Uint32(b) }
func getU64(b []byte) uint64              { return binary.LittleEndian.Uint64(b) }
func add16(b []byte, v uint16) []byte     { return binary.LittleEndian.AppendUint16(b, v) }
func add32(b []byte, v uint32) []byte     { return binary.LittleEndian.AppendUint32(b, v) }
func add64(b []byte, v uint64) []byte     { return binary.LittleEndian.AppendUint64(b, v) }
func addr(b []byte) zigbee.NetworkAddress { return zigbee.NetworkAddress(u16(b)) }
func ieee(b []byte) zigbee.IEEEAddress    { return zigbee.IEEEAddress(getU64(b)) }

// Items of the non-volatile memory, by the names that Z-Stack gives them.
const (
	nvExtAddr        = 0x0001
	nvStartupOption  = 0x0003
	nvNIB            = 0x0021
	nvAddrMgr        = 0x0023
	nvExtendedPANID  = 0x002d
	nvActiveKeyInfo  = 0x003a
	nvAltKeyInfo     = 0x003b
	nvUseExtPANID    = 0x0047
	nvLinkKeyTable   = 0x004c
	nvPrecfgKey      = 0x0062
	nvPrecfgEnable   = 0x0063
	nvSecMaterial    = 0x0075
	nvNwkKey         = 0x0082
	nvPANID          = 0x0083
	nvChanList       = 0x0084
	nvTCLKSeed       = 0x0101
	nvTCLKTable      = 0x0111
	nvLinkKeyData    = 0x0201
	exSystem         = 1
	exAddrMgr        = 1
	exTCLKTable      = 4
	exAPSKeyData     = 6
	exSecMaterial    = 7
	secMaterialCount = 5
)

type extendedKey struct{ item, sub uint16 }

// aligned says how the compiler of the firmware lays out structures.
func (s *Stick) aligned() bool {
	return s.options.Product == ZStack3x0 || s.options.Product == ZStack30x && s.options.Aligned
}

// capacity is how many devices the tables have room for.
func (s *Stick) capacity() int {
	switch {
	case s.options.Devices > 0:
		return s.options.Devices
	case s.options.Product == ZStack3x0:
		return 200
	}
	return 40
}

// blank is the memory of a stick that was just flashed.
func (s *Stick) blank() {
	s.nv = map[uint16][]byte{
		nvExtAddr:      add64(nil, uint64(s.options.IEEEAddress)),
		nvPrecfgKey:    make([]byte, 16),
		nvPrecfgEnable: {0},
		nvNwkKey:       make([]byte, 21),
	}
	if s.aligned() {
		s.nv[nvNwkKey] = make([]byte, 24)
	}
	s.extended = make(map[extendedKey][]byte)
	s.clearTables()
}

// startupOptions obeys what is to be forgotten at the next start.
func (s *Stick) startupOptions() {
	option := s.nv[nvStartupOption]
	if len(option) == 0 {
		return
	}
	if option[0]&1 != 0 { // configuration
		s.nv[nvPrecfgKey] = make([]byte, 16)
		for _, item := range []uint16{nvPANID, nvChanList, nvExtendedPANID, nvUseExtPANID, 0x87, 0x8f} {
			delete(s.nv, item)
		}
	}
	if option[0]&2 != 0 { // network
		for _, item := range []uint16{nvNIB, nvActiveKeyInfo, nvAltKeyInfo} {
			delete(s.nv, item)
		}
		s.clearTables()
	}
}

// layout is one of the structures in memory: the sizes of its fields.
type layout []int

var (
	addrMgrLayout  = layout{1, 2, 8}          // user, network address, IEEE address
	secLayout      = layout{2, 2, 1}          // index of address, key, authentication
	keyDataLayout  = layout{16, 4, 4}         // key, counters sent and received
	tclkLayout     = layout{4, 4, 8, 1, 1, 1} // counters sent and received, address, attributes, type, shift
	materialLayout = layout{4, 8}             // counter, extended PAN ID
)

// offsets returns where the fields are and how long the structure is. Fields of two and
// four bytes are at even places if the memory is aligned.
func (l layout) offsets(aligned bool) (at []int, size int) {
	for _, n := range l {
		if aligned && (n == 2 || n == 4) {
			size += size % 2
		}
		at = append(at, size)
		size += n
	}
	if aligned {
		size += size % 2
	}
	return at, size
}

// field returns a field of a structure.
func (s *Stick) field(l layout, b []byte, i int) []byte {
	at, _ := l.offsets(s.aligned())
	return b[at[i] : at[i]+l[i]]
}

func (s *Stick) size(l layout) int {
	_, n := l.offsets(s.aligned())
	return n
}

// clearTables makes all tables empty.
func (s *Stick) clearTables() {
	n := s.capacity()
	address := make([]byte, s.size(addrMgrLayout))
	for i := range address {
		address[i] = 0xff
	}
	s.field(addrMgrLayout, address, 0)[0] = 0
	copy(s.field(addrMgrLayout, address, 1), []byte{0xfe, 0xff})
	security := make([]byte, s.size(secLayout))
	copy(s.field(secLayout, security, 0), []byte{0xfe, 0xff})
	tables := s.tables()
	for i := range tables {
		t := &tables[i]
		entry, count := make([]byte, s.size(t.layout)), n
		switch t.item {
		case nvAddrMgr:
			entry = address
		case nvLinkKeyTable:
			entry, count = security, max(n/4, 8)
		case nvLinkKeyData:
			count = max(n/4, 8)
		case nvSecMaterial:
			count = secMaterialCount
		}
		for i := range count {
			s.setEntry(t, i, slices.Clone(entry), count)
		}
	}
}

// A table is where the firmware keeps a table: in one item (whole), in an item for
// each entry, or in the extended memory.
type table struct {
	layout
	item     uint16 // unless extended
	extended uint16 // 0: not
	whole    bool
	header   int
}

// tables returns the tables of the product. The order is that of the constants below.
func (s *Stick) tables() []table {
	t := []table{
		{layout: addrMgrLayout, item: nvAddrMgr, whole: true},
		{layout: secLayout, item: nvLinkKeyTable, whole: true, header: 2},
		{layout: keyDataLayout, item: nvLinkKeyData},
		{layout: tclkLayout, item: nvTCLKTable},
		{layout: materialLayout, item: nvSecMaterial},
	}
	switch s.options.Product {
	case ZStack3x0:
		t[tableAddr].extended, t[tableAddr].whole = exAddrMgr, false
		t[tableKeys].extended = exAPSKeyData
		t[tableTCLK].extended = exTCLKTable
		t[tableMaterial].extended = exSecMaterial
	case ZStack12:
		// Its keys are the network's and the one that all know.
		return t[:tableKeys]
	}
	return t
}

const (
	tableAddr = iota
	tableSecurity
	tableKeys
	tableTCLK
	tableMaterial
)

// entry returns an entry in place, nil if there is none of its length.
func (s *Stick) entry(t *table, i int) []byte {
	n := s.size(t.layout)
	var b []byte
	switch {
	case i < 0:
	case t.extended != 0:
		b = s.extended[extendedKey{t.extended, uint16(i)}]
	case t.whole:
		if at := t.header + i*n; at+n <= len(s.nv[t.item]) {
			b = s.nv[t.item][at : at+n]
		}
	default:
		b = s.nv[t.item+uint16(i)]
	}
	if len(b) != n {
		return nil
	}
	return b
}

func (s *Stick) setEntry(t *table, i int, value []byte, count int) {
	switch {
	case t.extended != 0:
		s.extended[extendedKey{t.extended, uint16(i)}] = value
	case t.whole:
		n := len(value)
		if len(s.nv[t.item]) != t.header+count*n {
			s.nv[t.item] = make([]byte, t.header+count*n)
		}
		copy(s.nv[t.item][t.header+i*n:], value)
	default:
		s.nv[t.item+uint16(i)] = value
	}
}
