package hardware

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// machine makes the files of a machine in testdata.
func machine(t *testing.T, file string) tree {
	t.Helper()
	tr := newTree(t)
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq("\n"+string(text), "\n-- ") {
		if name, content, ok := strings.Cut(part, " --\n"); ok {
			tr.write(name, content+"\n")
		}
	}
	return tr
}

// mount says what the numbers of a device are, as sysfs does.
func (tr tree) mount(number, device string) {
	tr.t.Helper()
	tr.mkdir("sys/dev/block")
	tr.link(filepath.Join(tr.root, device), filepath.Join("sys/dev/block", number))
}

func (tr tree) read(name string) string {
	tr.t.Helper()
	text, err := os.ReadFile(filepath.Join(tr.root, name))
	if err != nil {
		tr.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestThrottling(t *testing.T) {
	type said struct {
		now, been Trouble
		known     bool
	}
	read := func(root string) said {
		now, been, known := ReadThrottling(root)
		return said{now, been, known}
	}
	if got := read(newTree(t).root); got != (said{}) {
		t.Errorf("no Raspberry Pi: %+v", got)
	}
	pi, cm := machine(t, "pi4.txt"), machine(t, "cm4.txt")
	if got, want := read(pi.root), (said{UnderVoltage | Throttled, UnderVoltage | Throttled, true}); got != want {
		t.Errorf("Raspberry Pi 4: %+v, want %+v", got, want)
	}
	if got, want := read(cm.root), (said{known: true}); got != want {
		t.Errorf("Compute Module: %+v, want %+v", got, want)
	}
	const word = "sys/devices/platform/soc/soc:firmware/get_throttled"
	pi.write("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n")
	for text, want := range map[string]said{
		"0":           {known: true},
		"80000":       {been: TemperatureLimit, known: true},
		"0x20002":     {now: FrequencyCapped, been: FrequencyCapped, known: true},
		"8":           {now: TemperatureLimit, been: TemperatureLimit, known: true},
		"fffffff0":    {been: allTrouble, known: true}, // bits that may come to mean something
		"no":          {known: true},                   // the sensor alone
		"123456789":   {known: true},
		"-1":          {known: true},
		"":            {known: true},
		"5\nand more": {now: UnderVoltage | Throttled, been: UnderVoltage | Throttled, known: true},
	} {
		pi.write(word, text)
		if got := read(pi.root); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	// Where a Raspberry Pi 5 has it.
	five := newTree(t)
	five.write("sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "1\n")
	if got := read(five.root); !got.known || got.now.String() != "under-voltage" {
		t.Errorf("Raspberry Pi 5: %+v", got)
	}
	if got := (UnderVoltage | TemperatureLimit).String(); got != "under-voltage, temperature limit" {
		t.Errorf("in words: %q", got)
	}
}

// diskOf reads the disk that a device is on.
func diskOf(t *testing.T, root string, major, minor uint32) Disk {
	t.Helper()
	device, err := blockDevice(root, major, minor)
	if err != nil {
		t.Fatal(err)
	}
	return readDisk(wholeDisk(device))
}

func TestDisk(t *testing.T) {
	const card = "sys/devices/platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0"
	pi := machine(t, "pi4.txt")
	pi.mount("179:4", card+"/mmcblk0p4")
	pi.mount("179:0", card)
	pi.link("../..", card+"/device")
	want := Disk{Kind: "SD", Model: "SC32G", Made: "03/2021", Written: 1048576 * 512}
	for _, minor := range []uint32{4, 0} { // a partition, and the whole disk
		if got := diskOf(t, pi.root, 179, minor); got != want {
			t.Errorf("179:%d: %+v, want %+v", minor, got, want)
		}
	}
	if v := ReadVitals(pi.root); v.MemoryStalled != 13.25 {
		t.Errorf("memory stalled %v %%, want 13.25", v.MemoryStalled)
	}
	pi.write(card+"/../../date", "soon\n")
	if got := diskOf(t, pi.root, 179, 4); got.Made != "" {
		t.Errorf("made %q", got.Made)
	}
	if id := BootID(pi.root); id != "9d4a1c0e-52a5-4c29-a1a5-9c6b6c7e3f10" {
		t.Errorf("boot id %q", id)
	}

	const emmc = "sys/devices/platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/mmc0:0001"
	cm := machine(t, "cm4.txt")
	cm.mount("179:0", emmc+"/block/mmcblk0")
	cm.link("../..", emmc+"/block/mmcblk0/device")
	want = Disk{Kind: "MMC", Written: 2048 * 512, LifeUsed: 30, Spare: "normal"}
	if got := diskOf(t, cm.root, 179, 0); got != want {
		t.Errorf("eMMC: %+v, want %+v", got, want)
	}
	for life, used := range map[string]int{
		"0x00 0x00": 0, "0x0b 0x01": 110, "0x0a": 100, "0x0c 0x01": 10, "": 0, "worn": 0, "-1 99999": 0,
	} {
		cm.write(emmc+"/life_time", life+"\n")
		if got := diskOf(t, cm.root, 179, 0); got.LifeUsed != used {
			t.Errorf("%q: %d %% used, want %d", life, got.LifeUsed, used)
		}
	}
	for info, spare := range map[string]string{"0x00": "", "0x02": "warning", "0x03": "urgent", "0x04": "", "": "", "x": ""} {
		cm.write(emmc+"/pre_eol_info", info+"\n")
		if got := diskOf(t, cm.root, 179, 0); got.Spare != spare {
			t.Errorf("%q: %q, want %q", info, got.Spare, spare)
		}
	}
	for _, stat := range []string{"", "1 2 3 4 5 6", "1 2 3 4 5 6 x", "1 2 3 4 5 6 -7", "1 2 3 4 5 6 99999999999999999999"} {
		cm.write(emmc+"/block/mmcblk0/stat", stat+"\n")
		if got := diskOf(t, cm.root, 179, 0); got.Written != 0 {
			t.Errorf("%q: %d bytes", stat, got.Written)
		}
	}
}

func TestStalled(t *testing.T) {
	for text, want := range map[string]float64{
		"": 0, "some": 0, "some avg60=x": 0, "some avg60=-1": 0, "some avg60=101": 0, "some avg60=NaN": 0, "full avg60=5": 0, "some avg10=1 avg60=2.5 avg300=3": 2.5,
	} {
		if got := readStalled(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestSpace(t *testing.T) {
	free, total, err := ReadSpace(t.TempDir())
	if err != nil || total == 0 || free > total {
		t.Errorf("%d of %d bytes, %v", free, total, err)
	}
	if _, _, err := ReadSpace("/there is none"); err == nil {
		t.Error("the space of a folder that is not there")
	}
}

func TestBlink(t *testing.T) {
	if _, ok := FindLED(newTree(t).root); ok {
		t.Error("a light where there is none")
	}
	for _, tt := range []struct{ file, led, on, trigger, brightness string }{
		{"pi4.txt", "led0", "255", "mmc0", ""},
		{"cm4.txt", "ACT", "1", "none", "1"},
	} {
		tr := machine(t, tt.file)
		led := "sys/class/leds/" + tt.led
		l, ok := FindLED(tr.root)
		if !ok || filepath.Base(l.folder) != tt.led {
			t.Fatalf("%s: found %v", tt.file, l)
		}
		synctest.Test(t, func(t *testing.T) {
			ended := make(chan error, 1)
			go func() { ended <- l.Blink(t.Context(), 2*time.Second) }()
			synctest.Wait()
			for i, want := range []string{tt.on, "0", tt.on, "0"} {
				if got := tr.read(led + "/brightness"); got != want || tr.read(led+"/trigger") != "none" {
					t.Errorf("%s: step %d is %q, want %q", tt.file, i, got, want)
				}
				time.Sleep(blink)
				synctest.Wait()
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		// Plain files do not come back to the brackets of sysfs.
		if got := tr.read(led + "/trigger"); got != tt.trigger {
			t.Errorf("%s: afterwards the trigger is %q", tt.file, got)
		}
		if got := tr.read(led + "/brightness"); tt.brightness != "" && got != tt.brightness {
			t.Errorf("%s: afterwards the brightness is %q", tt.file, got)
		}
	}
}

// Who ends it early finds the light as it was.
func TestBlinkIsEnded(t *testing.T) {
	tr := machine(t, "pi4.txt")
	// A list that is longer than what most files have.
	tr.write("sys/class/leds/led0/trigger", "none "+strings.Repeat("cpu0 ", 1000)+"[mmc0]\n")
	l, _ := FindLED(tr.root)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Blink(ctx, time.Hour); err != nil {
		t.Error(err)
	}
	if got := tr.read("sys/class/leds/led0/trigger"); got != "mmc0" {
		t.Errorf("the trigger is %q", got)
	}
	if err := (LED{t.TempDir() + "/gone"}).Blink(t.Context(), time.Hour); err == nil {
		t.Error("a light that is gone: no error")
	}
}
