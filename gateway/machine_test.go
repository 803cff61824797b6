package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lintel/gateway/dashboard"
	"lintel/hardware"
)

func TestMachineInWords(t *testing.T) {
	t.Parallel()
	const gb = 1 << 30
	sound := machine{
		board:      hardware.Board{Model: "Raspberry Pi 4 Model B Rev 1.5", SerialNumber: "00000000abcdef01"},
		vitals:     hardware.Vitals{Temperature: 48.3, MemoryTotal: 4 * gb, MemoryAvailable: 3 * gb, MemoryStalled: 0.1},
		knowsPower: true,
		disk:       hardware.Disk{Kind: "SD", Model: "SC32G", Made: "03/2021"},
		written:    12.3, perDay: 0.42, free: 28 * gb, total: 30 * gb,
	}
	var lines []string
	for _, f := range sound.facts() {
		lines = append(lines, f.Name+": "+f.Value)
		if f.Problem != "" || f.Short != "" {
			t.Errorf("%+v", f)
		}
	}
	want := []string{"Board: Raspberry Pi 4 Model B Rev 1.5", "Serial number: 00000000abcdef01", "Processor: 48 °C", "Power: enough",
		"Memory: 3.2 GB of 4.3 GB free", "Card: 30.1 GB of 32.2 GB free", "Card wear: SC32G of 03/2021, 12.3 GB written, 0.42 GB a day"}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("in words:\n%s", got)
	}
	if facts := new(machine).facts(); len(facts) != 0 {
		t.Errorf("of a machine that tells nothing: %+v", facts)
	}
	for _, test := range []struct {
		name, short, sentence string
		change                func(*machine)
	}{
		{"hot", "too hot", "has 81 °C and slows down", func(m *machine) { m.vitals.Temperature = 81.2 }},
		{"warm", "", "", func(m *machine) { m.vitals.Temperature = 79.9 }},
		{"under-voltage", "power too weak", "cable is too weak", func(m *machine) { m.now = hardware.UnderVoltage | hardware.Throttled; m.been = m.now }},
		{"under-voltage before", "power was too weak", "was too weak for a while", func(m *machine) { m.been = hardware.UnderVoltage }},
		{"capped", "", "", func(m *machine) { m.now = hardware.FrequencyCapped }},
		{"little memory", "memory short", "408 MB of 4.3 GB are free", func(m *machine) { m.vitals.MemoryAvailable = 4 * gb * 95 / 1000 }},
		{"enough memory", "", "", func(m *machine) { m.vitals.MemoryAvailable = 4 * gb * 105 / 1000 }},
		{"waiting for memory", "memory short", "waited for it in 13 %", func(m *machine) { m.vitals.MemoryStalled = 13.25 }},
		{"disk full", "disk nearly full", "90 MB of 32.2 GB are free", func(m *machine) { m.free = 90e6 }},
		{"little space", "disk nearly full", "nearly full", func(m *machine) { m.free, m.total = gb/2, 6*gb }},
		{"little space of a large disk", "", "", func(m *machine) { m.free, m.total = 3*gb, 100*gb }},
		{"a small disk", "", "", func(m *machine) { m.free, m.total = 200<<20, gb }},
		{"life", "disk wears out", "Most of the life of the disk", func(m *machine) { m.disk = hardware.Disk{Kind: "MMC", LifeUsed: 80, Spare: "normal"} }},
		{"young", "", "", func(m *machine) { m.disk = hardware.Disk{Kind: "MMC", LifeUsed: 70, Spare: "normal"} }},
		{"spare", "disk wears out", "replace it", func(m *machine) { m.disk = hardware.Disk{Kind: "MMC", LifeUsed: 10, Spare: "warning"} }},
		{"urgent", "disk worn out", "make a backup now", func(m *machine) { m.disk = hardware.Disk{Kind: "MMC", LifeUsed: 10, Spare: "urgent"} }},
		{"worn out", "disk worn out", "make a backup now", func(m *machine) { m.disk = hardware.Disk{Kind: "MMC", LifeUsed: 110} }},
	} {
		m := sound
		test.change(&m)
		short, sentences := machineProblems(m.facts())
		if strings.Join(short, ", ") != test.short || !strings.Contains(strings.Join(sentences, " "), test.sentence) || test.short == "" != (len(sentences) == 0) {
			t.Errorf("%s: %q, %q", test.name, short, sentences)
		}
	}
}

// The machine that is found below a root is on the page and in the state.
func TestMachineOnThePage(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	files := map[string]string{
		"proc/device-tree/model":                 "Raspberry Pi Zero 2 W Rev 1.0\x00",
		"proc/device-tree/serial-number":         "00000000abcdef01\x00",
		"sys/class/thermal/thermal_zone0/temp":   "83100\n",
		"proc/meminfo":                           "MemTotal:         473000 kB\nMemAvailable:     30000 kB\n",
		"sys/class/hwmon/hwmon0/name":            "rpi_volt\n",
		"sys/class/hwmon/hwmon0/in0_lcrit_alarm": "1\n",
	}
	for name, text := range files {
		fail(t, writeBelow(root, name, text))
	}
	e, stop := startOptions(t, closedConfig(), Options{Data: t.TempDir(), Root: root, Version: "test"})
	defer stop()
	o := visit(t, e)
	o.call("POST", "/api/claim", map[string]string{"password": "correct horse", "name": ""}, nil)
	var status struct {
		Notices []string
		Machine []dashboard.Fact
	}
	o.get("/api/status", &status)
	notices := strings.Join(status.Notices, "\n")
	for _, want := range []string{"has 83 °C", "The power supply or its cable is too weak", "Memory is short: 31 MB"} {
		if !strings.Contains(notices, want) {
			t.Errorf("the notices do not say %q:\n%s", want, notices)
		}
	}
	if len(status.Machine) < 5 || status.Machine[0].Value != "Raspberry Pi Zero 2 W Rev 1.0" || status.Machine[1].Value != "00000000abcdef01" {
		t.Errorf("%+v", status.Machine)
	}
}

func writeBelow(root, name, text string) error {
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, name), []byte(text), 0o600)
}
