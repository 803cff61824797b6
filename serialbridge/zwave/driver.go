package zwave

import (
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns what tells a Z-Wave stick.
func Driver() serialbridge.Driver {
	return serialbridge.Driver{
		Protocol: "zwave",
		Match:    match,
		Advice: "this is a Z-Wave stick, which Lintel does not speak with: plug it into the machine that runs Home Assistant and add the Z-Wave integration there; " +
			"to leave it in this box, lend its port to Z-Wave JS (protocol \"lend\")",
	}
}

var productName = regexp.MustCompile(`(?i)z-?wave\b|\bzwa-?2\b`)

func match(p hardware.SerialPort) serialbridge.Confidence {
	switch p.VendorID + ":" + p.ProductID {
	case "0658:0200": // Sigma Designs: Aeotec Z-Stick, Zooz, UZB
		return serialbridge.Sure
	case "10c4:8a2a": // HUSBZB-1 is a Zigbee stick too, behind its second interface
		if p.Interface == "00" {
			return serialbridge.Sure
		}
		return serialbridge.No
	}
	if productName.MatchString(p.Product) {
		return serialbridge.Sure // such as 303a:4001, Home Assistant Connect ZWA-2
	}
	return serialbridge.No
}
