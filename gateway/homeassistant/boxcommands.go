package homeassistant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"lintel/gateway/mqtt"
	"lintel/serialbridge"
)

const (
	maxBoxCommand    = 1 << 10 // bytes of a message
	queuedBoxCommand = 8
	maxSaid          = 255 // bytes: a state in Home Assistant has no more
)

// BoxCommandsOptions are the options of [NewBoxCommands].
type BoxCommandsOptions struct {
	Broker    serialbridge.Broker
	BaseTopic string     // empty is "lintel"
	Box       func() Box // as it is now: what its device has can be commanded

	// Do does a command, by its key. on is what a switch is to be. It may take its time; the same
	// is not done twice at a time.
	Do map[string]func(ctx context.Context, on bool) error

	Changed func()       // is called when Tell tells something else; it does not block
	Logger  *slog.Logger // nil: silent
}

// BoxCommands takes what is asked of the box on its topic BASE/gateway/set: a JSON object of the keys
// of [BoxDevice] that can be commanded.
type BoxCommands struct {
	o     BoxCommandsOptions
	log   *slog.Logger
	queue chan serialbridge.Command

	mu      sync.Mutex
	busy    map[string]bool // what is being done
	refused uint64
	last    string // what became of the last command, for a person
}

// NewBoxCommands returns a BoxCommands that does nothing until Run.
func NewBoxCommands(o BoxCommandsOptions) *BoxCommands {
	c := &BoxCommands{o: o, log: o.Logger, queue: make(chan serialbridge.Command, queuedBoxCommand), busy: make(map[string]bool), last: "none"}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Run does what is asked until ctx ends.
func (c *BoxCommands) Run(ctx context.Context) error {
	set := Options{BaseTopic: c.o.BaseTopic}.topic(GatewayID, "set")
	if err := c.o.Broker.Subscribe(ctx, set, mqtt.RetainAsPublished|1, c.take); err != nil {
		return fmt.Errorf("subscribe to %s: %w", set, err)
	}
	var doing sync.WaitGroup
	defer doing.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case command := <-c.queue:
			c.begin(ctx, &doing, command)
		}
	}
}

// begin has a command done in a goroutine of its own, if the same is not being done.
func (c *BoxCommands) begin(ctx context.Context, doing *sync.WaitGroup, command serialbridge.Command) {
	c.mu.Lock()
	busy := c.busy[command.Key]
	c.busy[command.Key] = true
	c.mu.Unlock()
	if busy {
		c.Refuse(fmt.Errorf("%s: that is being done", command.Key))
		return
	}
	doing.Go(func() {
		err := c.o.Do[command.Key](ctx, command.Value == true)
		c.mu.Lock()
		delete(c.busy, command.Key)
		c.mu.Unlock()
		switch {
		case ctx.Err() != nil:
		case err != nil:
			c.Refuse(fmt.Errorf("%s: %w", command.Key, err))
		default:
			c.say(command.Key + ": done")
		}
	})
}

// take takes a message on the topic of commands.
func (c *BoxCommands) take(m mqtt.Message) {
	commands, err := c.parse(m)
	if err == nil && cap(c.queue)-len(c.queue) < len(commands) {
		err = errors.New("too many commands at once")
	}
	if err != nil {
		c.Refuse(err)
		return
	}
	for _, command := range commands {
		c.queue <- command // only take sends, so there is room
	}
}

// parse reads a message. It is taken as a whole or not at all.
func (c *BoxCommands) parse(m mqtt.Message) ([]serialbridge.Command, error) {
	if m.Retain {
		return nil, errRetained
	}
	if len(m.Payload) > maxBoxCommand {
		return nil, fmt.Errorf("a command is not longer than %d bytes", maxBoxCommand)
	}
	var object map[string]any
	if err := json.Unmarshal(bytes.TrimSpace(m.Payload), &object); err != nil || len(object) == 0 {
		return nil, errors.New(`a command is a JSON object such as {"identify":true}`)
	}
	properties := BoxDevice(c.o.Box()).Properties
	var commands []serialbridge.Command
	for _, key := range slices.Sorted(maps.Keys(object)) {
		i := slices.IndexFunc(properties, func(p serialbridge.Property) bool { return p.Key == key })
		value, isBool := object[key].(bool)
		switch {
		case i < 0 || c.o.Do[key] == nil:
			return nil, fmt.Errorf("%q is nothing that this box can be told", printable(key))
		case !isBool || properties[i].Kind == serialbridge.Button && !value:
			return nil, fmt.Errorf("%s: neither true nor, if it is a switch, false", key)
		}
		commands = append(commands, serialbridge.Command{Device: GatewayID, Key: key, Value: value})
	}
	return commands, nil
}

// printable bounds what a stranger has said.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 40)]
}

// Refuse counts a command and says why it was not done. It may be called from any goroutine.
func (c *BoxCommands) Refuse(err error) {
	c.mu.Lock()
	c.refused++
	c.mu.Unlock()
	c.log.Warn("command of the box refused", "err", err)
	c.say(err.Error())
}

func (c *BoxCommands) say(text string) {
	c.mu.Lock()
	c.last = said(text)
	c.mu.Unlock()
	c.o.Changed()
}

// said is a text as far as it fits into a state.
func said(text string) string {
	text = strings.ToValidUTF8(text, "?")
	return strings.ToValidUTF8(text[:min(len(text), maxSaid)], "")
}

// Tell adds what became of commands to the state of the box.
func (c *BoxCommands) Tell(values map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	values["last_command"], values["commands_refused"] = c.last, c.refused
}
