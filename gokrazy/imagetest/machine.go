package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// firmware is where Debian's qemu-efi-aarch64 puts UEFI.
const firmware = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"

// Where Debian's ovmf puts that of a PC, and what it remembers.
const (
	pcFirmware  = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	pcVariables = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// board is a kind of machine that an image is for.
type board struct {
	name  string
	qemu  string   // the program
	image string   // in out/, without .img
	logs  []string // consoles, in the directory of the machine
	// args are QEMU's arguments besides network and stick; dir holds disk.img.
	args    func(ctx context.Context, dir string) ([]string, error)
	preseed bool // it is claimed by a file on its FAT
	long    bool // it is tested only if asked for
	updates bool // its boot loader is emulated: it can be updated
	// netdev is the network card, on the bus that the board has.
	netdev string
}

var boards = []board{
	{
		name:    "raspi3b",
		qemu:    "qemu-system-aarch64",
		image:   "lintel",
		preseed: true,
		logs:    []string{"uart0.log", "uart1.log"},
		args:    raspi3bArgs,
		// An address that is not locally administered: otherwise Linux
		// calls the interface usb0, and gokrazy's dhcp waits for eth0.
		netdev: "usb-net,mac=00:16:3e:00:00:01",
	},
	{
		name:    "virt",
		updates: true,
		qemu:    "qemu-system-aarch64",
		image:   "lintel-vm-arm64",
		logs:    []string{"console.log"},
		args:    virtArgs,
		// Without its boot ROM, which would be one more package.
		netdev: "e1000,romfile=",
	},
	{
		name:   "pc",
		long:   true,
		qemu:   "qemu-system-x86_64",
		image:  "lintel-vm-amd64",
		logs:   []string{"console.log"},
		args:   pcArgs,
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
	if _, err := mtools(ctx, dir, "mcopy", "-n", "-o", "::/vmlinuz", "::/bcm2710-rpi-3-b.dtb", "::/cmdline.txt", "."); err != nil {
		return nil, fmt.Errorf("take the kernel out of the image: %w", err)
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

// pcArgs boots through UEFI too; with the processor of this machine where that can be.
func pcArgs(_ context.Context, dir string) ([]string, error) {
	variables, err := os.ReadFile(pcVariables)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "variables.fd"), variables, 0o600); err != nil {
		return nil, err
	}
	return append(processor(),
		"-smp", "2", "-m", "1G",
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+pcFirmware,
		"-drive", "if=pflash,format=raw,unit=1,file=variables.fd",
		"-drive", "file=disk.img,format=raw",
		"-device", "i6300esb", "-watchdog-action", "reset",
		"-serial", "file:console.log",
		"-device", "qemu-xhci",
	), nil
}

// processor are QEMU's arguments that have this machine's processor execute the guest: about
// ten times as fast as emulation. /dev/kvm alone does not say that it can: some
// virtual machines have one that runs kernels made for them only.
func processor() []string {
	kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	kvm.Close()
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	if runtime.GOARCH != "amd64" || !regexp.MustCompile(`(?m)^flags\s*:.*\b(vmx|svm)\b`).Match(cpu) {
		return nil
	}
	return []string{"-accel", "kvm", "-accel", "tcg", "-cpu", "max"}
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
