//go:build linux

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// benchRow is a kind of load. Some give several results.
type benchRow struct {
	name string
	run  func(*bench) []result
	what string
}

// benchRows are the rows in their order.
var benchRows = []benchRow{
	{"pairs-qos0", func(b *bench) []result { return b.pairs("tcp", 0, 50) }, "100 publishers, a subscriber for each, QoS 0"},
	{"pairs-qos1", func(b *bench) []result { return b.pairs("tcp", 1, 20) }, "the same with QoS 1"},
	{"pairs-qos2", func(b *bench) []result { return b.pairs("tcp", 2, 20) }, "the same with QoS 2"},
	{"fan-in", (*bench).fanIn, "100 publishers, one subscriber, QoS 0"},
	{"fan-out", (*bench).fanOut, "one publisher, 500 subscribers, QoS 0"},
	{"offline", func(b *bench) []result { return b.stored("offline", b.size.sessions) }, "100,000 messages stored for 100 sessions, then drained, QoS 1"},
	{"session", func(b *bench) []result { return b.stored("session", 1) }, "100,000 messages stored for one session, then drained, QoS 1"},
	{"durable", (*bench).durable, "the same by 100 publishers, each with 10 of 1,000 messages on its way, for 100 sessions"},
	{"retained", (*bench).retained, "100,000 retained messages set, then all of them to a subscriber: QoS 0, QoS 1, slow"},
	{"idle", (*bench).idle, "memory of 10,000 connections with a subscription each"},
	{"calm", func(b *bench) []result { return b.calm("tcp") }, "2,000 messages/s from 100 clients to 100 others, QoS 1"},
	{"pairs-qos0-tls", func(b *bench) []result { return b.pairs("tls", 0, 50) }, "over TLS"},
	{"calm-tls", func(b *bench) []result { return b.calm("tls") }, "over TLS"},
	{"pairs-qos0-websocket", func(b *bench) []result { return b.pairs("websocket", 0, 50) }, "over WebSocket"},
	{"calm-websocket", func(b *bench) []result { return b.calm("websocket") }, "over WebSocket"},
}

// benchSize is how much a row does. Every row ends by itself: after so many
// messages, after so much time, or when the broker is silent for benchPatience.
type benchSize struct {
	pairs      int           // publishers of the rows pairs, fan-in, calm and durable
	fanOut     int           // subscribers
	deliveries int           // of a row with bounded windows, at most
	limit      time.Duration // of sending in such a row
	sessions   int
	stored     int // messages for sessions
	retained   int
	idle       int // connections
	settle     time.Duration
	calm       time.Duration // length of that row
	rate       int           // messages a second in it
}

var (
	fullSize = benchSize{
		pairs: 100, fanOut: 500, deliveries: 20_000_000, limit: 5 * time.Second,
		sessions: 100, stored: 100_000, retained: 100_000,
		idle: 10_000, settle: 3 * time.Second,
		calm: 10 * time.Second, rate: 2000,
	}
	shortSize = benchSize{
		pairs: 20, fanOut: 50, deliveries: 1_000_000, limit: time.Second,
		sessions: 20, stored: 5_000, retained: 5_000,
		idle: 500, settle: time.Second,
		calm: 2 * time.Second, rate: 1000,
	}
)

// result is one line of output.
type result struct {
	Row     string `json:"row"`
	Skipped string `json:"skipped,omitempty"`
	Error   string `json:"error,omitempty"`

	// What the row is about: messages delivered, stored, or connections held.
	Deliveries uint64  `json:"deliveries"`
	Seconds    float64 `json:"seconds"`
	Rate       float64 `json:"deliveries_per_second"`

	CPU           float64 `json:"broker_cpu_seconds,omitempty"`
	CPUPerMillion float64 `json:"broker_cpu_seconds_per_million,omitempty"`
	OwnCPU        float64 `json:"generator_cpu_seconds"`
	OwnTurn       float64 `json:"generator_longest_turn_us"` // so much of a latency may be the generator's

	Lost       uint64 `json:"lost"`
	Duplicated uint64 `json:"duplicated"`
	Reordered  uint64 `json:"reordered"`
	Stray      uint64 `json:"stray"` // messages and acknowledgements that nothing asked for

	Latency   *latencies `json:"latency,omitempty"`
	Bystander *latencies `json:"bystander,omitempty"` // of a calm pair of clients meanwhile

	Resident         int64   `json:"resident_bytes,omitempty"`
	ResidentFiles    int64   `json:"resident_file_bytes,omitempty"` // of it mapped files, which the kernel can take back
	ResidentBefore   int64   `json:"resident_bytes_before,omitempty"`
	KiBPerConnection float64 `json:"kib_per_connection,omitempty"`
	Written          int64   `json:"written_bytes,omitempty"` // to disks, as far as the process caused it

	Disk *diskUse `json:"disk,omitempty"`
}

// latencies are in microseconds, from sending a message to receiving it; in the
// row durable, to receiving its acknowledgement.
type latencies struct {
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
}

func newLatencies(h *histogram) *latencies {
	if h.count == 0 {
		return nil
	}
	return &latencies{microseconds(h.quantile(0.5)), microseconds(h.quantile(0.99)), microseconds(h.quantile(0.999)), microseconds(h.max)}
}

func microseconds(d time.Duration) float64 { return float64(d) / 1000 }

// bench measures one broker.
type bench struct {
	addresses map[string]netip.AddrPort // by transport: tcp, tls, websocket
	process   *process                  // nil: unknown
	disk      *disk                     // nil: unknown
	size      benchSize
	run       uint64 // of the row at work
}

func benchCommand() command {
	rows := new(strings.Builder)
	for _, r := range benchRows {
		fmt.Fprintf(rows, "\n\t%-22s%s", r.name, r.what)
	}
	return command{
		name:   "bench",
		short:  "put load on an MQTT broker on this machine",
		long:   "It prints a JSON object a row. The rows are:\n" + rows.String(),
		define: runBench,
	}
}

// runBench measures a broker on this machine and prints a JSON object a row.
func runBench(flags *flag.FlagSet) action {
	address := flags.String("broker", "127.0.0.1:1883", "`address` of the broker, on the loopback")
	tls := flags.String("tls", "", "`address` of its TLS listener")
	websocket := flags.String("websocket", "", "`address` of its WebSocket listener")
	pid := flags.Int("pid", 0, "process `id` of the broker: its CPU time and memory are reported too")
	data := flags.String("disk", "", "`folder` on a file system that nobody but the broker writes to: what reaches its block device is reported too")
	short := flags.Bool("short", false, "small counts: a few seconds in all")
	var rows []string
	flags.Func("row", "`name` of a row; may be repeated (default all)", func(name string) error {
		rows = append(rows, name)
		return nil
	})
	return func(c *call, _ []string) error {
		b := &bench{addresses: make(map[string]netip.AddrPort), size: fullSize}
		if *short {
			b.size = shortSize
		}
		for transport, text := range map[string]string{"tcp": *address, "tls": *tls, "websocket": *websocket} {
			if text == "" {
				continue
			}
			a, err := loopback(text)
			if err != nil {
				return err
			}
			b.addresses[transport] = a
		}
		if *pid != 0 {
			var err error
			if b.process, err = openProcess(*pid); err != nil {
				return err
			}
		}
		if *data != "" {
			var err error
			if b.disk, err = openDisk(*data); err != nil {
				return err
			}
			defer b.disk.folder.Close()
		}
		for _, name := range rows {
			if !slices.ContainsFunc(benchRows, func(r benchRow) bool { return r.name == name }) {
				return fmt.Errorf("there is no row %q; lintelctl bench --help lists them: %w", name, errUsage)
			}
		}
		var broken []string
		lines := json.NewEncoder(c.out)
		for _, row := range benchRows {
			if rows != nil && !slices.Contains(rows, row.name) {
				continue
			}
			b.run = rand.Uint64()
			for _, r := range row.run(b) {
				if r.Error != "" {
					broken = append(broken, r.Row)
				}
				if err := lines.Encode(r); err != nil {
					return fmt.Errorf("write: %w", err)
				}
			}
		}
		if broken != nil {
			return fmt.Errorf("these rows failed: %s", strings.Join(broken, ", "))
		}
		return nil
	}
}

// loopback resolves a broker's address. Load is for one's own machine.
func loopback(address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("broker %q: want an address and a port, such as 127.0.0.1:1883: %w", address, errUsage)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil || !a.Addr().Unmap().IsLoopback() {
		return netip.AddrPort{}, fmt.Errorf("broker %q: bench floods a broker, so it takes loopback addresses only (127.0.0.1:1883, [::1]:1883); run it on the broker's machine: %w", address, errUsage)
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

// measurement is a stretch of a row whose cost is taken.
type measurement struct {
	bench   *bench
	loop    *loop
	from    time.Duration
	own     time.Duration
	cpu     time.Duration
	written int64
	disk    diskUse
}

func (b *bench) measure(l *loop) *measurement {
	m := &measurement{bench: b, loop: l}
	if b.disk != nil {
		m.disk, _ = b.disk.use()
	}
	if b.process != nil {
		m.cpu, _ = b.process.cpu()
		m.written, _ = b.process.written()
	}
	m.own, m.from, l.longest = ownCPU(), l.now(), 0
	return m
}

// end returns the result of a stretch that ended at to.
func (m *measurement) end(row string, to time.Duration, deliveries uint64) result {
	r := result{
		Row:        row,
		Deliveries: deliveries,
		Seconds:    (to - m.from).Seconds(),
		OwnCPU:     (ownCPU() - m.own).Seconds(),
		OwnTurn:    microseconds(m.loop.longest),
	}
	if r.Seconds > 0 {
		r.Rate = float64(deliveries) / r.Seconds
	}
	if p := m.bench.process; p != nil {
		cpu, err := p.cpu()
		if err != nil {
			r.Error = fmt.Sprintf("the broker is gone: %v", err)
			return r
		}
		r.CPU = (cpu - m.cpu).Seconds()
		if deliveries > 0 {
			r.CPUPerMillion = r.CPU / float64(deliveries) * 1e6
		}
		r.Resident, _ = p.resident()
		r.ResidentFiles, _ = p.residentFiles()
		if written, err := p.written(); err == nil {
			r.Written = written - m.written
		}
	}
	if d := m.bench.disk; d != nil {
		use, err := d.use()
		if err != nil {
			r.Error = err.Error()
			return r
		}
		r.Disk = &diskUse{use.Written - m.disk.Written, use.Flushes - m.disk.Flushes}
	}
	return r
}
