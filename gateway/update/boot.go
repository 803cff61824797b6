package update

import (
	"fmt"
)

// The files of the boot partition that say which root is started.
const (
	cmdlineFile = "cmdline.txt"                 // for the loader of a Raspberry Pi, and read by init
	loaderFile  = "loader/entries/gokrazy.conf" // for systemd-boot, on machines with UEFI
)

// A boot is the boot partition, a FAT, read and written past the file system, as gokrazy's
// init does it: one sector is written and nothing else, neither times nor marks that the
// file system is in use. So a power cut leaves the sector as it was or as it is to be.
// While something has mounted the partition it cannot be opened for writing.
type boot struct {
	device
	efi  bool
	size int64

	// Where what stands in the FAT begins, in bytes, and what a cluster has.
	rootFolder, data, cluster int64
	rootEntries               int
}

func (m *Machine) openBoot(write bool) (*boot, error) {
	d, err := m.open(m.devices[bootPartition], write)
	if err != nil {
		return nil, fmt.Errorf("open the boot partition: %w", err)
	}
	b := &boot{device: d, efi: m.efi}
	if err := b.readHead(); err != nil {
		d.Close()
		return nil, err
	}
	return b, nil
}

// next returns the root that the boot loader is told to start next.
func (b *boot) next() (int, error) {
	name := cmdlineFile
	if b.efi {
		name = loaderFile
	}
	f, text, err := b.file(name)
	if err != nil {
		return 0, err
	}
	if f == nil {
		return 0, fmt.Errorf("there is no %s on the boot partition: %w", name, errFAT)
	}
	root, err := rootIn(text)
	if err != nil {
		return 0, fmt.Errorf("%s on the boot partition: %w", name, err)
	}
	return root, nil
}

// arm writes the flag that has init try the other root, once.
func (b *boot) arm() error {
	f, line, err := b.file(cmdlineFile)
	if err != nil {
		return err
	}
	if f == nil {
		return fmt.Errorf("there is no %s on the boot partition: %w", cmdlineFile, errFAT)
	}
	flagged, need, err := withFlag(line)
	if err == nil && need > 0 {
		if err := b.lengthen(f, need); err != nil {
			return err
		}
		if line, err = b.content(f); err != nil {
			return err
		}
		flagged, _, err = withFlag(line)
	}
	if err != nil {
		return fmt.Errorf("%s on the boot partition: %w", cmdlineFile, err)
	}
	return b.overwrite(f, flagged)
}

// point makes a root the one that is started from now on, in both files; the one that
// the loader of this machine reads comes last, and only with it has anything changed.
func (b *boot) point(root int) error {
	names := []string{loaderFile, cmdlineFile}
	if b.efi {
		names[0], names[1] = names[1], names[0]
	}
	for i, name := range names {
		f, text, err := b.file(name)
		if err != nil {
			return err
		}
		if f == nil {
			if i == len(names)-1 {
				return fmt.Errorf("there is no %s on the boot partition: %w", name, errFAT)
			}
			continue
		}
		if name == cmdlineFile && checkLine(text) == nil {
			text = withoutFlags(text)
		}
		text, err = withRoot(text, root)
		if err == nil {
			err = b.overwrite(f, text)
		}
		if err != nil {
			return fmt.Errorf("%s on the boot partition: %w", name, err)
		}
	}
	return nil
}

// disarm removes flags of a trial.
func (b *boot) disarm() error {
	f, line, err := b.file(cmdlineFile)
	if err != nil || f == nil || !hasFlag(line) {
		return err
	}
	return b.overwrite(f, withoutFlags(line))
}

// tidyBoot removes flags that are left over, and has both files say the root that runs
// where the loader's own does.
func (m *Machine) tidyBoot() error {
	b, err := m.openBoot(false)
	if err != nil {
		return err
	}
	tidy, err := b.tidy(m.Running)
	b.Close()
	if err != nil || tidy {
		return err // nothing is written at a normal start
	}
	if b, err = m.openBoot(true); err != nil {
		return err
	}
	defer b.Close()
	next, err := b.next()
	if err != nil {
		return err
	}
	if next != m.Running {
		return b.disarm()
	}
	return b.point(m.Running)
}

// tidy says whether there is nothing to tidy up.
func (b *boot) tidy(running int) (bool, error) {
	for _, name := range []string{cmdlineFile, loaderFile} {
		f, text, err := b.file(name)
		if err != nil {
			return false, err
		}
		if f == nil {
			continue
		}
		if root, err := rootIn(text); err != nil || root != running || name == cmdlineFile && hasFlag(text) {
			return false, nil
		}
	}
	return true, nil
}
