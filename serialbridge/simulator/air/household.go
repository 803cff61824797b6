package air

import (
	"encoding/binary"

	"lintel/serialbridge/zigbee"
)

// Household returns the devices of a house: the seven with which the MQTT contract
// of zigbee2mqtt was observed, under the same addresses, and one of every other kind.
func Household() []Device {
	return []Device{
		{IEEEAddress: 0x00124b0022e10001, Kind: Climate, NetworkAddress: 20266, LinkQuality: 147},
		{IEEEAddress: 0x00178801061a2b3c, Kind: Bulb, NetworkAddress: 6673, LinkQuality: 180},
		{IEEEAddress: 0xb43522fffe77a001, Kind: Plug, NetworkAddress: 11042, LinkQuality: 210},
		{IEEEAddress: 0x00124b0022e10004, Kind: Button, NetworkAddress: 15411, LinkQuality: 90},
		{IEEEAddress: 0xa4c138d2f0000005, Kind: WallSwitch, NetworkAddress: 23876, LinkQuality: 160},
		{IEEEAddress: 0x00124b0022e10006, Kind: Contact, NetworkAddress: 28245},
		{IEEEAddress: 0x0015bc0031000007, Kind: UnknownPlug, NetworkAddress: 32614, LinkQuality: 66},
		{IEEEAddress: 0x00124b0022e10008, Kind: Motion},
		{IEEEAddress: 0x000d6ffffe770009, Kind: Remote},
		{IEEEAddress: 0x842e14fffe77000a, Kind: TRV},
		{IEEEAddress: 0x680ae2fffe77000b, Kind: Cover},
		{IEEEAddress: 0x000d6f000177000c, Kind: Lock},
		{IEEEAddress: 0xa4c138d2f000000d, Kind: TuyaClimate},
		{IEEEAddress: 0xa4c138d2f000000e, Kind: TuyaTRV},
		{IEEEAddress: 0x00158d000077000f, Kind: AqaraWeather},
		{IEEEAddress: 0xa4c138d2f0000010, Kind: TuyaPlug},
	}
}

// Town returns that many devices for a network under load: as many of them routers,
// which the others join at.
func Town(devices, routers int) []Device {
	router := []Kind{Plug, Bulb, TuyaPlug, UnknownPlug}
	sleeper := []Kind{Climate, TRV, Contact, AqaraWeather, Motion, TuyaClimate}
	town := make([]Device, devices)
	for i := range town {
		d := Device{IEEEAddress: address(i), LinkQuality: uint8(60 + 7*i%180)}
		switch {
		case i < routers:
			d.Kind = router[i%len(router)]
		default:
			d.Kind = sleeper[i%len(sleeper)]
			if routers > 0 {
				d.Parent = address(i % routers)
			}
		}
		town[i] = d
	}
	return town
}

// address returns the address of the device of that number in a Town.
func address(i int) zigbee.IEEEAddress {
	return zigbee.IEEEAddress(binary.BigEndian.Uint64([]byte{0x02, 0x12, 0x4b, 0, 0, 0, byte(i >> 8), byte(i)}))
}
