package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/broker"
	"lintel/persist"
)

// TestKilledBroker is the broker that TestKill kills: a process of its own, on
// the store in the folder that the environment names.
func TestKilledBroker(t *testing.T) {
	dir := os.Getenv("LINTEL_KILLED_BROKER")
	if dir == "" {
		t.Skip("runs as a child of TestKill")
	}
	store, err := persist.Open(dir, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(store, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("listening on %v\n", l.Addr())
	go b.Serve(context.Background(), l, "")
	t.Fatal(b.Run(context.Background()))
}

// startVictim starts a broker in a process of its own.
func startVictim(t *testing.T, dir string) (addr string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledBroker$", "-test.v")
	cmd.Env = append(os.Environ(), "LINTEL_KILLED_BROKER="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	var said []string
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			go func() {
				for lines.Scan() {
				}
			}()
			return addr, kill
		}
		said = append(said, lines.Text())
	}
	t.Fatalf("the broker did not start:\n%s", strings.Join(said, "\n"))
	panic("unreachable")
}

// TestKill kills the broker with SIGKILL while publishers send QoS 1 messages to
// sessions of which one is online and the others are not. Whatever was
// acknowledged has to arrive at each of them, then or after the restart.
func TestKill(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	const publishers = 4
	dir := t.TempDir()
	sessions := []*killSession{
		newKillSession("online"), newKillSession("offline-1"), newKillSession("offline-2"),
	}
	acknowledged := make(map[string]bool)
	for round := range rounds {
		addr, kill := startVictim(t, dir)
		for _, s := range sessions {
			s.connect(t, addr)
			s.await(t, acknowledged)
			if s.id != "online" {
				s.client.Disconnect(250)
			}
		}
		var mu sync.Mutex
		var sending sync.WaitGroup
		before := len(acknowledged)
		for p := range publishers {
			client := connectPaho(t, addr, fmt.Sprintf("publisher-%d", p), true, nil)
			sending.Go(func() {
				for i := 0; ; i++ {
					payload := fmt.Sprintf("%d/%d/%d", round, p, i)
					token := client.Publish("kill/"+fmt.Sprint(p), 1, false, payload)
					if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
						return
					}
					mu.Lock()
					acknowledged[payload] = true
					mu.Unlock()
				}
			})
		}
		// Some rounds end in the middle of the first groups, some late.
		after := time.After(time.Duration(20+rand.IntN(400)) * time.Millisecond)
		<-after
		kill()
		sending.Wait()
		t.Logf("round %d: %d messages acknowledged before the kill", round, len(acknowledged)-before)
	}
	addr, _ := startVictim(t, dir)
	for _, s := range sessions {
		s.connect(t, addr)
		s.await(t, acknowledged)
		s.client.Disconnect(250)
		t.Logf("%s: all %d acknowledged messages arrived, and %d that were not, %d twice or more", s.id, len(acknowledged), len(s.received)-len(acknowledged), s.repeats)
	}
	if len(acknowledged) == 0 {
		t.Error("nothing was acknowledged: the test shows nothing")
	}
}

// killSession is a persistent session and everything that ever came to it.
type killSession struct {
	id     string
	client paho3.Client

	mu       sync.Mutex
	received map[string]bool
	missing  map[string]bool // what await waits for
	complete chan struct{}   // closed when missing is empty
	repeats  int
}

func newKillSession(id string) *killSession {
	return &killSession{id: id, received: make(map[string]bool)}
}

func (s *killSession) connect(t *testing.T, addr string) {
	t.Helper()
	s.client = connectPaho(t, addr, s.id, false, func(_ paho3.Client, m paho3.Message) {
		s.mu.Lock()
		defer s.mu.Unlock()
		payload := string(m.Payload())
		if s.received[payload] {
			s.repeats++
		}
		s.received[payload] = true
		if s.missing[payload] {
			delete(s.missing, payload)
			if len(s.missing) == 0 {
				close(s.complete)
			}
		}
	})
	finish(t, s.client.Subscribe("kill/#", 1, nil))
}

// await waits until everything that was acknowledged has arrived.
func (s *killSession) await(t *testing.T, acknowledged map[string]bool) {
	t.Helper()
	s.mu.Lock()
	s.missing, s.complete = make(map[string]bool), make(chan struct{})
	for payload := range acknowledged {
		if !s.received[payload] {
			s.missing[payload] = true
		}
	}
	complete := s.complete
	if len(s.missing) == 0 {
		close(complete)
	}
	s.mu.Unlock()
	select {
	case <-complete:
	case <-time.After(30 * time.Second):
		s.mu.Lock()
		defer s.mu.Unlock()
		for payload := range s.missing {
			t.Fatalf("%s: %d of %d acknowledged messages are lost, %s among them", s.id, len(s.missing), len(acknowledged), payload)
		}
	}
}

func connectPaho(t *testing.T, addr, id string, clean bool, handle paho3.MessageHandler) paho3.Client {
	t.Helper()
	options := paho3.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(id).SetCleanSession(clean).
		SetAutoReconnect(false).SetProtocolVersion(4)
	if handle != nil {
		options.SetDefaultPublishHandler(handle)
	}
	client := paho3.NewClient(options)
	finish(t, client.Connect())
	return client
}
