package zigbee

import (
	"fmt"
	"strconv"
	"strings"
)

// IEEEAddress is the address that a device has for ever.
type IEEEAddress uint64

// String writes it as zigbee2mqtt does: 0x and 16 lower case digits.
func (a IEEEAddress) String() string { return fmt.Sprintf("0x%016x", uint64(a)) }

// ParseIEEEAddress reads what String writes.
func ParseIEEEAddress(text string) (IEEEAddress, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	n, err := strconv.ParseUint(digits, 16, 64)
	if !ok || err != nil || len(digits) != 16 {
		return 0, fmt.Errorf("%.40q is no IEEE address; right is one such as 0x00124b0012345678", text)
	}
	return IEEEAddress(n), nil
}

// MarshalText writes the address as String does.
func (a IEEEAddress) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what String writes.
func (a *IEEEAddress) UnmarshalText(text []byte) error {
	v, err := ParseIEEEAddress(string(text))
	*a = v
	return err
}

// NetworkAddress is the short address that a device has while it is in the
// network; it may change.
type NetworkAddress uint16

// Network addresses that are of no device (Zigbee specification, section
// 3.6.5; table 3-69).
const (
	ToCoordinator    NetworkAddress = 0x0000
	UnknownAddress   NetworkAddress = 0xfffe
	BroadcastAll     NetworkAddress = 0xffff // sleeping devices too
	BroadcastAwake   NetworkAddress = 0xfffd // whose receiver is always on
	BroadcastRouters NetworkAddress = 0xfffc
)

// IsBroadcast says that the address is of more than one device.
func (a NetworkAddress) IsBroadcast() bool { return a >= 0xfff8 }

// Channels is the mask of all channels, 11 to 26: those of the 2.4 GHz band.
const Channels uint32 = 0x07fff800

// Profiles.
const (
	ProfileZDO            = 0x0000
	ProfileHomeAutomation = 0x0104
	ProfileGreenPower     = 0xa1e0
	ProfileLightLink      = 0xc05e
)

// Endpoints of the coordinator.
const (
	EndpointZDO        = 0
	EndpointHome       = 1   // what everything is bound to and sent from
	EndpointGreenPower = 242 // where Green Power comes in
)
