package serialbridge

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestListening(t *testing.T) {
	so := newSocket(t)
	so.plug()
	tm := quick()
	tm.listen, tm.listenMore = 50*time.Millisecond, 300*time.Millisecond // several rounds go by
	one, two := linesDriver("one"), linesDriver("two")
	one.Lines = []Line{line8N1, {9600, 7, 'E', 1, NoFlow}}
	two.Lines = []Line{{9600, 8, 'N', 1, NoFlow}}
	h := startHouse(t, Options{Drivers: []Driver{one, talker(), two}, Ports: []NamedPort{{Path: so.path}}}, tm)
	h.status(so.path, "told to be unheard", func(st StickStatus) bool {
		return st.State == Listening && strings.Contains(st.Err, "nothing known was heard at 115200 8N1, 9600 8N1, 9600 7E1")
	})
	// One frame is not enough, nor two with damage in between. A pty carries
	// any speed, so what the right one is does not matter here.
	var wg sync.WaitGroup
	defer wg.Wait()
	heard := make(chan struct{})
	defer close(heard)
	so.say("two a temperature=1 .", "one a temperature=1 .", "damage")
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 2; ; i++ {
			so.far.WriteString(fmt.Sprintf("two a temperature=%d .\n", i))
			select {
			case <-tick.C:
			case <-heard:
				return
			}
		}
	})
	st := h.status(so.path, "online", inState(Online))
	if st.Protocol != "two" || !strings.Contains(st.Evidence, "heard valid frames of two at 9600 8N1") {
		t.Errorf("%+v", st)
	}
	h.broker.awaitLast(t, "lintel/a/availability", "online")
	// Not a byte was sent.
	conn, err := so.far.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	conn.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 0); n != 0 || err != nil {
			t.Errorf("listening has sent something (%d, %v)", n, err)
		}
	})
}

func TestProbe(t *testing.T) {
	for _, test := range []struct {
		lines []string
		found bool
	}{
		{[]string{"l a x=1 ."}, false},
		{[]string{"l a x=1 .", "l a x=2 ."}, true},
		{[]string{"l a x=1 .", "damage", "l a x=2 ."}, false},
		{[]string{"l a x=1 .", "damage", "l a x=2 .", "l a x=3 ."}, true},
		{[]string{"l a x=1 .", "l b x=2 ."}, false}, // one frame may tell of two devices
		{[]string{"l a x=1 .", "l b x=2 .", "l a x=3 ."}, true},
		{[]string{"l a x=1 .", "l a x=2 .", "damage"}, true}, // found is found
	} {
		p := &probe{need: 2, readings: make(map[string]int)}
		d := &linesDecoder{tag: "l", sink: p, seen: make(map[string]bool)}
		d.Decode([]byte(strings.Join(test.lines, "\n")+"\n"), time.Now())
		if p.found != test.found {
			t.Errorf("%q: found is %v", test.lines, p.found)
		}
	}
	p := &probe{need: 1 << 30, readings: make(map[string]int)}
	for i := range 10 * maxHeard {
		p.Device(Device{})
		p.Reading(Reading{Device: fmt.Sprint(i)})
	}
	if len(p.heard) != maxHeard || len(p.readings) > maxHeard+1 {
		t.Errorf("keeps %d, %d", len(p.heard), len(p.readings))
	}
}

// What was heard while listening is not lost, nor is the half frame after it.
func TestListeningLosesNothing(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: so.path}}}, quick())
	h.status(so.path, "listening", inState(Listening))
	so.far.WriteString("lines a temperature=1 .\nlines b humidity=3 .\nlines a humidity=2 .\nlines a op")
	h.broker.awaitLast(t, "lintel/a/state", `{"humidity":2,"temperature":1}`)
	h.broker.awaitLast(t, "lintel/b/state", `{"humidity":3}`)
	so.far.WriteString("en=true .\n")
	h.broker.awaitLast(t, "lintel/a/state", `{"humidity":2,"open":true,"temperature":1}`)
	if st := h.Sticks()[0]; st.Frames != 4 || len(st.Damaged) != 0 {
		t.Errorf("%+v", st)
	}
}

// Another device at the same cable is found without a replug.
func TestSilenceMeansListeningAgain(t *testing.T) {
	so := newSocket(t)
	so.plug()
	tm := quick()
	tm.silence = 300 * time.Millisecond
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("one"), linesDriver("two")}, Ports: []NamedPort{{Path: so.path}}}, tm)
	h.status(so.path, "listening", inState(Listening))
	so.say("one a temperature=1 .", "one a temperature=2 .")
	h.status(so.path, "online", func(st StickStatus) bool { return st.Protocol == "one" })
	h.broker.awaitLast(t, "lintel/a/availability", "online")
	so.say("noise")
	h.status(so.path, "listening", inState(Listening))
	h.broker.awaitLast(t, "lintel/a/availability", "offline")
	so.say("two b temperature=1 .", "two b temperature=2 .")
	h.status(so.path, "online", func(st StickStatus) bool { return st.Protocol == "two" })
	h.broker.awaitLast(t, "lintel/b/availability", "online")
}
