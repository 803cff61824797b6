package hardware

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree is a file system root that looks like a Raspberry Pi's sysfs: a class
// folder of links into the device tree.
type tree struct {
	t    *testing.T
	root string
}

func newTree(t *testing.T) tree {
	t.Helper()
	tr := tree{t, t.TempDir()}
	tr.mkdir("sys/class/tty")
	return tr
}

func (tr tree) mkdir(name string) {
	tr.t.Helper()
	if err := os.MkdirAll(filepath.Join(tr.root, name), 0o755); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) write(name, content string) {
	tr.t.Helper()
	tr.mkdir(filepath.Dir(name))
	if err := os.WriteFile(filepath.Join(tr.root, name), []byte(content), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

const usbBus = "sys/devices/platform/soc/3f980000.usb/usb1"

// plug makes the folders that the kernel makes for a stick. below is the path
// from the USB device to the tty's device folder, tty is its name.
func (tr tree) plug(device, below, tty string, attrs map[string]string) {
	tr.t.Helper()
	dev := filepath.Join(usbBus, device)
	for name, content := range attrs {
		tr.write(filepath.Join(dev, name), content+"\n")
	}
	ttyDir := filepath.Join(dev, below, "tty", tty)
	tr.mkdir(ttyDir)
	tr.link("../..", filepath.Join(ttyDir, "device")) // up to the tty's device
	up := strings.Repeat("../", 3)
	tr.link(up+filepath.Join(ttyDir), filepath.Join("sys/class/tty", tty))
}

func (tr tree) link(to, name string) {
	tr.t.Helper()
	if err := os.Symlink(to, filepath.Join(tr.root, name)); err != nil {
		tr.t.Fatal(err)
	}
}

func pi(t *testing.T) tree {
	tr := newTree(t)
	// FTDI: usb-serial has a port folder between interface and tty.
	tr.plug("1-1/1-1.4", "1-1.4:1.0/ttyUSB0", "ttyUSB0", map[string]string{
		"idVendor": "0403", "idProduct": "6001", "serial": "A6008isP",
		"manufacturer": "FTDI", "product": "FT232R USB UART", "1-1.4:1.0/bInterfaceNumber": "00",
	})
	// cdc_acm hangs the tty on the interface itself; second interface of a composite device.
	tr.plug("1-1/1-1.2", "1-1.2:1.1", "ttyACM0", map[string]string{
		"idVendor": "303A", "idProduct": "1001", "serial": "F4:12:FA:00:11:22",
		"manufacturer": "Espressif\x07", "product": " USB\x1b[31m JTAG ", "1-1.2:1.1/bInterfaceNumber": "01",
	})
	// CH340: no serial number.
	tr.plug("1-1/1-1.3", "1-1.3:1.0/ttyUSB1", "ttyUSB1", map[string]string{
		"idVendor": "1a86", "idProduct": "7523", "product": "USB Serial", "1-1.3:1.0/bInterfaceNumber": "00",
	})
	// The UART of the board has a device, but no USB above it.
	tr.mkdir("sys/devices/platform/soc/3f201000.serial/tty/ttyAMA0")
	tr.link("../..", "sys/devices/platform/soc/3f201000.serial/tty/ttyAMA0/device")
	tr.link("../../devices/platform/soc/3f201000.serial/tty/ttyAMA0", "sys/class/tty/ttyAMA0")
	// A console has no device at all; this one's device has just gone.
	tr.mkdir("sys/devices/virtual/tty/tty1")
	tr.link("../../devices/virtual/tty/tty1", "sys/class/tty/tty1")
	tr.link("../../devices/gone", "sys/class/tty/ttyUSB9")
	return tr
}

func TestSerialPorts(t *testing.T) {
	tr := pi(t)
	got, err := serialPorts(tr.root)
	if err != nil {
		t.Fatal(err)
	}
	want := []SerialPort{
		{Path: tr.root + "/dev/ttyACM0", VendorID: "303a", ProductID: "1001", Serial: "F4:12:FA:00:11:22",
			Manufacturer: "Espressif", Product: "USB[31m JTAG", Interface: "01", PortPath: "1-1.2"},
		{Path: tr.root + "/dev/ttyUSB0", VendorID: "0403", ProductID: "6001", Serial: "A6008isP",
			Manufacturer: "FTDI", Product: "FT232R USB UART", Interface: "00", PortPath: "1-1.4"},
		{Path: tr.root + "/dev/ttyUSB1", VendorID: "1a86", ProductID: "7523",
			Product: "USB Serial", Interface: "00", PortPath: "1-1.3"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("serialPorts:\n got %+v\nwant %+v", got, want)
	}
}

func TestSerialPortsWithoutSysfs(t *testing.T) {
	got, err := serialPorts(t.TempDir())
	if err != nil || len(got) != 0 {
		t.Errorf("serialPorts = %v, %v; want none", got, err)
	}
}

func TestSerialPortID(t *testing.T) {
	for _, test := range []struct{ serial, want string }{
		{"A6008isP", "10c4:ea60:A6008isP:00"},
		{"", "10c4:ea60:1-1.4:00"},     // CH340
		{"0001", "10c4:ea60:1-1.4:00"}, // every cheap CP2102
		{"0000000000", "10c4:ea60:1-1.4:00"},
		{"0010", "10c4:ea60:0010:00"},
	} {
		p := SerialPort{VendorID: "10c4", ProductID: "ea60", Serial: test.serial, Interface: "00", PortPath: "1-1.4", Path: "/dev/ttyUSB0"}
		if got := p.ID(); got != test.want {
			t.Errorf("serial %q: ID = %q, want %q", test.serial, got, test.want)
		}
	}
}

func TestReadStringIsBounded(t *testing.T) {
	tr := newTree(t)
	tr.write("long", strings.Repeat("x", 100_000))
	if got := readString(tr.root, "long"); len(got) != maxString {
		t.Errorf("read %d bytes, want %d", len(got), maxString)
	}
}
