package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// broker is one that takes part.
type broker struct {
	name    string
	only    string // rows whose name starts so
	command func(p *place, dir string, a addresses) (*exec.Cmd, error)
}

// runs reports whether the broker takes part in a row without being named.
func (b broker) runs(row string) bool { return strings.HasPrefix(row, b.only) }

// brokers are configured alike as far as they let themselves: a hundred messages
// in flight to a client, no limit on what waits for one, no access check. Only
// Lintel keeps what it has acknowledged on disk; the others hold it in memory.
var brokers = []broker{
	{name: "lintel", command: lintel},
	{name: "mosquitto", command: func(p *place, dir string, a addresses) (*exec.Cmd, error) {
		return mosquitto(p, dir, a, "")
	}},
	// Debian's default leaves Nagle's algorithm on, which shows in latencies.
	{name: "mosquitto-nodelay", only: "calm", command: func(p *place, dir string, a addresses) (*exec.Cmd, error) {
		return mosquitto(p, dir, a, "set_tcp_nodelay true\n")
	}},
	{name: "mochi", command: func(p *place, _ string, a addresses) (*exec.Cmd, error) {
		return exec.Command(filepath.Join(p.scratch, "mochi"), "-tcp", a.tcp, "-tls", a.tls, "-websocket", a.websocket,
			"-certificate", p.certificate, "-key", p.key), nil
	}},
}

func lintel(p *place, dir string, a addresses) (*exec.Cmd, error) {
	config := filepath.Join(dir, "lintel.toml")
	args := []string{"serve", "--config", config, "--data", filepath.Join(dir, "data")}
	if p.profiling {
		args = append(args, "--cpuprofile", p.profileName(p.profiles))
		p.profiles++
	}
	return exec.Command(filepath.Join(p.scratch, "lintel"), args...),
		os.WriteFile(config, fmt.Appendf(nil, `[mqtt]
listen = [%q]
tls = [%q]
websocket = [%q]
certificate = %q
key = %q
max_connections = 20000
max_unconnected = 20000
connect_rate = 100000
[http]
listen = ""
[mdns]
enabled = false
[homeassistant]
enabled = false
[log]
level = "warn"
`, a.tcp, a.tls, a.websocket, p.certificate, p.key), 0o600)
}

func mosquitto(p *place, dir string, a addresses, more string) (*exec.Cmd, error) {
	listener := func(address string) string {
		host, port, _ := net.SplitHostPort(address)
		return "listener " + port + " " + host + "\n"
	}
	config := filepath.Join(dir, "mosquitto.conf")
	text := "allow_anonymous true\npersistence false\nlog_type error\n" +
		"max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 100\n" + more
	if os.Getuid() == 0 {
		text += "user root\n" // else it could not read the key
	}
	text += listener(a.tcp) +
		listener(a.tls) + "certfile " + p.certificate + "\nkeyfile " + p.key + "\n" +
		listener(a.websocket) + "protocol websockets\n"
	return exec.Command(p.mosquitto, "-c", config), os.WriteFile(config, []byte(text), 0o600)
}

// addresses are where a broker listens.
type addresses struct{ tcp, tls, websocket string }

// freeAddresses returns addresses that nobody listens on at the moment.
func freeAddresses() (a addresses, err error) {
	for _, to := range []*string{&a.tcp, &a.tls, &a.websocket} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return a, err
		}
		defer l.Close() // not before all three are chosen
		*to = l.Addr().String()
	}
	return a, nil
}

// server is a broker that runs.
type server struct {
	addresses
	cmd   *exec.Cmd
	dir   string
	ended chan error
}

// startTime is how long a broker may take until it listens, and to end.
const startTime = 10 * time.Second

// start starts a broker and waits until it listens everywhere.
func (p *place) start(ctx context.Context, b broker) (*server, error) {
	a, err := freeAddresses()
	if err != nil {
		return nil, err
	}
	s := &server{addresses: a, ended: make(chan error, 1)}
	if s.dir, err = os.MkdirTemp(p.scratch, b.name); err != nil {
		return nil, err
	}
	if s.cmd, err = b.command(p, s.dir, a); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	s.cmd.Stderr = &said
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.ended <- s.cmd.Wait() }()
	deadline := time.Now().Add(startTime)
	for _, address := range []string{a.tcp, a.tls, a.websocket} {
		for {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
				break
			}
			select {
			case err := <-s.ended:
				return nil, fmt.Errorf("it ended at once (%v): %s", err, &said)
			case <-ctx.Done():
				s.stop()
				return nil, ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				s.stop()
				return nil, fmt.Errorf("it does not listen on %s: %s", address, &said)
			}
		}
	}
	return s, nil
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// stop ends the broker and removes what it wrote.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(startTime):
		s.cmd.Process.Kill()
		<-s.ended
	}
	os.RemoveAll(s.dir)
}

// makeCertificate makes a certificate for the TLS listeners.
func (p *place) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	p.certificate, p.key = filepath.Join(p.scratch, "certificate.pem"), filepath.Join(p.scratch, "key.pem")
	if err := os.WriteFile(p.certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(p.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}
