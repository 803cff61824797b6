package z2m

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// maxActs is how many acts are remembered; those under way are not forgotten, and there are
// not more of them.
const maxActs = 64

// Act is a request that was made by [Bridge.Begin]: what is being done for a person, and how
// it has ended.
type Act struct {
	ID      uint64         `json:"id"`
	Request string         `json:"request"`         // its name, such as device/bind
	About   string         `json:"about,omitempty"` // the device or group, as it was called
	By      string         `json:"by,omitempty"`    // who has asked for it
	State   ActState       `json:"state"`           //
	Began   time.Time      `json:"began"`           //
	Ended   *time.Time     `json:"ended,omitempty"` // nil: not yet
	Done    int            `json:"done,omitempty"`  // of Of, where that is known
	Of      int            `json:"of,omitempty"`    //
	Error   string         `json:"error,omitempty"` // why it has failed, for people
	Data    map[string]any `json:"data,omitempty"`  // of the answer
	cause   error          // of Error
}

// ActState is how far an act has come.
type ActState string

// The states of an act.
const (
	Waiting  ActState = "waiting" // for others before it
	Running  ActState = "running"
	Done     ActState = "done"
	Canceled ActState = "canceled"
	Broken   ActState = "failed"
)

// RequestError is why a request was not done, for people.
type RequestError struct {
	Reason string
	cause  error
}

func (e *RequestError) Error() string { return e.Reason }

// Unwrap returns what has caused it, such as zigbee.ErrNoStick.
func (e *RequestError) Unwrap() error { return e.cause }

// ErrNoAct says that an act is not remembered.
var ErrNoAct = errors.New("z2m: that is not being done, or was done long ago")

var errGivenUp = errors.New("it was given up")

// acts are what was begun, in that order.
type acts struct {
	mu     sync.Mutex
	lastID uint64
	list   []*act
}

type act struct {
	Act
	cancel context.CancelCauseFunc
	ended  chan struct{}
}

// Begin has a request done in the same way as one of that name at bridge/request: after
// those that wait for the same device, and with an answer at bridge/response. Besides those
// requests there are the ones of ownHandlers. The body is what package encoding/json makes
// of an object.
func (b *Bridge) Begin(by, name string, body map[string]any) (Act, error) {
	h, own := ownHandlers[name]
	if !own {
		var ok bool
		if h, ok = handlers[name]; !ok {
			return Act{}, &RequestError{Reason: fmt.Sprintf("there is no request %.40q", name)}
		}
	}
	r := &request{name: name, answers: name, value: body, body: body, isBody: true, own: own}
	ctx, cancel := context.WithCancelCause(context.Background())
	a, err := b.acts.add(name, b.about(r), by, cancel)
	if err != nil {
		cancel(nil)
		return Act{}, err
	}
	r.progress = func(done, of int) {
		b.acts.mu.Lock()
		defer b.acts.mu.Unlock()
		a.Done, a.Of = done, of
	}
	r.ended = func(data map[string]any, err error) { b.acts.end(a, data, err) }
	if !b.jobs.add(r.key(h), func(running context.Context) {
		if context.Cause(ctx) != nil {
			b.respond(r, nil, errGivenUp)
			return
		}
		stop := context.AfterFunc(running, func() { cancel(context.Cause(running)) })
		defer stop()
		defer cancel(nil)
		b.acts.run(a)
		b.answer(ctx, h, r)
	}) {
		b.respond(r, nil, errBusy)
	}
	return b.acts.get(a.ID)
}

// Do is Begin, and waits for the end of it, or of ctx: then the act goes on. The error of an
// act that has failed is a *RequestError.
func (b *Bridge) Do(ctx context.Context, by, name string, body map[string]any) (Act, error) {
	begun, err := b.Begin(by, name, body)
	if err != nil {
		return begun, err
	}
	b.acts.mu.Lock()
	a := b.acts.find(begun.ID)
	b.acts.mu.Unlock()
	if a == nil {
		return begun, nil
	}
	select {
	case <-a.ended:
	case <-ctx.Done():
	}
	b.acts.mu.Lock()
	defer b.acts.mu.Unlock()
	if a.Error != "" {
		return a.Act, &RequestError{a.Error, a.cause}
	}
	return a.Act, nil
}

// Acts returns what is being done and the last that was, the newest first.
func (b *Bridge) Acts() []Act {
	b.acts.mu.Lock()
	defer b.acts.mu.Unlock()
	list := make([]Act, 0, len(b.acts.list))
	for _, a := range slices.Backward(b.acts.list) {
		list = append(list, a.Act)
	}
	return list
}

// Act returns one of them.
func (b *Bridge) Act(id uint64) (Act, error) { return b.acts.get(id) }

// CancelAct gives an act up that has not ended. What was done of it stays done.
func (b *Bridge) CancelAct(id uint64) error {
	b.acts.mu.Lock()
	defer b.acts.mu.Unlock()
	a := b.acts.find(id)
	if a == nil {
		return ErrNoAct
	}
	if a.State == Waiting {
		b.acts.close(a, nil, errGivenUp) // its turn has not come, and will not
	}
	a.cancel(errGivenUp)
	return nil
}

// about is what a request is about, by its name.
func (b *Bridge) about(r *request) string {
	for _, field := range []string{"id", "device", "from", "group", "target", "friendly_name"} {
		id := textOf(r.body[field])
		if id == "" {
			continue
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if e, ok := b.resolve(id); ok {
			return e.name()
		}
		return id[:min(len(id), 100)]
	}
	return ""
}

func (l *acts) add(name, about, by string, cancel context.CancelCauseFunc) (*act, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= maxActs {
		over := slices.IndexFunc(l.list, func(a *act) bool { return a.Ended != nil })
		if over < 0 {
			return nil, &RequestError{Reason: errBusy.Error(), cause: errBusy}
		}
		l.list = slices.Delete(l.list, over, over+1)
	}
	l.lastID++
	a := &act{Act: Act{ID: l.lastID, Request: name, About: about, By: by, State: Waiting, Began: time.Now()}, cancel: cancel, ended: make(chan struct{})}
	l.list = append(l.list, a)
	return a, nil
}

// find returns the act with that ID, or nil. The mutex is held.
func (l *acts) find(id uint64) *act {
	if i := slices.IndexFunc(l.list, func(a *act) bool { return a.ID == id }); i >= 0 {
		return l.list[i]
	}
	return nil
}

func (l *acts) get(id uint64) (Act, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.find(id); a != nil {
		return a.Act, nil
	}
	return Act{}, ErrNoAct
}

func (l *acts) run(a *act) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.Ended == nil {
		a.State = Running
	}
}

func (l *acts) end(a *act, data map[string]any, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close(a, data, err)
}

// close is end. The mutex is held.
func (l *acts) close(a *act, data map[string]any, err error) {
	if a.Ended != nil {
		return
	}
	now := time.Now()
	a.Ended, a.State = &now, Done
	switch {
	case errors.Is(err, errGivenUp):
		a.State, a.Error, a.cause = Canceled, errGivenUp.Error(), err
	case err != nil:
		a.State, a.Error, a.cause = Broken, sayError(err), err
	default:
		// An archive or a map has its own place.
		if data != nil && data["zip"] == nil && data["value"] == nil {
			a.Data = data
		}
	}
	a.cancel(nil)
	close(a.ended)
}

// ownHandlers are requests that zigbee2mqtt does not know, and that are not to be had over MQTT.
var ownHandlers = map[string]handler{
	"energy_scan":    {do: (*Bridge).energyScan},
	"channel":        {do: (*Bridge).changeChannel},
	"restore":        {do: (*Bridge).restore},
	"device/command": {do: (*Bridge).doCommand},
	"group/command":  {do: (*Bridge).doCommand},
}

// energyScan measures how busy each channel is.
func (b *Bridge) energyScan(ctx context.Context, _ *request) (map[string]any, error) {
	energy, err := b.network.EnergyScan(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.energy = &EnergyScan{Time: now}
	for channel := uint8(11); channel <= 26; channel++ {
		if e, ok := energy[channel]; ok {
			b.energy.Channels = append(b.energy.Channels, ChannelEnergy{channel, e})
		}
	}
	return nil, nil
}

// changeChannel moves the network. Unlike options it waits for the end.
func (b *Bridge) changeChannel(ctx context.Context, r *request) (map[string]any, error) {
	channel, ok := zcl.Float(r.body["channel"])
	if !ok || channel != float64(uint8(channel)) {
		return nil, fmt.Errorf("%w: channel is a number from 11 to 26", errInvalidPayload)
	}
	if err := b.network.ChangeChannel(ctx, uint8(channel)); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publishInfo()
	return map[string]any{"channel": channel}, nil
}

// restore makes the stick the coordinator of the network in a backup. See [zigbee.Network.Restore].
func (b *Bridge) restore(ctx context.Context, r *request) (map[string]any, error) {
	backup := new(zigbee.Backup)
	if err := json.Unmarshal([]byte(textOf(r.body["backup"])), backup); err != nil {
		return nil, fmt.Errorf("this is no backup of a coordinator (%w): choose a file that was downloaded here, or coordinator_backup.json of zigbee2mqtt", err)
	}
	if err := b.network.Restore(ctx, backup, textOf(r.body["words"])); err != nil {
		return nil, err
	}
	return nil, nil
}

// doCommand does what NAME/set would, and returns what was read.
func (b *Bridge) doCommand(ctx context.Context, r *request) (map[string]any, error) {
	id, of, err := b.commandTarget(r)
	if err != nil {
		return nil, err
	}
	message, ok := object(r.body["command"])
	if !ok || len(message) == 0 {
		return nil, fmt.Errorf(`%w: command is an object such as {"state":"ON"}`, errInvalidPayload)
	}
	numbers(message)
	return b.carryOut(ctx, id, of, r.flag("get"), message)
}

func (b *Bridge) commandTarget(r *request) (id string, endpoint uint8, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.resolve(r.id())
	if !ok || e.device == nil && e.group == nil {
		return "", 0, fmt.Errorf("there is no device or group %.100q", r.id())
	}
	if strings.HasPrefix(r.name, "group/") != (e.group != nil) {
		return "", 0, fmt.Errorf("%q is no %s", e.name(), strings.TrimSuffix(r.name, "/command"))
	}
	if e.device != nil && r.body["endpoint"] != nil {
		target, err := endpointOf(e.device, r.body["endpoint"])
		if err != nil {
			return "", 0, err
		}
		endpoint = target.ID
	}
	return e.id(), endpoint, nil
}

// EnergyScan is how busy the channels are.
type EnergyScan struct {
	Time     time.Time       `json:"time"`
	Channels []ChannelEnergy `json:"channels"`
}

// ChannelEnergy is how busy a channel is: 0 to 255.
type ChannelEnergy struct {
	Channel uint8 `json:"channel"`
	Energy  uint8 `json:"energy"`
}
