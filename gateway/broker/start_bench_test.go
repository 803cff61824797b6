package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// BenchmarkStart is how long it takes from opening a store to a broker that serves,
// with 1,000,000 messages in the queues of ten sessions and 100,000 retained ones.
func BenchmarkStart(b *testing.B) {
	const sessions, queued, retained = 10, 1_000_000, 100_000
	dir := b.TempDir()
	store, err := persist.Open(dir, persist.Options{})
	if err != nil {
		b.Fatal(err)
	}
	payload := []byte(strings.Repeat("x", 128))
	for s := range uint32(sessions) {
		var batch persist.Batch
		batch.PutSession(persist.Session{ID: s + 1, ClientID: fmt.Sprint(s), Version: 5, ExpiryInterval: persist.NeverExpires})
		batch.PutSubscription(s+1, persist.Subscription{Filter: "queue/#", Options: 1})
		store.Append(&batch, nil)
	}
	for i := range queued / sessions {
		var batch persist.Batch
		for s := range uint32(sessions) {
			m := &mqtt.Message{Topic: fmt.Sprint("queue/", s), Payload: payload, QoS: 1}
			batch.PutEntry(s+1, persist.Entry{ID: uint64(i)*sessions + uint64(s) + 1, QoS: 1, Message: m}, new(persist.Ref))
		}
		if i < retained {
			batch.PutRetained(&mqtt.Message{Topic: fmt.Sprint("retained/", i), Payload: payload, QoS: 1, Retain: true})
		}
		store.Append(&batch, nil)
		if err := store.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		store, err := persist.Open(dir, persist.Options{})
		if err != nil {
			b.Fatal(err)
		}
		running, err := broker.New(store, broker.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if s := running.Stats(); s.Queued != queued || s.Retained != retained {
			b.Errorf("%d queued, %d retained", s.Queued, s.Retained)
		}
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
