//go:build !linux || race

package broker

import "golang.org/x/sys/unix"

// The race detector has to see the calls.

func readFD(fd uintptr, b []byte) (int, error)  { return unix.Read(int(fd), b) }
func writeFD(fd uintptr, b []byte) (int, error) { return unix.Write(int(fd), b) }
