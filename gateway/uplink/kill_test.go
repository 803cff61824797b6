package uplink

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sync/errgroup"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// TestMain is also the box that TestKill kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LINTEL_TEST_BOX"); dir != "" {
		fmt.Fprintln(os.Stderr, runBox(dir, os.Getenv("LINTEL_TEST_REMOTE")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runBox is a broker with an uplink, until it is killed. It prints its address.
func runBox(dir, remote string) error {
	store, err := persist.Open(dir, persist.Options{})
	if err != nil {
		return err
	}
	b, err := broker.New(store, broker.Options{SysInterval: -1})
	if err != nil {
		return err
	}
	u, err := New(b, Options{Name: "kill", ClientID: "kill", URL: remote, Maps: []Map{{Direction: Out, Filter: "k/#", QoS: 2}}})
	if err != nil {
		return err
	}
	u.t = quick
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var all errgroup.Group
	ctx := context.Background()
	all.Go(func() error { return b.Run(ctx) })
	all.Go(func() error { return u.Run(ctx) })
	for len(b.HouseSessions()) == 0 || len(b.SessionFilters(SessionID("kill"))) == 0 {
		<-time.After(5 * time.Millisecond)
	}
	all.Go(func() error { return b.Serve(ctx, l, "tcp") })
	fmt.Println(l.Addr())
	return all.Wait()
}

// TestKill kills the box again and again, with the remote there or away: what it has
// acknowledged arrives, in order, and with QoS 2 once.
func TestKill(t *testing.T) {
	r := newBox(t, broker.Options{})
	there := r.client("collector")
	defer func() { there.Close() }()
	h := &heard{t: t}
	collect := func() {
		if err := there.Subscribe(context.Background(), "k/#", 2, h.add); err != nil {
			t.Fatal(err)
		}
	}
	collect()
	dir := t.TempDir()
	acked := make(map[string][]string)
	n := 0
	for round := range 6 {
		if round == 3 { // this one has nobody to send to
			// Nothing keeps what the remote still has for a collector that is gone.
			poll(t, "the remote to be done with what was killed", func() bool { s, ok := r.Session("kill"); return ok && !s.Connected })
			r.publish(mqtt.Message{Topic: "k/end", QoS: 1, Payload: []byte("end")})
			h.await("k/end", "end")
			there.Close()
			r.stop()
		}
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "LINTEL_TEST_BOX="+dir, "LINTEL_TEST_REMOTE="+r.url())
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		addr, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + strings.TrimSpace(addr)).SetAutoReconnect(false).SetOrderMatters(true))
		wait(t, c.Connect())
		for range 40 {
			qos := byte(1 + n%2)
			topic, payload := fmt.Sprint("k/", qos), fmt.Sprint(n)
			wait(t, c.Publish(topic, qos, false, payload))
			acked[topic] = append(acked[topic], payload)
			n++
		}
		if round == 5 {
			for topic, want := range acked {
				h.await(topic, want[len(want)-1])
			}
		}
		child.Process.Kill()
		child.Wait()
		if round == 3 {
			r.start()
			there = r.client("collector")
			collect()
		}
	}
	for topic, want := range acked {
		got := h.payloads(topic)
		if topic == "k/1" { // at least once
			var first []string
			for _, payload := range got {
				if !slices.Contains(first, payload) {
					first = append(first, payload)
				}
			}
			got = first
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: arrived %v, acknowledged %v", topic, got, want)
		}
	}
}
