package z2m

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge/journey"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
	"lintel/serialbridge/zigbee/zcl"
)

// maxPayload is how long a command or a request may be. A firmware image is the longest.
const maxPayload = 4 << 20

// incoming takes a message from the broker or a front end. number is that of its journey; 0:
// nobody follows it.
func (b *Bridge) incoming(topic string, payload []byte, number uint64) {
	name, ok := strings.CutPrefix(topic, b.base+"/")
	if !ok {
		return
	}
	if len(payload) > maxPayload {
		b.log.Error("a message is too long and was ignored", "topic", topic, "bytes", len(payload))
		return
	}
	if request, ok := strings.CutPrefix(name, "bridge/request/"); ok {
		b.received.Add(1)
		b.request(request, payload)
		return
	}
	if strings.HasPrefix(name, "bridge") {
		return
	}
	if c, ok := parseCommandTopic(name); ok {
		b.received.Add(1)
		b.command(c, payload, number)
	}
}

// commandTopic is a topic of set or get.
type commandTopic struct {
	name      string // of the device, and maybe of an endpoint after it
	get       bool
	attribute string
}

// parseCommandTopic takes NAME/set, NAME/get, and either with /ATTRIBUTE. The first set
// or get ends the name.
func parseCommandTopic(topic string) (c commandTopic, ok bool) {
	for i := 1; i < len(topic); {
		slash := strings.IndexByte(topic[i:], '/')
		if slash < 0 {
			return c, false
		}
		slash += i
		word, attribute, more := strings.Cut(topic[slash+1:], "/")
		if (word == "set" || word == "get") && (!more || attribute != "") {
			return commandTopic{topic[:slash], word == "get", attribute}, true
		}
		i = slash + 1
	}
	return c, false
}

// words are what may stand alone instead of an object.
var words = []string{"on", "off", "toggle", "open", "close", "stop", "lock", "unlock"}

// parse reads what is to be set or got.
func (c commandTopic) parse(payload []byte) (map[string]any, error) {
	v, err := decode(payload)
	if c.attribute != "" {
		if err != nil {
			v = string(payload)
		}
		return map[string]any{c.attribute: numbers(v)}, nil
	}
	if o, ok := v.(map[string]any); ok && err == nil {
		numbers(o)
		return o, nil
	}
	if text := string(payload); slices.Contains(words, strings.ToLower(text)) && !c.get {
		return map[string]any{"state": text}, nil
	}
	return nil, fmt.Errorf("Invalid message '%.100s', skipping: it is no JSON object", payload)
}

// command has a set or a get done.
func (b *Bridge) command(c commandTopic, payload []byte, number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name, endpoint := c.name, ""
	e, ok := b.resolve(name)
	if !ok {
		if i := strings.LastIndexByte(name, '/'); i > 0 {
			name, endpoint = name[:i], name[i+1:]
			e, ok = b.resolve(name)
		}
	}
	if !ok || e.device == nil && e.group == nil {
		b.refuse(number, fmt.Sprintf("Entity '%s' is unknown", c.name))
		return
	}
	of := uint8(0)
	if d := e.device; d != nil {
		if d.definition == nil {
			b.refuse(number, fmt.Sprintf("Cannot publish to unsupported device '%s'", d.name()))
			return
		}
		if endpoint != "" {
			target := d.endpoint(endpoint)
			if target == nil {
				b.refuse(number, fmt.Sprintf("Device '%s' has no endpoint '%s'", d.name(), endpoint))
				return
			}
			of = target.ID
		}
	}
	message, err := c.parse(payload)
	if err != nil {
		b.refuse(number, err.Error())
		return
	}
	id := e.id()
	if number != 0 {
		b.journeys().Tell(number, journey.Stage{Kind: journey.Command, Detail: e.name(), Text: string(payload)})
	}
	if !b.jobs.add(id, func(ctx context.Context) { _, _ = b.carryOut(journey.With(ctx, number), id, of, c.get, message) }) {
		b.refuse(number, fmt.Sprintf("Publish to '%s' failed: too many commands wait for it", e.name()))
	}
}

// find finds a device or group again by the key of the cache. The mutex is held.
func (b *Bridge) find(id string) (entity, bool) {
	if ieee, err := zigbee.ParseIEEEAddress(id); err == nil {
		d := b.devices[ieee]
		return entity{device: d}, d != nil
	}
	n, err := strconv.ParseUint(id, 10, 16)
	g := b.groups[uint16(n)]
	return entity{group: g}, err == nil && g != nil
}

// carryOut sends what a command becomes, and publishes what it does and why it does not. It
// returns that, too: what was read, and the first error.
func (b *Bridge) carryOut(ctx context.Context, id string, endpoint uint8, get bool, message map[string]any) (read map[string]any, first error) {
	b.mu.Lock()
	e, ok := b.find(id)
	if !ok {
		b.mu.Unlock()
		return nil, zigbee.ErrNoDevice
	}
	var definition *devices.Definition
	var c *devices.Context
	if e.device != nil {
		definition = e.device.definition
		c = b.context(e.device)
	} else {
		definition = b.groupDefinition(e.group)
		if e.group.memory == nil {
			e.group.memory = make(map[string]any)
		}
		c = &devices.Context{Group: true, GroupID: e.group.id, State: b.states[id], Options: e.group.own, Memory: e.group.memory, Now: time.Now()}
	}
	name, options := e.name(), e.options()
	if definition == nil {
		b.mu.Unlock()
		return nil, fmt.Errorf("nobody has described '%s': it is not known what it can do", name)
	}
	// Home Assistant sends the state whenever it sets a color.
	if b.o.HomeAssistant.Enabled && !get && c.State["state"] == "ON" && message["brightness"] == nil &&
		(message["color"] != nil || message["color_temp"] != nil) {
		message = maps.Clone(message)
		delete(message, "state")
	}
	c.Message, c.Endpoint = message, endpoint
	var outcomes []devices.Outcome
	if get {
		outcomes = definition.Get(c)
	} else {
		outcomes = definition.Set(c)
	}
	b.mu.Unlock()

	kind := "set"
	if get {
		kind = "get"
	}
	failed := func(key string, err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.refuse(journey.Of(ctx), failure(kind, key, name, err))
		if e, ok := b.find(id); ok && e.device != nil {
			e.device.failure = Failure{time.Now(), key, sayError(err)}
		}
	}
	expected := make(map[string]any)
	for _, o := range outcomes {
		var answer map[string]any
		if o.Err == nil {
			answer, o.Err = b.send(ctx, e, o.Requests)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if o.Err != nil {
			failed(o.Key, o.Err)
			if first == nil {
				first = o.Err
			}
			continue
		}
		if answer != nil {
			read = merge(read, answer)
		}
		state := maps.Clone(map[string]any(o.State))
		filter(texts(options, "filtered_optimistic"), state)
		maps.Copy(expected, state)
		b.tellRaw(o.Key, message[o.Key], answer)
		if o.AnswerProperty != "" && answer != nil {
			expected[o.AnswerProperty] = answer
		}
		b.mu.Lock()
		if e, ok := b.find(id); ok {
			b.applyScenes(e, o.Endpoint, o.Scenes)
		}
		b.mu.Unlock()
		if len(o.ReadKeys) > 0 {
			b.readLater(id, o.Endpoint, o.ReadAfter, o.ReadKeys)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.find(id); ok && len(expected) > 0 && flag(options, "optimistic", true) {
		b.follow(journey.Of(ctx), func() { b.publishState(e, expected, changed) })
	}
	return read, first
}

// failure says that a key of a command was in vain, in the form by which front ends know
// it: the reason is in the last parentheses.
func failure(kind, key, name string, err error) string {
	reason := strings.NewReplacer("(", "[", ")", "]").Replace(sayError(err))
	return fmt.Sprintf("Publish '%s' '%s' to '%s' failed: 'it was not carried out (%s)'", kind, key, name, reason)
}

// tellRaw says what a read or a write of attributes did, where the front end's console
// for developers looks for it.
func (b *Bridge) tellRaw(key string, value any, answer map[string]any) {
	o, _ := object(value)
	if b.logLevel.Load() > int64(slog.LevelInfo) || o == nil {
		return
	}
	switch key {
	case "read":
		b.publishLog("info", fmt.Sprintf("zhc:tz: Read result of '%s': %s", textOf(o["cluster"]), encode(answer)))
	case "write":
		b.publishLog("info", fmt.Sprintf("zhc:tz: Wrote '%s' to '%s'", encode(o["payload"]), textOf(o["cluster"])))
	}
}

// send sends requests to a device or a group, one after the other. It returns the
// attributes that the last answer tells, nil if that is no answer to a read.
func (b *Bridge) send(ctx context.Context, e entity, requests []zigbee.Request) (answer map[string]any, err error) {
	for _, r := range requests {
		if e.group != nil {
			if err := b.network.GroupRequest(ctx, e.group.id, r); err != nil {
				return nil, err
			}
			continue
		}
		f, err := b.network.Request(ctx, e.device.ieee, r)
		if err == nil {
			err = devices.SceneAnswer(r, f)
		}
		if err != nil {
			return nil, err
		}
		if f.Type == zcl.Global && f.Command == zcl.ReadAttributesResponse {
			// What cannot be read of it has been counted by the network.
			attributes, _ := zcl.ParseAttributes(f.Command, f.Payload)
			answer = devices.Answer(zigbee.Message{Device: e.device.ieee, Cluster: r.Cluster, Frame: f, Attributes: attributes})
		}
	}
	return answer, nil
}

// readLater reads attributes when a command has had time to work.
func (b *Bridge) readLater(id string, endpoint uint8, wait time.Duration, keys []string) {
	b.timers.after(fmt.Sprint("read/", id, "/", endpoint), wait, func() {
		message := make(map[string]any, len(keys))
		for _, key := range keys {
			message[key] = ""
		}
		b.jobs.add(id, func(ctx context.Context) { _, _ = b.carryOut(ctx, id, endpoint, true, message) })
	})
}
