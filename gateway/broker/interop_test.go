package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	paho3 "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/broker"
)

// The scenarios are run by clients that others wrote. Each of them is a library
// or a program, with one protocol version and one transport.

// theirs is a client of somebody else.
type theirs struct {
	name    string
	program string // that has to be installed; empty: none
	// quitsWithWill: its disconnect is a DISCONNECT with reason code 0x04.
	quitsWithWill bool
	// subscribe connects and subscribes. It returns after the SUBACK.
	subscribe func(t *testing.T, s *server, o subscribeOptions) *subscriber
	// publish connects, publishes each message, waits until it is
	// acknowledged, and disconnects.
	publish func(t *testing.T, s *server, messages ...theirMessage)
}

type subscribeOptions struct {
	id         string
	filter     string
	qos        byte
	persistent bool // keep the session when disconnecting
	will       *theirMessage
}

type theirMessage struct {
	topic   string
	payload string
	qos     byte
	retain  bool
}

func (m theirMessage) String() string {
	payload := m.payload
	if len(payload) > 40 {
		payload = fmt.Sprintf("%s… (%d bytes)", payload[:40], len(payload))
	}
	return fmt.Sprintf("%s QoS %d retain %t %q", m.topic, m.qos, m.retain, payload)
}

// subscriber is a connected client of somebody else.
type subscriber struct {
	messages   chan theirMessage
	disconnect func() // orderly
	kill       func() // without a goodbye
}

// expect takes the next messages, which must be these, in this order.
func (s *subscriber) expect(t *testing.T, want ...theirMessage) {
	t.Helper()
	for _, w := range want {
		if got := s.next(t); got != w {
			t.Fatalf("received %v, want %v", got, w)
		}
	}
}

func (s *subscriber) next(t *testing.T) theirMessage {
	t.Helper()
	select {
	case m := <-s.messages:
		return m
	case <-time.After(patience):
		t.Fatal("no message came in time")
		panic("unreachable")
	}
}

var everybody = []theirs{
	mosquitto("mqttv31"), mosquitto("mqttv311"), mosquitto("mqttv5"),
	pahoV3("tcp"), pahoV3("ws"),
	pahoV5("tcp"), pahoV5("ws"),
}

var scenarios = []struct {
	name string
	run  func(t *testing.T, c theirs, s *server)
}{
	{"every QoS", func(t *testing.T, c theirs, s *server) {
		for granted := byte(0); granted <= 2; granted++ {
			sub := c.subscribe(t, s, subscribeOptions{filter: "qos/+", qos: granted})
			for qos := byte(0); qos <= 2; qos++ {
				c.publish(t, s, theirMessage{"qos/a", fmt.Sprint(qos), qos, false})
				sub.expect(t, theirMessage{"qos/a", fmt.Sprint(qos), min(qos, granted), false})
			}
			sub.disconnect()
		}
	}},
	{"retained", func(t *testing.T, c theirs, s *server) {
		c.publish(t, s, theirMessage{"kept/a", "one", 1, true}, theirMessage{"kept/a", "two", 1, true})
		sub := c.subscribe(t, s, subscribeOptions{filter: "kept/#", qos: 1})
		sub.expect(t, theirMessage{"kept/a", "two", 1, true})
		c.publish(t, s, theirMessage{"kept/a", "live", 1, true})
		sub.expect(t, theirMessage{"kept/a", "live", 1, false})
		c.publish(t, s, theirMessage{"kept/a", "", 1, true}) // clears
		sub.expect(t, theirMessage{"kept/a", "", 1, false})
		sub.disconnect()
		late := c.subscribe(t, s, subscribeOptions{filter: "kept/#", qos: 1})
		c.publish(t, s, theirMessage{"kept/b", "first", 1, false})
		late.expect(t, theirMessage{"kept/b", "first", 1, false})
		late.disconnect()
	}},
	{"wildcards", func(t *testing.T, c theirs, s *server) {
		sub := c.subscribe(t, s, subscribeOptions{filter: "house/+/room/#", qos: 1})
		c.publish(t, s,
			theirMessage{"house/1/room", "parent", 1, false},
			theirMessage{"house/1/hall/x", "no", 1, false},
			theirMessage{"house//room/x", "empty level", 1, false},
			theirMessage{"house/2/room/a/b", "deep", 1, false})
		sub.expect(t,
			theirMessage{"house/1/room", "parent", 1, false},
			theirMessage{"house//room/x", "empty level", 1, false},
			theirMessage{"house/2/room/a/b", "deep", 1, false})
		sub.disconnect()
	}},
	{"persistent session", func(t *testing.T, c theirs, s *server) {
		for qos := byte(1); qos <= 2; qos++ {
			o := subscribeOptions{id: fmt.Sprintf("sleeper-%s-%d", c.name, qos), filter: "sleep/#", qos: qos, persistent: true}
			c.subscribe(t, s, o).disconnect()
			sent := numbered("sleep/a", 100, qos)
			c.publish(t, s, sent...)
			sub := c.subscribe(t, s, o)
			sub.expect(t, sent...)
			sub.disconnect()
		}
	}},
	{"broker restart", func(t *testing.T, c theirs, s *server) {
		o := subscribeOptions{id: "restarted-" + c.name, filter: "restart/#", qos: 2, persistent: true}
		c.subscribe(t, s, o).disconnect()
		sent := append(numbered("restart/a", 20, 1), numbered("restart/b", 20, 2)...)
		c.publish(t, s, append(sent, theirMessage{"restarted", "kept", 1, true})...)
		s.stop()
		s = startServer(t, s.dir, broker.Options{})
		sub := c.subscribe(t, s, o)
		sub.expect(t, sent...)
		sub.disconnect()
		c.subscribe(t, s, subscribeOptions{filter: "restarted", qos: 1}).expect(t, theirMessage{"restarted", "kept", 1, true})
	}},
	{"will", func(t *testing.T, c theirs, s *server) {
		watcher := c.subscribe(t, s, subscribeOptions{filter: "will/#", qos: 1})
		if !c.quitsWithWill {
			orderly := theirMessage{"will/orderly", "gone", 1, false}
			c.subscribe(t, s, subscribeOptions{filter: "x", will: &orderly}).disconnect()
		}
		killed := theirMessage{"will/killed", "gone", 1, false}
		c.subscribe(t, s, subscribeOptions{filter: "x", will: &killed}).kill()
		watcher.expect(t, killed)
		watcher.disconnect()
	}},
	{"shared subscription", func(t *testing.T, c theirs, s *server) {
		first := c.subscribe(t, s, subscribeOptions{filter: "$share/g/work/#", qos: 1})
		second := c.subscribe(t, s, subscribeOptions{filter: "$share/g/work/#", qos: 1})
		const n = 20
		c.publish(t, s, numbered("work/a", n, 1)...)
		seen := make(map[string]bool)
		shares := [2]int{}
		for range n {
			var m theirMessage
			select {
			case m = <-first.messages:
				shares[0]++
			case m = <-second.messages:
				shares[1]++
			case <-time.After(patience):
				t.Fatalf("%d of %d messages came in time", len(seen), n)
			}
			if seen[m.payload] {
				t.Errorf("%v came twice", m)
			}
			seen[m.payload] = true
		}
		if shares[0] == 0 || shares[1] == 0 {
			t.Errorf("shares %v: one member got nothing", shares)
		}
		first.disconnect()
		second.disconnect()
	}},
	{"large payload", func(t *testing.T, c theirs, s *server) {
		sub := c.subscribe(t, s, subscribeOptions{filter: "large", qos: 2})
		m := theirMessage{"large", strings.Repeat("0123456789abcdef", 1<<16), 2, false} // 1 MiB
		c.publish(t, s, m)
		sub.expect(t, m)
		sub.disconnect()
	}},
}

func numbered(topic string, n int, qos byte) []theirMessage {
	messages := make([]theirMessage, n)
	for i := range messages {
		messages[i] = theirMessage{topic, fmt.Sprintf("%s %d", topic, i), qos, false}
	}
	return messages
}

func TestInterop(t *testing.T) {
	for _, c := range everybody {
		t.Run(c.name, func(t *testing.T) {
			if c.program != "" {
				needProgram(t, c.program)
			}
			t.Parallel()
			for _, scenario := range scenarios {
				t.Run(scenario.name, func(t *testing.T) { scenario.run(t, c, newServer(t)) })
			}
		})
	}
}

// needProgram skips the test if a program is missing, unless nothing may be.
func needProgram(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("LINTEL_NEED_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// mosquitto is mosquitto_pub and mosquitto_sub.
func mosquitto(version string) theirs {
	address := func(s *server) []string {
		host, port, _ := net.SplitHostPort(s.Addr)
		return []string{"-h", host, "-p", port, "-V", version}
	}
	return theirs{
		name:          "mosquitto " + version,
		program:       "mosquitto_sub",
		quitsWithWill: version == "mqttv5",
		subscribe: func(t *testing.T, s *server, o subscribeOptions) *subscriber {
			t.Helper()
			args := append(address(s), "-d", "-q", fmt.Sprint(o.qos), "-t", o.filter, "-F", "message\t%t\t%q\t%r\t%p")
			if o.id != "" {
				args = append(args, "-i", o.id)
			}
			if o.persistent {
				args = append(args, "-c")
				if version == "mqttv5" {
					args = append(args, "-x", "3600")
				}
			}
			if w := o.will; w != nil {
				args = append(args, "--will-topic", w.topic, "--will-payload", w.payload, "--will-qos", fmt.Sprint(w.qos))
			}
			cmd := exec.Command("stdbuf", append([]string{"-oL", "mosquitto_sub"}, args...)...)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			sub := &subscriber{messages: make(chan theirMessage, 1000)}
			subscribed, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				lines := bufio.NewScanner(out)
				lines.Buffer(nil, 4<<20)
				var once sync.Once
				for lines.Scan() {
					if strings.HasPrefix(lines.Text(), "Subscribed (mid:") {
						once.Do(func() { close(subscribed) }) // it connects again by itself
					}
					if f := strings.SplitN(lines.Text(), "\t", 5); f[0] == "message" {
						qos, _ := strconv.Atoi(f[2])
						sub.messages <- theirMessage{f[1], f[4], byte(qos), f[3] == "1"}
					}
				}
				cmd.Wait()
			}()
			sub.kill = func() {
				cmd.Process.Kill()
				<-ended
			}
			sub.disconnect = func() {
				// Its handler takes locks: it waits for itself, for ever, if the
				// signal comes while it is at work, and not for its socket.
				for stop := time.Now().Add(time.Second); !sleeps(cmd.Process.Pid) && time.Now().Before(stop); runtime.Gosched() {
				}
				cmd.Process.Signal(os.Interrupt)
				select {
				case <-ended:
				case <-time.After(patience):
					t.Log("mosquitto_sub does not end: killed")
					sub.kill()
				}
			}
			t.Cleanup(sub.kill)
			waitFor(t, subscribed, "mosquitto_sub to subscribe")
			return sub
		},
		publish: func(t *testing.T, s *server, messages ...theirMessage) {
			t.Helper()
			for _, m := range messages {
				payload := "-s" // from standard input
				if m.payload == "" {
					payload = "-n"
				}
				args := append(address(s), "-t", m.topic, "-q", fmt.Sprint(m.qos), payload)
				if m.retain {
					args = append(args, "-r")
				}
				cmd := exec.Command("mosquitto_pub", args...)
				cmd.Stdin = strings.NewReader(m.payload)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("mosquitto_pub: %v\n%s", err, out)
				}
			}
		},
	}
}

// sleeps reports whether a process waits for a socket.
func sleeps(pid int) bool {
	where, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
	if err != nil || string(where) == "0" { // nobody may know
		return true
	}
	return strings.Contains(string(where), "poll") || strings.Contains(string(where), "select")
}

func waitFor(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}

// dial opens the transport for a library.
func dial(s *server, transport string) (net.Conn, error) {
	if transport == "tcp" {
		return net.Dial("tcp", s.Addr)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(-1)
	return websocket.NetConn(context.Background(), ws, websocket.MessageBinary), nil
}

// pahoV3 is eclipse/paho.mqtt.golang, which speaks 3.1.1.
func pahoV3(transport string) theirs {
	connect := func(t *testing.T, s *server, o subscribeOptions, handle paho3.MessageHandler) (paho3.Client, net.Conn) {
		t.Helper()
		var conn net.Conn
		options := paho3.NewClientOptions().AddBroker("tcp://" + s.Addr).SetProtocolVersion(4).SetAutoReconnect(false).
			SetClientID(o.id).SetCleanSession(!o.persistent).SetOrderMatters(true).SetKeepAlive(time.Minute).
			SetCustomOpenConnectionFn(func(*url.URL, paho3.ClientOptions) (net.Conn, error) {
				var err error
				conn, err = dial(s, transport)
				return conn, err
			})
		if handle != nil {
			options.SetDefaultPublishHandler(handle)
		}
		if w := o.will; w != nil {
			options.SetWill(w.topic, w.payload, w.qos, w.retain)
		}
		client := paho3.NewClient(options)
		finish(t, client.Connect())
		return client, conn
	}
	return theirs{
		name: "paho.mqtt.golang " + transport,
		subscribe: func(t *testing.T, s *server, o subscribeOptions) *subscriber {
			t.Helper()
			sub := &subscriber{messages: make(chan theirMessage, 1000)}
			client, conn := connect(t, s, o, func(_ paho3.Client, m paho3.Message) {
				sub.messages <- theirMessage{m.Topic(), string(m.Payload()), m.Qos(), m.Retained()}
			})
			finish(t, client.Subscribe(o.filter, o.qos, nil))
			sub.disconnect = func() { client.Disconnect(100) }
			sub.kill = func() { conn.Close() }
			t.Cleanup(func() { client.Disconnect(0) })
			return sub
		},
		publish: func(t *testing.T, s *server, messages ...theirMessage) {
			t.Helper()
			client, _ := connect(t, s, subscribeOptions{}, nil)
			defer client.Disconnect(100)
			for _, m := range messages {
				finish(t, client.Publish(m.topic, m.qos, m.retain, m.payload))
			}
		},
	}
}

func finish(t *testing.T, token paho3.Token) {
	t.Helper()
	if !token.WaitTimeout(20 * time.Second) {
		t.Fatal("paho: no answer in time")
	}
	if err := token.Error(); err != nil {
		t.Fatalf("paho: %v", err)
	}
}

// pahoV5 is eclipse/paho.golang, which speaks 5.0.
func pahoV5(transport string) theirs {
	connect := func(t *testing.T, s *server, o subscribeOptions, sub *subscriber) (*paho.Client, net.Conn) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		conn, err := dial(s, transport)
		if err != nil {
			t.Fatal(err)
		}
		// The library writes a packet in pieces, from several goroutines.
		config := paho.ClientConfig{Conn: packets.NewThreadSafeConn(conn)}
		if sub != nil {
			config.OnPublishReceived = []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
				sub.messages <- theirMessage{p.Packet.Topic, string(p.Packet.Payload), p.Packet.QoS, p.Packet.Retain}
				return true, nil
			}}
		}
		client := paho.NewClient(config)
		packet := &paho.Connect{ClientID: o.id, KeepAlive: 60, CleanStart: !o.persistent}
		if o.persistent {
			expiry := uint32(3600)
			packet.Properties = &paho.ConnectProperties{SessionExpiryInterval: &expiry}
		}
		if w := o.will; w != nil {
			packet.WillMessage = &paho.WillMessage{Topic: w.topic, Payload: []byte(w.payload), QoS: w.qos, Retain: w.retain}
		}
		if _, err := client.Connect(ctx, packet); err != nil {
			t.Fatal(err)
		}
		return client, conn
	}
	return theirs{
		name: "paho.golang " + transport,
		subscribe: func(t *testing.T, s *server, o subscribeOptions) *subscriber {
			t.Helper()
			sub := &subscriber{messages: make(chan theirMessage, 1000)}
			client, conn := connect(t, s, o, sub)
			_, err := client.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: o.filter, QoS: o.qos}}})
			if err != nil {
				t.Fatal(err)
			}
			sub.disconnect = func() { client.Disconnect(&paho.Disconnect{ReasonCode: 0}); <-client.Done() }
			sub.kill = func() { conn.Close() }
			t.Cleanup(sub.kill)
			return sub
		},
		publish: func(t *testing.T, s *server, messages ...theirMessage) {
			t.Helper()
			client, _ := connect(t, s, subscribeOptions{}, nil)
			defer client.Disconnect(&paho.Disconnect{ReasonCode: 0})
			for _, m := range messages {
				_, err := client.Publish(t.Context(), &paho.Publish{Topic: m.topic, QoS: m.qos, Retain: m.retain, Payload: bytes.Clone([]byte(m.payload))})
				if err != nil {
					t.Fatal(err)
				}
			}
		},
	}
}
