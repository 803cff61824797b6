//go:build linux && !race

package broker

import (
	"syscall"
	"unsafe"
)

// The descriptors are non-blocking, so that these calls return at once. Going
// around the scheduler saves what it does before and after a call that might
// block: at a house's calm rate, when every message finds the process idle, that
// is about half of the cost of a message.

func readFD(fd uintptr, b []byte) (int, error) {
	return rawCall(syscall.SYS_READ, fd, b)
}

func writeFD(fd uintptr, b []byte) (int, error) {
	return rawCall(syscall.SYS_WRITE, fd, b)
}

func rawCall(call, fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
