package sml

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// identity returns the ID of the meter with a server ID, and the number that is
// printed on it.
//
// DIN 43863-5 makes the printed number of the medium, three letters for the
// maker, two digits for the block and eight of a serial number; in the server
// ID they stand behind a byte 09 or 0A as bytes, the serial number in binary.
// Older meters have forms of their own, which are told in hexadecimal.
func identity(server []byte) (id, serial string) {
	switch {
	case !tells(server):
		return "", ""
	case isDIN(server):
		number := uint32(server[6])<<24 | uint32(server[7])<<16 | uint32(server[8])<<8 | uint32(server[9])
		serial = fmt.Sprintf("%X%s%02X%08d", server[1], server[2:5], server[5], number)
	case isDINText(server):
		serial = string(server)
	default:
		const limit = 32
		serial = strings.ToUpper(hex.EncodeToString(server[:min(len(server), limit)]))
	}
	return "sml_" + serial, serial
}

// tells reports whether a server ID is one: bytes that are all 00 or FF are what
// nobody has written there.
func tells(server []byte) bool {
	for _, b := range server {
		if b != server[0] || b != 0x00 && b != 0xFF {
			return true
		}
	}
	return false
}

func isDIN(server []byte) bool {
	return len(server) == 10 && (server[0] == 0x09 || server[0] == 0x0A) && server[1] < 16 && letters(server[2:5])
}

// isDINText reports whether the number is written as it is printed (1-0:0.0.0
// of EasyMeter).
func isDINText(s []byte) bool {
	if len(s) != 14 || !letters(s[1:4]) {
		return false
	}
	for i, b := range s {
		if i < 1 || i > 3 {
			if b < '0' || b > '9' {
				return false
			}
		}
	}
	return true
}

func letters(s []byte) bool {
	for _, b := range s {
		if b < 'A' || b > 'Z' {
			return false
		}
	}
	return len(s) > 0
}

// vendorOf returns the maker whose letters are in a server ID.
func vendorOf(server []byte) string {
	switch {
	case isDIN(server):
		return vendor(server[2:5])
	case isDINText(server):
		return vendor(server[1:4])
	case len(server) == 10 && letters(server[1:4]): // 06 EMH 01 …
		return vendor(server[1:4])
	}
	return ""
}

// vendor returns the maker behind three letters, or the letters.
func vendor(flag []byte) string {
	s := text(flag)
	if name, ok := vendors[s]; ok {
		return name
	}
	return s
}

// vendors names the makers behind the letters, from the list of the DLMS User
// Association.
var vendors = map[string]string{
	"APA": "Apator",
	"DZG": "DZG Metering",
	"EBZ": "eBZ",
	"EFR": "EFR",
	"ELS": "Elster",
	"EMH": "EMH metering",
	"ESY": "EasyMeter",
	"HAG": "Hager",
	"HLY": "Holley",
	"ISK": "Iskraemeco",
	"ITR": "Itron",
	"KFM": "Kaifa",
	"LGZ": "Landis+Gyr",
	"LOG": "Logarex",
}

// text returns an octet string that is text, or nothing.
func text(octets []byte) string {
	const limit = 64
	if len(octets) > limit {
		return ""
	}
	for _, b := range octets {
		if b < ' ' || b > '~' {
			return ""
		}
	}
	return strings.TrimSpace(string(octets))
}
