package serialbridge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"lintel/gateway/mqtt"
	"lintel/hardware"
)

func TestReplug(t *testing.T) {
	keepGarbage(t)
	so := newSocket(t)
	h := startHouse(t, Options{
		Drivers: []Driver{linesDriver("lines")},
		Ports:   []NamedPort{{Path: so.path, Protocol: "lines"}},
	}, quick())
	h.status(so.path, "waiting", func(st StickStatus) bool { return st.State == Waiting && st.Err != "" })
	var files, goroutines int
	for i := range 11 {
		so.plug()
		h.status(so.path, "online", inState(Online))
		so.say(fmt.Sprintf("lines attic temperature=%d .", i))
		h.broker.awaitLast(t, "lintel/attic/state", fmt.Sprintf(`{"temperature":%d}`, i))
		h.broker.awaitLast(t, "lintel/attic/availability", "online")
		so.unplug()
		h.broker.awaitLast(t, "lintel/attic/availability", "offline")
		h.status(so.path, "waiting", inState(Waiting))
		if i == 0 {
			files, goroutines = openFiles(t), runtime.NumGoroutine()
		}
	}
	var said []string
	for _, m := range h.broker.all("lintel/attic/availability") {
		if m.QoS != 1 || !m.Retain {
			t.Errorf("availability is QoS %d, retain %v", m.QoS, m.Retain)
		}
		said = append(said, string(m.Payload))
	}
	if want := slices.Repeat([]string{"online", "offline"}, 11); !slices.Equal(said, want) {
		t.Errorf("availability was %v", said)
	}
	noLeak(t, files, goroutines)
}

// Neither a silent stick nor one that is not there costs processor time.
func TestIdleCostsNothing(t *testing.T) {
	silent, absent, gone := newSocket(t), newSocket(t), newSocket(t)
	silent.plug()
	gone.plug()
	h := startHouse(t, Options{
		Drivers: []Driver{linesDriver("lines")},
		Ports:   []NamedPort{{Path: silent.path, Protocol: "lines"}, {Path: absent.path, Protocol: "lines"}, {Path: gone.path, Protocol: "lines"}},
	}, defaultTiming())
	h.status(silent.path, "online", inState(Online))
	h.status(gone.path, "online", inState(Online))
	gone.unplug()
	h.status(gone.path, "waiting", inState(Waiting))
	h.status(absent.path, "waiting", inState(Waiting))
	before, start := cpu(t), time.Now()
	<-time.After(1500 * time.Millisecond)
	if used, idle := cpu(t)-before, time.Since(start); used > idle/20 {
		t.Errorf("used %v of processor time in %v", used, idle)
	}
}

// usbRoot is a file system root with one place for a USB stick.
type usbRoot struct {
	t    *testing.T
	root string
}

func (u usbRoot) plug(tty, serial string) (far *os.File) {
	u.t.Helper()
	dev := filepath.Join(u.root, "sys/devices/usb1/1-1")
	iface := filepath.Join(dev, "1-1:1.0")
	ttyDir := filepath.Join(iface, "tty", tty)
	must := func(err error) {
		u.t.Helper()
		if err != nil {
			u.t.Fatal(err)
		}
	}
	for _, d := range []string{ttyDir, filepath.Join(u.root, "sys/class/tty"), filepath.Join(u.root, "dev")} {
		must(os.MkdirAll(d, 0o755))
	}
	for name, content := range map[string]string{
		"idVendor": "0403", "idProduct": "6001", "serial": serial, "manufacturer": "Victron", "product": "VE Direct cable", "1-1:1.0/bInterfaceNumber": "00",
	} {
		must(os.WriteFile(filepath.Join(dev, name), []byte(content+"\n"), 0o644))
	}
	far, near, err := pty.Open()
	must(err)
	near.Close()
	u.t.Cleanup(func() { far.Close() })
	must(os.Symlink("../..", filepath.Join(ttyDir, "device")))
	must(os.Symlink(near.Name(), filepath.Join(u.root, "dev", tty)))
	must(os.Symlink(ttyDir, filepath.Join(u.root, "sys/class/tty", tty)))
	return far
}

func (u usbRoot) unplug(tty string, far *os.File) {
	os.Remove(filepath.Join(u.root, "sys/class/tty", tty))
	os.RemoveAll(filepath.Join(u.root, "sys/devices/usb1/1-1"))
	os.Remove(filepath.Join(u.root, "dev", tty))
	far.Close()
}

// A stick keeps its name when it comes back under another device node.
func TestUSBStick(t *testing.T) {
	u := usbRoot{t, t.TempDir()}
	mine := linesDriver("lines")
	mine.Match = func(p hardware.SerialPort) Confidence {
		if p.Product == "VE Direct cable" {
			return Sure
		}
		return No
	}
	h := startHouse(t, Options{Root: u.root, Drivers: []Driver{linesDriver("other"), mine}}, quick())
	const id = "0403:6001:VE123:00"
	for i, tty := range []string{"ttyUSB0", "ttyUSB1", "ttyUSB0"} {
		far := u.plug(tty, "VE123")
		st := h.status(id, "online", inState(Online))
		if want := filepath.Join(u.root, "dev", tty); st.Port != want || st.USB.Serial != "VE123" || st.Protocol != "lines" {
			t.Errorf("%d: %+v, want port %s", i, st, want)
		}
		if want := "USB says Victron VE Direct cable (0403:6001)"; st.Evidence != want {
			t.Errorf("evidence %q, want %q", st.Evidence, want)
		}
		far.WriteString("lines solar temperature=7 .\n")
		h.broker.awaitLast(t, "lintel/solar/availability", "online")
		u.unplug(tty, far)
		h.broker.awaitLast(t, "lintel/solar/availability", "offline")
		h.status(id, "waiting", inState(Waiting))
	}
	if n := len(h.Sticks()); n != 1 {
		t.Errorf("%d sticks, want 1", n)
	}
	far := u.plug("ttyUSB0", "OTHER")
	h.status("0403:6001:OTHER:00", "online", inState(Online))
	u.unplug("ttyUSB0", far)
}

func TestStickThatNobodyKnows(t *testing.T) {
	u := usbRoot{t, t.TempDir()}
	stranger := linesDriver("lines")
	stranger.Match = func(hardware.SerialPort) Confidence { return No }
	asks := linesDriver("modbus")
	asks.Lines = nil
	u.plug("ttyUSB0", "X")
	h := startHouse(t, Options{Root: u.root, Drivers: []Driver{stranger}}, quick())
	if st := h.status("0403:6001:X:00", "unknown", inState(Unknown)); !strings.Contains(st.Err, "set its protocol (lines)") {
		t.Errorf("Err is %q", st.Err)
	}
	h.stop()
	h = startHouse(t, Options{Root: u.root, Drivers: []Driver{stranger, asks}}, quick())
	if st := h.status("0403:6001:X:00", "unknown", inState(Unknown)); !strings.Contains(st.Err, "set its protocol (modbus)") {
		t.Errorf("Err is %q", st.Err)
	}
	h.stop()
	// The user says what it is, by the path: then it is not a stick of the inventory too.
	path := filepath.Join(u.root, "dev/ttyUSB0")
	h = startHouse(t, Options{Root: u.root, Drivers: []Driver{stranger}, Ports: []NamedPort{{Path: path, Protocol: "lines"}}}, quick())
	h.status(path, "online", inState(Online))
	if n := len(h.Sticks()); n != 1 {
		t.Errorf("%d sticks, want 1", n)
	}
	h.stop()
	h = startHouse(t, Options{Drivers: []Driver{stranger}, Ports: []NamedPort{{Path: path, Protocol: "linse"}}}, quick())
	if st := h.status(path, "unknown", inState(Unknown)); !strings.Contains(st.Err, `no protocol "linse"`) {
		t.Errorf("Err is %q", st.Err)
	}
}

func TestPanicStaysWithItsStick(t *testing.T) {
	bad, good := newSocket(t), newSocket(t)
	bad.plug()
	good.plug()
	h := startHouse(t, Options{
		Drivers: []Driver{linesDriver("lines")},
		Ports:   []NamedPort{{Path: bad.path, Protocol: "lines"}, {Path: good.path, Protocol: "lines"}},
	}, quick())
	h.status(bad.path, "online", inState(Online))
	h.status(good.path, "online", inState(Online))
	bad.say("lines a temperature=1 .")
	good.say("lines b temperature=1 .")
	h.broker.awaitLast(t, "lintel/a/availability", "online")
	h.broker.awaitLast(t, "lintel/b/availability", "online")
	for i := range 3 {
		bad.say("boom")
		h.broker.awaitLast(t, "lintel/a/availability", "offline")
		st := h.status(bad.path, "online again", func(st StickStatus) bool { return st.State == Online && st.Retries > 0 })
		if !strings.Contains(st.Err, "the driver has a fault (boom)") {
			t.Errorf("%+v", st)
		}
		bad.say(fmt.Sprintf("lines a temperature=%d .", i))
		h.broker.awaitLast(t, "lintel/a/availability", "online")
		h.status(bad.path, "good after a good frame", func(st StickStatus) bool { return st.Err == "" && st.Retries == 0 })
	}
	if got := h.broker.all("lintel/b/availability"); len(got) != 1 {
		t.Errorf("the other stick's device was said %d times to be there", len(got))
	}
}

func TestStateAndEvents(t *testing.T) {
	so := newSocket(t)
	so.plug()
	var mu sync.Mutex
	var announced []string
	h := startHouse(t, Options{
		Drivers: []Driver{linesDriver("lines")},
		Ports:   []NamedPort{{Path: so.path, Protocol: "lines"}},
		OnDevice: func(d Device) {
			mu.Lock()
			defer mu.Unlock()
			announced = append(announced, d.ID)
		},
	}, quick())
	h.status(so.path, "online", inState(Online))
	so.say("lines attic temperature=21.5 open=true .")
	h.broker.awaitLast(t, "lintel/attic/state", `{"open":true,"temperature":21.5}`)
	so.say("garbage \x00\xff", "lines attic humidity=40 temperature=22 bogus=1 .")
	h.broker.awaitLast(t, "lintel/attic/state", `{"humidity":40,"open":true,"temperature":22}`)
	so.say("lines attic note=NaN .") // a number for ParseFloat, but not for JSON
	so.say("lines attic button=double .")
	h.broker.awaitLast(t, "lintel/attic/button", `{"event_type":"double"}`)
	so.say("lines bad/id temperature=1 .", "lines gateway temperature=1 .")
	so.say("lines cellar humidity=80 .")
	h.broker.awaitLast(t, "lintel/cellar/state", `{"humidity":80}`)

	for topic, want := range map[string]mqtt.Message{"state": {QoS: 0, Retain: true}, "button": {QoS: 1, Retain: false}} {
		for _, m := range h.broker.all("lintel/attic/" + topic) {
			if m.QoS != want.QoS || m.Retain != want.Retain {
				t.Errorf("%s is QoS %d, retain %v", m.Topic, m.QoS, m.Retain)
			}
		}
	}
	if got := last(h.broker.all("lintel/attic/state"), "lintel/attic/state"); strings.Contains(got, "button") || strings.Contains(got, "note") {
		t.Errorf("state is %s", got)
	}
	st := h.Sticks()[0]
	want := map[string]uint64{"syntax": 1, "unknown property": 1, "unusable value": 1, "bad device id": 2, "unannounced device": 2}
	if !reflect.DeepEqual(st.Damaged, want) {
		t.Errorf("damaged %v, want %v", st.Damaged, want)
	}
	if want := []string{"attic", "cellar"}; !slices.Equal(st.Devices, want) || st.Frames != 5 || st.Evidence != "set by the user" {
		t.Errorf("status %+v", st)
	}
	var ids []string
	for _, d := range h.Devices() {
		ids = append(ids, d.ID)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"attic", "cellar"}; !slices.Equal(ids, want) || !slices.Equal(announced, want) {
		t.Errorf("devices %v, announced %v, want %v", ids, announced, want)
	}
}

// A device that changes is announced again, and forgets values that it has no more.
func TestDeviceChanges(t *testing.T) {
	var announced []Device
	s := New(Options{Broker: newRecorder(), OnDevice: func(d Device) { announced = append(announced, d) }})
	st := s.remember(canceled(), "x")
	k := &sink{st: st}
	st.current = k
	d := Device{ID: "a", Name: " A\x00\xff ", Properties: []Property{
		{Key: "t", Kind: Measurement}, {Key: "t"}, {Key: "Bad Key"}, {Key: "h", Kind: Measurement},
	}}
	k.Device(d)
	k.Reading(Reading{Device: "a", Values: map[string]any{"t": 1.5, "h": int64(2)}})
	d.Properties[0].Key = "mine" // the driver goes on with its own copy
	if err := st.deliver(t.Context(), s.devices["a"]); err != nil {
		t.Fatal(err)
	}
	k.Device(Device{ID: "a", Name: "A", Properties: []Property{{Key: "t", Kind: Measurement}, {Key: "h", Kind: Measurement}}})
	k.Device(Device{ID: "a", Name: "B", Properties: []Property{{Key: "h", Kind: Measurement}}})
	if err := st.deliver(t.Context(), s.devices["a"]); err != nil {
		t.Fatal(err)
	}
	if len(announced) != 2 || announced[0].Name != "A" || len(announced[0].Properties) != 2 || announced[0].Properties[0].Key != "t" ||
		announced[1].Name != "B" {
		t.Errorf("announced %+v", announced)
	}
	if got := last(s.o.Broker.(*recorder).messages, "lintel/a/state"); got != `{"h":2}` {
		t.Errorf("state is %s", got)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestMergeRefuses(t *testing.T) {
	s := New(Options{Broker: newRecorder()})
	st := s.remember(canceled(), "x")
	s.announce(st, "a", Device{ID: "a", Properties: lineProperties})
	d := s.devices["a"]
	for _, bad := range []any{math.NaN(), math.Inf(1), float32(1), []byte("x"), strings.Repeat("x", maxText+1)} {
		if got := d.merge(map[string]any{"temperature": bad}, time.Now(), 0); got != "unusable value" {
			t.Errorf("%v: %q", bad, got)
		}
	}
	if got := d.merge(map[string]any{"button": true}, time.Now(), 0); got != "unusable value" {
		t.Errorf("event: %q", got)
	}
	for range maxEvents {
		if got := d.merge(map[string]any{"button": "single"}, time.Now(), 0); got != "" {
			t.Errorf("event: %q", got)
		}
	}
	if got := d.merge(map[string]any{"button": "double"}, time.Now(), 0); got != "event lost" || len(d.events) != maxEvents || string(d.events[maxEvents-1].payload) != `{"event_type":"double"}` {
		t.Errorf("event: %q, %v", got, d.events)
	}
	for i := range maxDevices + 5 {
		want := ""
		if i >= maxDevices-1 { // and "a"
			want = "too many devices"
		}
		if got := s.announce(st, "", Device{ID: fmt.Sprint("d", i)}); got != want {
			t.Fatalf("device %d: %q", i, got)
		}
	}
	for range 100 {
		st.damage(fmt.Sprint("reason ", len(st.damaged)))
	}
	if len(st.damaged) != maxReasons+1 {
		t.Errorf("%d reasons", len(st.damaged))
	}
}

// talker is a driver that speaks both ways.
func talker() Driver {
	d := linesDriver("talker")
	d.Run = func(ctx context.Context, port Port, sink Sink, commands <-chan Command) error {
		failed := make(chan error, 1)
		decoder := d.NewDecoder(sink)
		go func() {
			buf := make([]byte, 100)
			for {
				n, err := port.Read(buf)
				if err != nil {
					failed <- err
					return
				}
				decoder.Decode(buf[:n], time.Now())
			}
		}()
		for {
			select {
			case err := <-failed:
				return err
			case c := <-commands:
				if _, err := fmt.Fprintf(port, "%s %s %T %v\n", c.Device, c.Key, c.Value, c.Value); err != nil {
					return err
				}
			}
		}
	}
	return d
}

func TestCommands(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{talker()}, Ports: []NamedPort{{Path: so.path, Protocol: "talker"}}}, quick())
	h.status(so.path, "online", inState(Online))
	so.say("talker attic relay=false .")
	h.broker.awaitLast(t, "lintel/attic/availability", "online")

	far := bufio.NewScanner(so.far)
	for _, test := range []struct{ topic, payload, want string }{
		{"set", `{"relay":true}`, "relay bool true"},
		{"set", `{"relay":"OFF"}`, "relay bool false"},
		{"set/relay", `ON`, "relay bool true"},
		{"set/relay", ` false `, "relay bool false"},
		{"set/level", `42.5`, "level float64 42.5"},
		{"set", `{"level":100}`, "level float64 100"},
		{"set/mode", `party`, "mode string party"},
		{"set/restart", ``, "restart bool true"},
		{"set", `{"restart":null}`, "restart bool true"},
	} {
		h.broker.send("lintel/attic/"+test.topic, test.payload, false)
		if !far.Scan() {
			t.Fatal(far.Err())
		}
		if got, want := far.Text(), "attic "+test.want; got != want {
			t.Errorf("%s %s: the stick got %q, want %q", test.topic, test.payload, got, want)
		}
	}
	h.broker.send("lintel/attic/set", `{"relay":true,"level":7,"mode":"eco"}`, false)
	for _, want := range []string{"attic level float64 7", "attic mode string eco", "attic relay bool true"} {
		if far.Scan(); far.Text() != want {
			t.Errorf("the stick got %q, want %q", far.Text(), want)
		}
	}

	refused := []struct {
		topic, payload string
		retain         bool
	}{
		{"set", `{"relay":true}`, true},
		{"set", ``, false}, {"set", `{`, false}, {"set", `[1]`, false}, {"set", `{}`, false}, {"set", `null`, false},
		{"set", `{"relay":1}`, false}, {"set", `{"relay":true,"nothing":1}`, false},
		{"set/relay", `maybe`, false}, {"set/level", `101`, false}, {"set/level", `-1`, false}, {"set/level", `NaN`, false},
		{"set/level", ``, false}, {"set", `{"level":true}`, false}, {"set/mode", `ECO`, false}, {"set", `{"mode":3}`, false},
		{"set/temperature", `21`, false}, {"set/button", `single`, false}, {"set/nothing", `1`, false},
		{"set", `{"note":"` + strings.Repeat("x", maxCommand) + `"}`, false},
		{"set/note", strings.Repeat("x", maxCommand+1), false},
	}
	for _, r := range refused {
		h.broker.send("lintel/attic/"+r.topic, r.payload, r.retain)
	}
	h.broker.send("lintel/nobody/set", `{"relay":true}`, false)
	if got := h.Sticks()[0].Refused; got != uint64(len(refused)) {
		t.Errorf("%d commands were refused, want %d", got, len(refused))
	}
	// Nothing of the refused ones has reached the stick.
	h.broker.send("lintel/attic/set/level", "1", false)
	if far.Scan(); far.Text() != "attic level float64 1" {
		t.Errorf("the stick got %q", far.Text())
	}

	so.unplug()
	h.broker.awaitLast(t, "lintel/attic/availability", "offline")
	h.broker.send("lintel/attic/set/level", "1", false)
	if got := h.Sticks()[0].Refused; got != uint64(len(refused))+1 {
		t.Errorf("%d commands were refused", got)
	}
}

func TestCommandsAreBounded(t *testing.T) {
	st := &stick{commands: make(chan Command, 3)}
	if err := st.pass(make([]Command, 2)); err != nil {
		t.Error(err)
	}
	if err := st.pass(make([]Command, 2)); !errors.Is(err, errTooMany) || len(st.commands) != 2 {
		t.Errorf("%v, %d queued", err, len(st.commands))
	}
}

func FuzzCommand(f *testing.F) {
	for _, seed := range []string{`{"relay":true}`, `{"level":1e400}`, `{"mode":"eco","level":"7"}`, `ON`, `42`, "\xff", `{"restart":{}}`} {
		f.Add("level", []byte(seed))
	}
	d := &device{Device: Device{ID: "a", Properties: lineProperties}, own: "a"}
	f.Fuzz(func(t *testing.T, key string, payload []byte) {
		check := func(c Command) {
			ok := false
			switch v := c.Value.(type) {
			case bool:
				ok = c.Key == "relay" || c.Key == "restart"
			case float64:
				ok = c.Key == "level" && v >= 0 && v <= 100
			case string:
				ok = c.Key == "mode" && (v == "eco" || v == "party")
			}
			if !ok || c.Device != "a" {
				t.Errorf("%q gave %+v", payload, c)
			}
		}
		if commands, err := d.parseObject(payload); err == nil {
			for _, c := range commands {
				check(c)
			}
		}
		if commands, err := d.parseValue(key, payload); err == nil {
			check(commands[0])
		}
	})
}

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

func TestSlowBrokerGetsTheNewest(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: so.path, Protocol: "lines"}}}, quick())
	h.status(so.path, "online", inState(Online))
	h.broker.set(func() { h.broker.held = true })
	const frames = 2000
	for i := range frames {
		so.say(fmt.Sprintf("lines a temperature=%d .", i))
	}
	// All is decoded although the broker takes nothing.
	h.status(so.path, "through", func(st StickStatus) bool { return st.Frames == frames })
	h.broker.set(func() { h.broker.held = false })
	h.broker.awaitLast(t, "lintel/a/state", fmt.Sprintf(`{"temperature":%d}`, frames-1))
	if n := len(h.broker.all("lintel/a/state")); n > 3 {
		t.Errorf("%d states were published", n)
	}
}

func TestFailingBrokerIsTriedAgain(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: so.path, Protocol: "lines"}}}, quick())
	h.status(so.path, "online", inState(Online))
	h.broker.set(func() { h.broker.refuse = errors.New("full") })
	so.say("lines a temperature=1 .")
	h.status(so.path, "heard", func(st StickStatus) bool { return st.Frames == 1 })
	h.broker.set(func() { h.broker.refuse = nil })
	h.broker.awaitLast(t, "lintel/a/availability", "online")
	h.broker.awaitLast(t, "lintel/a/state", `{"temperature":1}`)
}

func TestRepublish(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: so.path, Protocol: "lines"}}}, quick())
	h.status(so.path, "online", inState(Online))
	so.say("lines a temperature=1 .", "lines b humidity=2 .")
	h.broker.awaitLast(t, "lintel/b/state", `{"humidity":2}`)
	if err := h.Republish(t.Context()); err != nil { // what is on its way is there now
		t.Fatal(err)
	}
	topics := []string{"lintel/a/availability", "lintel/a/state", "lintel/b/availability", "lintel/b/state"}
	before := make(map[string]int)
	for _, topic := range topics {
		before[topic] = len(h.broker.all(topic))
	}
	if err := h.Republish(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		if n := len(h.broker.all(topic)) - before[topic]; n != 1 {
			t.Errorf("%s was sent %d times", topic, n)
		}
	}
	h.broker.set(func() { h.broker.held = true })
	if err := h.Republish(canceled()); !errors.Is(err, context.Canceled) {
		t.Errorf("Republish = %v", err)
	}
	h.broker.set(func() { h.broker.held = false })
	h.stop()
	if err := h.Republish(t.Context()); err == nil {
		t.Error("Republish after the end")
	}
}

func TestEndSaysOffline(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{talker()}, Ports: []NamedPort{{Path: so.path, Protocol: "talker"}}}, quick())
	h.status(so.path, "online", inState(Online))
	so.say("talker a temperature=1 .")
	h.broker.awaitLast(t, "lintel/a/availability", "online")
	h.stop()
	if got := last(h.broker.messages, "lintel/a/availability"); got != "offline" {
		t.Errorf("availability is %q", got)
	}
}

// A driver that never ends is left behind, without its port and without a voice.
func TestStubbornDriver(t *testing.T) {
	so := newSocket(t)
	so.plug()
	tm := quick()
	tm.stop = 50 * time.Millisecond
	release := make(chan struct{})
	spoke := make(chan struct{})
	stubborn := Driver{Protocol: "stubborn", Run: func(ctx context.Context, port Port, sink Sink, _ <-chan Command) error {
		sink.Device(Device{ID: "a", Properties: lineProperties})
		<-release
		sink.Reading(Reading{Device: "a", Values: map[string]any{"temperature": 1.0}})
		close(spoke)
		return nil
	}}
	h := startHouse(t, Options{Drivers: []Driver{stubborn}, Ports: []NamedPort{{Path: so.path, Protocol: "stubborn"}}}, tm)
	h.broker.awaitLast(t, "lintel/a/availability", "online")
	h.stop()
	openPort(t, so.path, PortOptions{}) // it is free
	close(release)
	receive(t, spoke, "the driver to speak")
	if st := h.Sticks()[0]; st.Frames != 0 {
		t.Errorf("%+v", st)
	}
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "not-a-tty")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := New(Options{Broker: newRecorder(), Drivers: []Driver{linesDriver("lines")}})
		st := &stick{s: s, id: "x", pinned: NamedPort{Protocol: "lines"}, wake: make(chan struct{}, 1)}
		s.sticks["x"] = st
		ctx, cancel := context.WithCancel(t.Context())
		go st.keep(ctx, hardware.SerialPort{Path: file})
		start := time.Now()
		// Tries after 0, 1, 3, 7, 15, 31, 63 seconds, then every minute.
		for i, at := range []int{0, 1, 3, 7, 15, 31, 63, 123, 183} {
			time.Sleep(time.Until(start.Add(time.Duration(at)*time.Second - time.Millisecond)))
			synctest.Wait()
			if got := s.Sticks()[0].Retries; at > 0 && got != i {
				t.Errorf("before %d s: %d failures, want %d", at, got, i)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if got := s.Sticks()[0]; got.Retries != i+1 || got.State != Failed || !strings.Contains(got.Err, "is not a serial port; the next try is in") {
				t.Errorf("after %d s: %+v, want %d failures", at, got, i+1)
			}
		}
		cancel()
		synctest.Wait()
	})
}

// After a good run the first failure is the first one again.
func TestBackOffIsReset(t *testing.T) {
	_, path := openPTY(t)
	synctest.Test(t, func(t *testing.T) {
		var runs []time.Duration // when each began
		var lasts atomic.Int64
		lasts.Store(int64(time.Second))
		start := time.Now()
		d := Driver{Protocol: "p", Run: func(ctx context.Context, port Port, sink Sink, _ <-chan Command) error {
			runs = append(runs, time.Since(start))
			sink.Device(Device{ID: "a", Properties: lineProperties})
			sink.Reading(Reading{Device: "a", Values: map[string]any{"temperature": 1.0}})
			rest(ctx, time.Duration(lasts.Load()))
			return errors.New("broken")
		}}
		s := New(Options{Broker: newRecorder(), Drivers: []Driver{d}})
		ctx, cancel := context.WithCancel(t.Context())
		st := s.remember(ctx, "x")
		st.pinned = NamedPort{Protocol: "p"}
		go st.keep(ctx, hardware.SerialPort{Path: path})
		time.Sleep(12 * time.Second) // runs at 0, 2, 5, 10
		lasts.Store(int64(2 * time.Minute))
		time.Sleep(150 * time.Second) // at 19 for two minutes, then at 140
		cancel()
		synctest.Wait()
		var seconds []int
		for _, r := range runs {
			seconds = append(seconds, int(r.Seconds()))
		}
		if want := []int{0, 2, 5, 10, 19, 140}; !slices.Equal(seconds, want) {
			t.Errorf("runs began at %v s, want %v", seconds, want)
		}
		s.publishers.Wait()
	})
}

func TestQuietDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Broker: newRecorder()})
		ctx, cancel := context.WithCancel(t.Context())
		st := s.remember(ctx, "x")
		k := &sink{st: st}
		st.current = k
		go s.sweep(ctx)
		for _, id := range []string{"fast", "slow", "once", "burst"} {
			k.Device(Device{ID: id, Properties: lineProperties})
		}
		k.Device(Device{ID: "never", Properties: []Property{{Key: "press", Kind: Button}}})
		say := func(id string) { k.Reading(Reading{Device: id, Values: map[string]any{"temperature": 1.0}}) }
		say("once")
		for range 61 {
			say("slow")
			for range 60 {
				say("fast")
				time.Sleep(time.Second)
			}
		}
		say("slow")
		say("fast")
		say("burst")
		time.Sleep(30 * time.Second)
		say("burst")
		for range 5 {
			say("burst") // nothing is known of it for an hour
		}
		online := func() (ids []string) {
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			for id, d := range s.devices {
				if d.online {
					ids = append(ids, id)
				}
			}
			slices.Sort(ids)
			return ids
		}
		start := time.Now().Add(-30 * time.Second)
		for _, step := range []struct {
			at   time.Duration // since fast and slow spoke last
			want []string
		}{
			{59 * time.Second, []string{"burst", "fast", "never", "slow"}},
			{66 * time.Second, []string{"burst", "never", "slow"}}, // at least a minute
			{100 * time.Second, []string{"burst", "never", "slow"}},
			{299 * time.Second, []string{"burst", "never", "slow"}},
			{306 * time.Second, []string{"burst", "never"}}, // five times its minute
			{time.Hour + 40*time.Second, []string{"never"}},
		} {
			time.Sleep(time.Until(start.Add(step.at)))
			if got := online(); !slices.Equal(got, step.want) {
				t.Errorf("after %v: online are %v, want %v", step.at, got, step.want)
			}
		}
		say("fast")
		if got := online(); !slices.Equal(got, []string{"fast", "never"}) {
			t.Errorf("online are %v", got)
		}
		cancel()
		s.publishers.Wait()
	})
}

// The meter of two sticks belongs to the one that heard it last.
func TestDeviceBehindTwoSticks(t *testing.T) {
	a, b := newSocket(t), newSocket(t)
	a.plug()
	b.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: a.path, Protocol: "lines"}, {Path: b.path, Protocol: "lines"}}}, quick())
	h.status(a.path, "online", inState(Online))
	h.status(b.path, "online", inState(Online))
	a.say("lines m temperature=1 .")
	h.broker.awaitLast(t, "lintel/m/state", `{"temperature":1}`)
	b.say("lines m temperature=2 .")
	h.broker.awaitLast(t, "lintel/m/state", `{"temperature":2}`)
	a.unplug()
	h.status(a.path, "waiting", inState(Waiting))
	b.say("lines m temperature=3 .")
	h.broker.awaitLast(t, "lintel/m/state", `{"temperature":3}`)
	if got := h.broker.all("lintel/m/availability"); len(got) != 1 {
		t.Errorf("availability was said %d times", len(got))
	}
	b.unplug()
	h.broker.awaitLast(t, "lintel/m/availability", "offline")
}

// A stick has an availability of its own, which goes with it, and its devices know
// which one it is.
func TestStickSaysWhetherItIsThere(t *testing.T) {
	a, b := newSocket(t), newSocket(t)
	a.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: a.path, Protocol: "lines"}, {Path: b.path, Protocol: "lines"}}}, quick())
	id := func(path string) string {
		return h.status(path, "there", func(StickStatus) bool { return true }).Device
	}
	topic := "lintel/" + id(a.path) + "/availability"
	h.broker.awaitLast(t, topic, "online")
	h.broker.awaitLast(t, "lintel/"+id(b.path)+"/availability", "offline")
	a.say("lines m temperature=1 .")
	h.broker.awaitLast(t, "lintel/m/availability", "online")
	if got := h.Devices()[0].Stick; got != id(a.path) {
		t.Errorf("the stick of the device is %q, want %q", got, id(a.path))
	}
	a.unplug()
	h.broker.awaitLast(t, topic, "offline")
	h.broker.awaitLast(t, "lintel/m/availability", "offline")
	b.plug()
	h.status(b.path, "online", inState(Online))
	b.say("lines m temperature=2 .")
	h.broker.awaitLast(t, "lintel/m/availability", "online")
	if got := h.Devices()[0].Stick; got != id(b.path) {
		t.Errorf("the stick of the device is %q, want %q", got, id(b.path))
	}
	a.plug()
	h.broker.awaitLast(t, topic, "online")
	for _, m := range h.broker.all(topic) {
		if !m.Retain {
			t.Error("the availability of a stick is not retained")
		}
	}
}

func TestForget(t *testing.T) {
	a := newSocket(t)
	a.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: a.path, Protocol: "lines"}}}, quick())
	id := h.status(a.path, "online", inState(Online)).Device
	if err := h.Forget(id); err == nil || !strings.Contains(err.Error(), "configuration") {
		t.Errorf("one that the configuration names: %v", err)
	}
	if err := h.Forget("stick_never_seen"); err != nil {
		t.Errorf("one that nobody knows: %v", err)
	}
	h.mu.Lock()
	st := h.remember(t.Context(), "0403:6015:VE1A2B3C:00")
	st.cancel = func() {}
	h.mu.Unlock()
	if err := h.Forget(st.deviceID()); err == nil || !strings.Contains(err.Error(), "unplug it") {
		t.Errorf("one that is plugged in: %v", err)
	}
	h.mu.Lock()
	st.cancel = nil
	h.mu.Unlock()
	if err := h.Forget(st.deviceID()); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
	if sticks := h.Sticks(); len(sticks) != 1 || sticks[0].ID != a.path {
		t.Errorf("left: %+v", sticks)
	}
}

func TestSticksAreForgotten(t *testing.T) {
	s := New(Options{Broker: newRecorder(), Root: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 3 * maxSticks {
		s.reconcile(ctx, ctx, []hardware.SerialPort{
			{Path: "/nowhere/ttyUSB0", VendorID: "dead", ProductID: "beef", Serial: fmt.Sprint("S", i)},
			{Path: "/nowhere/ttyUSB1", VendorID: "0403", ProductID: "6001", Serial: "same", PortPath: "1-1"},
			{Path: "/nowhere/ttyUSB2", VendorID: "0403", ProductID: "6001", Serial: "same", PortPath: "1-2"},
		})
	}
	sticks := s.Sticks()
	if len(sticks) != maxSticks || len(s.wanted) != maxSticks {
		t.Errorf("%d sticks are remembered", len(sticks))
	}
	ids := make(map[string]bool)
	for _, st := range sticks {
		ids[st.ID] = true
	}
	for _, id := range []string{fmt.Sprintf("dead:beef:S%d:", 3*maxSticks-1), "0403:6001:same:", "0403:6001:same:@1-2"} {
		if !ids[id] {
			t.Errorf("%s is forgotten", id)
		}
	}
	cancel()
	s.keepers.Wait()
	s.publishers.Wait()
}

func TestRunWithoutBroker(t *testing.T) {
	s := New(Options{Broker: deafBroker{}})
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "subscribe to the topics of devices: closed") {
		t.Errorf("Run = %v", err)
	}
}

type deafBroker struct{}

func (deafBroker) Publish(context.Context, mqtt.Message) error { return errors.New("closed") }
func (deafBroker) Subscribe(context.Context, string, mqtt.SubscriptionOptions, func(mqtt.Message)) error {
	return errors.New("closed")
}

// A power cut leaves "online" retained. Whoever is not there any more when the
// box comes back must not stay online for ever.
func TestLeftOnline(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: so.path, Protocol: "lines"}}}, quick())
	h.status(so.path, "online", inState(Online))
	so.say("lines attic temperature=1 .")
	h.broker.awaitLast(t, "lintel/attic/availability", "online")

	var retained func(mqtt.Message)
	h.broker.set(func() { retained = h.broker.handle["lintel/+/availability"] })
	for _, id := range []string{"gone", "attic", "gateway"} {
		retained(mqtt.Message{Topic: "lintel/" + id + "/availability", Payload: []byte("online"), QoS: 1, Retain: true})
	}
	retained(mqtt.Message{Topic: "lintel/live/availability", Payload: []byte("online"), QoS: 1})
	h.broker.awaitLast(t, "lintel/gone/availability", "offline")
	for _, id := range []string{"attic", "gateway", "live"} {
		for _, m := range h.broker.all("lintel/" + id + "/availability") {
			if string(m.Payload) == "offline" {
				t.Errorf("said offline for %s", id)
			}
		}
	}
}

// A stick that is known and not spoken with is not opened, and its owner is told
// what to do.
func TestAdvice(t *testing.T) {
	u := usbRoot{t, t.TempDir()}
	u.plug("ttyUSB0", "X")
	zwave := Driver{Protocol: "zwave", Match: func(hardware.SerialPort) Confidence { return Sure }, Advice: "use something else"}
	h := startHouse(t, Options{Root: u.root, Drivers: []Driver{linesDriver("lines"), zwave}}, quick())
	if st := h.status("0403:6001:X:00", "unknown", inState(Unknown)); !strings.Contains(st.Err, "use something else") {
		t.Errorf("%+v", st)
	}
}

// A stick whose protocol is set is known by its own id, wherever it is plugged in.
func TestPinnedStick(t *testing.T) {
	u := usbRoot{t, t.TempDir()}
	far := u.plug("ttyUSB0", "X")
	pinned := linesDriver("pinned")
	h := startHouse(t, Options{Root: u.root, Drivers: []Driver{linesDriver("lines")},
		Ports: []NamedPort{{Stick: "0403:6001:Y:00", Protocol: "lines"}, {Stick: "0403:6001:X:00", Driver: &pinned}}}, quick())
	st := h.status("0403:6001:X:00", "online", inState(Online))
	if st.Protocol != "pinned" || st.Evidence != byUser || st.USB.Serial != "X" {
		t.Errorf("%+v", st)
	}
	if _, err := far.WriteString("pinned a temperature=1 .\n"); err != nil {
		t.Fatal(err)
	}
	h.broker.awaitLast(t, "lintel/a/state", `{"temperature":1}`)
	if n := len(h.Sticks()); n != 1 {
		t.Errorf("%d sticks, want 1", n)
	}
}

// What any bytes would do for, or what has to be asked, is never taken for granted.
func TestDriverForWhoeverChoosesIt(t *testing.T) {
	so := newSocket(t)
	so.plug()
	chosen := linesDriver("lines")
	chosen.Match = nil
	h := startHouse(t, Options{Drivers: []Driver{chosen}, Ports: []NamedPort{{Path: so.path}}}, quick())
	if st := h.status(so.path, "unknown", inState(Unknown)); !strings.Contains(st.Err, "set its protocol (lines)") {
		t.Errorf("Err is %q", st.Err)
	}
	h.stop()
	h = startHouse(t, Options{Drivers: []Driver{chosen}, Ports: []NamedPort{{Path: so.path, Protocol: "lines"}}}, quick())
	h.status(so.path, "online", inState(Online))
}
