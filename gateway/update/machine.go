package update

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Partitions of the disk, as gokrazy lays them out.
const (
	bootPartition = 1 // the FAT
	rootA         = 2
	rootB         = 3
)

// A Machine is the disk that a box runs from: the boot partition, two roots, one of which
// is "/", and the folder of data. All that an update changes it changes through here.
//
// It may be used by one goroutine at a time, and by one process: lintel, or guard when
// lintel does not run.
type Machine struct {
	Running int // the partition that is "/": 2 or 3
	Booted  int // the one that the boot loader was told to start

	root    string         // "/" outside of tests
	data    string         // the folder of everything that is kept
	devices map[int]string // by number of the partition
	efi     bool           // the loader reads gokrazy.conf, not cmdline.txt

	// The seams of the tests that cut the power.
	open    func(name string, write bool) (device, error)
	replace func(name string, content []byte) error // with nil it removes the file
	restart func() error
}

// device is a partition. Offsets and lengths of reads and writes are multiples of
// sectorSize, and reads come from the medium, not from memory.
type device interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Size() (int64, error)
}

const sectorSize = 512

// ErrNoMachine says that this program does not run from a disk with two roots.
var ErrNoMachine = errors.New("this Lintel does not run from an image of its own")

// OpenMachine looks at the machine that is below root, "/" outside of tests. data is the
// folder of everything that Lintel keeps; what there is to know of an update lies in
// data/update. The error is [ErrNoMachine] where there is no such disk.
func OpenMachine(root, data string) (*Machine, error) {
	m := &Machine{root: root, data: data, devices: make(map[int]string), open: openDevice, replace: replaceFile, restart: func() error {
		return errors.New("not the machine's own root")
	}}
	if filepath.Clean(root) == "/" {
		m.restart = restartNow
	}
	number, err := deviceOf(root)
	if err != nil {
		return nil, err
	}
	// The command line of the kernel may say another root: it is the device of "/" that
	// tells which one runs.
	node, err := filepath.EvalSymlinks(filepath.Join(root, "sys/dev/block", number))
	if err != nil {
		return nil, fmt.Errorf("%w: its root is on no disk", ErrNoMachine)
	}
	if m.Running, err = partitionOf(node); err != nil || m.Running != rootA && m.Running != rootB {
		return nil, fmt.Errorf("%w: its root is %s", ErrNoMachine, filepath.Base(node))
	}
	siblings, err := os.ReadDir(filepath.Dir(node))
	if err != nil {
		return nil, fmt.Errorf("look at the disk of %s: %w", filepath.Base(node), err)
	}
	for _, s := range siblings {
		if n, err := partitionOf(filepath.Join(filepath.Dir(node), s.Name())); err == nil {
			m.devices[n] = filepath.Join(root, "dev", s.Name())
		}
	}
	for _, n := range []int{bootPartition, rootA, rootB} {
		if m.devices[n] == "" {
			return nil, fmt.Errorf("%w: its disk has no partition %d", ErrNoMachine, n)
		}
	}
	line, err := os.ReadFile(filepath.Join(root, "proc/cmdline"))
	if err != nil {
		return nil, fmt.Errorf("look at the command line of the kernel: %w", err)
	}
	if m.Booted, err = rootIn(line); err != nil {
		return nil, fmt.Errorf("%w: command line of the kernel: %w", ErrNoMachine, err)
	}
	_, err = os.Stat(filepath.Join(root, "sys/firmware/efi"))
	m.efi = err == nil
	return m, nil
}

// partitionOf returns the number of the partition whose folder in sysfs is given.
func partitionOf(folder string) (int, error) {
	text, err := os.ReadFile(filepath.Join(folder, "partition"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Other returns the root that does not run.
func (m *Machine) Other() int { return rootA + rootB - m.Running }

// Room returns how many bytes a root may have.
func (m *Machine) Room() (int64, error) {
	d, err := m.open(m.devices[m.Other()], false)
	if err != nil {
		return 0, fmt.Errorf("open the other root: %w", err)
	}
	defer d.Close()
	return d.Size()
}

// Uptime returns for how many seconds the machine has been running. No clock that
// somebody sets has a part in it.
func (m *Machine) Uptime() (float64, error) {
	text, err := os.ReadFile(filepath.Join(m.root, "proc/uptime"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	return strconv.ParseFloat(strings.TrimSpace(first), 64)
}
