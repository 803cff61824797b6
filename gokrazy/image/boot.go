package main

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// bootFiles are the files that each instance has on its FAT, in this order; patterns are
// those of path.Match. The rest of what gok puts there is for other boards and uses.
var bootFiles = map[string][]string{
	"lintel": {
		"cmdline.txt", "config.txt", "vmlinuz",
		// The boot loader of Raspberry Pi 3 and Zero 2 W, and of 4; a 5 has its own. The
		// cut-down ones are read for gpu_mem=16 in config.txt; those for cameras and for
		// debugging are left out.
		"bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat",
		"start_cd.elf", "fixup_cd.dat", "start4cd.elf", "fixup4cd.dat",
		// Zero 2 W, 3, Compute Module 3 and 0; 4, 400, CM4; 5, 500, CM5.
		"bcm2710-rpi-3*.dtb", "bcm2710-rpi-zero-2*.dtb", "bcm2710-rpi-cm*.dtb", "bcm2711-*.dtb", "bcm2712*.dtb",
		// Overlays that a box without screen, camera and sound may want: lines for radios on
		// the header, real-time clocks, fans, light and buttons, radios switched off.
		"overlays/overlay_map.dtb", "overlays/act-led.dtbo", "overlays/disable-*.dtbo", "overlays/miniuart-*.dtbo",
		"overlays/uart*.dtbo", "overlays/i2c-rtc*.dtbo", "overlays/i2c?*.dtbo", "overlays/gpio-*.dtbo", "overlays/pwm-gpio-fan.dtbo",
		"overlays/rpi-poe*.dtbo", "overlays/sc16is75*.dtbo", "overlays/spi?-*.dtbo", "overlays/w1-gpio*.dtbo",
		"overlays/sdhost.dtbo", "overlays/sdio*.dtbo", "overlays/dwc2.dtbo", "overlays/pci*.dtbo",
		"overlays/vl805.dtbo", "overlays/ramoops*.dtbo",
		"overlays/bcm2712d0.dtbo", // taken unasked by the later ones of Raspberry Pi 5
	},
	"lintel-vm-arm64": {"cmdline.txt", "vmlinuz", "loader/entries/gokrazy.conf", "EFI/BOOT/BOOTAA64.EFI"},
	"lintel-vm-amd64": {"cmdline.txt", "vmlinuz", "loader/entries/gokrazy.conf", "EFI/BOOT/BOOTX64.EFI"},
}

// freeBoot is the least room on the FAT for a person's files, in bytes.
const freeBoot = 8 << 20

// packBoot makes the FAT. It is as large as its partition; gok's is cut to its content.
func (b build) packBoot(from, to *disk, work string) (string, error) {
	patterns, ok := bootFiles[b.instance]
	if !ok {
		return "", fmt.Errorf("nothing says what %s boots from", b.instance)
	}
	p := to.partitions[bootPartition]
	given, out := filepath.Join(work, "given.fat"), filepath.Join(work, "boot.fat")
	if err := from.extract(p, p.size, given); err != nil {
		return "", err
	}
	folder := filepath.Join(work, "boot")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return "", err
	}
	if err := b.command("env", "MTOOLS_SKIP_CHECK=1", "mcopy", "-s", "-n", "-i", given, "::/", folder); err != nil {
		return "", err
	}
	names, used, err := chooseBoot(folder, patterns)
	if err != nil {
		return "", err
	}
	if used+freeBoot > p.size {
		return "", fmt.Errorf("%s of files leave no room for a person's", mebibytes(used))
	}

	// One table and FAT16: what gokrazy's init takes for granted, which finds cmdline.txt
	// past the file system. A cluster of 2 KiB holds cmdline.txt in one piece, also after
	// Raspberry Pi Imager has added to it.
	serial := fnv.New32a()
	serial.Write([]byte(b.instance))
	if err := b.command("mformat", "-C", "-i", out, "-T", fmt.Sprint(p.size/sector), "-h", "64", "-s", "32",
		"-H", fmt.Sprint(p.offset/sector), "-d", "1", "-c", "4", "-m", "0xf8", "-N", fmt.Sprintf("%08x", serial.Sum32()), "-v", "LINTEL", "::"); err != nil {
		return "", err
	}
	made := map[string]bool{".": true}
	for _, name := range names {
		for _, dir := range parents(name) {
			if !made[dir] {
				made[dir] = true
				if err := b.command("mmd", "-i", out, "::/"+dir); err != nil {
					return "", err
				}
			}
		}
		source := filepath.Join(folder, name)
		if err := os.Chtimes(source, b.made, b.made); err != nil {
			return "", err
		}
		if err := b.command("mcopy", "-m", "-i", out, source, "::/"+name); err != nil {
			return "", err
		}
	}
	if err := to.fill(p, out); err != nil {
		return "", err
	}
	if err := to.pointLoader(p); err != nil {
		return "", err
	}
	return fmt.Sprintf("  boot     %s in %d files; %s free\n", mebibytes(used), len(names), mebibytes(p.size-used)), nil
}

// parents returns the folders that a file is in, outermost first.
func parents(name string) []string {
	var dirs []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

// chooseBoot returns the files below folder that patterns name, in their order, and how
// many bytes they take on a FAT with clusters of 2 KiB.
func chooseBoot(folder string, patterns []string) (names []string, used int64, err error) {
	found := make([][]string, len(patterns))
	err = filepath.WalkDir(folder, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, file)
		if err != nil {
			return err
		}
		for i, pattern := range patterns {
			if ok, err := path.Match(pattern, name); err != nil {
				return err
			} else if ok {
				info, err := e.Info()
				if err != nil {
					return err
				}
				found[i] = append(found[i], name)
				used += (info.Size() + 2047) &^ 2047
				break
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	for i, pattern := range patterns {
		if len(found[i]) == 0 {
			return nil, 0, fmt.Errorf("there is no %s", pattern)
		}
		names = append(names, found[i]...) // WalkDir goes by name
	}
	return names, used, nil
}

// pointLoader tells the boot code in the first sector, which a PC without UEFI runs,
// where the kernel and its command line begin: it knows no file systems.
func (d *disk) pointLoader(p extent) error {
	for i, name := range []string{"VMLINUZ", "CMDLINE TXT"} {
		at, err := d.findBootFile(p, name)
		if err != nil {
			return err
		}
		var lba [4]byte
		binary.LittleEndian.PutUint32(lba[:], uint32(at/sector))
		if _, err := d.WriteAt(lba[:], int64(432+4*i)); err != nil {
			return err
		}
	}
	return nil
}

// findBootFile returns the offset in the image of a file in the topmost folder of a
// FAT16. Files that were copied one after the other are in one piece.
func (d *disk) findBootFile(p extent, name string) (int64, error) {
	head := make([]byte, sector)
	if _, err := d.ReadAt(head, p.offset); err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	folder := p.offset + sector*(int64(le.Uint16(head[14:]))+int64(head[16])*int64(le.Uint16(head[22:])))
	entries := make([]byte, 32*int(le.Uint16(head[17:])))
	if _, err := d.ReadAt(entries, folder); err != nil {
		return 0, err
	}
	for e := range slices.Chunk(entries, 32) {
		if strings.TrimRight(string(e[:11]), " ") == name && e[11]&0x18 == 0 {
			return folder + int64(len(entries)) + (int64(le.Uint16(e[26:]))-2)*int64(head[13])*sector, nil
		}
	}
	return 0, fmt.Errorf("the FAT has no %s", name)
}
