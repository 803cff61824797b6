//go:build linux && race

package broker

import "golang.org/x/sys/unix"

func epollFD(set int, events []unix.EpollEvent) (int, error) { return unix.EpollWait(set, events, 0) }
