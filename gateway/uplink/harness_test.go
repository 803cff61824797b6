package uplink

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sync/errgroup"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// box is a broker over a real store.
type box struct {
	*broker.Broker
	t     testing.TB
	dir   string
	o     broker.Options
	addr  string // kept over a restart
	store *persist.Store
	stop  func()
}

func newBox(t *testing.T, o broker.Options) *box {
	t.Helper()
	return newBoxAt(t, t.TempDir(), o)
}

func newBoxAt(t testing.TB, dir string, o broker.Options) *box {
	t.Helper()
	b := &box{t: t, dir: dir, o: o, addr: "127.0.0.3:0"} // where no port is given to a test of another package while this is down
	b.o.SysInterval = -1
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start starts it anew on what it has stored.
func (b *box) start() {
	b.t.Helper()
	store, err := persist.Open(b.dir, persist.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	running, err := broker.New(store, b.o)
	if err != nil {
		b.t.Fatal(err)
	}
	var l net.Listener
	poll(b.t, "a listener", func() bool {
		l, err = net.Listen("tcp", b.addr)
		return err == nil
	})
	b.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return running.Run(ctx) })
	g.Go(func() error { return running.Serve(ctx, l, "tcp") })
	b.Broker, b.store = running, store
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := g.Wait(); err != nil {
			b.t.Errorf("broker: %v", err)
		}
		if err := store.Close(); err != nil {
			b.t.Errorf("store: %v", err)
		}
	})
}

func (b *box) restart() {
	b.t.Helper()
	b.stop()
	b.start()
}

func (b *box) url() string { return "mqtt://" + b.addr }

// client connects a client in the process.
func (b *box) client(id string) *broker.Client {
	b.t.Helper()
	c, err := b.NewClient(id)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *box) publish(m mqtt.Message) {
	b.t.Helper()
	c := b.client("")
	defer c.Close()
	if err := c.Publish(context.Background(), m); err != nil {
		b.t.Fatal(err)
	}
}

// heard collects what a subscription brings.
type heard struct {
	t  testing.TB
	mu sync.Mutex
	m  []mqtt.Message
}

func (h *heard) add(m mqtt.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m.Payload = append([]byte(nil), m.Payload...)
	h.m = append(h.m, m)
}

func (h *heard) all() []mqtt.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]mqtt.Message(nil), h.m...)
}

// payloads are those of one topic.
func (h *heard) payloads(topic string) (all []string) {
	for _, m := range h.all() {
		if m.Topic == topic {
			all = append(all, string(m.Payload))
		}
	}
	return all
}

func (h *heard) await(topic, payload string) mqtt.Message {
	h.t.Helper()
	var found mqtt.Message
	poll(h.t, topic+" "+payload, func() bool {
		for _, m := range h.all() {
			if m.Topic == topic && string(m.Payload) == payload {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

func (b *box) listen(filters ...string) *heard {
	b.t.Helper()
	return b.listenAt(2, filters...)
}

func (b *box) listenAt(qos mqtt.QoS, filters ...string) *heard {
	b.t.Helper()
	h := &heard{t: b.t}
	c := b.client("")
	for _, f := range filters {
		if err := c.Subscribe(context.Background(), f, mqtt.SubscriptionOptions(qos)|mqtt.RetainAsPublished, h.add); err != nil {
			b.t.Fatal(err)
		}
	}
	b.t.Cleanup(c.Close)
	return h
}

// poll waits until a condition holds.
func poll(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// quick are short times.
var quick = timing{first: 20 * time.Millisecond, most: 100 * time.Millisecond, refused: 50 * time.Millisecond,
	stable: time.Hour, look: 10 * time.Millisecond, quiet: 200 * time.Millisecond}

// running is an uplink at work.
type running struct {
	*Uplink
	stop func()
}

// run starts an uplink of a box.
func run(t *testing.T, b *box, o Options) *running {
	t.Helper()
	if o.Name == "" {
		o.Name = "test"
	}
	if o.ClientID == "" {
		o.ClientID = "box-" + o.Name
	}
	if o.Maps == nil {
		o.Maps = []Map{{Direction: Both, Filter: "#", QoS: 2}}
	}
	if o.Memory == nil {
		memory, err := persist.NewBucket[string](b.store, "uplink."+o.Name)
		if err != nil {
			t.Fatal(err)
		}
		o.Memory = memory
	}
	u, err := New(b.Broker, o)
	if err != nil {
		t.Fatal(err)
	}
	u.t = quick
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	r := &running{u, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("uplink: %v", err)
		}
	})}
	t.Cleanup(r.stop)
	return r
}

func (r *running) connected(t *testing.T) {
	t.Helper()
	poll(t, "the uplink to connect", func() bool { return r.Status().Connected })
}

// mosquitto is the broker of that name.
type mosquitto struct {
	t    *testing.T
	dir  string
	port string
	stop func()
}

func newMosquitto(t *testing.T, config string) *mosquitto {
	t.Helper()
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("LINTEL_NEED_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	// 127.0.0.3, where no port is given to a test of another package while this is down.
	l, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	m := &mosquitto{t: t, dir: t.TempDir(), port: port}
	config = fmt.Sprintf("listener %s 127.0.0.3\nuser root\npersistence true\npersistence_location %s/\n%s\n", port, m.dir, config)
	if !strings.Contains(config, "allow_anonymous") {
		config += "allow_anonymous true\n"
	}
	if err := os.WriteFile(filepath.Join(m.dir, "mosquitto.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	t.Cleanup(func() { m.stop() })
	return m
}

func (m *mosquitto) start() {
	m.t.Helper()
	c := exec.Command("mosquitto", "-c", filepath.Join(m.dir, "mosquitto.conf"))
	out, err := c.StderrPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		m.t.Fatal(err)
	}
	var log sync.WaitGroup
	log.Go(func() {
		for s := bufio.NewScanner(out); s.Scan(); {
		}
	})
	m.stop = sync.OnceFunc(func() {
		c.Process.Signal(os.Interrupt)
		log.Wait()
		c.Wait()
	})
	poll(m.t, "mosquitto", func() bool {
		nc, err := net.Dial("tcp", "127.0.0.3:"+m.port)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
}

func (m *mosquitto) url() string { return "mqtt://127.0.0.3:" + m.port }

// client connects an independent client.
func (m *mosquitto) client() paho.Client {
	m.t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://127.0.0.3:" + m.port).SetOrderMatters(true).SetConnectRetry(true).SetUsername("tester").SetPassword("secret"))
	wait(m.t, c.Connect())
	m.t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func wait(t *testing.T, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("paho: %v", token.Error())
	}
}

func (m *mosquitto) listen(filters ...string) *heard {
	m.t.Helper()
	return m.listenAt(2, filters...)
}

func (m *mosquitto) listenAt(qos mqtt.QoS, filters ...string) *heard {
	m.t.Helper()
	h := &heard{t: m.t}
	c := m.client()
	for _, f := range filters {
		wait(m.t, c.Subscribe(f, byte(qos), func(_ paho.Client, got paho.Message) {
			h.add(mqtt.Message{Topic: got.Topic(), Payload: got.Payload(), QoS: got.Qos(), Retain: got.Retained()})
		}))
	}
	return h
}
