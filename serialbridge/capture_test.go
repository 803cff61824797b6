package serialbridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var captured = time.Date(2026, 11, 22, 11, 30, 0, 123456000, time.UTC)

func TestCapture(t *testing.T) {
	long := bytes.Repeat([]byte{0xA5}, maxChunk+1)
	chunks := []Chunk{
		{captured, LineSet, []byte("9600 8N1")},
		{captured.Add(104 * time.Millisecond), Received, []byte("/IS\x00\xff")},
		{captured.Add(time.Second + time.Microsecond), Sent, []byte{0x55}},
		{captured.Add(time.Hour), Received, long},
		{captured.Add(time.Hour), Happened, []byte("unplugged")},
	}
	text := appendHead(nil, "0403:6001:\n:00", "dsmr", captured)
	for _, c := range chunks {
		text = c.append(text, captured)
	}
	if !IsCapture(text) || IsCapture([]byte("/ISk5")) {
		t.Error("IsCapture is wrong")
	}
	if first, _, _ := strings.Cut(string(text), "3600"); first != `# lintel capture 1
# stick 0403:6001::00
# protocol dsmr
# from 2026-11-22T11:30:00.123456Z
0.000000 = 9600 8N1
0.104000 < 2f495300ff
1.000001 > 55
` {
		t.Errorf("captured\n%s", first)
	}
	var got []Chunk
	if err := ReadCapture(bytes.NewReader(text), func(c Chunk) error { got = append(got, c); return nil }); err != nil {
		t.Fatal(err)
	}
	chunks[3].Data = long[:maxChunk]
	want := append(chunks[:4:4], Chunk{captured.Add(time.Hour), Received, long[maxChunk:]}, chunks[4])
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %.200v, want %.200v", got, want)
	}
}

func TestCaptureByHand(t *testing.T) {
	var got []string
	err := ReadCapture(strings.NewReader("# lintel capture 1\r\n# any words\n\n  \n1 < 2F 49\r\n2.5 ! pulled out\n"), func(c Chunk) error {
		got = append(got, fmt.Sprintf("%v %c %q", c.Time.Sub(time.Time{}), c.Kind, c.Data))
		return nil
	})
	if want := []string{`1s < "/I"`, `2.5s ! "pulled out"`}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
}

func TestBadCaptures(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "empty",
		"hello":                             "does not begin with",
		"# lintel capture 2\n":              "does not begin with",
		"# lintel capture 1\nx < 00":        "line 2: \"x\" are no seconds",
		"# lintel capture 1\n-1 < 00":       "no seconds",
		"# lintel capture 1\nNaN < 00":      "no seconds",
		"# lintel capture 1\n1e99 < 00":     "no seconds",
		"# lintel capture 1\n1 < 0":         "line 2: the bytes",
		"# lintel capture 1\n1 < 0g":        "line 2: the bytes",
		"# lintel capture 1\n1 ? 00":        "is no kind of line",
		"# lintel capture 1\n1":             "is no kind of line",
		"# lintel capture 1\n# from today":  "line 2: ",
		"# lintel capture 1\n1 < 00\n2 < 0": "line 3",
		"# lintel capture 1\n1 < " + strings.Repeat("0", maxCaptureLine): "line 2: ",
	} {
		err := ReadCapture(strings.NewReader(text), func(Chunk) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	stop := errors.New("stop")
	if err := ReadCapture(strings.NewReader("# lintel capture 1\n1 < 00\n1 < 00"), func(Chunk) error { return stop }); err != stop {
		t.Errorf("got %v", err)
	}
}

func FuzzReadCapture(f *testing.F) {
	f.Add([]byte("# lintel capture 1\n# from 2026-11-22T11:30:00.123456Z\n0.000000 = 9600 8N1\n0.1 < 2f\n1.2 > 55\n3 ! unplugged\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var first, second []Chunk
		keep := func(to *[]Chunk) func(Chunk) error {
			return func(c Chunk) error { *to = append(*to, c); return nil }
		}
		if ReadCapture(bytes.NewReader(text), keep(&first)) != nil || len(first) == 0 {
			return
		}
		from := first[0].Time
		for _, c := range first {
			if c.Time.Before(from) || c.Time.Year() > 9000 || c.Time.Year() < 1 {
				return // written times only go on, and years have four digits
			}
			if (c.Kind == LineSet || c.Kind == Happened) && cleanText(string(c.Data)) != string(c.Data) {
				return
			}
		}
		again := appendHead(nil, "x", "", from)
		for _, c := range first {
			again = c.append(again, from)
		}
		if err := ReadCapture(bytes.NewReader(again), keep(&second)); err != nil {
			t.Fatalf("%v of\n%s", err, again)
		}
		for i, c := range first {
			if len(c.Data) > maxChunk {
				return
			}
			if o := second[i]; c.Kind != o.Kind || !bytes.Equal(c.Data, o.Data) || c.Time.Sub(o.Time).Abs() > time.Microsecond {
				t.Fatalf("%v became %v", c, o)
			}
		}
	})
}

// What a stick says is captured while its driver goes on, and what is captured is
// what the driver heard.
func TestCaptureOfAStick(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: so.path, Protocol: "lines"}}}, quick())
	h.status(so.path, "online", inState(Online))
	if err := h.Capture(t.Context(), "no such stick", io.Discard, nil); err == nil {
		t.Error("a stick that is not there is captured")
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- h.Capture(ctx, so.path, w, nil) }()
	decoded := &sliceSink{}
	decoder := linesDriver("lines").NewDecoder(decoded)
	read := make(chan error, 1)
	said := make(chan bool, 1)
	go func() {
		first := true
		read <- ReadCapture(r, func(c Chunk) error {
			if first {
				first = false
				said <- c.Kind == LineSet && string(c.Data) == line8N1.String()
			}
			if c.Kind == Received {
				decoder.Decode(c.Data, c.Time)
			}
			if decoded.readings == 2 {
				return io.EOF
			}
			return nil
		})
	}()
	if !receive(t, said, "the beginning of the capture") {
		t.Error("the capture does not begin with the setting of the line")
	}
	so.say("lines a temperature=1 .", "lines a temperature=2 .")
	if err := receive(t, read, "two readings"); err != io.EOF {
		t.Error(err)
	}
	cancel()
	r.Close()
	receive(t, done, "the capture to end")
	h.broker.awaitLast(t, "lintel/a/state", `{"temperature":2}`)
	st := h.sticks[so.path]
	st.taps.mu.Lock()
	defer st.taps.mu.Unlock()
	if len(st.taps.open) != 0 {
		t.Error("the capture is still open")
	}
}

type sliceSink struct {
	probe
	readings int
}

func (s *sliceSink) Reading(Reading) { s.readings++ }
func (s *sliceSink) Damaged(string)  {}

// Who reads a capture too slowly loses a part of it, and is told so.
func TestSlowCapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Broker: newRecorder()})
		s.mu.Lock()
		st := s.remember(t.Context(), "x")
		s.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- s.Capture(ctx, "x", w, nil) }()
		synctest.Wait()
		for range 2 * maxTapped {
			st.observe(Received, []byte{1})
		}
		var text bytes.Buffer
		go func() { io.Copy(&text, r) }()
		synctest.Wait()
		st.observe(Received, []byte{2})
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.Close()
		synctest.Wait()
		if n := strings.Count(text.String(), "< 01"); n < 10 || n >= 2*maxTapped || !strings.Contains(text.String(), fmt.Sprintf("! %d chunks are missing here", 2*maxTapped-n)) ||
			!strings.HasSuffix(text.String(), "< 02\n") {
			t.Errorf("%d chunks in\n%.3000s", n, text.String())
		}
	})
}
