package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// perm is the folder with what /perm holds at the first boot.
const perm = "gokrazy/perm"

// packPerm formats the partition for /perm, which gokrazy never does.
//
// The group descriptors have room for a disk of 4 TB, so that the file system can grow
// while it is mounted; a file per 256 KiB is more than a box has, and few of them are
// what growing has to write.
func (b build) packPerm(to *disk, work string) (string, error) {
	p, out := to.partitions[permPartition], filepath.Join(work, "perm.ext4")
	if err := b.command("mkfs.ext4", "-q", "-F", "-L", "perm", "-m", "0", "-b", "4096", "-i", "262144", "-I", "256",
		"-U", uuid(b.instance+" perm"), "-E", "resize=1073741824,lazy_itable_init=0,lazy_journal_init=0,hash_seed="+uuid(b.instance+" hashes"),
		out, fmt.Sprint(p.size>>10)+"k"); err != nil {
		return "", err
	}
	// mkfs.ext4 -d takes times from the files of the checkout.
	commands := fmt.Appendf(nil, "set_current_time @%d\n", b.made.Unix())
	err := filepath.WalkDir(perm, func(name string, e fs.DirEntry, err error) error {
		switch inside := strings.TrimPrefix(name, perm); {
		case err != nil || inside == "":
			return err
		case strings.ContainsAny(name, "\"\n "):
			return fmt.Errorf("%q cannot be told to debugfs", name)
		case e.IsDir():
			commands = fmt.Appendf(commands, "mkdir %s\n", inside)
		default:
			// With a name alone debugfs writes into the folder that it is in.
			commands = fmt.Appendf(commands, "cd %s\nwrite %s %s\nsif %s uid 0\nsif %s gid 0\nsif %s mode 0100644\ncd /\n",
				filepath.Dir(inside), name, filepath.Base(inside), inside, inside, inside)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	script := filepath.Join(work, "perm.debugfs")
	if err := os.WriteFile(script, commands, 0o600); err != nil {
		return "", err
	}
	if err := b.command("debugfs", "-w", "-f", script, out); err != nil {
		return "", err
	}
	if err := b.holds(out); err != nil {
		return "", err
	}
	return fmt.Sprintf("  /perm    %s, grown at the first boot to what the card has\n", mebibytes(p.size)), to.fill(p, out)
}

// holds looks whether the files are there: debugfs ends with status 0 whatever happened.
func (b build) holds(image string) error {
	if err := b.command("e2fsck", "-f", "-n", image); err != nil {
		return err
	}
	return filepath.WalkDir(perm, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		want, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		dump := image + ".dump"
		if err := b.command("debugfs", "-R", "dump "+strings.TrimPrefix(name, perm)+" "+dump, image); err != nil {
			return err
		}
		got, err := os.ReadFile(dump)
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("%s is not what %s is", dump, name)
		}
		return err
	})
}

// uuid returns a UUID of version 8, which is the same for the same text: cards of one image do
// not differ, and nothing mounts by it.
func uuid(text string) string {
	h := sha256.Sum256([]byte(text))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
