package ezspstick

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"testing"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// noAir is an air in which nobody is.
type noAir struct{ attached int }

func (a *noAir) Attach(air.Radio, air.Security)   { a.attached++ }
func (a *noAir) Detach(air.Radio)                 { a.attached-- }
func (a *noAir) Send(air.Frame, func(air.Status)) {}
func (a *noAir) PermitJoin(time.Duration)         {}
func (a *noAir) FrameCounter() uint32             { return 0 }
func (a *noAir) Energy(uint8) uint8               { return 0 }

func unhex(t testing.TB, text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// say gives the stick bytes and returns what it answers, without a line.
func (s *Stick) say(data []byte) []byte {
	s.mu.Lock()
	s.receive(data)
	out, _ := s.transmit(time.Now())
	s.mu.Unlock()
	s.finish()
	return out
}

// TestCaptured: the stick's end of what was captured between zigbee-herdsman and real
// sticks (zigbee-herdsman, test/adapter/ember/consts.ts at a70284ac).
func TestCaptured(t *testing.T) {
	s := New(&noAir{}, Options{Version: 13})
	for _, step := range []struct{ name, says, answers string }{
		{"reset", "1ac038bc7e", "c1020b0a527e"},
		// ACK(1), and the version of a stick with EmberZNet 7.4.1.
		{"version", "004221a8597c057e", "8160597e" + "0142a1a8592805c6a8777e"},
		{"acknowledged", "8160597e", ""},
	} {
		if got := s.say(unhex(t, step.says)); !bytes.Equal(got, unhex(t, step.answers)) {
			t.Errorf("%s: %x, not %s", step.name, got, step.answers)
		}
	}
}

// host speaks EZSP with a stick, whole frames at a time.
type host struct {
	t        *testing.T
	s        *Stick
	sequence byte
	number   byte // of the next frame
	heard    byte // number of the next frame of the stick
	version  byte
}

func newHost(t *testing.T, s *Stick) *host {
	h := &host{t: t, s: s, version: s.options.Version}
	s.say(unhex(t, "1ac038bc7e"))
	h.frame([]byte{0, 0, 0, h.version})
	if got := h.command(0x0000, []byte{h.version}); got[0] != h.version {
		t.Fatalf("version %x", got)
	}
	return h
}

// frame sends the data of a frame and returns those that come back.
func (h *host) frame(data []byte) (answers [][]byte) {
	mixed := append([]byte{h.number<<4 | h.heard}, data...)
	mix(mixed[1:])
	h.number = (h.number + 1) & 7
	for _, part := range bytes.SplitAfter(h.s.say(appendLineFrame(nil, mixed)), []byte{0x7e}) {
		plain := unstuff(part)
		if len(plain) < 4 || plain[0]&0x80 != 0 {
			continue
		}
		h.heard = (h.heard + 1) & 7
		answer := plain[1 : len(plain)-2]
		mix(answer)
		answers = append(answers, answer)
	}
	return answers
}

func unstuff(line []byte) (plain []byte) {
	for i := 0; i < len(line) && line[i] != 0x7e; i++ {
		if line[i] == 0x7d {
			i++
			plain = append(plain, line[i]^0x20)
			continue
		}
		plain = append(plain, line[i])
	}
	return plain
}

// command sends a command and returns the parameters of the answer.
func (h *host) command(id uint16, params []byte) []byte {
	h.t.Helper()
	h.sequence++
	answers := h.frame(append([]byte{h.sequence, 0, 1, byte(id), byte(id >> 8)}, params...))
	if len(answers) == 0 || len(answers[0]) < 5 || answers[0][0] != h.sequence {
		h.t.Fatalf("command 0x%04x is answered by %x", id, answers)
	}
	return answers[0][5:]
}

// TestTokens: what the stick remembers without power, and what it forgets.
func TestTokens(t *testing.T) {
	for _, version := range []byte{13, 14, 19} {
		a := &noAir{}
		s := New(a, Options{Version: version, IEEEAddress: 0x00124b0000000001})
		h := newHost(t, s)
		form := func() {
			state := append(make([]byte, 2+16), bytes.Repeat([]byte{7}, 16)...)
			h.command(0x0068, append(state, make([]byte, 9)...))
			h.command(0x001e, []byte{8, 7, 6, 5, 4, 3, 2, 1, 0x62, 0x1a, 5, 15, 0, 0, 0, 3, 0, 0xf8, 0xff, 7})
		}
		form()
		if got := h.command(0x0018, nil); got[0] != 2 || a.attached != 1 {
			t.Errorf("version %d: state %x after forming", version, got)
		}
		key := append([]byte{3, 1, 2, 3, 4, 5, 6, 7, 8}, bytes.Repeat([]byte{9}, 16)...)
		h.command(0x010e, key)

		h = newHost(t, s) // resets it
		if got := h.command(0x0018, nil); got[0] != 0 || a.attached != 0 {
			t.Errorf("version %d: state %x after a reset", version, got)
		}
		h.command(0x0017, []byte{3, 0})
		parameters := h.command(0x0028, nil)
		if !bytes.Contains(parameters, []byte{8, 7, 6, 5, 4, 3, 2, 1, 0x62, 0x1a, 5, 15}) {
			t.Errorf("version %d: parameters %x", version, parameters)
		}
		if got := h.command(0x010f, []byte{3}); !bytes.Contains(got, key[1:9]) || !bytes.Contains(got, key[9:]) {
			t.Errorf("version %d: link key %x", version, got)
		}
	}
}

// TestUnhandled: a command that it does not know is refused, and counted.
func TestUnhandled(t *testing.T) {
	s := New(&noAir{}, Options{})
	h := newHost(t, s)
	h.sequence++
	answers := h.frame([]byte{h.sequence, 0, 1, 0xee, 0x7f})
	if len(answers) != 1 || !bytes.Equal(answers[0][1:], []byte{0x80, 1, 0x58, 0, 0x31}) {
		t.Errorf("answers %x", answers)
	}
	if n := s.Counters().Unhandled[0x7fee]; n != 1 {
		t.Errorf("counted %d", n)
	}
}

// TestHash: two hands have written the same keyed hash.
func TestHash(t *testing.T) {
	s := New(&noAir{}, Options{})
	s.tokens.linkKey = [16]byte{1, 2, 3}
	if got, want := s.derived(0x00124b0022000001), zigbee.HashedLinkKey([16]byte{1, 2, 3}, 0x00124b0022000001); got != want {
		t.Errorf("key is %x, not %x", got, want)
	}
}

// pipe is a line whose host says all it has to say and hears what it likes.
type pipe struct{ io.Reader }

func (pipe) Write(b []byte) (int, error) { return len(b), nil }

// FuzzHost: whatever a host says, the stick stands.
func FuzzHost(f *testing.F) {
	f.Add(byte(13), unhex(f, "1ac038bc7e004221a8597c057e"), []byte{0x34, 0x00, 0, 0})
	for id := range commands {
		f.Add(byte(14), []byte{}, []byte{byte(id), byte(id >> 8), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
	}
	f.Fuzz(func(t *testing.T, version byte, line, command []byte) {
		s := New(&noAir{}, Options{Version: 13 + version%7})
		s.Serve(context.Background(), pipe{bytes.NewReader(line)})
		s.mu.Lock()
		s.restart(resetSoftware)
		s.node.negotiated = true
		s.bringUp(1)
		s.command(append([]byte{1, 0, 1}, command...))
		s.transmit(time.Now())
		if len(s.ash.callbacks) > maxCallbacks || len(s.ash.answers) > 8 {
			t.Error("it holds too much")
		}
		s.down()
		s.mu.Unlock()
		s.finish()
	})
}
