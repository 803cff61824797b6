package znpstick

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/simulator/air"
)

// host is a program that speaks with the stick byte by byte.
type host struct {
	*testing.T
	net.Conn
	r *bufio.Reader
}

// serve runs a test with a stick that is served.
func serve(t *testing.T, o Options, test func(h host, s *Stick, n *air.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := air.New(air.Options{Seed: 1})
		s := New(n, o)
		near, far := net.Pipe()
		var running sync.WaitGroup
		running.Go(func() { n.Run(ctx) })
		running.Go(func() { s.Serve(ctx, far) })
		test(host{t, near, bufio.NewReader(near)}, s, n)
		cancel()
		s.Close()
		running.Wait()
	})
}

// ask sends a command and returns the next frame: type and subsystem, identifier, data.
func (h host) ask(text string) string {
	h.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		h.Fatal(err)
	}
	f := append([]byte{byte(len(b) - 2)}, b...)
	if _, err := h.Write(append(append([]byte{0xfe}, f...), xor(f))); err != nil {
		h.Fatal(err)
	}
	return h.next()
}

func (h host) next() string {
	h.Helper()
	var head [2]byte
	if _, err := io.ReadFull(h.r, head[:]); err != nil {
		h.Fatal(err)
	}
	rest := make([]byte, int(head[1])+3)
	if _, err := io.ReadFull(h.r, rest); err != nil {
		h.Fatal(err)
	}
	if last := len(rest) - 1; head[0] != 0xfe || rest[last] != head[1]^xor(rest[:last]) {
		h.Fatalf("%x%x is no frame", head, rest)
	}
	return hex.EncodeToString(rest[:len(rest)-1])
}

// TestExchange says to the stick what zigbee-herdsman said to another simulated stick
// and wants the same kind of response to each command: what herdsman sees is the
// same state.
func TestExchange(t *testing.T) {
	text, err := os.ReadFile("../../zigbee/znp/testdata/znp.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Exchange []string `json:"exchange_herdsman_vs_sim"`
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	serve(t, Options{Product: ZStack3x0}, func(h host, s *Stick, _ *air.Network) {
		// The device is not in the air: what is said to it is asked all the same.
		asked := 0
		for i, line := range vectors.Exchange {
			fields := strings.Fields(line)
			if fields[0] != "RX" {
				continue
			}
			var kind, subsystem, id, data string
			for _, f := range fields[1:] {
				switch f[0] {
				case 't':
					kind = f[1:]
				case 's':
					subsystem = f[1:]
				case 'c':
					if data == "" && id == "" {
						id = f[1:]
						continue
					}
					data = f
				default:
					data = f
				}
			}
			n := map[string]byte{"1": 1, "4": 4, "5": 5, "6": 6, "7": 7, "15": 15}[subsystem]
			k := kind[0] - '0'
			want := vectors.Exchange[i+1]
			asked++
			got := h.ask(hex.EncodeToString([]byte{k<<5 | n}) + id + data)
			for strings.HasPrefix(got, "4") && k == kindSREQ {
				got = h.next() // came by itself
			}
			want = strings.TrimPrefix(want, "TX fe")
			want = want[2 : len(want)-2] // without length and sum
			switch id + data {
			case "02", "04", "50", "1c21000000", "1c3a000000":
				if got != want {
					t.Errorf("%s: got %s, want %s", line, got, want)
				}
			}
			if got[:4] != want[:4] {
				t.Errorf("%s: got %s, want the command of %s", line, got, want)
			}
			if id == "05" && subsystem == "15" {
				synctest.Wait()
				<-time.After(2 * startTime) // the network is formed
			}
		}
		if asked < 150 {
			t.Errorf("%d commands only", asked)
		}
		if u := s.Unhandled(); len(u) > 0 {
			t.Errorf("unknown: %v", u)
		}
	})
}

func TestRefusals(t *testing.T) {
	serve(t, Options{Product: ZStack30x}, func(h host, s *Stick, _ *air.Network) {
		for _, c := range []struct{ name, ask, want string }{
			{"unknown command", "2199", "6000022199"},
			{"too short", "2113", "6000042113"},
			{"no extended memory", "21320101000000", "6000022132"},
			{"no such item", "211c99990000", "611c0200"},
			{"data before the start", "2401000001010000010010 00", "640102"},
			{"item is new", "210799000200020102", "610709"},
			{"item is there", "210799000200020102", "610700"},
			{"item cannot be written over its end", "211d9900010002000102", "611d0c"},
			{"item is deleted", "211299000200", "611200"},
			{"there is none to delete", "211299000200", "611209"},
		} {
			if got := h.ask(c.ask); got != strings.ReplaceAll(c.want, " ", "") {
				t.Errorf("%s: %s", c.name, got)
			}
		}
		if u := s.Unhandled(); u["01/99"] != 1 || u["01/32"] != 1 || len(u) != 2 {
			t.Errorf("%v", u)
		}
	})
}

// TestMemoryOutlivesPower takes the power away and wants the network back.
func TestMemoryOutlivesPower(t *testing.T) {
	serve(t, Options{Product: ZStack3x0}, func(h host, s *Stick, n *air.Network) {
		h.ask("2f0504")
		for want := range strings.FieldsSeq("45c008 45c009") {
			if got := h.next(); got != want {
				t.Fatalf("%s instead of %s", got, want)
			}
		}
		before := h.ask("2550")
		key := h.ask("211c3a000000")
		if key[6:] == "1100"+strings.Repeat("00", 16) {
			t.Errorf("no random key: %s", key)
		}
		s.Reset()
		if got := h.next(); got != "41800002"+"01020701" {
			t.Errorf("reset: %s", got)
		}
		if got := h.ask("2550"); got[8:10] == "09" {
			t.Error("the network runs after the power was gone")
		}
		counter := n.FrameCounter()
		if got := h.ask("25406400"); got != "654000" {
			t.Errorf("startup: %s", got)
		}
		h.next()
		h.next()
		if after := h.ask("2550"); after != before {
			t.Errorf("%s, then %s", before, after)
		}
		if n.FrameCounter() < counter+countsAhead {
			t.Errorf("the frame counter went from %d to %d", counter, n.FrameCounter())
		}
	})
}

// FuzzStick sends the stick anything, among it commands that it knows.
func FuzzStick(f *testing.F) {
	f.Add([]byte("\x21\x13\x82\x00"))
	f.Add([]byte("\x2f\x05\x04"))
	f.Add([]byte("\x21\x12\x01\x00\x08\x00"))
	for key, h := range commands {
		f.Add(append([]byte{kindSREQ<<5 | key[0], key[1]}, make([]byte, h.least)...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, product := range []Product{ZStack12, ZStack3x0, ZStack30x} {
			n := air.New(air.Options{})
			s := New(n, Options{Product: product, Devices: 3})
			s.out = newQueue()
			var u unframer
			for _, b := range data {
				if r, ok := u.next(b); ok {
					s.mu.Lock()
					s.handle(r)
					s.mu.Unlock()
				}
			}
			// The same as commands: two bytes of command, a length, data.
			for rest := data; len(rest) >= 3; {
				n := min(int(rest[2]), len(rest)-3)
				s.mu.Lock()
				s.handle(request{kindSREQ, rest[0] & 0x1f, rest[1], append([]byte(nil), rest[3:3+n]...)})
				if s.state == stateStarting && s.nib(nibPANID) == nil {
					s.form()
					s.attach()
					s.state = stateRunning
				}
				s.mu.Unlock()
				rest = rest[3+n:]
			}
			s.Close()
		}
	})
}
