package serialbridge

import (
	"net"
	"testing"
)

// TestRemote hears a stick behind TCP whose connection breaks, and hears it again when
// it is back.
func TestRemote(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	again := make(chan struct{})
	go func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if i == 0 {
				conn.Write([]byte("one a temperature=1 .\n"))
				<-again
				conn.Close()
				continue
			}
			conn.Write([]byte("one a temperature=2 .\n"))
			defer conn.Close()
		}
	}()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("one")},
		Ports: []NamedPort{{Path: "tcp://" + l.Addr().String(), Protocol: "one"}}}, quick())
	h.broker.awaitLast(t, "lintel/a/availability", "online")
	close(again)
	h.broker.awaitLast(t, "lintel/a/availability", "offline")
	h.broker.awaitLast(t, "lintel/a/availability", "online")
}
