package serialbridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"lintel/gateway/mqtt"
	"lintel/serialbridge/journey"
)

const (
	maxCommand = 16 << 10 // bytes of a message on a set topic

	// queuedCommands wait for a driver. Who sends more at once does not get
	// what he expects anyway.
	queuedCommands = 16
)

var (
	errRetained  = errors.New("a retained command is of the past: publish it without the retain flag")
	errDeaf      = errors.New("the stick takes no commands now")
	errTooMany   = errors.New("too many commands at once")
	errLongValue = fmt.Errorf("longer than %d bytes", maxCommand)
)

// command takes a message on a set topic: BASE/DEVICE/set with a JSON object,
// or BASE/DEVICE/set/KEY with a bare value.
func (s *Supervisor) command(m mqtt.Message) {
	rest, _ := strings.CutPrefix(m.Topic, s.o.BaseTopic+"/")
	id, rest, _ := strings.Cut(rest, "/")
	_, key, single := strings.Cut(rest, "/")

	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[id]
	if d == nil {
		s.log.Debug("command for an unknown device", "topic", m.Topic)
		return
	}
	var commands []Command
	var err error
	switch {
	case m.Retain:
		// It was meant for the moment it was sent, not for each start.
		err = errRetained
	case single:
		commands, err = d.parseValue(key, m.Payload)
	default:
		commands, err = d.parseObject(m.Payload)
	}
	if err == nil {
		if m.Trace != 0 {
			s.o.Journeys.Tell(m.Trace, commanded(commands))
		}
		err = d.owner.follow(m.Trace, commands)
	}
	if err != nil {
		s.o.Journeys.Tell(m.Trace, journey.Stage{Kind: journey.Failed, Detail: err.Error()})
		d.owner.refused++
		s.log.Warn("command refused", "topic", m.Topic, "device", id, "err", err)
	}
}

// parseObject reads the JSON object of a set topic. It is taken as a whole or
// not at all.
func (d *device) parseObject(payload []byte) ([]Command, error) {
	if len(payload) > maxCommand {
		return nil, errLongValue
	}
	var object map[string]any
	if err := json.Unmarshal(payload, &object); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if len(object) == 0 {
		return nil, errors.New("says nothing to be done")
	}
	var commands []Command
	for _, key := range slices.Sorted(maps.Keys(object)) {
		c, err := d.check(key, object[key])
		if err != nil {
			return nil, err
		}
		commands = append(commands, c)
	}
	return commands, nil
}

// parseValue reads the bare value of a set topic that ends in a key.
func (d *device) parseValue(key string, payload []byte) ([]Command, error) {
	if len(payload) > maxCommand {
		return nil, errLongValue
	}
	if d.isRaw(key) {
		return []Command{{Device: d.own, Key: key, Value: bytes.Clone(payload)}}, nil
	}
	c, err := d.check(key, string(bytes.TrimSpace(payload)))
	if err != nil {
		return nil, err
	}
	return []Command{c}, nil
}

// check gives a value the type of its property: bool for a Switch, float64 for a
// Setting, one of the Options for a Choice, true for a Button, []byte for a Raw, an
// object for a kind that is several things in one. Text is taken for all of them,
// since a bare value has no type.
func (d *device) check(key string, value any) (Command, error) {
	i := slices.IndexFunc(d.Properties, func(p Property) bool { return p.Key == key })
	if i < 0 {
		return Command{}, fmt.Errorf("%q is no property of the device", cleanText(key))
	}
	p := &d.Properties[i]
	c := Command{Device: d.own, Key: key}
	text, isText := value.(string)
	switch p.Kind {
	case Switch:
		on, ok := value.(bool)
		switch strings.ToLower(text) {
		case "on", "true":
			on, ok = true, true
		case "off", "false":
			on, ok = false, true
		}
		if !ok {
			return c, fmt.Errorf("%s: neither true nor false, ON nor OFF", key)
		}
		c.Value = on
	case Setting:
		number, ok := value.(float64)
		if isText {
			var err error
			number, err = strconv.ParseFloat(text, 64)
			ok = err == nil
		}
		if !ok || math.IsNaN(number) || math.IsInf(number, 0) {
			return c, fmt.Errorf("%s: not a number", key)
		}
		if p.Min < p.Max && (number < p.Min || number > p.Max) {
			return c, fmt.Errorf("%s: not between %v and %v", key, p.Min, p.Max)
		}
		c.Value = number
	case Choice:
		if !isText || !slices.Contains(p.Options, text) {
			return c, fmt.Errorf("%s: none of %s", key, strings.Join(p.Options, ", "))
		}
		c.Value = text
	case Button:
		c.Value = true
	case Raw:
		if !isText {
			return c, fmt.Errorf("%s: not a text", key)
		}
		c.Value = []byte(text)
	case Text:
		if !isText || !utf8.ValidString(text) {
			return c, fmt.Errorf("%s: not a text", key)
		}
		if n := float64(utf8.RuneCountInString(text)); p.Min < p.Max && (n < p.Min || n > p.Max) || len(text) > maxText {
			return c, fmt.Errorf("%s: not of %v to %v characters", key, p.Min, p.Max)
		}
		c.Value = text
	case Update:
		if text != "install" {
			return c, fmt.Errorf("%s: all that can be done is install", key)
		}
		c.Value = text
	default:
		if members := p.members(); members != nil {
			object, err := members.command(value)
			if err != nil {
				return c, fmt.Errorf("%s: %w", key, err)
			}
			c.Value = object
			return c, nil
		}
		return c, fmt.Errorf("%s cannot be commanded", key)
	}
	return c, nil
}

func (d *device) isRaw(key string) bool {
	return slices.ContainsFunc(d.Properties, func(p Property) bool { return p.Key == key && p.Kind == Raw })
}

// pass gives commands to the driver that runs on the stick.
func (st *stick) pass(commands []Command) error {
	if st.commands == nil {
		return errDeaf
	}
	// Only pass sends, under the lock, and receiving makes only more room.
	if cap(st.commands)-len(st.commands) < len(commands) {
		return errTooMany
	}
	for _, c := range commands {
		st.commands <- c
	}
	return nil
}
