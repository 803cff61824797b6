package broker

import (
	"fmt"
	"math"
	"runtime/metrics"
	"strconv"
	"time"

	"lintel/gateway/mqtt"
)

// sysPrefix begins the topics in which the broker speaks of itself. Their names
// and meanings are those of mosquitto(8), but for limits/…, store/bytes/…,
// store/groups and store/commit/…, which are its own.
const sysPrefix = "$SYS/"

// sysTree publishes the $SYS topics, each when its value has changed.
type sysTree struct {
	said map[string]string // by topic
	last Stats
	at   time.Time
	load [len(loadNames)][3]float64
	heap uint64 // the most so far
}

// The load averages are per minute, damped over one, five and fifteen minutes.
var (
	loadNames = [...]string{"messages/received", "messages/sent", "publish/received", "publish/sent", "publish/dropped",
		"bytes/received", "bytes/sent", "sockets", "connections"}
	loadTimes = [3]struct {
		name string
		time time.Duration
	}{{"1min", time.Minute}, {"5min", 5 * time.Minute}, {"15min", 15 * time.Minute}}
)

func loadCounters(s *Stats) [len(loadNames)]uint64 {
	return [...]uint64{s.PacketsReceived, s.PacketsSent, s.PublishReceived, s.PublishSent, s.PublishDropped,
		s.BytesReceived, s.BytesSent, s.ConnectionsAccepted, s.Connects}
}

func (t *sysTree) publish(b *Broker) {
	now, s := time.Now(), b.Stats()
	if t.said == nil {
		t.said, t.at = make(map[string]string), b.started
		t.say(b, "version", "lintel "+b.options.Version)
	}
	heap := heapInUse()
	t.heap = max(t.heap, heap)
	online := s.ClientsConnected
	t.say(b, "uptime", fmt.Sprintf("%d seconds", int(s.Uptime.Seconds())))
	for _, n := range []struct {
		topic string
		value uint64
	}{
		{"clients/total", uint64(s.Sessions)},
		{"clients/maximum", uint64(s.SessionsMaximum)},
		{"clients/connected", uint64(online)},
		{"clients/active", uint64(online)}, // the older name
		{"clients/disconnected", uint64(s.SessionsOffline)},
		{"clients/inactive", uint64(s.SessionsOffline)}, // the older name
		{"clients/expired", s.SessionsExpired},
		{"connections/socket/count", s.ConnectionsAccepted},
		{"bytes/received", s.BytesReceived},
		{"bytes/sent", s.BytesSent},
		{"messages/received", s.PacketsReceived},
		{"messages/sent", s.PacketsSent},
		{"publish/messages/received", s.PublishReceived},
		{"publish/messages/sent", s.PublishSent},
		{"publish/messages/dropped", s.PublishDropped},
		{"publish/bytes/received", s.PayloadReceived},
		{"publish/bytes/sent", s.PayloadSent},
		{"messages/stored", uint64(s.Retained + s.Queued)},
		{"store/messages/count", uint64(s.Retained + s.Queued)},
		{"store/messages/bytes", uint64(s.RetainedBytes + s.QueuedBytes)},
		{"store/bytes/written", s.Store.BytesWritten},
		{"store/bytes/elided", s.Store.BytesElided},
		{"store/bytes/coalesced", s.Store.BytesCoalesced},
		{"store/groups", s.Store.Groups},
		{"store/commit/p50", uint64(s.Store.Commits.Quantile(0.5).Microseconds())},
		{"store/commit/p99", uint64(s.Store.Commits.Quantile(0.99).Microseconds())},
		{"retained messages/count", uint64(s.Retained)},
		{"subscriptions/count", uint64(s.Subscriptions)},
		{"shared_subscriptions/count", uint64(s.SharedSubscriptions)},
		{"heap/current", heap},
		{"heap/maximum", t.heap},
	} {
		t.say(b, n.topic, strconv.FormatUint(n.value, 10))
	}
	for l, n := range s.Exceeded {
		t.say(b, "limits/"+Limit(l).String(), strconv.FormatUint(n, 10))
	}
	counted, before := loadCounters(&s), loadCounters(&t.last)
	for i, name := range loadNames {
		for j, over := range loadTimes {
			t.load[i][j] = damped(t.load[i][j], counted[i]-before[i], now.Sub(t.at), over.time)
			t.say(b, "load/"+name+"/"+over.name, fmt.Sprintf("%.2f", t.load[i][j]))
		}
	}
	t.last, t.at = s, now
}

// damped is the new exponentially damped average per minute, after n events in a
// time.
func damped(old float64, n uint64, passed, over time.Duration) float64 {
	if passed <= 0 {
		return old
	}
	rate := float64(n) / passed.Minutes()
	return rate + math.Exp(-passed.Seconds()/over.Seconds())*(old-rate)
}

// say publishes a value unless it is the one before.
func (t *sysTree) say(b *Broker, topic, value string) {
	if t.said[topic] == value {
		return
	}
	t.said[topic] = value
	var f flushList
	m := &message{Message: mqtt.Message{Topic: sysPrefix + "broker/" + topic, Payload: []byte(value), Retain: true}}
	b.publish(m, b.find(m.Topic), nil, &f)
	b.flush(&f)
}

// heapInUse is the memory that Go objects take, in bytes. Reading it stops nobody.
func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
