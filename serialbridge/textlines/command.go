package textlines

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"lintel/serialbridge"
)

// run hears a board and tells it what is wanted, until ctx ends or the port fails.
func run(ctx context.Context, port serialbridge.Port, d *decoder, commands <-chan serialbridge.Command) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.announceListeners()
	incoming := serialbridge.Hear(ctx, port)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case h := <-incoming:
			d.Decode(h.Data, time.Now())
			if h.Err != nil {
				return h.Err
			}
		case c := <-commands:
			text, told, ok := d.command(c)
			if !ok {
				continue
			}
			if _, err := port.Write([]byte(text)); err != nil {
				return err
			}
			if !told {
				d.sink.Reading(serialbridge.Reading{Device: c.Device, Time: time.Now(), Values: map[string]any{c.Key: c.Value}})
			}
		}
	}
}

// listens reports whether the device takes commands.
func (dev device) listens() bool {
	return slices.ContainsFunc(dev.properties, func(p property) bool { return p.command != "" })
}

// announceListeners announces the devices that take commands before they said a word,
// which some never do. Those whose ID is in the data have to speak first.
func (d *decoder) announceListeners() {
	for i := range d.layout.devices {
		dev := &d.layout.devices[i]
		if dev.listens() && dev.idFrom == nil && d.known[dev.template.ID] == nil {
			d.announce(dev.template.ID, d.learn(dev.template.ID, "", dev))
		}
	}
}

// command returns the text that does what is wanted, and whether the board will tell
// what became of it: if not, what was wanted is what is known.
func (d *decoder) command(c serialbridge.Command) (text string, told, ok bool) {
	k := d.known[c.Device]
	if k == nil || !k.announced {
		return "", false, false
	}
	i := slices.IndexFunc(k.device.properties, func(p property) bool { return p.Key == c.Key })
	if i < 0 || k.device.properties[i].command == "" {
		return "", false, false
	}
	p := &k.device.properties[i]
	value, ok := p.text(c.Value)
	told = p.from != nil || p.Kind == serialbridge.Button || p.Kind == serialbridge.Raw
	// One pass, so that what a value holds is not replaced in turn.
	return strings.NewReplacer("%s", value, "%i", k.text, "%%", "%").Replace(p.command), told, ok
}

// text returns a value as the board wants it.
func (p *property) text(value any) (string, bool) {
	switch v := value.(type) {
	case bool:
		switch {
		case p.Kind == serialbridge.Button:
			return "", true
		case p.Kind != serialbridge.Switch:
			return "", false
		case v:
			return p.on[0], true
		}
		return p.off[0], true
	case float64:
		if p.Kind != serialbridge.Setting || !(v >= p.Property.Min && v <= p.Property.Max) {
			return "", false
		}
		return p.scaling.text(v), true
	case string:
		if p.Kind == serialbridge.Text { // on one line: what follows an end would be a command of its own
			return v, len(v) <= maxText && !strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) })
		}
		return v, p.Kind == serialbridge.Choice && slices.Contains(p.Options, v)
	case []byte:
		return string(v), p.Kind == serialbridge.Raw
	}
	return "", false
}
