package znp

import "fmt"

// The commands that are used here. Names are those of TI's Z-Stack Monitor and Test
// API; what is behind a name tells the data of the command and of its response.
const (
	sysResetRequest  = asynchronous | 0x0100 // type
	sysPing          = synchronous | 0x0101  // : capabilities u16
	sysVersion       = synchronous | 0x0102  // : transport, product, major, minor, maintenance, revision u32
	sysGetExtAddr    = synchronous | 0x0104  // : address
	sysNVInit        = synchronous | 0x0107  // id u16, length u16, n, n bytes: status
	sysNVDelete      = synchronous | 0x0112  // id u16, length u16: status
	sysNVLength      = synchronous | 0x0113  // id u16: length u16
	sysNVReadExt     = synchronous | 0x011c  // id u16, offset u16: status, n, n bytes
	sysNVWriteExt    = synchronous | 0x011d  // id u16, offset u16, n u16, n bytes: status
	sysExNVCreate    = synchronous | 0x0130  // system, item u16, sub u16, length u32: status
	sysExNVLength    = synchronous | 0x0132  // system, item u16, sub u16: length
	sysExNVRead      = synchronous | 0x0133  // system, item u16, sub u16, offset u16, n: status, n, n bytes
	sysExNVWrite     = synchronous | 0x0134  // system, item u16, sub u16, offset u16, n, n bytes: status
	sysResetIndicate = asynchronous | 0x0180 // reason, transport, product, major, minor, hardware

	afRegister       = synchronous | 0x0400  // simple descriptor: status
	afDataRequest    = synchronous | 0x0401  // see send.go: status
	afDataRequestExt = synchronous | 0x0402  // see send.go: status
	afDataRetrieve   = synchronous | 0x0412  // timestamp u32, index u16, n: status, n, n bytes
	afDataConfirm    = asynchronous | 0x0480 // status, endpoint, transaction
	afIncoming       = asynchronous | 0x0481 // see incoming.go
	afIncomingExt    = asynchronous | 0x0482 // see incoming.go

	zdoStartup        = synchronous | 0x0540  // delay u16: status
	zdoRouteDiscovery = synchronous | 0x0545  // destination u16, options, radius: status
	zdoFindGroup      = synchronous | 0x054a  // endpoint, group u16: status, group …
	zdoAddGroup       = synchronous | 0x054b  // endpoint, group u16, length of name, name: status
	zdoNetworkInfo    = synchronous | 0x0550  // : see network.go
	zdoStateChange    = asynchronous | 0x05c0 // state
	zdoAnnounce       = asynchronous | 0x05c1 // source u16, address u16, IEEE address, capability
	zdoConcentrator   = asynchronous | 0x05c8 // address u16, IEEE address, cost
	zdoLeave          = asynchronous | 0x05c9 // address u16, IEEE address, request, remove children, rejoin
	zdoTCDevice       = asynchronous | 0x05ca // address u16, IEEE address, parent u16
	zdoUpdate         = synchronous | 0x0537  // as the request 0x0038, see zdo.go: status
	zdoRequestBase    = synchronous | 0x0500

	sapiReadConfig  = synchronous | 0x0604 // id: status, id, n, n bytes
	sapiWriteConfig = synchronous | 0x0605 // id, n, n bytes: status

	utilDeviceInfo    = synchronous | 0x0700 // : status, IEEE address, address u16, type, state …
	utilAddressLookup = synchronous | 0x0741 // address u16: IEEE address
	utilAssocFind     = synchronous | 0x074a // IEEE address, address u16: address u16, index u16, relation
	utilAssocRemove   = synchronous | 0x0763 // IEEE address: status
	utilAssocAdd      = synchronous | 0x0764 // IEEE address, address u16, relation: status

	bdbAddInstallCode = synchronous | 0x0f04 // form, IEEE address, key: status
	bdbCommission     = synchronous | 0x0f05 // mode: status
	bdbSetChannel     = synchronous | 0x0f08 // primary, mask u32: status

	rpcError = response // reason, and the two bytes of command that are refused
)

// Statuses of responses.
const (
	statusSuccess     = 0x00
	statusFailure     = 0x01
	statusInitialized = 0x09 // an item of NV is new, or there was none to delete
	statusBufferFull  = 0x11
	statusNoResources = 0x1a
	statusDuplicate   = 0xb8
	statusNoRoute     = 0xcd
	statusChannelBusy = 0xe1
	statusNoAck       = 0xe9
	statusAPSNoAck    = 0xb7
	statusExpired     = 0xf0
)

// wellFormed says whether the data of a response can be that of the command. With a sum
// of eight bits one damaged frame in 256 is taken for a whole one.
func (c command) wellFormed(answer []byte) bool {
	n := len(answer)
	switch c {
	case sysPing, sysNVLength:
		return n >= 2
	case sysVersion:
		return n >= 5
	case sysGetExtAddr, utilAddressLookup:
		return n >= 8
	case sysNVReadExt, sysExNVRead, afDataRetrieve:
		return n >= 1 && answer[0] != statusSuccess || n >= 2 && n == 2+int(answer[1])
	case sapiReadConfig:
		return n >= 1 && answer[0] != statusSuccess || n >= 3 && n == 3+int(answer[2])
	case utilDeviceInfo:
		return n >= 13
	case utilAssocFind:
		return n >= 5
	case zdoNetworkInfo:
		return n >= 24
	}
	return n >= 1 // a status
}

// errForm is the error for a response that cannot be that of the command.
func errForm(c command) error {
	return fmt.Errorf("the response to the command %04x is not of its form", uint16(c&^typeMask))
}

// stateCoordinator is the state of a device that is the coordinator of a running network.
const stateCoordinator = 9

// A statusError is a response that says no.
type statusError struct {
	command command
	status  uint8
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the stick refuses the command %04x with status 0x%02x", uint16(e.command&^typeMask), e.status)
}

// An unknownError says that the stick does not know a command.
type unknownError struct {
	command command
	reason  uint8
}

func (e *unknownError) Error() string {
	return fmt.Sprintf("the firmware of the stick does not know the command %04x (reason %d); newer firmware may",
		uint16(e.command&^typeMask), e.reason)
}
