//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/big"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/broker"
	"lintel/persist"
)

// tiny is enough to see that each row counts right.
var tiny = benchSize{
	pairs: 3, fanOut: 4, deliveries: 6_000, limit: 30 * time.Second,
	sessions: 7, stored: 2_000, retained: 1_000,
	idle: 30, settle: time.Millisecond,
	calm: 500 * time.Millisecond, rate: 600,
}

// startBroker starts a broker over a real store and returns its addresses, by
// the flags of bench.
func startBroker(t *testing.T) map[string]string {
	t.Helper()
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(store, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return b.Run(ctx) })
	g.Go(func() error { return b.Serve(ctx, plain, "") })
	g.Go(func() error { return b.Serve(ctx, secure, "") })
	web := httptest.NewServer(b.WebSocket(ctx, ""))
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Errorf("broker: %v", err)
		}
		web.Close()
		if err := store.Close(); err != nil {
			t.Errorf("store: %v", err)
		}
	})
	return map[string]string{"tcp": plain.Addr().String(), "tls": secure.Addr().String(), "websocket": strings.TrimPrefix(web.URL, "http://")}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func testBench(t *testing.T) *bench {
	b := &bench{size: tiny, run: 42, addresses: make(map[string]netip.AddrPort)}
	for transport, address := range startBroker(t) {
		a, err := loopback(address)
		if err != nil {
			t.Fatal(err)
		}
		b.addresses[transport] = a
	}
	var err error
	if b.process, err = openProcess(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBenchRows(t *testing.T) {
	b := testBench(t)
	deliveries := map[string]uint64{ // 6000 if not here
		"offline-store": 2000, "offline-drain": 2000, "session-store": 2000, "session-drain": 2000,
		"durable-store": 1998, "durable-drain": 1998, // three publishers
		"retained-set": 1000, "retained-qos0": 1000, "retained-qos1": 1000, "retained-slow": 1000,
		"idle": 30, "calm": 300, "calm-tls": 300, "calm-websocket": 300,
	}
	seen := 0
	for i, row := range benchRows {
		b.run = uint64(i)
		for _, r := range row.run(b) {
			seen++
			want, ok := deliveries[r.Row]
			if !ok {
				want = 6000
			}
			if r.Error != "" || r.Skipped != "" || r.Deliveries != want {
				t.Errorf("%s: %d deliveries, want %d; error %q, skipped %q", r.Row, r.Deliveries, want, r.Error, r.Skipped)
			}
			if r.Lost+r.Duplicated+r.Reordered+r.Stray > 0 {
				t.Errorf("%s: %d lost, %d duplicated, %d reordered, %d stray", r.Row, r.Lost, r.Duplicated, r.Reordered, r.Stray)
			}
			if (strings.HasPrefix(r.Row, "calm") || r.Row == "durable-store") && (r.Latency == nil || r.Latency.P50 <= 0 || r.Latency.P50 > r.Latency.Max) {
				t.Errorf("%s: latency %+v", r.Row, r.Latency)
			}
			if r.Row == "idle" && (r.ResidentBefore <= 0 || r.Resident <= 0) {
				t.Errorf("idle: resident %d, before %d", r.Resident, r.ResidentBefore)
			}
		}
	}
	if seen != len(benchRows)+6 { // offline, session and durable give two, retained four
		t.Errorf("%d results of %d rows", seen, len(benchRows))
	}
	// The rows leave nothing behind: a new subscriber to everything hears of
	// no retained message, and no session waits.
	l, err := newLoop(b.addresses["tcp"], 99)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	c := b.client("s", 0)
	c.filter = "#"
	if err := l.connectAll([]*conn{c}, "tcp", true); err != nil {
		t.Fatal(err)
	}
	if err := l.rest(); err != nil {
		t.Fatal(err)
	}
	if l.strangers > 0 {
		t.Errorf("%d retained messages are left", l.strangers)
	}
}

func TestBenchCommand(t *testing.T) {
	addresses := startBroker(t)
	var out, diagnostics bytes.Buffer
	err := run([]string{"bench", "--short", "--broker", addresses["tcp"], "--pid", strconv.Itoa(os.Getpid()),
		"--row", "idle", "--row", "calm-tls"}, nil, &out, &diagnostics)
	if err != nil {
		t.Fatal(err)
	}
	var rows []result
	for line := range strings.Lines(out.String()) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		rows = append(rows, r)
	}
	if len(rows) != 2 || rows[0].Row != "idle" || rows[0].Deliveries != 500 || rows[1].Skipped != "no --tls address" {
		t.Errorf("printed %s", out.String())
	}
	for _, args := range [][]string{
		{"--row", "qos3"},
		{"--broker", "192.0.2.1:1883"},
		{"--broker", "[2001:db8::1]:1883"},
		{"--broker", "example.com:1883"},
		{"--broker", "127.0.0.1"},
		{"--websocket", "0.0.0.0:80"},
		{"--short", "more"},
	} {
		if err := run(append([]string{"bench"}, args...), nil, &out, &diagnostics); !errors.Is(err, errUsage) {
			t.Errorf("bench %q: %v", args, err)
		}
	}
}

// A broker that is not there, or that hangs up, is an error of the row.
func TestBenchWithoutBroker(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	a, err := loopback(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{size: tiny, addresses: map[string]netip.AddrPort{"tcp": a}}
	if r := b.fanIn(); len(r) != 1 || !strings.Contains(r[0].Error, "closed the connection") && !strings.Contains(r[0].Error, "write") {
		t.Errorf("a broker that hangs up: %+v", r)
	}
	listener.Close()
	<-done
	if r := b.fanIn(); len(r) != 1 || !strings.Contains(r[0].Error, "connect to") {
		t.Errorf("no broker: %+v", r)
	}
}

func TestChecker(t *testing.T) {
	for _, c := range []struct {
		name                                         string
		seqs                                         []uint32
		sent                                         int
		received, lost, duplicated, reordered, stray uint64
	}{
		{name: "in order", seqs: []uint32{0, 1, 2, 3}, sent: 4, received: 4},
		{name: "nothing", sent: 100, lost: 100},
		{name: "a hole", seqs: []uint32{0, 2, 3}, sent: 4, received: 3, lost: 1},
		{name: "the end", seqs: []uint32{0, 1}, sent: 70, received: 2, lost: 68},
		{name: "twice in a row", seqs: []uint32{0, 1, 1, 2}, sent: 3, received: 3, duplicated: 1},
		{name: "twice, later", seqs: []uint32{0, 1, 2, 0}, sent: 3, received: 3, duplicated: 1},
		{name: "late", seqs: []uint32{1, 2, 0, 3}, sent: 4, received: 4, reordered: 1},
		{name: "late and twice", seqs: []uint32{1, 0, 0, 1}, sent: 2, received: 2, reordered: 1, duplicated: 2},
		{name: "backwards", seqs: []uint32{3, 2, 1, 0}, sent: 4, received: 4, reordered: 3},
		{name: "never sent", seqs: []uint32{0, 130, 1}, sent: 2, received: 2, stray: 1},
		{name: "word borders", seqs: []uint32{63, 64, 127, 128, 63}, sent: 129, received: 4, lost: 125, duplicated: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			check := newChecker(3, 130)
			for _, seq := range c.seqs {
				check.add(1, seq)
			}
			// The neighbours are other flows.
			check.add(0, 5)
			check.add(2, 5)
			if got := check.lost(1, c.sent); got != c.lost {
				t.Errorf("lost %d, want %d", got, c.lost)
			}
			if check.received != c.received+2 || check.duplicated != c.duplicated || check.reordered != c.reordered || check.stray != c.stray {
				t.Errorf("%+v", check)
			}
		})
	}
}

func TestReceiverSortsStreams(t *testing.T) {
	check := newChecker(20, 4)
	// As in the row offline: five sessions, of each of four publishers one stream.
	r := receiver{checker: check, stream: 2, span: 20, stride: 5, flow: 2}
	for _, stream := range []uint32{2, 7, 12, 17} {
		r.receive(stamp{stream: stream}, 0)
	}
	if check.received != 4 || check.stray != 0 {
		t.Errorf("its own streams: %+v", check)
	}
	for _, stream := range []uint32{0, 1, 3, 18, 22, 1000, 1<<32 - 3} {
		r.receive(stamp{stream: stream}, 0)
	}
	if check.received != 4 || check.stray != 7 {
		t.Errorf("others: %+v", check)
	}
}

func TestDisk(t *testing.T) {
	for _, folder := range []string{"/proc", t.TempDir() + "/missing"} {
		if d, err := openDisk(folder); err == nil || !strings.Contains(err.Error(), "--disk") {
			t.Errorf("%s: %+v, %v", folder, d, err)
		}
	}
	dir := t.TempDir()
	d, err := openDisk(dir)
	if err != nil {
		t.Skipf("not on a block device: %v", err)
	}
	defer d.folder.Close()
	before, err := d.use()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/file", make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := d.use()
	if err != nil {
		t.Fatal(err)
	}
	if after.Written < before.Written+1<<20 {
		t.Errorf("a file of 1 MiB: %+v, then %+v", before, after)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := range 100_000 {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.01: time.Millisecond, 0.5: 50 * time.Millisecond, 0.99: 99 * time.Millisecond, 0.999: 99_900 * time.Microsecond} {
		if got := h.quantile(q); got < want || got > want+want/25 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if got, want := h.quantile(1), 99_999*time.Microsecond; got != want || h.max != want {
		t.Errorf("maximum %v, %v", got, h.max)
	}
	last := -1
	for v := uint64(0); v < 1<<62; v += v/32 + 1 {
		if b := bucket(v); b < last || b >= len(h.buckets) {
			t.Fatalf("bucket of %d is %d after %d", v, b, last)
		} else {
			last = b
		}
	}
}

func TestPublisherSentIn(t *testing.T) {
	p := publisher{topics: []string{"a", "b", "c"}, sent: 7}
	if a, b, c := p.sentIn(0), p.sentIn(1), p.sentIn(2); a != 3 || b != 2 || c != 2 {
		t.Errorf("7 messages to 3 topics: %d, %d, %d", a, b, c)
	}
}

func TestWebSocketFrames(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 70_000)
	var wire []byte
	wire = append(wire, 0x82, 2, 'a', 'b')
	wire = append(wire, 0x89, 3, 'p', 'n', 'g') // ping
	wire = append(wire, 0x02, 126, 0, 3, 'c', 'd', 'e')
	wire = append(wire, 0x8a, 0) // pong
	wire = append(wire, 0x80, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70)
	wire = append(wire, long...)
	want := append([]byte("abcde"), long...)
	for _, step := range []int{1, 2, 3, 7, 4096, len(wire)} {
		var l webSocketLayer
		var got []byte
		for rest := wire; len(rest) > 0; {
			n := min(step, len(rest))
			var err error
			if got, err = l.open(got, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !bytes.Equal(got, want) {
			t.Errorf("in steps of %d: %d bytes, want %d", step, len(got), len(want))
		}
		if out, _ := l.seal(nil, []byte("z")); string(out) != "\x8a\x83\x00\x00\x00\x00png\x82\x81\x00\x00\x00\x00z" {
			t.Errorf("answers %q", out)
		}
	}
	for name, wrong := range map[string]string{"masked": "\x82\x81\x00\x00\x00\x00z", "long ping": "\x89\x7e\x01\x00", "close": "\x88\x00"} {
		if _, err := new(webSocketLayer).open(nil, []byte(wrong)); err == nil {
			t.Errorf("%s frame is taken", name)
		}
	}
}

func FuzzWebSocketFrames(f *testing.F) {
	f.Add([]byte("\x82\x02ab\x89\x03png\x02\x7e\x00\x03cde"), 3)
	f.Add([]byte("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffabc"), 1)
	f.Fuzz(func(t *testing.T, wire []byte, cut int) {
		var whole, parts webSocketLayer
		one, errOne := whole.open(nil, wire)
		if len(one) > len(wire) {
			t.Fatalf("%d bytes out of %d", len(one), len(wire))
		}
		cut = max(0, min(cut, len(wire)))
		two, errTwo := parts.open(nil, wire[:cut])
		if errTwo == nil {
			two, errTwo = parts.open(two, wire[cut:])
		}
		if !bytes.Equal(one, two) || (errOne == nil) != (errTwo == nil) {
			t.Fatalf("whole %q, %v; in two parts %q, %v", one, errOne, two, errTwo)
		}
	})
}
