package zigbee

import (
	"strings"

	"lintel/serialbridge/zigbee/zcl"
)

// Attributes of the Basic cluster (section 3.2.2.2), in the order in which they are
// asked for.
const (
	basicManufacturer = 0x0004
	basicModel        = 0x0005
)

var basicAttributes = []uint16{
	basicModel, basicManufacturer,
	0x0007, // power source
	0x0000, // ZCL version
	0x0001, // application version
	0x0002, // stack version
	0x0003, // hardware version
	0x0006, // date code
	0x4000, // software build
}

// The sources of power (section 3.2.2.2.8). The highest bit tells of a battery beside it.
var powerSources = []string{
	"Unknown", "Mains (single phase)", "Mains (3 phase)", "Battery", "DC Source",
	"Emergency mains constantly powered", "Emergency mains and transfer switch",
}

// lacksBasic says whether an attribute of the Basic cluster is not known yet.
func (d *node) lacksBasic(attribute uint16) bool {
	device := &d.device
	switch attribute {
	case 0x0000:
		return device.ZCLVersion == nil
	case 0x0001:
		return device.ApplicationVersion == nil
	case 0x0002:
		return device.StackVersion == nil
	case 0x0003:
		return device.HardwareVersion == nil
	case basicManufacturer:
		return device.ManufacturerName == ""
	case basicModel:
		return device.ModelID == ""
	case 0x0006:
		return device.DateCode == ""
	case 0x0007:
		return device.PowerSource == "" || device.PowerSource == "Unknown"
	case 0x4000:
		return device.SoftwareBuildID == ""
	}
	return false
}

// setBasic takes over an attribute of the Basic cluster, and says whether that changes
// anything.
func (d *node) setBasic(a zcl.Attribute) bool {
	device := &d.device
	switch v := a.Value.(type) {
	case uint64:
		b := byte(v)
		var field **uint8
		switch a.ID {
		case 0x0000:
			field = &device.ZCLVersion
		case 0x0001:
			field = &device.ApplicationVersion
		case 0x0002:
			field = &device.StackVersion
		case 0x0003:
			field = &device.HardwareVersion
		case 0x0007:
			name := "Unknown"
			if b&0x7f < byte(len(powerSources)) {
				name = powerSources[b&0x7f]
			}
			return set(&device.PowerSource, name)
		default:
			return false
		}
		if *field != nil && **field == b {
			return false
		}
		*field = &b
		return true
	case string:
		text := strings.ToValidUTF8(v, "\ufffd")
		switch a.ID {
		case basicManufacturer:
			return set(&device.ManufacturerName, text)
		case basicModel:
			return set(&device.ModelID, text)
		case 0x0006:
			return set(&device.DateCode, text)
		case 0x4000:
			return set(&device.SoftwareBuildID, text)
		}
	}
	return false
}

func set(field *string, text string) bool {
	if text == "" || *field == text {
		return false
	}
	*field = text
	return true
}
