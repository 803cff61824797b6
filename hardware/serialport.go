package hardware

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// SerialPort is a serial port and the USB device that it belongs to, as sysfs
// tells it. Fields that sysfs does not have are empty.
type SerialPort struct {
	Path         string // device node, such as /dev/ttyUSB0; differs from boot to boot
	VendorID     string // four lower-case hex digits, such as 0403
	ProductID    string // four lower-case hex digits, such as 6001
	Serial       string // serial number string of the USB device
	Manufacturer string
	Product      string
	Interface    string // bInterfaceNumber, two hex digits
	PortPath     string // where it is plugged in, such as 1-1.4
}

// ID names the port in the same way after every boot:
// vendor:product:serial:interface. A CH340 has no serial number and every
// cheap CP2102 has 0001; such a stick is known by the socket that it is in.
func (p SerialPort) ID() string {
	serial := p.Serial
	if worthless(serial) {
		serial = p.PortPath
	}
	return p.VendorID + ":" + p.ProductID + ":" + serial + ":" + p.Interface
}

// worthless tells whether a serial number is one that is the same on all
// sticks of a kind: none, zeros, or zeros and a one.
func worthless(serial string) bool {
	rest := strings.TrimLeft(serial, "0")
	return rest == "" || rest == "1"
}

// serialPorts lists the serial ports that belong to USB devices, by path. The
// device node may come to be a moment after its port is listed.
func serialPorts(root string) ([]SerialPort, error) {
	class := filepath.Join("/", root, "sys/class/tty")
	entries, err := os.ReadDir(class)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no sysfs: nothing that could be plugged in
	}
	if err != nil {
		return nil, err
	}
	var ports []SerialPort
	for _, e := range entries {
		// A tty without hardware has no device link; one that is being
		// unplugged loses it between two reads. Neither is an error.
		dir, err := filepath.EvalSymlinks(filepath.Join(class, e.Name(), "device"))
		if err != nil {
			continue
		}
		p := SerialPort{Path: filepath.Join("/", root, "dev", e.Name())}
		if !p.readUSB(dir, class) {
			continue
		}
		// What was read while it was unplugged may lack its serial number, and would be
		// another stick.
		if _, err := os.Lstat(filepath.Join(class, e.Name())); err == nil {
			ports = append(ports, p)
		}
	}
	slices.SortFunc(ports, func(a, b SerialPort) int { return strings.Compare(a.Path, b.Path) })
	return ports, nil
}

// readUSB goes up from a tty's device folder. cdc_acm hangs the tty on the
// interface, usb-serial has a port folder in between.
func (p *SerialPort) readUSB(dir, class string) bool {
	// The depth of a USB tree is seven; 16 bounds a walk through a
	// strange file system.
	for range 16 {
		if p.Interface == "" {
			p.Interface = readString(dir, "bInterfaceNumber")
		}
		if vendor := readString(dir, "idVendor"); vendor != "" {
			p.VendorID = strings.ToLower(vendor)
			p.ProductID = strings.ToLower(readString(dir, "idProduct"))
			p.Serial = readString(dir, "serial")
			p.Manufacturer = readString(dir, "manufacturer")
			p.Product = readString(dir, "product")
			p.PortPath = filepath.Base(dir)
			return true
		}
		up := filepath.Dir(dir)
		if up == dir || strings.HasPrefix(class, up+"/") {
			return false // at or above sys: not a USB device
		}
		dir = up
	}
	return false
}

// maxString bounds what is read of one file. A USB string has at most 126
// characters; a board's name is shorter.
const maxString = 512

// readString returns the text in a file of one line, or "" if there is none.
func readString(elem ...string) string { return readText(maxString, elem...) }

// readText does so with a file that may be longer.
func readText(limit int, elem ...string) string {
	f, err := os.Open(filepath.Join(elem...))
	if err != nil {
		return ""
	}
	defer f.Close()
	buf := make([]byte, limit)
	n, _ := f.Read(buf) // sysfs gives an attribute in one read
	s := strings.ToValidUTF8(string(buf[:n]), "")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && r != '\n' {
			return -1
		}
		return r
	}, s)
	s, _, _ = strings.Cut(s, "\n")
	return strings.TrimSpace(s)
}
