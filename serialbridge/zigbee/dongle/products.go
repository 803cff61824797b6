package dongle

import (
	"regexp"
	"strings"

	"lintel/hardware"
	"lintel/serialbridge"
)

// product is a stick as USB tells of it. That vendor and product id are right is not
// enough: most sticks have those of the USB converter that is inside.
type product struct {
	ids   string // vendor:product, several with blanks between
	maker string // pattern of the manufacturer, without regard to case; empty: any
	name  string // pattern of the product; empty: any
	iface string // bInterfaceNumber; empty: any
	setting
}

// setting is how to speak with a stick.
type setting struct {
	radio string // znp or ezsp
	line  serialbridge.Line
}

// Radios that Lintel speaks with.
const (
	radioZNP  = "znp"  // Texas Instruments: CC2652, CC1352, CC2531
	radioEZSP = "ezsp" // Silicon Labs: EFR32
)

func znpAt(baud int) setting { return setting{radioZNP, line(baud, serialbridge.NoFlow)} }

func ezspAt(baud int, flow serialbridge.Flow) setting { return setting{radioEZSP, line(baud, flow)} }

func line(baud int, flow serialbridge.Flow) serialbridge.Line {
	return serialbridge.Line{Baud: baud, DataBits: 8, Parity: 'N', StopBits: 1, Flow: flow}
}

// products are from the tables of zigbee-herdsman (adapterDiscovery, MIT) and of Home
// Assistant's USB discovery; the first that fits counts.
var products = []product{
	{"10c4:ea60", "itead|sonoff", `sonoff.*plus.*v2`, "", ezspAt(115200, serialbridge.Software)},
	{"10c4:ea60", "sonoff", `sonoff.*(max|mg24|mg21)`, "", ezspAt(115200, serialbridge.Software)},
	{"10c4:ea60", "itead|sonoff", `sonoff.*plus`, "", znpAt(115200)},
	{"1a86:55d4", "itead", `sonoff.*plus`, "", ezspAt(115200, serialbridge.Software)},
	{"10c4:ea60", "nabu casa", `skyconnect|connect zbt-1`, "", ezspAt(115200, serialbridge.Hardware)},
	{"303a:4001 303a:831a", "nabu casa", `zbt-2`, "", ezspAt(460800, serialbridge.Hardware)},
	{"10c4:ea60", "smlight", `slzb-06p|slzb-07p`, "", znpAt(115200)},
	{"10c4:ea60", "smlight", `slzb-06m`, "", ezspAt(115200, serialbridge.Software)},
	{"10c4:ea60", "smlight", `slzb-07`, "", ezspAt(115200, serialbridge.Hardware)},
	{"0403:6015 1a86:7523", "", `electrolama|zig-a-zig-ah|zzh`, "", znpAt(115200)},
	{"0403:6015 1a86:7523", "electrolama", "", "", znpAt(115200)},
	{"10c4:ea60", "", `slae\.sh|cc2652`, "", znpAt(115200)},
	{"10c4:ea60 1a86:7523", "", `tube.?s? ?zb.*(cc|znp)|tubeszb|zigstar`, "", znpAt(115200)},
	{"0451:16a8 0451:16c8", "", "", "", znpAt(115200)},                // CC2531, CC2538: USB by themselves
	{"0451:bef3", "", "", "00", znpAt(115200)},                        // LaunchPad: the other interface is its debugger
	{"10c4:8a2a", "", "", "01", ezspAt(57600, serialbridge.Software)}, // HUSBZB-1: the other one is Z-Wave
	{"1cf1:0030", "", "", "", setting{radio: foreignDeCONZ}},          // ConBee II
	{"0403:6015", "dresden elektronik", "", "", setting{radio: foreignDeCONZ}},
	{"067b:2303 10c4:ea60 0403:6015", "", `zigate`, "", setting{radio: foreignZiGate}},
	{"2fe3:0100", "zephyr", "", "", setting{radio: foreignZBOSS}},
}

// Sticks that are known and not spoken with.
const (
	foreignDeCONZ = "deCONZ"
	foreignZiGate = "ZiGate"
	foreignZBOSS  = "ZBOSS"
)

// find returns what is known of a stick; ok is false if it is none of them.
func find(p hardware.SerialPort) (setting, bool) {
	for _, known := range products {
		if strings.Contains(" "+known.ids+" ", " "+p.VendorID+":"+p.ProductID+" ") &&
			fits(known.maker, p.Manufacturer) && fits(known.name, p.Product) &&
			(known.iface == "" || known.iface == p.Interface) {
			return known.setting, true
		}
	}
	return setting{}, false
}

func fits(pattern, text string) bool {
	return pattern == "" || regexp.MustCompile(`(?i)`+pattern).MatchString(strings.ReplaceAll(text, "_", " "))
}

// Radio returns the kind of the stick, znp or ezsp, as far as USB tells it.
func Radio(p hardware.SerialPort) string {
	if known, ok := find(p); ok && (known.radio == radioZNP || known.radio == radioEZSP) {
		return known.radio
	}
	return ""
}

// attempts are how a stick is spoken to of which nothing is known, likeliest first.
var attempts = []setting{
	znpAt(115200),
	ezspAt(115200, serialbridge.Software),
	ezspAt(115200, serialbridge.Hardware),
	ezspAt(460800, serialbridge.Hardware),
	ezspAt(57600, serialbridge.Software),
}
