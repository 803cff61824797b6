//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refusals returns what each drive is refused for.
func refusals(drives []drive) map[string]string {
	out := make(map[string]string)
	for _, d := range drives {
		out[d.Name] = d.refusal()
	}
	return out
}

func open(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestDrivesOfMacOS(t *testing.T) {
	drives, err := parseDiskutilList(open(t, "diskutil-list.plist"))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"internal-ssd", "sd-slot", "usb-stick"} {
		if err := parseDiskutilInfo(open(t, "diskutil-info-"+name+".plist"), &drives[i]); err != nil {
			t.Fatal(err)
		}
	}
	want := "map[disk0:this machine runs from it disk4:it is in use at /Volumes/boot & more: eject it there first, without pulling it out disk5:]"
	if got := fmt.Sprint(refusals(drives)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if d := drives[2]; d.Model != "Ultra Fit" || d.Size != 15931539456 || d.Path != "/dev/rdisk5" {
		t.Errorf("%+v", d)
	}
	for _, name := range []string{"usb-ssd", "disk-image"} {
		d := drive{Size: 1}
		if err := parseDiskutilInfo(open(t, "diskutil-info-"+name+".plist"), &d); err != nil || d.refusal() != "it is not removable" {
			t.Errorf("%s: %q, %v", name, d.refusal(), err)
		}
	}
}

func TestDrivesOfWindows(t *testing.T) {
	drives, letters, err := parseGetDisk(open(t, "get-disk.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := "map[0:this machine runs from it 1:it is not removable 2: 3:it is write-protected 4:there is no card in it]"
	if got := fmt.Sprint(refusals(drives)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := fmt.Sprint(letters["2"], drives[2].Path); got != `[F G]\\.\PhysicalDrive2` {
		t.Error(got)
	}
}

// tree makes files: name to content.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestDrivesOfLinux(t *testing.T) {
	files := map[string]string{
		"proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/sde1 partition 1000 0 -2\n",
		"proc/self/mountinfo": `22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
30 22 0:25 / /home rw - btrfs /dev/sdd1 rw
40 22 8:17 / /media/me/my\040card rw - vfat /dev/sdb1 rw
41 22 0:5 / /dev rw - devtmpfs udev rw
`,
		"sys/block/sda/holders/.keep":      "", // hidden files are no holders
		"sys/block/sda/sda1/holders/dm-0":  "",
		"sys/block/sdg/device/model":       "Card  Reader \n",
		"sys/block/sdg/device/vendor":      "Generic\n",
		"sys/block/mmcblk0/device/type":    "MMC\n",
		"sys/block/mmcblk1/device/type":    "SD\n",
		"sys/block/mmcblk1/device/name":    "SC32G\n",
		"sys/block/loop0/removable":        "1\n",
		"sys/block/nvme0n1/nvme0n1p2/dev":  "259:2\n",
		"sys/block/sdb/sdb1/dev":           "8:17\n",
		"sys/block/sdd/sdd1/dev":           "8:49\n",
		"sys/block/sde/sde1/dev":           "8:65\n",
		"sys/block/mmcblk1/mmcblk1p1/dev":  "179:1\n",
		"sys/block/mmcblk1/mmcblk1p10/dev": "179:10\n",
	}
	for name, disk := range map[string]struct {
		dev, removable, ro string
		sectors            int
	}{
		"nvme0n1": {"259:0", "0", "0", 1000}, "sda": {"8:0", "1", "0", 1000}, "sdb": {"8:16", "1", "0", 1000}, "sdc": {"8:32", "0", "0", 1000},
		"sdd": {"8:48", "1", "0", 1000}, "sde": {"8:64", "1", "0", 1000}, "sdf": {"8:80", "1", "1", 1000}, "sdg": {"8:96", "1", "0", 62333952},
		"sdh": {"8:112", "1", "0", 0}, "mmcblk0": {"179:0", "0", "0", 1000}, "mmcblk1": {"179:8", "0", "0", 1000},
	} {
		for file, text := range map[string]string{"dev": disk.dev, "removable": disk.removable, "ro": disk.ro, "size": fmt.Sprint(disk.sectors)} {
			files["sys/block/"+name+"/"+file] = text + "\n"
		}
	}
	drives, err := readDrives(tree(t, files))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"nvme0n1": "this machine runs from it", "sda": "it is in use by dm-0", "sdb": "it is in use at /media/me/my card", "sdc": "it is not removable",
		"sdd": "it is in use at /home", "sde": "this machine runs from it", "sdf": "it is write-protected", "sdg": "", "sdh": "there is no card in it",
		"mmcblk0": "it is not removable", "mmcblk1": "",
	} {
		got, known := refusals(drives)[name]
		if !known || want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: refused %q, want %q", name, got, want)
		}
	}
	for _, d := range drives {
		if d.Name == "sdg" && (d.Model != "Generic Card Reader" || d.Size != 62333952*512) || strings.HasPrefix(d.Name, "loop") {
			t.Errorf("%+v", d)
		}
	}
}

// The disks of the machine that runs this are no cards that nobody uses, as far as they are
// mounted: that is all that can be said of them here.
func TestDrivesOfThisMachine(t *testing.T) {
	if _, err := listDrives(); err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
}

func FuzzPlist(f *testing.F) {
	for _, name := range []string{"diskutil-list.plist", "diskutil-info-usb-stick.plist"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(strings.Repeat("<array>", 100))
	f.Fuzz(func(t *testing.T, text string) {
		drives, err := parseDiskutilList(strings.NewReader(text))
		var d drive
		parseDiskutilInfo(strings.NewReader(text), &d)
		for _, d := range drives {
			if err != nil || strings.ContainsAny(d.Name, "/ ") || d.Removable {
				t.Errorf("%+v, %v", d, err)
			}
		}
	})
}
