package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const sessionTopic = "imagetest/sessions"

// sessions are two clients with persistent sessions, one that is there and one that is
// away, and a third that publishes to both while the box is updated.
type sessions struct {
	m      *machine
	stop   context.CancelFunc
	ended  sync.WaitGroup
	errs   bytes.Buffer // of the client that is there
	mu     sync.Mutex
	seen   map[string]int  // by the client that is there
	acked  map[string]bool // what the broker has taken over
	failed int             // what it could not be asked to
}

// The persistent sessions.
const (
	hereClient = "imagetest-here"
	awayClient = "imagetest-away"
)

// openSessions opens the sessions, and publishes from now on.
func (m *machine) openSessions(ctx context.Context) (*sessions, error) {
	// -E ends the client as soon as it is subscribed; its session stays.
	for _, client := range []string{awayClient, hereClient} {
		out, err := m.client(ctx, "mosquitto_sub", "-c", "-i", client, "-q", "1", "-t", sessionTopic, "-E").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("subscribe %s: %w: %s", client, err, out)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	s := &sessions{m: m, stop: stop, seen: make(map[string]int), acked: make(map[string]bool)}
	here := m.client(ctx, "mosquitto_sub", "-c", "-i", hereClient, "-k", "5", "-q", "1", "-t", sessionTopic)
	here.Stderr = &s.errs
	if err := s.listen(here); err != nil {
		stop()
		return nil, err
	}
	s.ended.Go(func() { s.publish(ctx) })
	err := m.until(ctx, time.Minute, func() error {
		if len(s.missing()) > 0 || s.count() < 3 {
			return fmt.Errorf("of %d acknowledged messages %q have not reached the client that is there", s.count(), s.missing())
		}
		return nil
	})
	if err != nil {
		s.close()
		return nil, fmt.Errorf("%w: %s", err, &s.errs)
	}
	return s, nil
}

// close ends the clients.
func (s *sessions) close() {
	s.stop()
	s.ended.Wait()
}

// listen notes what a client of the session that is there prints.
func (s *sessions) listen(client *exec.Cmd) error {
	out, err := client.StdoutPipe()
	if err != nil {
		return err
	}
	if err := client.Start(); err != nil {
		return err
	}
	s.ended.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.mu.Lock()
			s.seen[lines.Text()]++
			s.mu.Unlock()
		}
		client.Wait()
	})
	return nil
}

// publish publishes two messages a second, of which those are noted that the broker
// acknowledged.
func (s *sessions) publish(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		text := fmt.Sprintf("message %d", i)
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := s.m.client(attempt, "mosquitto_pub", "-q", "1", "-t", sessionTopic, "-m", text).Run()
		cancel()
		s.mu.Lock()
		if err == nil {
			s.acked[text] = true
		} else {
			s.failed++
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked)
}

// missing returns the acknowledged messages that have not reached the client that is there.
func (s *sessions) missing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return without(s.acked, s.seen)
}

func without(acked map[string]bool, seen map[string]int) []string {
	var missing []string
	for text := range acked {
		if seen[text] == 0 {
			missing = append(missing, text)
		}
	}
	return missing
}

// check ends the publishing and looks whether both sessions are there and have got every
// acknowledged message.
func (s *sessions) check(ctx context.Context) error {
	before := s.count()
	if err := s.m.until(ctx, time.Minute, func() error {
		if s.count() < before+3 {
			return errors.New("the broker takes no message")
		}
		return nil
	}); err != nil {
		return err
	}
	err := s.m.until(ctx, time.Minute, func() error {
		if missing := s.missing(); len(missing) > 0 {
			return fmt.Errorf("the client that was there has not got %d acknowledged messages: %.200q", len(missing), missing)
		}
		return nil
	})
	s.close()
	if err != nil {
		return fmt.Errorf("%w; it says %s", err, &s.errs)
	}
	for _, client := range []string{hereClient, awayClient} {
		if err := s.m.sessionPresent(client); err != nil {
			return err
		}
	}
	// The client that was away fetches what has waited for it. It has no subscription but
	// that of its session: -t must be given, and this one never fits.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := s.m.client(ctx, "mosquitto_sub", "-c", "-i", awayClient, "-q", "1", "-t", "imagetest/nothing", "-W", "20")
	out, _ := cmd.Output() // ends with an error because of -W
	got := make(map[string]int)
	for line := range strings.Lines(string(out)) {
		got[strings.TrimSuffix(line, "\n")]++
	}
	if missing := without(s.acked, got); len(missing) > 0 {
		return fmt.Errorf("the client that was away has not got %d of %d acknowledged messages: %.200q", len(missing), len(s.acked), missing)
	}
	fmt.Printf("%s: both sessions are there with all of %d acknowledged messages; %d were not taken while the box restarted\n",
		s.m.board.name, len(s.acked), s.failed)
	return nil
}

// sessionPresent checks that the broker has kept a session.
func (m *machine) sessionPresent(client string) error {
	conn, err := net.DialTimeout("tcp", m.mqtt, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	field := func(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }
	// MQTT 3.1.1, with user name and password, without Clean Session, keep alive 60 s.
	rest := field("MQTT") + "\x04\xc0\x00\x3c" + field(client) + field("homeassistant") + field(homeAssistantPassword)
	io.WriteString(conn, "\x10"+string(rune(len(rest)))+rest)
	connack := make([]byte, 4)
	if _, err := io.ReadFull(conn, connack); err != nil {
		return fmt.Errorf("read CONNACK: %w", err)
	}
	io.WriteString(conn, "\xe0\x00") // DISCONNECT
	if !bytes.Equal(connack, []byte{0x20, 2, 1, 0}) {
		return fmt.Errorf("the session of %s is gone: CONNACK is % x", client, connack)
	}
	return nil
}
