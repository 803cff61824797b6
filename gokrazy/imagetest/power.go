package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// settings are how a machine differs from one that is just switched on.
type settings struct {
	// reboots keeps the machine switched on: when the guest reboots or its watchdog bites,
	// QEMU ends, and is started again from the same card. Without it the machine is over then.
	reboots bool
	offline bool   // nothing but the test reaches it, and it reaches nothing
	clock   string // of its battery, as QEMU's -rtc base; empty: that of the host
	sticks  int    // serial adapters that can be plugged in
}

// machine is a board with its power plug.
type machine struct {
	settings
	board board
	dir   string
	mqtt  string // address of its broker
	http  string // address of its pages

	mu      sync.Mutex
	boots   int           // times that it was started
	process *os.Process   // QEMU
	stopped chan struct{} // closed when that process has ended
	on      bool          // the plug is in
	failure error         // why QEMU cannot be started
}

// newMachine returns a machine that is switched off; dir has its card.
func (b board) newMachine(dir string, s settings) (*machine, error) {
	m := &machine{settings: s, board: b, dir: dir}
	var err error
	if m.mqtt, err = freeAddress(); err != nil {
		return nil, err
	}
	if m.http, err = freeAddress(); err != nil {
		return nil, err
	}
	return m, nil
}

// boot starts the board from dir/disk.img, waits for the broker, and calls test.
// Then it pulls the plug: the machine has no chance to write anything.
func (b board) boot(ctx context.Context, dir string, s settings, test func(*machine) error) error {
	return b.run(ctx, dir, s, func(m *machine) error {
		start := time.Now()
		if err := m.until(ctx, bootTimeout, m.connect); err != nil {
			return err
		}
		fmt.Printf("%s: the broker answered %.1f s after power on\n", b.name, time.Since(start).Seconds())
		return test(m)
	})
}

// run starts the board from dir/disk.img and calls test at once. Then it pulls the plug.
func (b board) run(ctx context.Context, dir string, s settings, test func(*machine) error) error {
	m, err := b.newMachine(dir, s)
	if err != nil {
		return err
	}
	if err := m.switchOn(ctx); err != nil {
		return err
	}
	defer m.kill()
	if err := test(m); err != nil {
		return fmt.Errorf("%w\n%s", err, m.tails())
	}
	return nil
}

// switchOn plugs the machine in.
func (m *machine) switchOn(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on, m.failure = true, nil
	return m.start(ctx)
}

// kill pulls the plug, and returns when the machine is off.
func (m *machine) kill() {
	m.mu.Lock()
	m.on = false
	process, stopped := m.process, m.stopped
	m.mu.Unlock()
	if process == nil {
		return
	}
	process.Kill()
	<-stopped
}

// start starts QEMU. The caller holds mu.
func (m *machine) start(ctx context.Context) error {
	args, err := m.board.args(ctx, m.dir)
	if err != nil {
		return err
	}
	card := "user,id=net"
	if m.offline {
		card += ",restrict=on"
	}
	args = append(args,
		"-display", "none", "-monitor", "none", "-no-reboot",
		"-netdev", fmt.Sprintf("%s,hostfwd=tcp:%s-:1883,hostfwd=tcp:%s-:80", card, m.mqtt, m.http),
		"-device", m.board.netdev+",netdev=net",
	)
	if m.clock != "" {
		args = append(args, "-rtc", "base="+m.clock)
	}
	for i := range m.sticks {
		args = append(args,
			"-chardev", fmt.Sprintf("socket,id=stick%d,server=on,wait=off,path=%s", i, stick(i)),
			"-device", fmt.Sprintf("usb-serial,chardev=stick%d", i))
	}
	// What the machine said before its last start stays beside what it says now.
	for _, name := range m.board.logs {
		log := filepath.Join(m.dir, name)
		if m.boots > 0 {
			os.Rename(log, fmt.Sprintf("%s.%d", log, m.boots))
		}
	}

	log, err := os.Create(filepath.Join(m.dir, "qemu.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, m.board.qemu, args...)
	cmd.Dir = m.dir
	cmd.Stdout, cmd.Stderr = log, log
	// It ends with this program, of which no thread ends before.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start QEMU: %w", err)
	}
	m.boots++
	stopped := make(chan struct{})
	m.process, m.stopped = cmd.Process, stopped
	go func() {
		cmd.Wait() // it is killed, or its log tells why it ended
		close(stopped)
		if !m.reboots || ctx.Err() != nil {
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.on {
			m.failure = m.start(ctx)
		}
	}()
	return nil
}

// started returns how often the machine was started.
func (m *machine) started() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boots
}

// over returns a channel that is closed when the machine has ended for good, as far as that
// is known now, and why it cannot be started.
func (m *machine) over() (<-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reboots && m.on {
		return nil, m.failure
	}
	return m.stopped, nil
}

// until calls try again and again until it succeeds. It gives up when the machine has
// ended for good or, unless it reboots then, its kernel has panicked.
func (m *machine) until(ctx context.Context, timeout time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if !m.reboots && bytes.Contains(m.console(), []byte("Kernel panic")) {
			return errors.New("kernel panic")
		}
		if stop := m.run(ctx, 500*time.Millisecond); stop != nil {
			return fmt.Errorf("%w: %w", stop, err)
		}
	}
}

// run lets the machine run for some time.
func (m *machine) run(ctx context.Context, d time.Duration) error {
	over, err := m.over()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-over:
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return errors.New("QEMU ended")
	case <-time.After(d):
		return nil
	}
}

// console returns what the machine has said since its last start.
func (m *machine) console() []byte {
	var all []byte
	for _, name := range m.board.logs {
		text, _ := os.ReadFile(filepath.Join(m.dir, name))
		all = append(all, text...)
	}
	return all
}
