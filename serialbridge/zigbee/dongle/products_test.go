package dongle

import (
	"strings"
	"testing"

	"lintel/hardware"
	"lintel/serialbridge"
)

// The strings are those of zigbee-herdsman's tests of its adapterDiscovery, of Home
// Assistant's USB discovery, and of what udev makes of sticks (in by-id names blanks are
// underscores).
func TestProducts(t *testing.T) {
	const soft, hard, none = serialbridge.Software, serialbridge.Hardware, serialbridge.NoFlow
	for _, c := range []struct {
		ids, maker, product, iface string
		radio                      string
		baud                       int
		flow                       serialbridge.Flow
	}{
		{"10c4:ea60", "ITEAD", "Sonoff Zigbee 3.0 USB Dongle Plus", "00", radioZNP, 115200, none},
		{"10c4:ea60", "Itead", "Sonoff_Zigbee_3.0_USB_Dongle_Plus", "00", radioZNP, 115200, none},
		{"10c4:ea60", "SONOFF", "SONOFF Dongle Plus CC2674P10", "00", radioZNP, 115200, none},
		{"10c4:ea60", "ITEAD", "Sonoff Zigbee 3.0 USB Dongle Plus V2", "00", radioEZSP, 115200, soft},
		{"1a86:55d4", "ITEAD", "SONOFF Zigbee 3.0 USB Dongle Plus V2", "00", radioEZSP, 115200, soft},
		{"10c4:ea60", "SONOFF", "SONOFF Dongle Plus MG24", "00", radioEZSP, 115200, soft},
		{"10c4:ea60", "SONOFF", "SONOFF Dongle Lite MG21", "00", radioEZSP, 115200, soft},
		{"10c4:ea60", "SONOFF", "SONOFF Dongle Max MG24", "00", radioEZSP, 115200, soft},
		{"10c4:ea60", "Nabu Casa", "SkyConnect v1.0", "00", radioEZSP, 115200, hard},
		{"10c4:ea60", "Nabu Casa", "Home Assistant Connect ZBT-1", "00", radioEZSP, 115200, hard},
		{"303a:4001", "Nabu Casa", "ZBT-2", "00", radioEZSP, 460800, hard},
		{"303a:831a", "Nabu Casa", "Nabu_Casa_ZBT-2", "00", radioEZSP, 460800, hard},
		{"10c4:ea60", "SMLIGHT", "SMLIGHT SLZB-07", "00", radioEZSP, 115200, hard},
		{"10c4:ea60", "SMLIGHT", "SMLIGHT SLZB-07mg24", "00", radioEZSP, 115200, hard},
		{"10c4:ea60", "SMLIGHT", "SMLIGHT SLZB-07p7", "00", radioZNP, 115200, none},
		{"10c4:ea60", "SMLIGHT", "SMLIGHT SLZB-06p7", "00", radioZNP, 115200, none},
		{"10c4:ea60", "SMLIGHT", "SMLIGHT SLZB-06p10", "00", radioZNP, 115200, none},
		{"10c4:ea60", "SMLIGHT", "SMLIGHT SLZB-06M", "00", radioEZSP, 115200, soft},
		{"0403:6015", "Electrolama", "electrolama zig-a-zig-ah! (zzh)", "00", radioZNP, 115200, none},
		{"1a86:7523", "Electrolama", "", "00", radioZNP, 115200, none},
		{"10c4:ea60", "Silicon Labs", "slae.sh cc2652rb stick - slaesh's iot stuff", "00", radioZNP, 115200, none},
		{"10c4:ea60", "Silicon Labs", "CC2652 stick", "00", radioZNP, 115200, none},
		{"0451:16a8", "Texas Instruments", "TI CC2531 USB CDC", "00", radioZNP, 115200, none},
		{"0451:16c8", "Texas Instruments", "CC2538 USB CDC", "00", radioZNP, 115200, none},
		{"0451:bef3", "Texas Instruments", "XDS110 (03.00.00.08) Embed with CMSIS-DAP", "00", radioZNP, 115200, none},
		{"10c4:ea60", "Silicon Labs", "ZigStar! ZigStar Stick", "00", radioZNP, 115200, none},
		{"1a86:7523", "", "TubesZB CC2652", "00", radioZNP, 115200, none},
		{"10c4:ea60", "Silicon Labs", "Tube's Zigbee_CC2652P2 tubeszb", "00", radioZNP, 115200, none},
		{"10c4:8a2a", "Silicon Labs", "HubZ Smart Home Controller", "01", radioEZSP, 57600, soft},

		{"1cf1:0030", "dresden elektronik ingenieurtechnik GmbH", "ConBee II", "00", foreignDeCONZ, 0, none},
		{"0403:6015", "dresden elektronik ingenieurtechnik GmbH", "ConBee III", "00", foreignDeCONZ, 0, none},
		{"067b:2303", "Prolific", "ZiGate PL2303", "00", foreignZiGate, 0, none},
		{"10c4:ea60", "Silicon Labs", "ZiGate CP2102", "00", foreignZiGate, 0, none},
		{"0403:6015", "FTDI", "ZiGate", "00", foreignZiGate, 0, none},
		{"2fe3:0100", "ZEPHYR", "Zigbee NCP", "00", foreignZBOSS, 0, none},

		{"10c4:ea60", "Silicon Labs", "CP2102 USB to UART Bridge Controller", "00", "", 0, none},
		{"10c4:ea60", "Silicon Labs", "CP2102N USB to UART Bridge Controller", "00", "", 0, none},
		{"10c4:ea60", "ITEAD", "", "00", "", 0, none}, // it makes other things too
		{"10c4:ea60", "Nabu Casa", "", "00", "", 0, none},
		{"10c4:ea60", "Silicon Labs", "Zooz ZST10 700 Z-Wave Stick", "00", "", 0, none},
		{"303a:4001", "Espressif Systems", "ESP32-S3", "00", "", 0, none},
		{"303a:4001", "Nabu Casa", "ZWA-2", "00", "", 0, none}, // Z-Wave
		{"0403:6015", "FTDI", "FT230X Basic UART", "00", "", 0, none},
		{"0403:6001", "FTDI", "FT232R USB UART", "00", "", 0, none},
		{"1a86:7523", "", "USB Serial", "00", "", 0, none},
		{"1a86:7523", "", "USB2.0-Serial", "00", "", 0, none}, // Arduino Nano
		{"1a86:55d4", "", "USB Single Serial", "00", "", 0, none},
		{"2341:0043", "Arduino (www.arduino.cc)", "Arduino Uno", "00", "", 0, none},
		{"0451:bef3", "Texas Instruments", "XDS110", "03", "", 0, none}, // the debugger of a LaunchPad
		{"10c4:8a2a", "Silicon Labs", "HubZ Smart Home Controller", "00", "", 0, none},
		{"0658:0200", "Sigma Designs", "Z-Stick Gen5", "00", "", 0, none},
		{"067b:2303", "Prolific", "USB-Serial Controller", "00", "", 0, none},
		{"2fe3:0100", "Nordic", "USB-DEV", "00", "", 0, none},
		{"", "", "", "", "", 0, none},
	} {
		vendor, id, _ := strings.Cut(c.ids, ":")
		p := hardware.SerialPort{VendorID: vendor, ProductID: id, Manufacturer: c.maker, Product: c.product, Interface: c.iface}
		got, ok := find(p)
		want := setting{radio: c.radio}
		if c.baud != 0 {
			want.line = line(c.baud, c.flow)
		}
		if ok != (c.radio != "") || got != want {
			t.Errorf("%s %q %q %s is %+v, want %+v", c.ids, c.maker, c.product, c.iface, got, want)
		}
		spoken := c.baud != 0
		if sure := Driver(nil, Options{}, nil).Match(p) == serialbridge.Sure; sure != spoken {
			t.Errorf("%s %q %q: the driver is sure: %t", c.ids, c.maker, c.product, sure)
		}
		if (Radio(p) == c.radio) != (spoken || c.radio == "") {
			t.Errorf("%s %q %q: its radio is %q", c.ids, c.maker, c.product, Radio(p))
		}
		var advised []string
		for _, d := range Foreign() {
			if d.Match(p) == serialbridge.Sure {
				advised = append(advised, d.Protocol)
				if !strings.Contains(d.Advice, c.radio) || d.Run != nil {
					t.Errorf("%s: the advice is %q", c.product, d.Advice)
				}
			}
		}
		want1 := ""
		if !spoken {
			want1 = strings.ToLower(c.radio)
		}
		if got := strings.Join(advised, " "); got != want1 {
			t.Errorf("%s %q: advice of %q, want %q", c.ids, c.product, got, want1)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {Radio: "znp", Baud: 115200, Flow: "none"}, {Radio: "ezsp", Baud: 460800, Flow: "rtscts"}, {Flow: "xonxoff"}} {
		if err := o.Check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, o := range []Options{{Radio: "deconz"}, {Baud: 300}, {Baud: 3_000_000}, {Flow: "hardware"}} {
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), "right is") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// plugged is a port that tells what stick it is.
type plugged struct {
	serialbridge.Port
	usb hardware.SerialPort
}

func (p plugged) USB() hardware.SerialPort { return p.usb }

func TestSettings(t *testing.T) {
	texts := func(o Options, p serialbridge.Port) string {
		var all []string
		for _, s := range (&stick{o: o}).settings(p) {
			all = append(all, s.radio+" "+s.line.String())
		}
		return strings.Join(all, ", ")
	}
	skyConnect := plugged{usb: hardware.SerialPort{VendorID: "10c4", ProductID: "ea60", Manufacturer: "Nabu Casa", Product: "SkyConnect v1.0"}}
	zbt2 := plugged{usb: hardware.SerialPort{VendorID: "303a", ProductID: "831a", Manufacturer: "Nabu Casa", Product: "ZBT-2"}}
	unknown := plugged{usb: hardware.SerialPort{VendorID: "1a86", ProductID: "7523"}}
	for _, c := range []struct {
		name string
		o    Options
		port serialbridge.Port
		want string
	}{
		{"nothing known", Options{}, unknown,
			"znp 115200 8N1, ezsp 115200 8N1 xonxoff, ezsp 115200 8N1 rtscts, ezsp 460800 8N1 rtscts, ezsp 57600 8N1 xonxoff"},
		{"not USB", Options{Radio: "znp"}, nil, "znp 115200 8N1"},
		{"radio", Options{Radio: "ezsp"}, unknown,
			"ezsp 115200 8N1 xonxoff, ezsp 115200 8N1 rtscts, ezsp 460800 8N1 rtscts, ezsp 57600 8N1 xonxoff"},
		{"product first", Options{}, zbt2,
			"ezsp 460800 8N1 rtscts, znp 115200 8N1, ezsp 115200 8N1 xonxoff, ezsp 115200 8N1 rtscts, ezsp 57600 8N1 xonxoff"},
		{"baud", Options{Radio: "ezsp", Baud: 230400}, skyConnect, "ezsp 230400 8N1 rtscts, ezsp 230400 8N1 xonxoff"},
		{"flow", Options{Radio: "ezsp", Flow: "none"}, skyConnect, "ezsp 115200 8N1, ezsp 460800 8N1, ezsp 57600 8N1"},
		{"all", Options{Radio: "ezsp", Baud: 115200, Flow: "rtscts"}, unknown, "ezsp 115200 8N1 rtscts"},
		{"another firmware", Options{Radio: "znp"}, skyConnect, "znp 115200 8N1"},
	} {
		if got := texts(c.o, c.port); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}
