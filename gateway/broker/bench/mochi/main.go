// Mochi is a broker to compare with: mochi-mqtt, in memory or with its Badger hook
// as that comes (which does not sync), with its limits out of the way where that
// costs no memory for each client. It has a module of its own so that Lintel does
// not depend on it.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/hooks/storage/badger"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mochi:", err)
		os.Exit(1)
	}
}

func run() error {
	tcp := flag.String("tcp", "127.0.0.1:1883", "`address` for MQTT")
	secure := flag.String("tls", "", "`address` for MQTT over TLS")
	web := flag.String("websocket", "", "`address` for MQTT over WebSocket")
	certificate := flag.String("certificate", "", "PEM `file` for TLS")
	key := flag.String("key", "", "PEM `file` for TLS")
	data := flag.String("data", "", "`folder` for the Badger hook; none: in memory")
	flag.Parse()

	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.MaximumInflight = math.MaxUint16
	capabilities.ReceiveMaximum = math.MaxUint16
	server := mqtt.New(&mqtt.Options{Capabilities: capabilities, Logger: slog.New(slog.DiscardHandler)})
	if err := server.AddHook(new(auth.AllowHook), nil); err != nil {
		return err
	}
	if *data != "" {
		if err := server.AddHook(new(badger.Hook), &badger.Options{Path: *data}); err != nil {
			return err
		}
	}
	all := []listeners.Listener{listeners.NewTCP(listeners.Config{ID: "tcp", Address: *tcp})}
	if *secure != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			return err
		}
		config := &tls.Config{Certificates: []tls.Certificate{pair}}
		all = append(all, listeners.NewTCP(listeners.Config{ID: "tls", Address: *secure, TLSConfig: config}))
	}
	if *web != "" {
		all = append(all, listeners.NewWebsocket(listeners.Config{ID: "websocket", Address: *web}))
	}
	for _, l := range all {
		if err := server.AddListener(l); err != nil {
			return fmt.Errorf("listen on %s: %w", l.Address(), err)
		}
	}
	if err := server.Serve(); err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	<-end
	return server.Close()
}
