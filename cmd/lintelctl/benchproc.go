package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// ownCPU returns the user and system time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
