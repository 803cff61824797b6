package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// markerTopic carries the message that is acknowledged just before the power
// fails.
const markerTopic = "imagetest/marker"

// connect checks that the broker answers an MQTT 3.1.1 connection, if only that it lets
// nobody in before it is claimed, or nobody without a password. That the port
// opens means nothing: QEMU itself accepts connections to forwarded ports.
func (m *machine) connect() error {
	conn, err := net.DialTimeout("tcp", m.mqtt, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(conn, "\x10\x15\x00\x04MQTT\x04\x02\x00\x3c\x00\x09imagetest")
	connack := make([]byte, 4)
	if _, err := io.ReadFull(conn, connack); err != nil {
		return fmt.Errorf("read CONNACK: %w", err)
	}
	if !bytes.Equal(connack[:3], []byte{0x20, 2, 0}) || !bytes.Contains([]byte{0, 3, 5}, connack[3:]) {
		return fmt.Errorf("CONNACK is % x", connack)
	}
	io.WriteString(conn, "\xe0\x00") // DISCONNECT
	return nil
}

// message is what mosquitto_sub -F %j prints for a message.
type message struct {
	Topic   string
	Payload string
}

// subscriber is a running mosquitto_sub.
type subscriber struct {
	messages <-chan message
	close    func()
	stderr   *bytes.Buffer // read it after messages is closed
}

// subscribe starts mosquitto_sub on the topics of the test.
func (m *machine) subscribe(ctx context.Context) (*subscriber, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := m.client(ctx, "mosquitto_sub", "-F", "%j",
		"-t", "lintel/+/state", "-t", "homeassistant/device/+/config", "-t", markerTopic)
	s := &subscriber{close: cancel, stderr: new(bytes.Buffer)}
	cmd.Stderr = s.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start mosquitto_sub: %w", err)
	}
	messages := make(chan message)
	s.messages = messages
	go func() {
		defer close(messages)
		defer cmd.Wait()
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var msg message
			if json.Unmarshal(line, &msg) != nil {
				continue
			}
			select {
			case messages <- msg:
			case <-ctx.Done():
				return
			}
		}
	}()
	return s, nil
}

// await receives messages until check is content with the newest of each topic.
func (s *subscriber) await(ctx context.Context, timeout time.Duration, check func(map[string]message) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	seen := make(map[string]message)
	for {
		err := check(seen)
		if err == nil {
			return nil
		}
		select {
		case msg, ok := <-s.messages:
			if !ok {
				return errors.Join(fmt.Errorf("mosquitto_sub ended: %s", s.stderr), err)
			}
			seen[msg.Topic] = msg
		case <-ctx.Done():
			return fmt.Errorf("%w: %w\n%s", context.Cause(ctx), err, show(seen))
		}
	}
}

// show lists messages, a line each.
func show(messages map[string]message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "---- %d topics were seen\n", len(messages))
	for _, topic := range slices.Sorted(maps.Keys(messages)) {
		fmt.Fprintf(&b, "%s %.2000s\n", topic, messages[topic].Payload)
	}
	return b.String()
}

// publishRetained returns when the broker has acknowledged the message.
func (m *machine) publishRetained(ctx context.Context, topic, payload string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := m.client(ctx, "mosquitto_pub", "-q", "1", "-r", "-t", topic, "-m", payload).CombinedOutput()
	if err != nil {
		return fmt.Errorf("publish %s: %w: %s", topic, err, out)
	}
	return nil
}

// client prepares a program of Debian's mosquitto-clients.
func (m *machine) client(ctx context.Context, program string, args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(m.mqtt)
	login := []string{"-h", host, "-p", port, "-u", "homeassistant", "-P", homeAssistantPassword}
	cmd := exec.CommandContext(ctx, program, append(login, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}
