// Command unplug takes the first serial stick out of the machine, as far as its programs can
// see, and keeps it out: a version whose kernel or programs have lost a stick. It is in no
// image but those that the test of images makes to see a box come back from them.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	for {
		if err := unplug(); err != nil {
			fmt.Fprintln(os.Stderr, "unplug:", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// unplug tells the kernel not to use the USB device of ttyUSB0.
func unplug() error {
	// …/usb1/1-1/1-1:1.0/ttyUSB0 is the serial line, 1-1 the device.
	line, err := filepath.EvalSymlinks("/sys/class/tty/ttyUSB0/device")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	device := filepath.Dir(filepath.Dir(line))
	if err := os.WriteFile(filepath.Join(device, "authorized"), []byte("0"), 0); err != nil {
		return err
	}
	fmt.Println("unplug: took out", filepath.Base(device))
	return nil
}
