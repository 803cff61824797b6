package broker_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// When the store fails under a packet the connection that the packet came on is closed and
// nothing is acknowledged [v3 MQTT-4.8.0-2]. Run ends with the error.
func TestStoreFails(t *testing.T) {
	type encoder interface {
		Append([]byte, mqtt.Version) []byte
	}
	retained := pub("retained", "x", 1, 1)
	retained.Retain = true
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		store, err := persist.Open(t.TempDir(), persist.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		b, err := broker.New(store, broker.Options{SysInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- b.Serve(ctx, l, "") }()
		s := &server{Broker: b, Addr: l.Addr().String()}
		packets := map[string]encoder{
			"SUBSCRIBE":   &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("u", 1)}},
			"UNSUBSCRIBE": &mqtt.Unsubscribe{PacketID: 1, Filters: []string{"t"}},
			"PUBLISH":     retained,
			"PUBREL":      &mqtt.Ack{Type: mqtt.PUBREL, PacketID: 7},
		}
		clients := make(map[string]*rawClient)
		for name := range packets {
			c := connect(t, s, durable(v, name))
			c.subscribe(filter("t", 0))
			c.send(pub("else", "x", 2, 7))
			c.wantAck(mqtt.PUBREC, 7, mqtt.Success)
			clients[name] = c
		}
		var tooLarge persist.Batch
		tooLarge.PutRetained(&mqtt.Message{Topic: "t", Payload: make([]byte, 5*persist.MaxMessageSize)})
		store.Append(&tooLarge, nil)
		<-store.Failed()
		// Nobody tells the connections yet: who has to wait for the store finds out.
		for _, name := range []string{"SUBSCRIBE", "UNSUBSCRIBE"} {
			clients[name].send(packets[name])
			clients[name].wantEnd(mqtt.ServerShuttingDown)
		}
		late := openRaw(t, s, v)
		packet := durable(v, "late")
		late.raw(packet.Append(nil))
		for _, p := range late.end() {
			if p.Type != mqtt.CONNACK || p.Body[1] == 0 {
				t.Errorf("received %v % x", p.Type, p.Body)
			}
		}
		// The others hear it from Run at the latest, instead of an acknowledgement.
		for _, name := range []string{"PUBLISH", "PUBREL"} {
			clients[name].send(packets[name])
			clients[name].barrier() // it was handled, and not answered
		}
		if err := b.Run(ctx); !errors.Is(err, store.Err()) {
			t.Errorf("Run: %v", err)
		}
		for _, name := range []string{"PUBLISH", "PUBREL"} {
			clients[name].wantEnd(mqtt.ServerShuttingDown)
		}
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}, versions...)
}
