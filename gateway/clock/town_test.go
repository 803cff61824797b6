package clock

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// system is a clock that is off by so much.
type system struct {
	mu     sync.Mutex
	off    time.Duration
	slewed time.Duration
	steps  int
	sure   time.Duration // 0: not synchronised
	refuse error
}

func (s *system) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Round(0).Add(s.off)
}

func (s *system) Step(by time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off, s.sure = s.off+by, 0
	s.steps++
	return s.refuse
}

func (s *system) Slew(by time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off, s.slewed = s.off+by, s.slewed+by
	return s.refuse
}

func (s *system) SetSynchronised(within time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sure = within
	return s.refuse
}

// off1970 is by how much the clock of a box without a battery is off.
func off1970() time.Duration { return time.Until(time.Unix(20, 0)) }

// answerer makes an answer to a request; nil: there is none.
type answerer func(request []byte) [][]byte

// honest answers with a clock that is off.
func honest(off time.Duration) answerer {
	return func(q []byte) [][]byte { return [][]byte{answer(q, time.Now().Add(off))} }
}

func answer(q []byte, now time.Time) []byte {
	b := make([]byte, packetSize)
	b[0], b[1] = 4<<3|4, 2
	binary.BigEndian.PutUint32(b[4:], 1<<16/100) // 10 ms
	binary.BigEndian.PutUint32(b[8:], 1<<16/100)
	copy(b[24:32], q[40:48])
	stamp := uint64(now.Unix()+2_208_988_800)<<32 | uint64(now.Nanosecond())<<32/1_000_000_000
	binary.BigEndian.PutUint64(b[32:], stamp)
	binary.BigEndian.PutUint64(b[40:], stamp)
	return b
}

// changed is honest, but for what change does.
func changed(change func(b []byte)) answerer {
	return func(q []byte) [][]byte {
		b := answer(q, time.Now())
		change(b)
		return [][]byte{b}
	}
}

func kissed(code string) answerer {
	return changed(func(b []byte) { b[1] = 0; copy(b[12:], code) })
}

func silent([]byte) [][]byte { return nil }

// town is servers that have the same port on addresses of the loopback interface.
type town struct {
	port  uint16
	names []string
	mu    sync.Mutex
	asked map[string]int
	says  map[string]answerer
}

func newTown(t *testing.T, servers ...answerer) *town {
	t.Helper()
	w := &town{asked: make(map[string]int), says: make(map[string]answerer)}
	for i, says := range servers {
		name := fmt.Sprintf("127.0.0.%d", i+2)
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(name), Port: int(w.port)})
		if err != nil {
			t.Fatal(err)
		}
		if w.port == 0 {
			w.port = conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		}
		w.mu.Lock() // others are served already, and may be asked by whoever had their port before
		w.names, w.says[name] = append(w.names, name), says
		w.mu.Unlock()
		var done sync.WaitGroup
		done.Go(func() { w.serve(name, conn) })
		t.Cleanup(func() { conn.Close(); done.Wait() })
	}
	return w
}

func (w *town) serve(name string, conn *net.UDPConn) {
	b := make([]byte, 1024)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.asked[name]++
		says := w.says[name]
		w.mu.Unlock()
		for _, a := range says(b[:n]) {
			conn.WriteToUDPAddrPort(a, from)
		}
	}
}

func (w *town) say(i int, says answerer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.says[w.names[i]] = says
}

func (w *town) client(s System) *Client {
	return New(Options{Servers: w.names, System: s, port: w.port, timeout: 2 * time.Second, first: time.Millisecond})
}
