package zigbee

import "strings"

// wellKnown says whether a device whose interview fails can be told from others all the
// same: some never answer all of it (facts of zigbee-herdsman's interview).
func (d *node) wellKnown() bool {
	device := &d.device
	switch {
	case device.ManufacturerName == "HOBEIAN",
		strings.HasPrefix(device.ModelID, "TS") && (strings.HasPrefix(device.ManufacturerName, "_TZ") || strings.HasPrefix(device.ManufacturerName, "_TYZB01_")):
		device.PowerSource = orElse(device.PowerSource, "Battery")
		return true
	case device.ManufacturerCode == manufacturerControl4:
		device.ManufacturerName, device.ModelID, device.PowerSource = "Control4", "C4-Zigbee", "Mains (single phase)"
		return true
	}
	for _, w := range wellKnown {
		if !strings.HasPrefix(device.ModelID, w.prefix) || !strings.HasSuffix(device.ModelID, w.suffix) || device.ModelID == "" {
			continue
		}
		if device.Type == Unknown && w.endDevice {
			device.Type = EndDevice
		}
		if device.ManufacturerCode == 0 {
			device.ManufacturerCode = w.code
		}
		device.ManufacturerName = orElse(device.ManufacturerName, w.name)
		device.PowerSource = orElse(device.PowerSource, orElse(w.power, "Unknown"))
		return true
	}
	return false
}

// Models that tell their name and fail at something later.
var wellKnown = []struct {
	prefix, suffix string
	endDevice      bool
	code           uint16
	name, power    string
}{
	{prefix: "3R", suffix: "Z", endDevice: true, power: "Battery"},
	{prefix: "lumi.", endDevice: true, code: 4151, name: "LUMI", power: "Battery"},
	{prefix: "TERNCY-PP01", endDevice: true, code: 4648, name: "TERNCY", power: "Battery"},
	{prefix: "3RWS18BZ"},
	{prefix: "MULTI-MECI--EA01"},
	{prefix: "MOT003"},
	{prefix: "C-ZB-SEDC"}, // fails at enrolment, like those that follow
	{prefix: "C-ZB-SEMO"},
	{prefix: "CS-T9C-A0-BG"},
	{prefix: "SNZB-01"},
	{prefix: "3011", endDevice: true, power: "Battery"},
	{prefix: "Smart Siren", name: "AduroSmart Eria"},
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
