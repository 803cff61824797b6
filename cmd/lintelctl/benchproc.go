//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process reads what the kernel knows about the broker (proc(5)).
type process struct{ dir string }

func openProcess(pid int) (*process, error) {
	p := &process{fmt.Sprintf("/proc/%d", pid)}
	if _, err := p.cpu(); err != nil {
		return nil, fmt.Errorf("--pid %d: is that the broker, and on this machine? %w", pid, err)
	}
	return p, nil
}

// cpu returns the user and system time so far.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(p.dir + "/stat")
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything, parentheses too.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s/stat: %d fields", p.dir, len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s/stat: %w", p.dir, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100), nil // USER_HZ is 100 wherever Go runs
}

// resident returns the resident memory in bytes.
func (p *process) resident() (int64, error) {
	kib, err := p.field("status", "VmRSS")
	return kib << 10, err
}

// residentFiles returns how much of it are pages of mapped files, in bytes.
func (p *process) residentFiles() (int64, error) {
	kib, err := p.field("status", "RssFile")
	return kib << 10, err
}

// written returns how many bytes the process has caused to be written to disks.
func (p *process) written() (int64, error) { return p.field("io", "write_bytes") }

// field returns the number behind a name in one of the files of the process.
func (p *process) field(file, name string) (int64, error) {
	text, err := os.ReadFile(p.dir + "/" + file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s/%s has no %s", p.dir, file, name)
}

// disk reads what the kernel knows about a block device (Documentation/block/stat).
type disk struct {
	folder *os.File // on its file system
	stat   string
}

// diskUse is what a block device was told to do.
type diskUse struct {
	Written int64 `json:"written_bytes"` // the file system's own included
	Flushes int64 `json:"flushes"`
}

func openDisk(folder string) (*disk, error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, fmt.Errorf("--disk: %w", err)
	}
	d := &disk{folder: f}
	var s unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &s); err == nil {
		d.stat = fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(s.Dev), unix.Minor(s.Dev))
		_, err = d.use()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("--disk %s: is that on a block device? %w", folder, err)
	}
	return d, nil
}

// use has the kernel write what it still keeps for the file system and returns
// what the device has been told to do by then.
func (d *disk) use() (diskUse, error) {
	if err := unix.Syncfs(int(d.folder.Fd())); err != nil {
		return diskUse{}, os.NewSyscallError("syncfs", err)
	}
	text, err := os.ReadFile(d.stat)
	if err != nil {
		return diskUse{}, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 16 {
		return diskUse{}, fmt.Errorf("%s has %d fields", d.stat, len(fields))
	}
	sectors, err := strconv.ParseInt(fields[6], 10, 64)
	if err != nil {
		return diskUse{}, fmt.Errorf("%s: %w", d.stat, err)
	}
	flushes, err := strconv.ParseInt(fields[15], 10, 64)
	if err != nil {
		return diskUse{}, fmt.Errorf("%s: %w", d.stat, err)
	}
	return diskUse{512 * sectors, flushes}, nil
}

// ownCPU returns the user and system time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
