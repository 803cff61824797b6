package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// firmware is where Debian's qemu-efi-aarch64 puts UEFI.
const firmware = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"

// stick is the socket, in the directory of a machine, that is the other end of a
// serial line. The machine has that FTDI stick while somebody is connected.
func stick(i int) string { return fmt.Sprintf("stick%d.sock", i) }

// board is a kind of machine that an image is for.
type board struct {
	name  string
	image string   // in out/
	logs  []string // consoles, in the directory of the machine
	// args are QEMU's arguments besides network and stick; dir holds disk.img.
	args    func(ctx context.Context, dir string) ([]string, error)
	preseed bool // its FAT has room for a file that claims it
	// netdev is the network card, on the bus that the board has.
	netdev string
}

var boards = []board{
	{
		name:    "raspi3b",
		image:   "lintel.img",
		preseed: true,
		logs:    []string{"uart0.log", "uart1.log"},
		args:    raspi3bArgs,
		// An address that is not locally administered: otherwise Linux
		// calls the interface usb0, and gokrazy's dhcp waits for eth0.
		netdev: "usb-net,mac=00:16:3e:00:00:01",
	},
	{
		name:  "virt",
		image: "lintel-vm-arm64.img",
		logs:  []string{"console.log"},
		args:  virtArgs,
		// Without its boot ROM, which would be one more package.
		netdev: "e1000,romfile=",
	},
}

func boardNamed(name string) (board, error) {
	var names []string
	for _, b := range boards {
		if b.name == name {
			return b, nil
		}
		names = append(names, b.name)
	}
	return board{}, fmt.Errorf("no board %q; there are %s", name, strings.Join(names, ", "))
}

// raspi3bArgs plays the Raspberry Pi's boot loader: QEMU has none, so kernel,
// device tree and command line are taken from the card's first partition.
func raspi3bArgs(ctx context.Context, dir string) ([]string, error) {
	const partition = 8192 * 512
	mcopy := exec.CommandContext(ctx, "mcopy", "-n", "-o", "-i", fmt.Sprintf("disk.img@@%d", partition),
		"::/vmlinuz", "::/bcm2710-rpi-3-b.dtb", "::/cmdline.txt", ".")
	mcopy.Dir = dir
	mcopy.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1") // the FAT is cut to its content
	if out, err := mcopy.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("take the kernel out of the image: %w: %s", err, out)
	}
	cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline.txt"))
	if err != nil {
		return nil, err
	}
	kernelArgs := strings.ReplaceAll(strings.TrimSpace(string(cmdline)), "serial0", "ttyAMA0") +
		// without it the console stays empty
		" earlycon=pl011,0x3f201000 keep_bootcon" +
		// QEMU resets the machine as soon as init opens this watchdog
		" initcall_blacklist=bcm2835_wdt_driver_init"
	return []string{
		"-M", "raspi3b", "-m", "1G", "-smp", "4",
		"-kernel", "vmlinuz", "-dtb", "bcm2710-rpi-3-b.dtb", "-append", kernelArgs,
		"-drive", "file=disk.img,if=sd,format=raw",
		"-serial", "file:uart0.log", "-serial", "file:uart1.log",
		"-usb",
	}, nil
}

// virtArgs boots through UEFI and the loader on the image.
func virtArgs(context.Context, string) ([]string, error) {
	return []string{
		"-M", "virt,highmem=off", "-cpu", "cortex-a72", "-m", "1G", "-smp", "2",
		"-bios", firmware,
		"-drive", "file=disk.img,format=raw,if=none,id=disk", "-device", "virtio-blk-pci,drive=disk,bootindex=0",
		"-device", "i6300esb", "-watchdog-action", "reset",
		"-serial", "file:console.log",
		"-device", "qemu-xhci",
	}, nil
}

// machine is a running board.
type machine struct {
	board   board
	dir     string
	mqtt    string       // address of its broker
	http    string       // address of its pages
	kill    func() error // pulls the plug
	stopped chan struct{}
}

// boot starts the board from dir/disk.img, waits for the broker, and calls test.
// Then it pulls the plug: the machine has no chance to write anything.
func (b board) boot(ctx context.Context, dir string, test func(*machine) error) error {
	args, err := b.args(ctx, dir)
	if err != nil {
		return err
	}
	m := &machine{board: b, dir: dir, stopped: make(chan struct{})}
	if m.mqtt, err = freeAddress(); err != nil {
		return err
	}
	if m.http, err = freeAddress(); err != nil {
		return err
	}
	args = append(args,
		"-display", "none", "-monitor", "none", "-no-reboot",
		"-netdev", fmt.Sprintf("user,id=net,hostfwd=tcp:%s-:1883,hostfwd=tcp:%s-:80", m.mqtt, m.http),
		"-device", b.netdev+",netdev=net",
	)
	for i := range captures {
		args = append(args,
			"-chardev", fmt.Sprintf("socket,id=stick%d,server=on,wait=off,path=%s", i, stick(i)),
			"-device", fmt.Sprintf("usb-serial,chardev=stick%d", i))
	}

	log, err := os.Create(filepath.Join(dir, "qemu.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, "qemu-system-aarch64", args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start QEMU: %w", err)
	}
	m.kill = cmd.Process.Kill
	go func() {
		cmd.Wait() // it is killed, or its log tells why it ended
		close(m.stopped)
	}()
	defer func() {
		m.kill()
		<-m.stopped
	}()

	err = m.until(ctx, bootTimeout, m.connect)
	if err == nil {
		fmt.Printf("%s: the broker answered %.1f s after power on\n", b.name, time.Since(start).Seconds())
		err = test(m)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, m.tails())
	}
	return nil
}

// until calls try again and again until it succeeds. It gives up when the
// machine has ended or its kernel has panicked.
func (m *machine) until(ctx context.Context, timeout time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		for _, name := range m.board.logs {
			console, _ := os.ReadFile(filepath.Join(m.dir, name))
			if bytes.Contains(console, []byte("Kernel panic")) {
				return errors.New("kernel panic")
			}
		}
		if stop := m.run(ctx, 500*time.Millisecond); stop != nil {
			return fmt.Errorf("%w: %w", stop, err)
		}
	}
}

// run lets the machine run for some time.
func (m *machine) run(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-m.stopped:
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return errors.New("QEMU ended")
	case <-time.After(d):
		return nil
	}
}

// awaitPage waits until the page that a person opens first is served.
func (m *machine) awaitPage(ctx context.Context) error {
	client := http.Client{Timeout: 10 * time.Second}
	err := m.until(ctx, bootTimeout, func() error {
		resp, err := client.Get("http://" + m.http + "/")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("GET / answers %s", resp.Status)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for the page on port 80: %w", err)
	}
	return nil
}

// plugIn plugs meter i into the machine, which sends telegram once a second, as
// meters do, until the returned function is called.
func (m *machine) plugIn(ctx context.Context, i int, telegram []byte) (unplug func(), err error) {
	line, err := net.Dial("unix", filepath.Join(m.dir, stick(i)))
	if err != nil {
		return nil, fmt.Errorf("plug in the meter: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	// Until a program has set the line to raw Linux echoes what it hears.
	// While nobody reads that, QEMU stops the whole machine.
	go io.Copy(io.Discard, line)
	go func() {
		defer close(done)
		defer line.Close()
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			// A machine that does not read must not hold up the
			// end of the test.
			line.SetWriteDeadline(time.Now().Add(5 * time.Second))
			line.Write(telegram)
			select {
			case <-ctx.Done():
				return
			case <-second.C:
			}
		}
	}()
	return func() { cancel(); <-done }, nil
}

// tails returns the ends of the logs.
func (m *machine) tails() string {
	var b strings.Builder
	for _, name := range append([]string{"qemu.log"}, m.board.logs...) {
		path := filepath.Join(m.dir, name)
		text, _ := os.ReadFile(path)
		lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(text), "\r", "")), "\n")
		fmt.Fprintf(&b, "---- the end of %s\n%s\n", path, strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
	return b.String()
}

// freeAddress returns an address on the loopback interface that is free now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
