package uplink

import (
	"fmt"
	"slices"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// remotes are brokers to connect to, and versions to speak with them.
var remotes = []struct {
	name    string
	version mqtt.Version
	start   func(*testing.T) remote
}{
	{"lintel 5.0", mqtt.V50, func(t *testing.T) remote { return newBox(t, broker.Options{}) }},
	{"lintel 3.1.1", mqtt.V311, func(t *testing.T) remote { return newBox(t, broker.Options{}) }},
	{"mosquitto 5.0", mqtt.V50, func(t *testing.T) remote { return newMosquitto(t, "max_queued_messages 0\nmax_queued_bytes 0") }},
	{"mosquitto 3.1.1", mqtt.V311, func(t *testing.T) remote { return newMosquitto(t, "max_queued_messages 0\nmax_queued_bytes 0") }},
}

// remote is a broker to connect to.
type remote interface {
	url() string
	listen(filters ...string) *heard // with QoS 2
	listenAt(qos mqtt.QoS, filters ...string) *heard
	publish(mqtt.Message)
	restart()
	pause() (resume func())
}

func (b *box) pause() (resume func()) {
	b.stop()
	return b.start
}

func (m *mosquitto) pause() (resume func()) {
	m.stop()
	return m.start
}

func (m *mosquitto) restart() {
	m.stop()
	m.start()
}

func (m *mosquitto) publish(msg mqtt.Message) {
	m.t.Helper()
	wait(m.t, m.client().Publish(msg.Topic, msg.QoS, msg.Retain, msg.Payload))
}

func everywhere(t *testing.T, f func(t *testing.T, r remote, v mqtt.Version)) {
	for _, r := range remotes {
		t.Run(r.name, func(t *testing.T) { f(t, r.start(t), r.version) })
	}
}

func TestBothWays(t *testing.T) {
	everywhere(t, func(t *testing.T, r remote, v mqtt.Version) {
		b := newBox(t, broker.Options{})
		there, here := r.listen("there/#"), b.listen("here/#")
		u := run(t, b, Options{URL: r.url(), Version: v, Maps: []Map{
			{Direction: Out, Filter: "a/#", LocalPrefix: "out/", RemotePrefix: "there/", QoS: 2},
			{Direction: In, Filter: "b/+", LocalPrefix: "here/", RemotePrefix: "in/", QoS: 2},
		}})
		u.connected(t)
		poll(t, "the subscription at the remote", func() bool {
			r.publish(mqtt.Message{Topic: "in/b/ready", Payload: []byte("?")})
			return len(here.payloads("here/b/ready")) > 0
		})
		for qos := range mqtt.QoS(3) {
			b.publish(mqtt.Message{Topic: "out/a/b", Payload: fmt.Append(nil, qos), QoS: qos})
			if m := there.await("there/a/b", fmt.Sprint(qos)); m.QoS != qos {
				t.Errorf("out with QoS %d, arrived with %d", qos, m.QoS)
			}
			r.publish(mqtt.Message{Topic: "in/b/c", Payload: fmt.Append(nil, qos), QoS: qos})
			if m := here.await("here/b/c", fmt.Sprint(qos)); m.QoS != qos {
				t.Errorf("in with QoS %d, arrived with %d", qos, m.QoS)
			}
		}
		if got := u.Status(); got.Version != byte(v) || got.Out != 3 || got.In < 4 || got.Error != "" || got.Problem != "" {
			t.Errorf("status %+v", got)
		}
	})
}

// TestStoreAndForward sends while the remote is away and the box restarts.
func TestStoreAndForward(t *testing.T) {
	everywhere(t, func(t *testing.T, r remote, v mqtt.Version) {
		b := newBox(t, broker.Options{})
		o := Options{URL: r.url(), Version: v, Maps: []Map{{Direction: Out, Filter: "s/#", QoS: 2}}}
		u := run(t, b, o)
		u.connected(t)
		resume := r.pause()
		const count = 300
		want := make(map[string][]string)
		for i := range count {
			if i == count/2 {
				u.stop()
				b.restart()
				u = run(t, b, o)
			}
			// The order is that of a topic and a QoS (5.0 §4.6).
			topic, payload := fmt.Sprint("s/", 1+i%2), fmt.Sprint(i)
			want[topic] = append(want[topic], payload)
			b.publish(mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: mqtt.QoS(1 + i%2)})
		}
		poll(t, "a failed try", func() bool { return u.Status().Error != "" })
		if got := u.Status(); got.Connected || got.Waiting != count {
			t.Errorf("status %+v, want %d waiting", got, count)
		}
		u.stop() // until somebody listens there
		resume()
		// Behind its window of 20 mosquitto 2.0.11 changes the order of what it
		// passes on with QoS 1 and 2, also of what others publish.
		there := r.listenAt(0, "s/#")
		u = run(t, b, o)
		for topic, all := range want {
			there.await(topic, all[len(all)-1])
			if got := there.payloads(topic); !slices.Equal(got, all) {
				t.Errorf("arrived under %s: %v", topic, got)
			}
		}
		poll(t, "the session to be empty", func() bool { return u.Status().Waiting == 0 })
	})
}
