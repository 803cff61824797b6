package jsonlines

import (
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for gateways that write lines of JSON. They are only
// listened to: the driver has no Run, and its devices take no commands.
func Driver() serialbridge.Driver {
	definitions, radio := definitions(), radioDefinitions()
	return serialbridge.Driver{
		Protocol: "jsonlines",
		Match:    match,
		Lines: []serialbridge.Line{
			{Baud: 115200, DataBits: 8, Parity: 'N', StopBits: 1},
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, definitions, radio)
		},
	}
}

var productName = regexp.MustCompile(`(?i)OpenMQTTGateway|Theengs|rtl_433`)

// match knows the boards on which such gateways run, which say nothing of the
// program.
func match(p hardware.SerialPort) serialbridge.Confidence {
	if productName.MatchString(p.Product) || productName.MatchString(p.Manufacturer) {
		return serialbridge.Sure
	}
	if p.VendorID == "2341" { // Arduino
		return serialbridge.Possible
	}
	switch p.VendorID + ":" + p.ProductID {
	case "303a:1001", // Espressif's own USB
		"1a86:7523", // WCH CH340
		"1a86:55d4", // WCH CH9102
		"10c4:ea60": // Silicon Labs CP210x
		return serialbridge.Possible
	}
	return serialbridge.No
}
