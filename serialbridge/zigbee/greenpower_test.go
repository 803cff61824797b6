package zigbee

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// The key of the specification's test vectors (section A.1.5.8.1), which others that
// implement Green Power are tested with as well.
func TestGreenPowerKey(t *testing.T) {
	const source = 0x12345678
	key := [16]byte(unhex(t, "7d177bd29ea0fda6b017036587dc2600"))
	gpCipher(source, &key)
	if got, want := hex.EncodeToString(key[:]), "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"; got != want {
		t.Errorf("decrypted %s, want %s", got, want)
	}
	gpCipher(source, &key)
	if got, want := hex.EncodeToString(key[:]), "7d177bd29ea0fda6b017036587dc2600"; got != want {
		t.Errorf("encrypted %s, want %s", got, want)
	}
}

const (
	gpSource = "82f87101"
	gpIEEE   = IEEEAddress(0x0171f882)
	gpSealed = "ffe34015ee4cf268a55091e30aca18c1" // what follows, encrypted for that source ID
	gpKey    = "00112233445566778899aabbccddeeff"
	// What the routers tell of a switch that is taught with its key encrypted.
	gpTaught = "010c040008" + gpSource + "40010000" + "e01b" + "0281f2" + gpSealed + "d0d1d2d3" + "40010000" + "3412c5"
)

// overhears has a router tell the coordinator something of the Green Power cluster.
func (w *world) overhears(router NetworkAddress, text string) {
	w.event(Incoming{Source: router, SourceEndpoint: EndpointGreenPower, DestinationEndpoint: EndpointGreenPower, Group: gpGroup,
		Profile: ProfileGreenPower, Cluster: clusterGreenPower, LinkQuality: 90, Data: unhex(w.t, text)})
}

// told returns what the routers were told of Green Power since the last time, without
// sequence numbers.
func (w *world) toldRouters() []string {
	synctest.Wait()
	w.stick.mu.Lock()
	defer w.stick.mu.Unlock()
	var said []string
	for _, m := range w.stick.sent {
		if m.Cluster == clusterGreenPower && m.Profile == ProfileGreenPower && m.Destination == BroadcastAwake &&
			m.SourceEndpoint == EndpointGreenPower && m.DestinationEndpoint == EndpointGreenPower {
			said = append(said, hex.EncodeToString(m.Data[:1])+" "+hex.EncodeToString(m.Data[2:]))
		}
	}
	w.stick.sent = nil
	return said
}

// inWorld runs a test with a network on channel 15.
func inWorld(t *testing.T, test func(*world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Form.Channel = 15 })
		defer w.end()
		synctest.Wait()
		test(w)
	})
}

func (w *world) open(d time.Duration) {
	w.t.Helper()
	if err := w.PermitJoin(context.Background(), d, nil); err != nil {
		w.t.Fatal(err)
	}
}

// What zigbee-herdsman 10.9.2 says on the same notifications, with sequence numbers left
// out. Where it differs on purpose: it encrypts a key that came in the clear, and makes one
// up where there is none; routers could not read the switch then.
func TestGreenPowerIsTaught(t *testing.T) {
	for _, c := range []struct{ name, frame, want string }{
		{"key encrypted", gpTaught,
			"19 0148e500" + gpSource + "840b02" + "40010000" + gpKey},
		{"key in the clear", "010c040008" + gpSource + "40010000e0170281b2" + gpKey + "400100003412c5",
			"19 0148e500" + gpSource + "840b02" + "40010000" + gpKey},
		{"fixed, counts as radios do", "010c040008" + gpSource + "40010000e01b02c1f2" + gpSealed + "d0d1d2d3400100003412c5",
			"19 01c8e500" + gpSource + "840b02" + "40010000" + gpKey},
		{"listens", "010c040008" + gpSource + "40010000e01b0783f2" + gpSealed + "d0d1d2d3400100003412c5",
			"19 0600341204" + gpSource + "f00100, 19 01280100" + gpSource + "840b07"},
		{"no key", "010c040008" + gpSource + "40010000e00202003412c5",
			"19 01480000" + gpSource + "840b02"},
		{"asks for the channel", "010c040008" + gpSource + "40010000e301253412c5",
			"19 0600341205" + gpSource + "f30114"},
		{"key missing", "010c040008" + gpSource + "40010000e0080281f20102030405", ""},
		{"still encrypted", "010c04300a" + gpSource + "40010000e00202003412c5", ""},
		{"another way to address", "010c040208" + gpSource + "40010000e00202003412c5", ""},
		{"no source", "010c0400080000000040010000e00202003412c5", ""},
		{"ends early", gpTaught[:60], ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.open(180 * time.Second)
				if got, want := strings.Join(w.toldRouters(), ", "), "19 020bb400"; got != want {
					t.Errorf("opened, the routers are told %s, want %s", got, want)
				}
				w.overhears(0x1234, c.frame)
				if got := strings.Join(w.toldRouters(), ", "); got != c.want {
					t.Errorf("the routers are told\n     %s\nwant %s", got, c.want)
				}
				d, known := w.Device(gpIEEE)
				if strings.Contains(c.want, "840b") != known {
					t.Fatalf("known: %t, %+v", known, d)
				}
				if known && (d.Type != GreenPower || d.Interview != Successful || !strings.HasPrefix(d.ModelID, "GreenPower_")) {
					t.Errorf("it is known as %+v", d)
				}
				w.open(0)
				if got, want := strings.Join(w.toldRouters(), ", "), "19 020a0000"; got != want {
					t.Errorf("closed, the routers are told %s, want %s", got, want)
				}
			})
		})
	}
}

func TestGreenPowerIsTaughtOnceThroughSeveralRouters(t *testing.T) {
	inWorld(t, func(w *world) {
		w.open(180 * time.Second)
		w.toldRouters()
		w.overhears(0x1234, gpTaught)
		w.overhears(0x5678, strings.Replace(strings.Replace(gpTaught, "010c", "0177", 1), "3412c5", "7856c1", 1))
		if got := w.toldRouters(); len(got) != 1 {
			t.Errorf("the routers are told %q", got)
		}
		if got := w.diary.count("joined"); got != 1 {
			t.Errorf("it has joined %d times", got)
		}
	})
}

func TestGreenPowerStaysOutsideOfAClosedNetwork(t *testing.T) {
	inWorld(t, func(w *world) {
		w.overhears(0x1234, gpTaught)
		w.overhears(0x1234, "010d008044"+gpSource+"4201000022003412c5")
		w.overhears(0x1234, "010c040008"+gpSource+"40010000e301253412c5")
		if got := w.toldRouters(); len(got) != 0 {
			t.Errorf("the routers are told %q", got)
		}
		if d, ok := w.Device(gpIEEE); ok {
			t.Errorf("let in: %+v", d)
		}
		if got := w.Counters().Strangers; got != 2 {
			t.Errorf("%d strangers, want 2", got)
		}
		w.open(time.Minute)
		if err := w.SetBlocked(context.Background(), gpIEEE, true); err != nil {
			t.Fatal(err)
		}
		w.toldRouters()
		w.overhears(0x1234, gpTaught)
		if got := w.toldRouters(); len(got) != 0 {
			t.Errorf("of a blocked one the routers are told %q", got)
		}
	})
}

// Routers number their frames each for itself, and differ in the options, their address
// and how well they heard: it is the switch's own counter that tells presses apart.
func TestGreenPowerPressCountsOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.open(time.Minute)
		w.overhears(0x1234, gpTaught)
		synctest.Wait()
		press := func(router NetworkAddress, sequence, options, counter, info string) {
			w.overhears(router, "01"+sequence+"00"+options+gpSource+counter+"000000"+"2200"+info)
			synctest.Wait()
		}
		presses := func() int { return len(w.diary.said()) }
		press(0x1234, "10", "8044", "42", "3412c5")
		press(0x5678, "99", "8044", "42", "785681")
		press(0x9abc, "42", "9024", "42", "") // it can talk to switches, and says nothing of itself
		time.Sleep(time.Second)
		press(0xdef0, "43", "8044", "42", "f0de01")
		if got := presses(); got != 1 {
			t.Fatalf("%d messages of one press", got)
		}
		press(0x1234, "11", "8044", "43", "3412c5")
		press(0x5678, "11", "8074", "43", "785681") // its queue is full
		if got := presses(); got != 2 {
			t.Fatalf("%d messages after the next press, want 2", got)
		}
		m := w.diary.said()[1]
		if m.Device != gpIEEE || m.Endpoint != EndpointGreenPower || m.Cluster != clusterGreenPower ||
			m.Frame.Type != zcl.Specific || hex.EncodeToString(m.Frame.Payload) != "8004"+gpSource+"430000002200" {
			t.Errorf("the message is %+v, %x", m, m.Frame.Payload)
		}
		if got := w.Counters().Duplicates; got != 4 {
			t.Errorf("%d duplicates, want 4", got)
		}
	})
}

func TestGreenPowerIsForgotten(t *testing.T) {
	const remove = "19 01300000" + gpSource
	inWorld(t, func(w *world) {
		for _, how := range []string{"by itself", "by people"} {
			w.open(time.Minute)
			w.overhears(0x1234, gpTaught)
			w.toldRouters()
			if how == "by itself" {
				w.overhears(0x1234, "010e008044"+gpSource+"43010000e1003412c5")
			} else if err := w.Remove(context.Background(), gpIEEE, RemoveOptions{}); err != nil {
				t.Error(err)
			}
			if got := strings.Join(w.toldRouters(), ", "); got != remove {
				t.Errorf("%s: the routers are told %s, want %s", how, got, remove)
			}
			if d, ok := w.Device(gpIEEE); ok {
				t.Errorf("%s: still known as %+v", how, d)
			}
			time.Sleep(3 * time.Second)
		}
	})
}

func FuzzGreenPower(f *testing.F) {
	for _, text := range []string{gpTaught, "010d008044" + gpSource + "4201000022003412c5", "010c040008" + gpSource + "40010000e0170281b2" + gpKey + "400100003412c5"} {
		f.Add(unhex(f, text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := zcl.ParseFrame(data)
		if err != nil {
			return
		}
		g, ok := parseGreenPower(frame)
		if !ok {
			return
		}
		once := g.canonical(frame)
		again, err := zcl.ParseFrame(once)
		if err != nil {
			t.Fatalf("%x of %x: %v", once, data, err)
		}
		if h, ok := parseGreenPower(again); !ok || h.source != g.source || h.counter != g.counter || h.command != g.command || string(h.payload) != string(g.payload) {
			t.Fatalf("%+v became %+v", g, h)
		}
		if c, ok := parseCommissioning(g.source, g.payload); ok {
			if p := c.pairing(g.source); len(p) != 10 && len(p) != 30 {
				t.Fatalf("pairing %x", p)
			}
		}
	})
}
