//go:build !linux

package broker

// Elsewhere each connection has a goroutine.

type poller struct{}

func (*poller) remove(int) {}

type pollers struct{}

func (*pollers) close() {}

func (*connection) park() bool { return false }
