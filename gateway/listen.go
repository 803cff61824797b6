package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// brokerListener is a listener of the broker and how it is spoken to.
type brokerListener struct {
	net.Listener
	scheme string // mqtt, mqtts, ws, wss or unix
}

// listen opens all listeners. An address without a host is all interfaces, of
// both IPv4 and IPv6.
func (g *gateway) listen() error {
	c := g.config.MQTT
	var secure *tls.Config
	if len(c.TLS)+len(c.WebSocketTLS) > 0 {
		cert := &certificate{certFile: c.Certificate, keyFile: c.Key, log: g.log}
		if _, err := cert.get(nil); err != nil {
			return fmt.Errorf("mqtt.certificate: %w", err)
		}
		secure = &tls.Config{GetCertificate: cert.get, MinVersion: tls.VersionTLS12}
	}
	for _, kind := range []struct {
		key, scheme, network string
		addresses            []string
		tls                  bool
	}{
		{"mqtt.listen", "mqtt", "tcp", c.Listen, false},
		{"mqtt.tls", "mqtts", "tcp", c.TLS, true},
		{"mqtt.websocket", "ws", "tcp", c.WebSocket, false},
		{"mqtt.websocket_tls", "wss", "tcp", c.WebSocketTLS, true},
		{"mqtt.unix", "unix", "unix", c.Unix, false},
	} {
		for _, address := range kind.addresses {
			l, err := open(kind.network, address, kind.key)
			if err != nil {
				return err
			}
			if kind.tls {
				l = tls.NewListener(l, secure)
			}
			g.brokers = append(g.brokers, brokerListener{l, kind.scheme})
		}
	}
	g.listenControl()
	if g.config.HTTP.Listen == "" {
		return nil
	}
	var err error
	g.http, err = open("tcp", g.config.HTTP.Listen, "http.listen")
	return err
}

// open opens one listener. key is where the address stands in the configuration.
func open(network, address, key string) (net.Listener, error) {
	if network == "unix" {
		removeStale(address)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; is another program using it? Choose another address there", key, err)
	}
	return l, nil
}

// removeStale removes a socket that a process left that did not end in order.
func removeStale(path string) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return
	}
	nc, err := net.Dial("unix", path)
	if err == nil {
		nc.Close()
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(path)
	}
}

func (g *gateway) closeListeners() {
	for _, l := range g.brokers {
		l.Close()
	}
	if g.http != nil {
		g.http.Close()
	}
	if g.control != nil {
		g.control.Close()
	}
}

// serve serves MQTT on one listener.
func (g *gateway) serve(ctx context.Context, l brokerListener) error {
	if l.scheme != "ws" && l.scheme != "wss" {
		return g.broker.Serve(ctx, l, l.scheme)
	}
	server := &http.Server{
		Handler:           g.broker.WebSocket(ctx, l.scheme),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Millisecond, // after a request that was refused; else there would be no end
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); ctx.Err() == nil {
		return fmt.Errorf("serve %v: %w", l.Addr(), err)
	}
	return nil
}

func port(a net.Addr) int {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.Port
	}
	return 0
}

// certificate is the certificate of the TLS listeners. It is read again when its
// files have changed: whoever renews it need not restart anything.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]fileStamp // of the files when they were read, or found unusable
	looked  time.Time
}

// fileStamp tells one state of a file from another.
type fileStamp struct {
	modified time.Time
	size     int64
}

// lookInterval is how often the files are looked at.
const lookInterval = time.Second

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.current == nil || now.Sub(c.looked) >= lookInterval {
		c.looked = now
		if err := c.read(); err != nil {
			if c.current == nil {
				return nil, err
			}
			c.log.Error("certificate not usable, the one before stays", "err", err)
		}
	}
	return c.current, nil
}

// read reads the files if they have changed.
func (c *certificate) read() error {
	var stamp [2]fileStamp
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	if stamp == c.stamp {
		return nil
	}
	read, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		if c.current != nil {
			c.stamp = stamp // said once for each state of the files
		}
		return fmt.Errorf("%s and %s: %w", c.certFile, c.keyFile, err)
	}
	if c.current != nil {
		c.log.Info("certificate read again", "file", c.certFile)
	}
	c.current, c.stamp = &read, stamp
	return nil
}
