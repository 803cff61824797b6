package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	lintelbroker "lintel/gateway/broker"
	"lintel/persist"
)

// startStore starts a broker over a real store and returns its address.
func startStore(t *testing.T) string {
	t.Helper()
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := lintelbroker.New(store, lintelbroker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return b.Run(ctx) })
	g.Go(func() error { return b.Serve(ctx, listener, "") })
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Errorf("broker: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("store: %v", err)
		}
	})
	return listener.Addr().String()
}

func TestHouse(t *testing.T) {
	for _, m := range mixes {
		t.Run(m.name, func(t *testing.T) {
			h := newHouse(startStore(t), m, 300)
			if err := h.connect(); err != nil {
				t.Fatal(err)
			}
			defer h.hangUp()
			play := func() {
				t.Helper()
				if err := h.play(t.Context(), 200*time.Millisecond); err != nil {
					t.Fatal(err)
				}
			}
			play()
			if h.clock != time.Minute {
				t.Errorf("the house is at %v", h.clock)
			}
			h.leave(leaving)
			from := h.mark()
			play()
			// Half of those that report every minute come in either minute.
			if sent := h.messages; sent < 2*(60+20*6+5*60) || sent > 2*(60+20*6+5*60+15) {
				t.Errorf("%d messages in two minutes", sent)
			}
			for deadline := time.Now().Add(10 * time.Second); m.name != "qos0"; <-time.After(10 * time.Millisecond) {
				if all, _ := h.account(nil); all == h.messages || time.Now().After(deadline) {
					break
				}
			}
			acknowledged, lost := h.account(from)
			if m.name == "qos0" {
				if acknowledged > 0 {
					t.Errorf("%d messages of QoS 0 are acknowledged", acknowledged)
				}
				return
			}
			// Who is away has none of them yet: that is how a loss looks.
			if acknowledged < 400 || lost != acknowledged {
				t.Errorf("while one is away: %d acknowledged, not with everybody %d", acknowledged, lost)
			}
			if err := h.arrive(leaving); err != nil {
				t.Fatal(err)
			}
			if err := h.complete(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if acknowledged, lost := h.account(nil); acknowledged != h.messages || lost > 0 {
				t.Errorf("%d messages, %d acknowledged, %d lost", h.messages, acknowledged, lost)
			}
		})
	}
}

// A broker that is not there, or goes, ends the play with an error.
func TestHouseWithoutBroker(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	if err := newHouse(address, mixes[0], 1).connect(); err == nil {
		t.Error("connected to nobody")
	}
	h := newHouse(startStore(t), mixes[0], 300)
	if err := h.connect(); err != nil {
		t.Fatal(err)
	}
	for _, d := range h.devices {
		d.client.conn.Close()
	}
	if err := h.play(t.Context(), time.Hour); !errors.Is(err, net.ErrClosed) {
		t.Errorf("played to the end: %v", err)
	}
	h.hangUp()
}

func TestMessagesOfDevices(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, d := range newDevices(mixes[0]) {
		for _, n := range []int{0, 7, 86_400} {
			payload := d.values(nil, n, houseMorning, r)
			if got, ok := number(payload); !ok || got != n {
				t.Errorf("%s: number %d, want %d", payload, got, n)
			}
			if len(payload) < 100 || len(payload) > 300 {
				t.Errorf("%d bytes: %s", len(payload), payload)
			}
		}
	}
	for _, wrong := range []string{"", "{}", `{"n":`, `{"n":}`, `{"n":x,`, `{"n":-1,`, `{"n":1}`, `{"n":99999999999999999999,`, `{"n":4294967296,`} {
		if n, ok := number([]byte(wrong)); ok {
			t.Errorf("%q has number %d", wrong, n)
		}
	}
}

func TestDay(t *testing.T) {
	w := wear{
		broker: "lintel", mix: mixes[0],
		all:      stretch{use: use{1000, 10}, house: time.Minute, messages: 5},
		away:     stretch{use: use{9000, 20}, house: time.Minute, messages: 5},
		fastAll:  stretch{use: use{1, 1}, tables: 500, house: time.Hour},
		fastAway: stretch{use: use{1, 1}, tables: 700, house: 2 * time.Hour, messages: 10},
		back:     stretch{use: use{3000, 30}, tables: 100},
		killLost: 3, killAcked: 4, pulledError: errors.New("no |\nluck"),
	}
	if tables := w.tables(); tables != 22*500+700+100 {
		t.Errorf("tables %v", tables)
	}
	if day, want := w.day(), (use{22*60*1000 + 2*60*9000 + 3000 + 11800, 22*60*10 + 2*60*20 + 30}); day != want {
		t.Errorf("a day is %v, want %v", day, want)
	}
	other := wear{broker: "mochi-badger", mix: mixes[0], all: stretch{use: use{bytes: 1000}, house: time.Minute}}
	var out strings.Builder
	printWear(&out, []*wear{&w, &other, {broker: "mosquitto-disk", mix: mixes[0], failed: errors.New("it fell over")}})
	for _, want := range []string{
		"57780 of them have to be on the disk",
		"| lintel | 2.3 | 1.000 | 0.0 | 200 | 1800 | 310 | 15630 | nothing is acknowledged | 3 of 4 | no / luck |\n",
		"| mochi-badger | 1.3 | 0.547 |",
		"| mosquitto-disk | failed: it fell over |  |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
}

// Whatever is retained has to be kept, and for two hours everything.
func TestMessagesOfMixes(t *testing.T) {
	for i, want := range []float64{57_780, 336_036, 0} {
		if total, kept := mixes[i].messages(); total != 12*57_780 || math.Round(kept) != want {
			t.Errorf("%s: %.0f of %.0f, want %.0f", mixes[i].name, kept, total, want)
		}
	}
}

func TestTablesCountOnce(t *testing.T) {
	dir := t.TempDir()
	tables := tables{seen: make(map[string]int64)}
	write := func(name string, size int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("000001.sst", 0) // not yet written
	write("00001.mem", 5)
	tables.look(dir)
	write("000001.sst", 100)
	tables.look(dir)
	write("000002.sst", 30)
	os.Remove(filepath.Join(dir, "000001.sst"))
	tables.look(dir)
	tables.look(dir)
	tables.look(filepath.Join(dir, "gone"))
	if tables.bytes() != 130 {
		t.Errorf("%v bytes", tables.bytes())
	}
}
