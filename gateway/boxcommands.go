package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/broker"
	"lintel/gateway/homeassistant"
	"lintel/gateway/mqtt"
	"lintel/hardware"
	"lintel/serialbridge"
)

// ErrRestart is how Run ends when somebody has asked for a restart. Who started the
// program is to start it again.
var ErrRestart = errors.New("somebody has asked for a restart")

// errRetained is said of a command that was meant for the moment it was sent, not for each
// start.
var errRetained = errors.New("a retained command is of the past: publish it without the retain flag")

const (
	// restartLeast is how long the house runs at least before it is restarted: whoever
	// presses a button again and again must not keep it from its work.
	restartLeast = time.Minute
	backupLeast  = time.Minute // between two backups that are asked for: each is written to the card

	identifyTime   = 15 * time.Second
	permitJoinTime = 240 * time.Second // what the page gives, too
	permitJoinStep = 10 * time.Second  // in which the time left is told

	maxBoxCommand    = 1 << 10 // bytes of a message
	queuedBoxCommand = 8
	commandTime      = 30 * time.Second // that the Zigbee stick may take
)

// boxCommands does what is asked of the box on its topic …/gateway/set: a JSON object of
// the keys of homeassistant.BoxDevice that can be commanded.
type boxCommands struct {
	g            *gateway
	client       *broker.Client
	queue        chan serialbridge.Command
	started      time.Time
	restartLeast time.Duration

	mu       sync.Mutex
	busy     map[string]bool // what is being done and takes its time
	backedUp time.Time       // when somebody asked for it last
	refused  uint64
	last     string // what became of the last command, for a person
}

func newBoxCommands(g *gateway, client *broker.Client) *boxCommands {
	c := &boxCommands{g: g, client: client, queue: make(chan serialbridge.Command, queuedBoxCommand),
		started: time.Now(), restartLeast: restartLeast, busy: make(map[string]bool), last: "none"}
	if g.o.restartLeast > 0 {
		c.restartLeast = g.o.restartLeast
	}
	return c
}

// run does what is asked until ctx ends, or returns ErrRestart.
func (c *boxCommands) run(ctx context.Context) error {
	set := c.g.config.Serial.BaseTopic + "/" + homeassistant.GatewayID + "/set"
	if err := c.client.Subscribe(ctx, set, mqtt.RetainAsPublished|1, c.take); err != nil {
		return fmt.Errorf("subscribe to %s: %w", set, err)
	}
	if c.g.zigbee != nil {
		info := c.g.config.Zigbee.BaseTopic + "/bridge/info"
		if err := c.client.Subscribe(ctx, info, 0, c.lookAtZigbee); err != nil {
			return fmt.Errorf("subscribe to %s: %w", info, err)
		}
	}
	doing, ctx := errgroup.WithContext(ctx)
	doing.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case command := <-c.queue:
				if command.Key == homeassistant.RestartKey {
					if err := c.restart(); err != nil {
						c.refuse(err)
						continue
					}
					return ErrRestart
				}
				c.begin(ctx, doing, command)
			}
		}
	})
	return doing.Wait()
}

// begin has a command done in a goroutine of its own, if the same is not being done.
func (c *boxCommands) begin(ctx context.Context, doing *errgroup.Group, command serialbridge.Command) {
	c.mu.Lock()
	busy := c.busy[command.Key]
	c.busy[command.Key] = true
	c.mu.Unlock()
	if busy {
		c.refuse(fmt.Errorf("%s: that is being done", command.Key))
		return
	}
	doing.Go(func() error {
		err := c.do(ctx, command)
		c.mu.Lock()
		delete(c.busy, command.Key)
		c.mu.Unlock()
		switch {
		case ctx.Err() != nil:
		case err != nil:
			c.refuse(fmt.Errorf("%s: %w", command.Key, err))
		default:
			c.say(command.Key + ": done")
		}
		return nil
	})
}

func (c *boxCommands) do(ctx context.Context, command serialbridge.Command) error {
	switch command.Key {
	case homeassistant.BackupKey:
		return c.backUp(ctx)
	case homeassistant.IdentifyKey:
		led, ok := hardware.FindLED(c.g.o.Root)
		if !ok {
			return errors.New("this box has no light that it could make blink")
		}
		return led.Blink(ctx, identifyTime)
	case homeassistant.PermitJoinKey:
		return c.permitJoin(ctx, command.Value == true)
	}
	return errors.New("the box does not know how") // take has not let it pass
}

// restart says whether the house may be restarted now.
func (c *boxCommands) restart() error {
	if left := c.restartLeast - time.Since(c.started); left > 0 {
		return fmt.Errorf("restart: the box was started just now, ask again in %v", left.Round(time.Second)+time.Second)
	}
	c.g.log.Info("restart, as asked")
	return nil
}

func (c *boxCommands) backUp(ctx context.Context) error {
	c.mu.Lock()
	since := time.Since(c.backedUp)
	if c.backedUp.IsZero() || since >= backupLeast {
		since, c.backedUp = backupLeast, time.Now()
	}
	c.mu.Unlock()
	if since < backupLeast {
		return fmt.Errorf("there was one just now, ask again in %v", (backupLeast-since).Round(time.Second)+time.Second)
	}
	if err := c.g.store.BackUpNow(ctx); err != nil {
		return err
	}
	c.g.vitals.lookAtBackups()
	return nil
}

func (c *boxCommands) permitJoin(ctx context.Context, open bool) error {
	if c.g.zigbee == nil {
		return errors.New("this box has no Zigbee network")
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	duration := permitJoinTime
	if !open {
		duration = 0
	}
	return c.g.zigbee.Permit(ctx, duration)
}

// lookAtZigbee is called when the Zigbee bridge tells of itself: the network has come up,
// was opened or closed. What it says is not taken from there, since others may publish on
// that topic too.
func (c *boxCommands) lookAtZigbee(mqtt.Message) {
	_, _, running := c.g.zigbee.current().Network().Info()
	if running && !c.g.hasZigbee.Swap(true) && c.g.publisher != nil {
		c.g.publisher.Device(homeassistant.BoxDevice(c.g.boxNow()))
	}
	c.g.zigbee.tellOfBridge()
	c.g.boxState.Changed()
}

// take takes a message on the topic of commands.
func (c *boxCommands) take(m mqtt.Message) {
	commands, err := c.parse(m)
	if err == nil && cap(c.queue)-len(c.queue) < len(commands) {
		err = errors.New("too many commands at once")
	}
	if err != nil {
		c.refuse(err)
		return
	}
	for _, command := range commands {
		c.queue <- command // only take sends, so there is room
	}
}

// parse reads a message. It is taken as a whole or not at all.
func (c *boxCommands) parse(m mqtt.Message) ([]serialbridge.Command, error) {
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
	properties := homeassistant.BoxDevice(c.g.boxNow()).Properties
	var commands []serialbridge.Command
	for _, key := range slices.Sorted(maps.Keys(object)) {
		i := slices.IndexFunc(properties, func(p serialbridge.Property) bool { return p.Key == key })
		value, isBool := object[key].(bool)
		switch {
		case i < 0 || properties[i].Kind != serialbridge.Button && properties[i].Kind != serialbridge.Switch:
			return nil, fmt.Errorf("%q is nothing that this box can be told", printable(key))
		case !isBool || properties[i].Kind == serialbridge.Button && !value:
			return nil, fmt.Errorf("%s: neither true nor, if it is a switch, false", key)
		}
		commands = append(commands, serialbridge.Command{Device: homeassistant.GatewayID, Key: key, Value: value})
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

// refuse counts a command and says why it was not done.
func (c *boxCommands) refuse(err error) {
	c.mu.Lock()
	c.refused++
	c.mu.Unlock()
	c.g.log.Warn("command of the box refused", "err", err)
	c.say(err.Error())
}

func (c *boxCommands) say(text string) {
	const longest = 255 // of a state in Home Assistant
	text = strings.ToValidUTF8(text, "?")
	c.mu.Lock()
	c.last = strings.ToValidUTF8(text[:min(len(text), longest)], "")
	c.mu.Unlock()
	c.g.boxState.Changed()
}

// tell adds what became of commands to the state of the box.
func (c *boxCommands) tell(values map[string]any) {
	c.mu.Lock()
	values["last_command"], values["commands_refused"] = c.last, c.refused
	c.mu.Unlock()
	if c.g.zigbee == nil {
		return
	}
	left := time.Until(c.g.zigbee.current().Network().PermitJoinEnd())
	values[homeassistant.PermitJoinKey] = left > 0
	// The end of the step that it is in.
	values[homeassistant.PermitJoinSeconds] = max(0, int((left+permitJoinStep-1)/permitJoinStep)*int(permitJoinStep/time.Second))
}
