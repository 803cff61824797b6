//go:build linux && !race

package broker

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The descriptors are non-blocking, so that these calls return at once. Going
// around the scheduler saves what it does before and after a call that might
// block: at a house's calm rate, when every message finds the process idle, that
// is about half of the cost of a message.

func readFD(fd int, b []byte) (int, error) {
	return rawCall(syscall.SYS_READ, fd, b)
}

func writeFD(fd int, b []byte) (int, error) {
	return rawCall(syscall.SYS_WRITE, fd, b)
}

func rawCall(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func epollFD(set int, events []unix.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(set), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
