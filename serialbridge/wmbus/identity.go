package wmbus

import (
	"cmp"
	"encoding/binary"
	"fmt"
)

// An address is what tells a meter from all others (EN 13757-4, 12.6.3).
type address struct {
	manufacturer uint16  // as it is sent
	number       [4]byte // as it is sent: BCD, least significant byte first
	version      byte
	kind         byte // device type of EN 13757-7, table 13
}

// linkAddress reads M and A of the link layer.
func linkAddress(b []byte) address {
	return address{binary.LittleEndian.Uint16(b), [4]byte(b[2:6]), b[6], b[7]}
}

// headerAddress reads the address of a long header, which begins with the number.
func headerAddress(b []byte) address {
	return address{binary.LittleEndian.Uint16(b[4:]), [4]byte(b[:4]), b[6], b[7]}
}

// bytes returns the address as the link layer has it.
func (a address) bytes() []byte {
	b := binary.LittleEndian.AppendUint16(nil, a.manufacturer)
	b = append(b, a.number[:]...)
	return append(b, a.version, a.kind)
}

// serial is the number as it is printed on the meter: eight digits, or hex digits
// where a maker does not keep to BCD.
func (a address) serial() string {
	return fmt.Sprintf("%08X", binary.LittleEndian.Uint32(a.number[:]))
}

// code is the maker's three letters.
func (a address) code() string { return manufacturerCode(a.manufacturer) }

// id is the device's ID.
func (a address) id() string { return "wmbus_" + a.code() + "_" + a.serial() }

// String is how a meter is called in a message.
func (a address) String() string { return a.serial() + " (" + a.code() + ")" }

// manufacturerCode returns the three letters in a manufacturer field, five bits each
// (EN 13757-3, 5.6; the highest bit says that the address is unique within the
// installation only), or nothing.
func manufacturerCode(m uint16) string {
	var code [3]byte
	for i := range code {
		c := byte(m>>(10-5*i)) & 0x1F
		if c < 1 || c > 26 {
			return ""
		}
		code[i] = 'A' - 1 + c
	}
	return string(code[:])
}

// manufacturer is the field for three letters.
func manufacturer(code string) (m uint16) {
	for _, c := range []byte(code) {
		m = m<<5 | uint16(c-'A'+1)
	}
	return m
}

// isOf reports whether the meter is of one of these makers.
func (a address) isOf(codes ...string) bool {
	for _, code := range codes {
		if a.manufacturer&0x7FFF == manufacturer(code) {
			return true
		}
	}
	return false
}

// medium is what a meter measures, as far as it matters for its properties.
type medium byte

const (
	otherMedium medium = iota
	electricity
	water
	gas
	heat
	smoke
)

// kinds are the device types of EN 13757-7, table 13.
var kinds = map[byte]struct {
	name string
	of   medium
}{
	0x00: {"Meter", otherMedium},
	0x01: {"Oil meter", otherMedium},
	0x02: {"Electricity meter", electricity},
	0x03: {"Gas meter", gas},
	0x04: {"Heat meter", heat},
	0x05: {"Steam meter", otherMedium},
	0x06: {"Warm water meter", water},
	0x07: {"Water meter", water},
	0x08: {"Heat cost allocator", heat},
	0x09: {"Compressed air meter", otherMedium},
	0x0A: {"Cooling meter", heat},
	0x0B: {"Cooling meter", heat},
	0x0C: {"Heat meter", heat},
	0x0D: {"Heat and cooling meter", heat},
	0x0E: {"Meter", otherMedium},
	0x14: {"Calorific value", otherMedium},
	0x15: {"Hot water meter", water},
	0x16: {"Cold water meter", water},
	0x17: {"Hot and cold water meter", water},
	0x18: {"Pressure meter", otherMedium},
	0x19: {"A/D converter", otherMedium},
	0x1A: {"Smoke detector", smoke},
	0x1B: {"Room sensor", otherMedium},
	0x1C: {"Gas detector", otherMedium},
	0x1D: {"Carbon monoxide detector", otherMedium},
	0x1E: {"Heat detector", otherMedium},
	0x1F: {"Sensor", otherMedium},
	0x20: {"Breaker", electricity},
	0x21: {"Valve", otherMedium},
	0x25: {"Customer unit", otherMedium},
	0x28: {"Waste water meter", water},
	0x29: {"Waste meter", otherMedium},
	0x31: {"Communication controller", otherMedium},
	0x32: {"Repeater", otherMedium},
	0x36: {"Radio converter", otherMedium},
	0x37: {"Radio converter", otherMedium},

	// Techem's own.
	0x43: {"Heat meter", heat},
	0x45: {"Cooling meter", heat},
	0x62: {"Warm water meter", water},
	0x72: {"Water meter", water},
	0x80: {"Heat cost allocator", heat},
	0xC3: {"Heat meter", heat},
	0xF0: {"Smoke detector", smoke},
}

// kindName is what a person calls the meter.
func (a address) kindName() string { return cmp.Or(kinds[a.kind].name, "Meter") }

// medium is what the meter measures.
func (a address) medium() medium { return kinds[a.kind].of }

// vendor is who made the meter, by the list of the DLMS User Association.
func (a address) vendor() string { return cmp.Or(vendors[a.code()], a.code()) }

var vendors = map[string]string{
	"ABB": "ABB",
	"ACW": "Itron",
	"APA": "Apator",
	"APT": "Apator",
	"AXI": "Axioma",
	"BMT": "BMeters",
	"DME": "Diehl Metering",
	"DWZ": "Lorenz",
	"EBZ": "eBZ",
	"EFE": "Engelmann",
	"EIE": "Ei Electronics",
	"ELR": "Elster",
	"ELS": "Elster",
	"EMH": "EMH metering",
	"EMU": "EMU",
	"ESY": "EasyMeter",
	"EWT": "Elin",
	"FML": "Flonidan",
	"GWF": "GWF",
	"HYD": "Diehl Metering",
	"INE": "Innotas",
	"ISK": "Iskraemeco",
	"IST": "ista",
	"ITR": "Itron",
	"ITW": "Itron",
	"KAM": "Kamstrup",
	"KAW": "Kamstrup",
	"LAS": "Lansen",
	"LGB": "Landis+Gyr",
	"LGZ": "Landis+Gyr",
	"LUG": "Landis+Gyr",
	"MAD": "Maddalena",
	"NZR": "NZR",
	"QDS": "Qundis",
	"RAM": "Rossweiner",
	"REL": "Relay",
	"SAP": "Diehl Metering",
	"SBC": "Saia-Burgess",
	"SEN": "Sensus",
	"SON": "Sontex",
	"SPL": "Diehl Metering",
	"SPX": "Sensus",
	"TCH": "Techem",
	"WEH": "Wehrle",
	"WEP": "Weptech",
	"ZRI": "Zenner",
	"ZRM": "Minol Zenner",
}
