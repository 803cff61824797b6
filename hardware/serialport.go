package hardware

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
