package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	paho "github.com/eclipse/paho.mqtt.golang"
)

// word is a message about availability or state.
type word struct {
	topic, payload string
}

// overhear returns what a client hears that comes as soon as the house is ready.
func overhear(t *testing.T, h *house) <-chan word {
	t.Helper()
	words := make(chan word, 1000)
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + h.broker).SetAutoReconnect(false))
	finish(t, client.Connect())
	finish(t, client.SubscribeMultiple(map[string]byte{"lintel/+/availability": 1, "lintel/+/state": 1}, func(_ paho.Client, m paho.Message) {
		words <- word{m.Topic(), string(m.Payload())}
	}))
	t.Cleanup(func() { client.Disconnect(0) })
	return words
}

// hear waits for a word and returns all up to it.
func hear(t *testing.T, words <-chan word, want word) (heard []word) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case w := <-words:
			heard = append(heard, w)
			if w == want {
				return heard
			}
		case <-late:
			t.Fatalf("waited in vain for %v, heard %v", want, heard)
		}
	}
}

// A box whose power is cut says no goodbye. When it is back nobody is online whose
// stick is not there; with the stick its sensors are waited for, with the state that
// they had.
func TestAvailabilityAfterAKill(t *testing.T) {
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	defer near.Close()
	dir, link := t.TempDir(), filepath.Join(t.TempDir(), "stick")
	plug := func() {
		if err := os.Symlink(near.Name(), link); err != nil {
			t.Fatal(err)
		}
	}
	plug()
	config := localConfig + fmt.Sprintf("[[serial.ports]]\npath = %q\nprotocol = \"jsonlines\"\n", link)
	online := func(id string) word { return word{"lintel/" + id + "/availability", "online"} }
	const sensor = "jsonlines_582D3433AADF"
	state := word{"lintel/" + sensor + "/state", `{"humidity":61.4,"temperature":26}`}

	say := func(h *house) {
		words := overhear(t, h)
		said := make(chan struct{})
		defer close(said)
		go func() {
			again := time.NewTicker(50 * time.Millisecond) // what comes before the port is open is lost
			defer again.Stop()
			for {
				fmt.Fprintln(far, `{"model":"Mi Jia round","model_id":"LYWSDCGQ","tempc":26,"hum":61.4,"mac":"58:2D:34:33:AA:DF"}`)
				select {
				case <-said:
					return
				case <-again.C:
				}
			}
		}()
		hear(t, words, online(sensor))
		hear(t, overhear(t, h), state)
	}
	h := serveWith(t, dir, config)
	say(h)
	if status := h.end(t, syscall.SIGTERM); status != 0 {
		t.Fatalf("ended with %d: %s", status, h.said(t))
	}
	h = serveWith(t, dir, config)
	say(h)
	h.end(t, syscall.SIGKILL)

	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	h = serveWith(t, dir, config)
	for _, w := range hear(t, overhear(t, h), online("gateway")) {
		if w.payload == "online" && w.topic != "lintel/gateway/availability" {
			t.Errorf("%s is online and not there", w.topic)
		}
	}
	hear(t, overhear(t, h), word{"lintel/" + sensor + "/availability", "offline"})
	h.end(t, syscall.SIGKILL)

	plug()
	h = serveWith(t, dir, config)
	hear(t, overhear(t, h), online(sensor))
	hear(t, overhear(t, h), state)
}
