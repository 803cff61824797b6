package znpstick

import (
	"fmt"
	"time"
)

// Statuses.
const (
	ok          = 0x00
	failure     = 0x01
	badParam    = 0x02
	newItem     = 0x09
	failed      = 0x0a
	badLength   = 0x0c
	bufferFull  = 0x11
	channelBusy = 0xe1
	noAck       = 0xe9
	noRoute     = 0xcd
	expired     = 0xf0
)

// A handler obeys a command. It has data of at least that length.
type handler struct {
	name  string
	least int
	do    func(*Stick, request)
}

// commands are those that the firmware knows, by subsystem and identifier. Names and
// parameters: zigbee-herdsman's definition of the API (MIT).
var commands = map[[2]byte]handler{
	{0x01, 0x00}: {"SYS resetReq", 1, (*Stick).sysReset},
	{0x01, 0x01}: {"SYS ping", 0, func(s *Stick, r request) { s.answer(r, 0x79, 0x07) }},
	{0x01, 0x02}: {"SYS version", 0, func(s *Stick, r request) { s.answer(r, s.version[:]...) }},
	{0x01, 0x04}: {"SYS getExtAddr", 0, func(s *Stick, r request) { s.answer(r, add64(nil, uint64(s.address))...) }},
	{0x01, 0x07}: {"SYS osalNvItemInit", 5, (*Stick).nvInit},
	{0x01, 0x08}: {"SYS osalNvRead", 3, func(s *Stick, r request) { s.nvRead(r, int(r.data[2])) }},
	{0x01, 0x09}: {"SYS osalNvWrite", 4, func(s *Stick, r request) { s.nvWrite(r, int(r.data[2]), int(r.data[3]), 4) }},
	{0x01, 0x0c}: {"SYS random", 0, func(s *Stick, r request) { s.answer(r, byte(s.random.Uint32()), byte(s.random.Uint32())) }},
	{0x01, 0x0f}: {"SYS stackTune", 2, func(s *Stick, r request) { s.answer(r, r.data[1]) }},
	{0x01, 0x12}: {"SYS osalNvDelete", 4, (*Stick).nvDelete},
	{0x01, 0x13}: {"SYS osalNvLength", 2, func(s *Stick, r request) { s.answer(r, add16(nil, uint16(len(s.nv[u16(r.data)])))...) }},
	{0x01, 0x14}: {"SYS setTxPower", 1, func(s *Stick, r request) { s.answer(r, r.data[0]) }},
	{0x01, 0x1c}: {"SYS osalNvReadExt", 4, func(s *Stick, r request) { s.nvRead(r, int(u16(r.data[2:]))) }},
	{0x01, 0x1d}: {"SYS osalNvWriteExt", 6, func(s *Stick, r request) { s.nvWrite(r, int(u16(r.data[2:])), int(u16(r.data[4:])), 6) }},
	{0x01, 0x30}: {"SYS nvCreate", 9, (*Stick).exCreate},
	{0x01, 0x31}: {"SYS nvDelete", 5, (*Stick).exDelete},
	{0x01, 0x32}: {"SYS nvLength", 5, func(s *Stick, r request) { s.answer(r, byte(len(s.extended[exKey(r)]))) }},
	{0x01, 0x33}: {"SYS nvRead", 8, (*Stick).exRead},
	{0x01, 0x34}: {"SYS nvWrite", 8, (*Stick).exWrite},

	{0x04, 0x00}: {"AF register", 9, (*Stick).afRegister},
	{0x04, 0x01}: {"AF dataRequest", 10, (*Stick).afData},
	{0x04, 0x02}: {"AF dataRequestExt", 20, (*Stick).afDataExt},
	{0x04, 0x04}: {"AF delete", 1, (*Stick).afDelete},
	{0x04, 0x12}: {"AF dataRetrieve", 7, (*Stick).afRetrieve},

	{0x05, 0x00}: {"ZDO nwkAddrReq", 10, func(s *Stick, r request) { s.zdoTo(r, 0xfffd, 0x0000, r.data) }},
	{0x05, 0x01}: {"ZDO ieeeAddrReq", 4, func(s *Stick, r request) { s.zdoTo(r, addr(r.data), 0x0001, r.data) }},
	{0x05, 0x02}: {"ZDO nodeDescReq", 4, zdo(0x0002)},
	{0x05, 0x03}: {"ZDO powerDescReq", 4, zdo(0x0003)},
	{0x05, 0x04}: {"ZDO simpleDescReq", 5, zdo(0x0004)},
	{0x05, 0x05}: {"ZDO activeEpReq", 4, zdo(0x0005)},
	{0x05, 0x06}: {"ZDO matchDescReq", 8, zdo(0x0006)},
	{0x05, 0x0a}: {"ZDO endDeviceAnnce", 11, func(s *Stick, r request) { s.zdoTo(r, 0xfffd, 0x0013, r.data) }},
	{0x05, 0x21}: {"ZDO bindReq", 23, (*Stick).zdoBind},
	{0x05, 0x22}: {"ZDO unbindReq", 23, (*Stick).zdoBind},
	{0x05, 0x31}: {"ZDO mgmtLqiReq", 3, zdo(0x0031)},
	{0x05, 0x32}: {"ZDO mgmtRtgReq", 3, zdo(0x0032)},
	{0x05, 0x33}: {"ZDO mgmtBindReq", 3, zdo(0x0033)},
	{0x05, 0x34}: {"ZDO mgmtLeaveReq", 11, zdo(0x0034)},
	{0x05, 0x36}: {"ZDO mgmtPermitJoinReq", 5, (*Stick).zdoPermitJoin},
	{0x05, 0x37}: {"ZDO mgmtNwkUpdateReq", 11, (*Stick).zdoUpdate},
	{0x05, 0x40}: {"ZDO startupFromApp", 2, (*Stick).zdoStartup},
	{0x05, 0x45}: {"ZDO extRouteDisc", 4, func(s *Stick, r request) { s.answer(r, ok) }},
	{0x05, 0x47}: {"ZDO extRemoveGroup", 3, func(s *Stick, r request) { delete(s.groups, memberOf(r)); s.answer(r, ok) }},
	{0x05, 0x4a}: {"ZDO extFindGroup", 3, (*Stick).zdoFindGroup},
	{0x05, 0x4b}: {"ZDO extAddGroup", 3, func(s *Stick, r request) { s.groups[memberOf(r)] = true; s.answer(r, ok) }},
	{0x05, 0x50}: {"ZDO extNwkInfo", 0, (*Stick).zdoNetworkInfo},

	{0x06, 0x04}: {"SAPI readConfiguration", 1, (*Stick).sapiRead},
	{0x06, 0x05}: {"SAPI writeConfiguration", 2, (*Stick).sapiWrite},

	{0x07, 0x00}: {"UTIL getDeviceInfo", 0, (*Stick).utilDeviceInfo},
	{0x07, 0x0a}: {"UTIL ledControl", 2, func(s *Stick, r request) { s.answer(r, ok) }},
	{0x07, 0x40}: {"UTIL addrmgrExtAddrLookup", 8, (*Stick).utilByIEEE},
	{0x07, 0x41}: {"UTIL addrmgrNwkAddrLookup", 2, (*Stick).utilByAddress},
	{0x07, 0x4a}: {"UTIL assocGetWithAddress", 10, (*Stick).utilAssocGet},
	{0x07, 0x63}: {"UTIL assocRemove", 8, (*Stick).utilAssocRemove},
	{0x07, 0x64}: {"UTIL assocAdd", 11, (*Stick).utilAssocAdd},

	{0x0f, 0x04}: {"APP_CNF bdbAddInstallCode", 9, (*Stick).addInstallCode},
	{0x0f, 0x05}: {"APP_CNF bdbStartCommissioning", 1, (*Stick).commission},
	{0x0f, 0x08}: {"APP_CNF bdbSetChannel", 5, (*Stick).setChannel},
	{0x0f, 0x09}: {"APP_CNF bdbSetTcRequireKeyExchange", 1, func(s *Stick, r request) { s.answer(r, ok) }},
}

// zdo makes the handler of a request that is in the air what is behind the address of
// who is asked.
func zdo(cluster uint16) func(*Stick, request) {
	return func(s *Stick, r request) { s.zdoTo(r, addr(r.data), cluster, r.data[2:]) }
}

// Reasons for which a command is refused.
const (
	noCommand = 2
	noLength  = 4
)

// handle obeys a command. s is locked.
func (s *Stick) handle(r request) {
	h, known := s.known(r)
	switch {
	case !known:
		name := fmt.Sprintf("%02x/%02x", r.subsystem, r.id)
		s.unhandled[name]++
		s.logger.Warn("a command that the simulated stick does not know", "command", name, "data", fmt.Sprintf("%x", r.data))
		s.refuse(r, noCommand)
	case len(r.data) < h.least:
		s.refuse(r, noLength)
	default:
		s.logger.Debug("command", "name", h.name, "data", fmt.Sprintf("%x", r.data))
		s.handled[h.name]++
		h.do(s, r)
	}
}

// known returns the handler of a command that this firmware has.
func (s *Stick) known(r request) (handler, bool) {
	h, known := commands[[2]byte{r.subsystem, r.id}]
	switch {
	case !known, r.kind != kindSREQ && r.kind != kindAREQ:
		return h, false
	case s.options.Product != ZStack3x0 && r.subsystem == 0x01 && r.id >= 0x30:
		return h, false // there is no extended memory
	case s.options.Product == ZStack12 && r.subsystem == 0x0f:
		return h, false // nor a base device
	case s.options.Product != ZStack3x0 && r.subsystem == 0x07 && (r.id == 0x63 || r.id == 0x64):
		return h, false
	}
	return h, true
}

// refuse answers as the firmware does to what it cannot do.
func (s *Stick) refuse(r request, reason byte) {
	if r.kind == kindSREQ {
		s.send(kindSRSP, 0, 0, []byte{reason, r.kind<<5 | r.subsystem, r.id})
	}
}

// sysReset restarts the stick.
func (s *Stick) sysReset(r request) {
	s.reset(1)
}

// exKey returns the entry of the extended memory that a command is about.
func exKey(r request) extendedKey { return extendedKey{u16(r.data[1:]), u16(r.data[3:])} }

const (
	// mostRead is what one read gives at most.
	mostRead = 248
	// mostNV bounds the items: the flash is not large.
	mostNV = 4096
)

func (s *Stick) nvInit(r request) {
	item, length, n := u16(r.data), int(u16(r.data[2:])), int(r.data[4])
	value := r.data[5:]
	switch _, exists := s.nv[item]; {
	case n > len(value) || n > length:
		s.answer(r, failed)
	case exists:
		s.answer(r, ok)
	case len(s.nv) >= mostNV:
		s.answer(r, failed)
	default:
		s.nv[item] = append(append([]byte(nil), value[:n]...), make([]byte, length-n)...)
		s.answer(r, newItem)
	}
}

func (s *Stick) nvRead(r request, offset int) {
	s.saveCounter()
	value, exists := s.nv[u16(r.data)]
	if !exists || offset > len(value) {
		s.answer(r, badParam, 0)
		return
	}
	value = value[offset:]
	value = value[:min(len(value), mostRead)]
	s.answer(r, append([]byte{ok, byte(len(value))}, value...)...)
}

func (s *Stick) nvWrite(r request, offset, n, header int) {
	value, exists := s.nv[u16(r.data)]
	data := r.data[header:]
	if !exists || n > len(data) || offset+n > len(value) {
		s.answer(r, badLength)
		return
	}
	copy(value[offset:], data[:n])
	s.answer(r, ok)
}

func (s *Stick) nvDelete(r request) {
	value, exists := s.nv[u16(r.data)]
	switch {
	case !exists:
		s.answer(r, newItem)
	case len(value) != int(u16(r.data[2:])):
		s.answer(r, badLength)
	default:
		delete(s.nv, u16(r.data))
		s.answer(r, ok)
	}
}

func (s *Stick) exCreate(r request) {
	n := u32(r.data[5:])
	if _, exists := s.extended[exKey(r)]; exists || n > 255 || len(s.extended) >= mostNV || r.data[0] != exSystem {
		s.answer(r, failed)
		return
	}
	s.extended[exKey(r)] = make([]byte, n)
	s.answer(r, ok)
}

func (s *Stick) exDelete(r request) {
	delete(s.extended, exKey(r))
	s.answer(r, ok)
}

func (s *Stick) exRead(r request) {
	s.saveCounter()
	value, exists := s.extended[exKey(r)]
	offset, n := int(u16(r.data[5:])), int(r.data[7])
	if !exists || offset+n > len(value) {
		s.answer(r, failed, 0)
		return
	}
	s.answer(r, append([]byte{ok, byte(n)}, value[offset:offset+n]...)...)
}

func (s *Stick) exWrite(r request) {
	value, exists := s.extended[exKey(r)]
	offset, n, data := int(u16(r.data[5:])), int(r.data[7]), r.data[8:]
	if !exists || n > len(data) || offset+n > len(value) {
		s.answer(r, failed)
		return
	}
	copy(value[offset:], data[:n])
	s.answer(r, ok)
}

// sapiRead and sapiWrite are the way to items that NV commands do not reach on old
// firmware.
func (s *Stick) sapiRead(r request) {
	value := s.nv[uint16(r.data[0])]
	s.answer(r, append([]byte{ok, r.data[0], byte(len(value))}, value...)...)
}

func (s *Stick) sapiWrite(r request) {
	n := int(r.data[1])
	if n > len(r.data)-2 {
		s.answer(r, badParam)
		return
	}
	s.nv[uint16(r.data[0])] = append([]byte(nil), r.data[2:2+n]...)
	s.answer(r, ok)
}

// A child is an entry of the table of associations.
type child struct {
	address  uint16
	relation byte
}

const (
	sleepyChild = 1
	routerChild = 4
	notUsed     = 0xff
)

func (s *Stick) utilDeviceInfo(r request) {
	b := add64([]byte{ok}, uint64(s.address))
	b = add16(b, 0)
	b = append(b, 0x07, s.state, 0) // can be anything
	s.answer(r, b...)
}

func (s *Stick) utilByIEEE(r request) {
	address := uint16(0xfffe)
	if _, e := s.findAddress(ieee(r.data)); e != nil {
		address = u16(s.field(addrMgrLayout, e, 1))
	}
	s.answer(r, add16(nil, address)...)
}

func (s *Stick) utilByAddress(r request) {
	found := uint64(0)
	s.addresses(func(_ int, e []byte) bool {
		if s.field(addrMgrLayout, e, 0)[0] != 0 && u16(s.field(addrMgrLayout, e, 1)) == u16(r.data) {
			found = getU64(s.field(addrMgrLayout, e, 2))
		}
		return found == 0
	})
	s.answer(r, add64(nil, found)...)
}

func (s *Stick) utilAssocGet(r request) {
	device, address := ieee(r.data), u16(r.data[8:])
	for i, c := range s.children {
		if device != 0 && i == device || device == 0 && c.address == address {
			s.answer(r, append(add16(add16(nil, c.address), 0), c.relation)...)
			return
		}
	}
	s.answer(r, append(add16(add16(nil, 0xfffe), 0), notUsed)...)
}

func (s *Stick) utilAssocRemove(r request) {
	delete(s.children, ieee(r.data))
	s.answer(r, ok)
}

func (s *Stick) utilAssocAdd(r request) {
	s.children[ieee(r.data)] = child{u16(r.data[8:]), r.data[10]}
	s.answer(r, ok)
}

// allow notes that devices may join for a time.
func (s *Stick) allow(seconds byte) time.Duration {
	d := time.Duration(seconds) * time.Second
	s.openUntil = time.Now().Add(d)
	return d
}
