package sml

import (
	"strconv"

	"lintel/serialbridge"
)

// maxExponent bounds a scaler: no meter counts in smaller or larger steps.
const maxExponent = 12

// interpret returns the device of a list and what it says. The device has no ID
// if nothing in the list names it.
func interpret(l list, definitions map[obis]serialbridge.Property) (serialbridge.Device, map[string]any) {
	device := serialbridge.Device{Name: "Electricity meter"}
	values := make(map[string]any)
	server := l.server
	for _, e := range l.entries {
		switch e.name {
		case serverID, serverIDFNN, deviceNumber:
			if !tells(server) {
				server = e.value.octets
			}
		case manufacturer, makerFNN:
			device.Vendor = vendor(e.value.octets)
		case firmwareFNN:
			device.SWVersion = text(e.value.octets)
		}
		p, known := definitions[e.name]
		if !known {
			continue
		}
		n, ok := scale(e, p.Unit)
		if !ok {
			continue
		}
		if _, again := values[p.Key]; !again {
			device.Properties = append(device.Properties, p)
		}
		values[p.Key] = n
	}
	device.ID, device.SerialNumber = identity(server)
	if device.Vendor == "" {
		device.Vendor = vendorOf(server)
	}
	return device, values
}

// scale returns the number of an entry in a unit and reports whether the entry
// is a number in that unit. The shift is made in the text, so that 1681 tenths
// of a Wh are exactly 0.1681 kWh.
func scale(e entry, want string) (float64, bool) {
	u, known := units[e.unit]
	if !known || u.name != want || !e.value.number {
		return 0, false
	}
	exponent := e.scaler + u.exponent
	if exponent < -maxExponent || exponent > maxExponent {
		return 0, false
	}
	s := strconv.FormatUint(e.value.size, 10) + "e" + strconv.FormatInt(exponent, 10)
	if e.value.negative {
		s = "-" + s
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}
