package broker_test

import (
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// pump sends n messages of one publisher to subscribers on real sockets and
// returns when all have arrived.
type pump struct {
	server *server
	from   *rawClient
	to     []*rawClient
	batch  []byte // packets of the publisher
	each   int    // messages in batch
	size   int64  // bytes of one message at a subscriber
}

func newPump(t testing.TB, v mqtt.Version, subscribers int, authorize func(*broker.ConnectRequest, broker.Action, string) broker.Permit) *pump {
	s := startServer(t, t.TempDir(), broker.Options{MaxQueuedMessages: 1 << 20, Authorize: authorize})
	p := &pump{server: s, from: connect(t, s, clean(v, "from")), each: 50}
	p.from.net.SetDeadline(time.Time{})
	for i := range subscribers {
		c := connect(t, s, clean(v, strconv.Itoa(i)))
		c.subscribe(filter("bench/+/topic", 0))
		c.net.SetDeadline(time.Time{})
		p.to = append(p.to, c)
	}
	for i := range p.each {
		m := pub("bench/"+strconv.Itoa(i%10)+"/topic", string(make([]byte, 128)), 0, 0)
		p.size = int64(len(m.Append(nil, v)))
		p.batch = m.Append(p.batch, v)
	}
	return p
}

// run sends in windows small enough that nobody loses a message.
func (p *pump) run(t testing.TB, n int) {
	for sent := 0; sent < n; sent += p.each {
		p.from.raw(p.batch)
		for _, c := range p.to {
			if err := skip(c.net, p.size*int64(p.each)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

var skipped [64 << 10]byte

func skip(c net.Conn, n int64) error {
	for n > 0 {
		m, err := io.ReadFull(c, skipped[:min(n, int64(len(skipped)))])
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	return nil
}

// allowAll is an Authorize that needs no look at messages, allowShort one that looks
// at each, when it is published and for each receiver.
func allowAll(*broker.ConnectRequest, broker.Action, string) broker.Permit { return broker.Allow }

func allowShort(*broker.ConnectRequest, broker.Action, string) broker.Permit { return short }

var short = broker.If(func(m *mqtt.Message) bool { return len(m.Payload) < 1000 })

// BenchmarkAuthorize is what the checks cost: one message with QoS 0 from socket to
// socket with an Authorize that is asked about publishing and receiving, as a share of
// the processor time that it takes without. The two take turns. With one that decides
// by topic nothing is asked of a message but whether there is something to ask.
func BenchmarkAuthorize(b *testing.B) {
	for _, x := range []struct {
		name      string
		authorize func(*broker.ConnectRequest, broker.Action, string) broker.Permit
	}{{"topics", allowAll}, {"messages", allowShort}} {
		for _, subscribers := range []int{1, 10} {
			b.Run(x.name+"/"+strconv.Itoa(subscribers)+" subscribers", func(b *testing.B) {
				pumps := [2]*pump{newPump(b, mqtt.V50, subscribers, nil), newPump(b, mqtt.V50, subscribers, x.authorize)}
				const turn = 2000 // messages
				var ratios []float64
				for b.Loop() {
					var took [2]time.Duration
					for i := range 4 { // without, with, with, without
						p := (i + i/2) % 2
						before := processorTime(b)
						pumps[p].run(b, turn)
						took[p] += processorTime(b) - before
					}
					ratios = append(ratios, float64(took[1])/float64(took[0]))
				}
				slices.Sort(ratios)
				b.ReportMetric(ratios[len(ratios)/2], "ratio")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// processorTime is what the process has used.
func processorTime(t testing.TB) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPublishQoS0 is one message from socket to socket, in batches of 50.
func BenchmarkPublishQoS0(b *testing.B) {
	for _, subscribers := range []int{1, 10} {
		b.Run(strconv.Itoa(subscribers)+" subscribers", func(b *testing.B) {
			p := newPump(b, mqtt.V50, subscribers, allowAll)
			p.run(b, 1000)
			b.ReportAllocs()
			b.ResetTimer()
			p.run(b, b.N)
			b.StopTimer()
		})
	}
}

// Nothing is allocated for a message of QoS 0 on its way from socket to socket.
func TestPublishQoS0Allocations(t *testing.T) {
	if plain {
		t.Skip("a connection without a poller starts a goroutine to write")
	}
	for _, subscribers := range []int{1, 5} {
		forVersions(t, func(t *testing.T, v mqtt.Version) {
			p := newPump(t, v, subscribers, allowShort)
			p.run(t, 1000)
			const n = 20_000
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			p.run(t, n)
			runtime.ReadMemStats(&after)
			// A batch that does not fit into one buffer costs one; so does
			// what else the process does meanwhile.
			if per := float64(after.Mallocs-before.Mallocs) / n; per > 0.1 {
				t.Errorf("%.3f allocations for a message to %d subscribers", per, subscribers)
			} else {
				t.Logf("%.4f allocations for a message to %d subscribers", per, subscribers)
			}
		}, mqtt.V311, mqtt.V50)
	}
}

// BenchmarkPublishQoS1 is one message from socket to socket with both
// acknowledgements, in batches of 50: the message with its entry is one allocation,
// the copy of the payload another. The session of the subscriber is one that ends
// with its connection, or one that stays, which the store has to hold messages for
// until they are acknowledged.
func BenchmarkPublishQoS1(b *testing.B) {
	b.Run("clean", func(b *testing.B) { benchmarkPublishQoS1(b, clean(mqtt.V50, "to")) })
	b.Run("durable", func(b *testing.B) { benchmarkPublishQoS1(b, durable(mqtt.V50, "to")) })
}

func benchmarkPublishQoS1(b *testing.B, subscriber mqtt.Connect) {
	const each = 50
	s := newServer(b)
	from, to := connect(b, s, clean(mqtt.V50, "from")), connect(b, s, subscriber)
	from.net.SetDeadline(time.Time{})
	to.net.SetDeadline(time.Time{})
	to.subscribe(filter("bench", 1))
	var batch []byte
	var size int64 // of one message at the subscriber
	for i := range each {
		m := pub("bench", string(make([]byte, 128)), 1, uint16(i+1))
		size = int64(len(m.Append(nil, mqtt.V50)))
		batch = m.Append(batch, mqtt.V50)
	}
	ackSize := int64(len((&mqtt.Ack{Type: mqtt.PUBACK, PacketID: 1}).Append(nil, mqtt.V50)))
	acks := make([]byte, 0, each*4)
	id := uint16(0)
	run := func(n int) {
		for sent := 0; sent < n; sent += each {
			from.raw(batch)
			if err := skip(to.net, size*each); err != nil {
				b.Fatal(err)
			}
			acks = acks[:0]
			for range each {
				if id++; id == 0 {
					id = 1
				}
				acks = (&mqtt.Ack{Type: mqtt.PUBACK, PacketID: id}).Append(acks, mqtt.V50)
			}
			to.raw(acks)
			if err := skip(from.net, ackSize*each); err != nil {
				b.Fatal(err)
			}
		}
	}
	run(1000)
	before := s.Stats().Store
	b.ReportAllocs()
	b.ResetTimer()
	run(b.N)
	b.StopTimer()
	after := s.Stats().Store
	n := float64(b.N)
	b.ReportMetric(float64(after.BytesWritten-before.BytesWritten)/n, "written-B/op")
	b.ReportMetric(float64(after.Groups-before.Groups)/n, "groups/op")
	b.ReportMetric(float64(after.Operations-before.Operations)/n, "operations/op")
}
