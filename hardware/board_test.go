package hardware

import (
	"os"
	"testing"
	"time"
)

func TestReadBoard(t *testing.T) {
	tr := newTree(t)
	if got := ReadBoard(tr.root); got != (Board{}) {
		t.Errorf("empty root: %+v", got)
	}
	tr.write("sys/class/dmi/id/sys_vendor", "LENOVO\n")
	tr.write("sys/class/dmi/id/product_name", "20XW\n")
	if got, want := ReadBoard(tr.root), (Board{Model: "LENOVO 20XW"}); got != want {
		t.Errorf("a PC: %+v, want %+v", got, want)
	}
	// The strings of the device tree end with a NUL.
	tr.write("proc/device-tree/model", "Raspberry Pi 3 Model B Rev 1.2\x00")
	tr.write("proc/device-tree/serial-number", "00000000abcdef01\x00")
	want := Board{Model: "Raspberry Pi 3 Model B Rev 1.2", SerialNumber: "00000000abcdef01"}
	if got := ReadBoard(tr.root); got != want {
		t.Errorf("a Pi: %+v, want %+v", got, want)
	}
}

func TestReadVitals(t *testing.T) {
	tr := newTree(t)
	if got := ReadVitals(tr.root); got != (Vitals{}) {
		t.Errorf("empty root: %+v", got)
	}
	tr.write("sys/class/thermal/thermal_zone0/temp", "48312\n")
	tr.write("proc/uptime", "93784.52 371028.17\n")
	tr.write("proc/meminfo", "MemTotal:         944264 kB\nMemFree:          519136 kB\nMemAvailable:     780212 kB\nHugePages_Total:       0\n")
	tr.write("proc/loadavg", "0.42 0.31 0.20 1/187 4242\n")
	want := Vitals{
		Temperature:     48.312,
		MemoryTotal:     944264 << 10,
		MemoryAvailable: 780212 << 10,
		Load:            0.42,
		Uptime:          93784*time.Second + 520*time.Millisecond,
	}
	if got := ReadVitals(tr.root); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	tr.write("sys/class/thermal/thermal_zone0/temp", "hot\n")
	tr.write("proc/uptime", "-3 h")
	tr.write("proc/loadavg", "NaN 0 0")
	tr.write("proc/meminfo", "MemTotal: 99999999999999999999999 kB\nMemAvailable: -1 kB\n")
	if got := ReadVitals(tr.root); got != (Vitals{}) {
		t.Errorf("nonsense: %+v", got)
	}
}

func TestReadVitalsOfThisMachine(t *testing.T) {
	if _, err := os.Stat("/proc/meminfo"); err != nil {
		t.Skip("no /proc")
	}
	if v := ReadVitals("/"); v.MemoryTotal == 0 || v.MemoryAvailable == 0 || v.Uptime == 0 {
		t.Errorf("this machine: %+v", v)
	}
}
