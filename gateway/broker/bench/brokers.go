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
	memory  bool   // keeps nothing on the disk
	command func(p *place, dir string, a addresses) (*exec.Cmd, error)
}

// runs reports whether the broker takes part in a row without being named.
func (b broker) runs(row string) bool {
	return strings.HasPrefix(row, b.only) && !(b.memory && row == "durable")
}

// brokers are configured alike as far as they let themselves: a hundred messages
// in flight to a client, no limit on what waits for one, no access check. Only
// Lintel always keeps what it has acknowledged on the disk. The others hold it in
// memory, but in the row durable, where they keep what they can.
var brokers = []broker{
	lintelBroker,
	{name: "mosquitto", memory: true, command: func(p *place, dir string, a addresses) (*exec.Cmd, error) {
		return mosquitto(p, dir, a, "persistence false\n")
	}},
	// Debian's default leaves Nagle's algorithm on, which shows in latencies.
	{name: "mosquitto-nodelay", only: "calm", memory: true, command: func(p *place, dir string, a addresses) (*exec.Cmd, error) {
		return mosquitto(p, dir, a, "persistence false\nset_tcp_nodelay true\n")
	}},
	{name: "mochi", memory: true, command: func(p *place, _ string, a addresses) (*exec.Cmd, error) {
		return mochi(p, a, ""), nil
	}},
	mosquittoDisk(mosquittoAutosave),
	mochiBadger,
}

var lintelBroker = broker{name: "lintel", command: lintel}

// mochiBadger writes all that changes, at once, but never syncs.
var mochiBadger = broker{name: "mochi-badger", only: "durable", command: func(p *place, dir string, a addresses) (*exec.Cmd, error) {
	return mochi(p, a, filepath.Join(dir, "data")), nil
}}

// mosquittoAutosave is mosquitto's default.
const mosquittoAutosave = 1800 * time.Second

// mosquittoDisk writes a snapshot of everything every interval, and at the end.
func mosquittoDisk(interval time.Duration) broker {
	return broker{name: "mosquitto-disk", only: "durable", command: func(p *place, dir string, a addresses) (*exec.Cmd, error) {
		return mosquitto(p, dir, a, fmt.Sprintf("persistence true\npersistence_location %s/\nautosave_interval %d\n", dir, int(interval.Seconds())))
	}}
}

func mochi(p *place, a addresses, data string) *exec.Cmd {
	return exec.Command(filepath.Join(p.scratch, "mochi"), "-tcp", a.tcp, "-tls", a.tls, "-websocket", a.websocket,
		"-certificate", p.certificate, "-key", p.key, "-data", data)
}

func lintel(p *place, dir string, a addresses) (*exec.Cmd, error) {
	config := filepath.Join(dir, "lintel.toml")
	data := filepath.Join(dir, "data")
	if err := haveBallast(data); err != nil {
		return nil, err
	}
	args := []string{"serve", "--config", config, "--data", data}
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
address_rate = 100000
[access.anonymous]
%q = "admin"
%q = "admin"
%q = "admin"
[http]
listen = ""
[mdns]
enabled = false
[homeassistant]
enabled = false
[log]
level = "warn"
`, a.tcp, a.tls, a.websocket, p.certificate, p.key, a.tcp, a.tls, a.websocket), 0o600)
}

// haveBallast makes the ballast file that Lintel writes in its first minute, without
// writing it: what a box does once would be taken for what it does every few minutes.
func haveBallast(data string) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(data, "store-ballast"))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(40 << 20) // as in package gateway
}

func mosquitto(p *place, dir string, a addresses, more string) (*exec.Cmd, error) {
	listener := func(address string) string {
		host, port, _ := net.SplitHostPort(address)
		return "listener " + port + " " + host + "\n"
	}
	config := filepath.Join(dir, "mosquitto.conf")
	text := "allow_anonymous true\nlog_type error\n" +
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
	place  *place
	broker broker
	cmd    *exec.Cmd
	dir    string
	ended  chan error // closed after the error
}

// startTime is how long a broker may take until it listens, and to end. Most of
// it is for a disk that others keep busy.
const startTime = time.Minute

// start starts a broker with what it writes in a folder of its own in parent, and
// waits until it listens everywhere.
func (p *place) start(ctx context.Context, b broker, parent string) (*server, error) {
	a, err := freeAddresses()
	if err != nil {
		return nil, err
	}
	s := &server{addresses: a, place: p, broker: b}
	if s.dir, err = os.MkdirTemp(parent, b.name); err != nil {
		return nil, err
	}
	return s, s.run(ctx)
}

// run starts the broker, for the first time or again.
func (s *server) run(ctx context.Context) (err error) {
	if s.cmd, err = s.broker.command(s.place, s.dir, s.addresses); err != nil {
		return err
	}
	var said bytes.Buffer
	s.cmd.Stderr = &said
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan error) {
		ended <- cmd.Wait()
		close(ended)
	}(s.cmd, s.ended)
	deadline := time.Now().Add(startTime)
	for _, address := range []string{s.tcp, s.tls, s.websocket} {
		for {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
				break
			}
			select {
			case err := <-s.ended:
				return fmt.Errorf("it ended at once (%v): %s", err, &said)
			case <-ctx.Done():
				s.stop()
				return ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				s.stop()
				return fmt.Errorf("it does not listen on %s: %s", address, &said)
			}
		}
	}
	return nil
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// kill ends the broker without a word.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.ended
}

// stop ends the broker and removes what it wrote.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(startTime):
		s.kill()
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
