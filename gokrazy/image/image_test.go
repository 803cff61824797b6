package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNeededModules(t *testing.T) {
	const table = `kernel/drivers/hwmon/pwm-fan.ko:
kernel/drivers/net/wireless/broadcom/a/a.ko: kernel/net/b.ko kernel/lib/c.ko
kernel/net/b.ko: kernel/lib/c.ko
kernel/lib/c.ko:
kernel/drivers/media/tuner.ko: kernel/lib/c.ko
`
	got := neededModules(table, []string{"kernel/drivers/hwmon/pwm-fan.ko", "kernel/drivers/net/wireless/broadcom/*"})
	want := []string{"kernel/drivers/hwmon/pwm-fan.ko", "kernel/drivers/net/wireless/broadcom/a/a.ko", "kernel/lib/c.ko", "kernel/net/b.ko"}
	if !slices.Equal(got, want) {
		t.Errorf("needed are %q, want %q", got, want)
	}
}

func TestPruneModules(t *testing.T) {
	root := t.TempDir()
	release := filepath.Join(root, "lib/modules/6.12.47-v8")
	for name, text := range map[string]string{
		"modules.dep":                     "kernel/drivers/hwmon/pwm-fan.ko: kernel/lib/c.ko\nkernel/lib/c.ko:\nkernel/drivers/media/tuner.ko:\n",
		"modules.dep.bin":                 "for modprobe",
		"kernel/drivers/hwmon/pwm-fan.ko": "", "kernel/lib/c.ko": "", "kernel/drivers/media/tuner.ko": "",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(release, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(release, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if removed, err := pruneModules(root); removed != 1 || err != nil {
		t.Errorf("%d removed, %v", removed, err)
	}
	table, err := os.ReadFile(filepath.Join(release, "modules.dep"))
	if want := "kernel/drivers/hwmon/pwm-fan.ko: kernel/lib/c.ko\nkernel/lib/c.ko:\n"; err != nil || string(table) != want {
		t.Errorf("modules.dep is %q, %v", table, err)
	}
	for name, there := range map[string]bool{"kernel/lib/c.ko": true, "kernel/drivers/media": false, "modules.dep.bin": false} {
		if _, err := os.Stat(filepath.Join(release, name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChooseBoot(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"start.elf", "start_x.elf", "overlays/uart2.dtbo", "overlays/uart10.dtbo", "overlays/screen.dtbo"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), make([]byte, 2049), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names, used, err := chooseBoot(folder, []string{"start.elf", "overlays/uart*.dtbo"})
	if want := []string{"start.elf", "overlays/uart10.dtbo", "overlays/uart2.dtbo"}; err != nil || !slices.Equal(names, want) || used != 3*4096 {
		t.Errorf("%q of %d bytes, %v; want %q", names, used, err, want)
	}
	if _, _, err := chooseBoot(folder, []string{"start.elf", "fixup.dat"}); err == nil || !strings.Contains(err.Error(), "fixup.dat") {
		t.Errorf("a file that is missing: %v", err)
	}
}

// checkBill holds a bill of materials against what CycloneDX 1.5 demands of the fields
// that it has (bom-1.5.schema.json), and against what ours has to name.
func checkBill(t *testing.T, text []byte) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // the struct has names of the schema alone
	var b bill
	if err := decoder.Decode(&b); err != nil {
		t.Fatal(err)
	}
	if b.BOMFormat != "CycloneDX" || b.SpecVersion != "1.5" || b.Version < 1 {
		t.Errorf("it says %q, %q, %d", b.BOMFormat, b.SpecVersion, b.Version)
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`).MatchString(b.SerialNumber) {
		t.Errorf("serial number %q", b.SerialNumber)
	}
	if _, err := time.Parse(time.RFC3339, b.Metadata.Timestamp); err != nil {
		t.Error(err)
	}
	kinds := []string{"application", "framework", "library", "container", "platform", "operating-system", "device", "device-driver", "firmware", "file", "machine-learning-model", "data"}
	purl := regexp.MustCompile(`^pkg:golang/[a-zA-Z0-9._~/-]+@[a-zA-Z0-9.+-]+$`)
	sum := regexp.MustCompile(`^[0-9a-f]{64}$`)
	known := []string{"GPL-2.0-only", "Unlicense"} // of SPDX
	for _, m := range licenceMarks {
		known = append(known, m.id)
	}
	refs := map[string]bool{}
	count := map[string]int{}
	for _, c := range append(b.Components, b.Metadata.Component) {
		if refs[c.Ref] || c.Ref == "" {
			t.Errorf("bom-ref %q is there twice", c.Ref)
		}
		refs[c.Ref] = true
		count[c.Type]++
		if !slices.Contains(kinds, c.Type) || c.Name == "" || c.Version == "" {
			t.Errorf("component %q %q %q", c.Type, c.Name, c.Version)
		}
		if c.PURL != "" && !purl.MatchString(c.PURL) {
			t.Errorf("%s: purl %q", c.Name, c.PURL)
		}
		for _, h := range c.Hashes {
			if h.Algorithm != "SHA-256" || !sum.MatchString(h.Content) {
				t.Errorf("%s: hash %v", c.Name, h)
			}
		}
		for _, l := range c.Licenses {
			if (l.License.ID == "") == (l.License.Name == "") || l.License.ID != "" && !slices.Contains(known, l.License.ID) {
				t.Errorf("%s: licence %+v", c.Name, l)
			}
		}
		if c.Type == "library" && len(c.Licenses) == 0 {
			t.Logf("%s: its licence is not known", c.Name)
		}
	}
	if count["application"] < 1 || count["library"] < 1 || count["operating-system"] != 1 {
		t.Errorf("components: %v", count)
	}
	if strings.Contains(string(text), "../") || strings.Contains(string(text), `"/home`) || strings.Contains(string(text), `"/tmp`) {
		t.Error("it names a folder of the machine that builds")
	}
}

// TestBill makes the bill of a root whose only program is this test.
func TestBill(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	kernel := module{"github.com/gokrazy/kernel.rpi", "v0.0.0-20251127164438-9778ec0261de"}
	for name, content := range map[string][]byte{
		filepath.Join(root, "user/lintel"):             text,
		filepath.Join(root, "gokrazy/init"):            text,
		filepath.Join(root, "lib/modules/6.12/x"):      nil,
		filepath.Join(kernel.folder(cache), "vmlinuz"): []byte("a kernel"),
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := build{instance: "lintel", version: "v1.2.3", made: time.Unix(1795384676, 0).UTC()}
	var texts [2][]byte
	for i := range texts {
		made, err := b.bill(root, cache, []module{kernel, {"github.com/gokrazy/firmware", "v0.0.0-1"}, {"lintel", "v0.0.0"}})
		if err != nil {
			t.Fatal(err)
		}
		if texts[i], err = json.Marshal(made); err != nil {
			t.Fatal(err)
		}
	}
	checkBill(t, texts[0])
	if !bytes.Equal(texts[0], texts[1]) {
		t.Error("made twice it differs")
	}
}

func TestLicenceOf(t *testing.T) {
	for want, text := range map[string]string{
		"Apache-2.0":   "   Apache License\n   Version 2.0, January 2004",
		"MIT":          "Permission is hereby granted, free of charge, to any\nperson obtaining a copy",
		"BSD-3-Clause": "Redistribution and use in source and binary forms … Neither the name of Google",
		"BSD-2-Clause": "Redistribution and use in source and binary forms, with or without",
		"MPL-2.0":      "Mozilla Public License Version 2.0",
		"":             "All rights reserved",
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "LICENSE.md"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got := ""
		if l := licenceOf(folder); len(l) > 0 {
			got = l[0].License.ID
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// TestRelease compresses a small image and holds the entry for Imager against it.
func TestRelease(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		if os.Getenv("LINTEL_NEED_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Chdir("../..")
	image := filepath.Join(t.TempDir(), "lintel.img")
	content := bytes.Repeat([]byte("an image"), 1<<16)
	if err := os.WriteFile(image, content, 0o644); err != nil {
		t.Fatal(err)
	}
	b := build{version: "v1.2.3", made: time.Unix(1795384676, 0).UTC(), image: image}
	if err := b.release(""); err == nil {
		t.Error("a release without an address is made")
	}
	if err := b.release("https://example.org/lintel/"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(b.beside(".rpi-imager.json"))
	if err != nil {
		t.Fatal(err)
	}
	entry := checkList(t, text)
	if entry.URL != "https://example.org/lintel/lintel.img.xz" || entry.Icon != "https://example.org/lintel/lintel.svg" {
		t.Errorf("the entry is %+v", entry)
	}
	size, digest, err := sum(image + ".xz")
	if err != nil || entry.DownloadSize != size || entry.DownloadSum != digest {
		t.Errorf("%d bytes with %s are to be downloaded, there are %d with %s (%v)", entry.DownloadSize, entry.DownloadSum, size, digest, err)
	}
	out, err := exec.Command("xz", "-dc", image+".xz").Output()
	whole := sha256.Sum256(out)
	if err != nil || !bytes.Equal(out, content) || entry.ExtractSize != int64(len(out)) || entry.ExtractSum != hex.EncodeToString(whole[:]) {
		t.Errorf("what Imager would write is another image (%v)", err)
	}
}

// checkList holds a list against what Imager demands of an entry, and returns the entry.
func checkList(t *testing.T, text []byte) imagerEntry {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var list imagerList
	if err := decoder.Decode(&list); err != nil || len(list.OSList) != 1 {
		t.Fatalf("%d entries, %v", len(list.OSList), err)
	}
	e := list.OSList[0]
	sum := regexp.MustCompile(`^[0-9a-f]{64}$`)
	if e.Name == "" || e.Description == "" || e.Icon == "" || !sum.MatchString(e.ExtractSum) || !sum.MatchString(e.DownloadSum) {
		t.Errorf("the entry is %+v", e)
	}
	if e.ExtractSize%512 != 0 {
		t.Errorf("an image of %d bytes cannot be written", e.ExtractSize)
	}
	if !slices.Contains([]string{"none", "systemd", "cloudinit", "cloudinit-rpi"}, e.InitFormat) || len(e.Devices) == 0 {
		t.Errorf("init format %q, devices %q", e.InitFormat, e.Devices)
	}
	return e
}

// TestBuilt holds the bills and the list for Imager against their formats, of the images
// that were built last.
func TestBuilt(t *testing.T) {
	bills, _ := filepath.Glob("../../out/*.cdx.json")
	for _, name := range bills {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			checkBill(t, text)
		})
	}
	if len(bills) == 0 {
		t.Skip("no image was built: run make image")
	}
}
