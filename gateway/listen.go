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
	"syscall"
	"time"
)

// brokerListener is a listener of the broker and how it is spoken to.
type brokerListener struct {
	net.Listener
	scheme  string // mqtt, mqtts, ws, wss or unix
	address string // as it stands in the configuration
}

// listen opens all listeners. An address without a host is all interfaces, of
// both IPv4 and IPv6.
func (g *gateway) listen() error {
	c := g.config.MQTT
	for _, kind := range []struct {
		key, scheme, network string
		addresses            []string
		tls                  *tls.Config // nil: without
	}{
		{"mqtt.listen", "mqtt", "tcp", c.Listen, nil},
		{"mqtt.tls", "mqtts", "tcp", c.TLS, g.tlsConfig(c.ClientCertificates.TLS)},
		{"mqtt.websocket", "ws", "tcp", c.WebSocket, nil},
		{"mqtt.websocket_tls", "wss", "tcp", c.WebSocketTLS, g.tlsConfig(c.ClientCertificates.WebSocketTLS)},
		{"mqtt.unix", "unix", "unix", c.Unix, nil},
	} {
		for _, address := range kind.addresses {
			l, err := open(kind.network, address, kind.key)
			if err != nil {
				return err
			}
			if kind.tls != nil {
				l = tls.NewListener(l, kind.tls)
			}
			g.brokers = append(g.brokers, brokerListener{l, kind.scheme, address})
		}
	}
	g.listenControl()
	g.listenProbe()
	for _, page := range []struct {
		key, address string
		listener     *net.Listener
	}{
		{"http.listen", g.config.HTTP.Listen, &g.http},
		{"http.tls", g.config.HTTP.TLS, &g.https},
	} {
		if page.address == "" {
			continue
		}
		l, err := open("tcp", page.address, page.key)
		if err != nil {
			return err
		}
		*page.listener = l
	}
	return nil
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
	if g.https != nil {
		g.https.Close()
	}
	if g.control != nil {
		g.control.Close()
	}
	if g.probe != nil {
		g.probe.Close()
	}
}

// serve serves MQTT on one listener.
func (g *gateway) serve(ctx context.Context, l brokerListener) error {
	g.serving.Add(1)
	defer g.serving.Add(-1)
	if l.scheme != "ws" && l.scheme != "wss" {
		return g.broker.Serve(ctx, l, l.address)
	}
	server := &http.Server{
		Handler:           g.broker.WebSocket(ctx, l.address),
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
