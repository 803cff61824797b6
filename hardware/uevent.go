package hardware

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// uevent is what the kernel says when a device comes, goes or changes.
type uevent struct {
	action    string // add, remove, change, bind…
	subsystem string // tty, usb…
	name      string // DEVNAME, such as ttyUSB0
}

// parseUevent reads a datagram of the kernel: ACTION@DEVPATH, a NUL, and
// KEY=VALUE pairs with a NUL behind each (lib/kobject_uevent.c).
func parseUevent(b []byte) (uevent, bool) {
	head, rest, ok := bytes.Cut(b, []byte{0})
	action, path, at := bytes.Cut(head, []byte{'@'})
	if !ok || !at || len(action) == 0 || len(path) == 0 || path[0] != '/' {
		return uevent{}, false
	}
	e := uevent{action: string(action)}
	for pair := range bytes.SplitSeq(rest, []byte{0}) {
		key, value, _ := bytes.Cut(pair, []byte{'='})
		switch string(key) {
		case "SUBSYSTEM":
			e.subsystem = string(value)
		case "DEVNAME":
			e.name = string(value)
		}
	}
	return e, true
}

// ueventSocket receives the kernel's uevents. There is no udev on the box that
// would do it for us.
type ueventSocket struct {
	f    *os.File
	conn syscall.RawConn
	buf  []byte
}

func openUevents() (*ueventSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("open the uevent socket: %w", err)
	}
	// Group 1 is the kernel's; group 2 would be udev's.
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind the uevent socket: %w", err)
	}
	// At power-up a hub sends hundreds of events at once. Without the right
	// to have more than the default we see ENOBUFS, and live with it.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<20)
	f := os.NewFile(uintptr(fd), "uevent")
	conn, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open the uevent socket: %w", err)
	}
	return &ueventSocket{f: f, conn: conn, buf: make([]byte, 16<<10)}, nil
}

// next blocks for the next event of the kernel. lost is set when events were
// dropped because too many came at once: anything may have happened.
func (s *ueventSocket) next() (e uevent, lost bool, err error) {
	for {
		var n int
		var from unix.Sockaddr
		var rerr error
		err := s.conn.Read(func(fd uintptr) bool {
			n, from, rerr = unix.Recvfrom(int(fd), s.buf, unix.MSG_DONTWAIT)
			return !errors.Is(rerr, unix.EAGAIN)
		})
		switch {
		case err != nil:
			return uevent{}, false, err
		case errors.Is(rerr, unix.ENOBUFS):
			return uevent{}, true, nil
		case errors.Is(rerr, unix.EINTR):
			continue
		case rerr != nil:
			return uevent{}, false, fmt.Errorf("read the uevent socket: %w", rerr)
		}
		// Any program with enough rights may send to the group; only the
		// kernel has the address 0.
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue
		}
		if e, ok := parseUevent(s.buf[:n]); ok {
			return e, false, nil
		}
	}
}

func (s *ueventSocket) close() { s.f.Close() }
