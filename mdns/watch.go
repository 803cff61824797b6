package mdns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pollSlow = time.Minute     // beside netlink, for what failed and is to be tried again
	pollFast = 5 * time.Second // instead of netlink
)

// watchInterfaces sends on changes, without blocking, when something about the
// interfaces may have changed, until ctx is done.
func watchInterfaces(ctx context.Context, changes chan<- struct{}, log *slog.Logger) {
	notify := func() {
		select {
		case changes <- struct{}{}:
		default: // one is waiting already
		}
	}
	poll := pollSlow
	failed := make(chan error, 1)
	go func() { failed <- readNetlink(ctx, notify) }()
	for running := true; running; {
		select {
		case <-time.After(poll):
			notify()
		case err := <-failed:
			if ctx.Err() != nil {
				return
			}
			log.Warn("interface changes are polled", "err", err)
			poll = pollFast
			failed = nil
		case <-ctx.Done():
			running = false
		}
	}
	if failed != nil {
		<-failed
	}
}

// readNetlink calls notify for every link and address message of the kernel. It
// does not look into them: whoever is told reads the interfaces afresh.
func readNetlink(ctx context.Context, notify func()) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("mdns: opening a netlink socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "netlink")
	defer f.Close()
	err = unix.Bind(fd, &unix.SockaddrNetlink{
		Family: unix.AF_NETLINK,
		Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR,
	})
	if err != nil {
		return fmt.Errorf("mdns: subscribing to interface changes: %w", err)
	}
	defer context.AfterFunc(ctx, func() { f.Close() })()
	notify() // what happened before the subscription
	buf := make([]byte, 64<<10)
	for {
		// ENOBUFS says that messages were lost, which is a change too.
		if _, err := f.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("mdns: reading interface changes: %w", err)
		}
		notify()
	}
}
