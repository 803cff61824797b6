package serialbridge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

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
