package hardware

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Board is what a machine is and stays.
type Board struct {
	Model        string // such as Raspberry Pi 4 Model B Rev 1.5
	SerialNumber string
}

// ReadBoard asks the device tree, which a Raspberry Pi has, and then the DMI
// tables of a PC.
func ReadBoard(root string) Board {
	tree := filepath.Join("/", root, "proc/device-tree")
	b := Board{Model: readString(tree, "model"), SerialNumber: readString(tree, "serial-number")}
	if b.Model == "" {
		dmi := filepath.Join("/", root, "sys/class/dmi/id")
		b.Model = strings.TrimSpace(readString(dmi, "sys_vendor") + " " + readString(dmi, "product_name"))
		b.SerialNumber = readString(dmi, "product_serial")
	}
	return b
}

// Vitals is how a machine is at one moment. What is zero is not known.
type Vitals struct {
	Temperature     float64 // of the SoC, °C
	MemoryTotal     uint64  // bytes
	MemoryAvailable uint64  // bytes
	MemoryStalled   float64 // percent of the last minute in which something waited for memory
	Load            float64 // processes that run or wait for the disk, on average of the last minute
	Uptime          time.Duration
}

// ReadVitals reads the vitals.
func ReadVitals(root string) Vitals {
	var v Vitals
	// thermal_zone0 is the SoC on every Raspberry Pi, in millidegrees.
	if milli, err := strconv.ParseInt(readString("/", root, "sys/class/thermal/thermal_zone0/temp"), 10, 32); err == nil {
		v.Temperature = float64(milli) / 1000
	}
	first, _, _ := strings.Cut(readString("/", root, "proc/uptime"), " ")
	if d, err := time.ParseDuration(first + "s"); err == nil && d > 0 {
		v.Uptime = d
	}
	load, _, _ := strings.Cut(readString("/", root, "proc/loadavg"), " ")
	if n, err := strconv.ParseFloat(load, 64); err == nil && n >= 0 && n < 1e6 {
		v.Load = n
	}
	v.MemoryTotal, v.MemoryAvailable = readMemory(filepath.Join("/", root, "proc/meminfo"))
	v.MemoryStalled = readStalled(readText(512, "/", root, "proc/pressure/memory"))
	return v
}

// readStalled reads the line "some" of Documentation/accounting/psi.rst. There is none where
// the kernel does not count it.
func readStalled(text string) float64 {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "some ")
		if !ok {
			continue
		}
		for _, field := range strings.Fields(rest) {
			value, ok := strings.CutPrefix(field, "avg60=")
			if n, err := strconv.ParseFloat(value, 64); ok && err == nil && n >= 0 && n <= 100 {
				return n
			}
		}
	}
	return 0
}

func readMemory(path string) (total, available uint64) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		if len(field) != 3 || field[2] != "kB" {
			continue
		}
		n, err := strconv.ParseUint(field[1], 10, 53)
		if err != nil {
			continue
		}
		switch field[0] {
		case "MemTotal:":
			total = n << 10
		case "MemAvailable:":
			available = n << 10
		}
	}
	return total, available
}
