package z2m

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/mqtt"
	"lintel/serialbridge"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
)

// Store keeps objects by key over a restart. It is a *persist.Bucket.
type Store interface {
	All() iter.Seq2[string, map[string]any]
	Put(ctx context.Context, key string, value map[string]any) error
	Delete(ctx context.Context, key string) error
}

// Options are the options of New.
type Options struct {
	Broker  serialbridge.Broker
	Network zigbee.Options // Handler is set by New, and Logger if it is nil

	// Settings holds what users set: names, options, groups. States holds
	// the last states, written every five minutes at most.
	Settings, States Store

	BaseTopic     string // "": zigbee2mqtt
	HomeAssistant HomeAssistant
	Server        string // the broker, as bridge/info shows it
	Version       string // of this program

	// Resolve finds the definition of a device; nil: devices.Resolve.
	Resolve func(*zigbee.Device) *devices.Definition
	// Updater may be nil: then no image is known for any device.
	Updater Updater
	// Discovery may be nil.
	Discovery Discovery

	Logger *slog.Logger // nil: silent
}

// HomeAssistant is what the configuration of the box says of Home Assistant.
// With it properties that are not known yet are published as null, and actions on
// a topic of their own.
type HomeAssistant struct {
	Enabled        bool
	DiscoveryTopic string
	StatusTopic    string
}

// ErrRestart is why Run returns when somebody has asked for a restart.
var ErrRestart = errors.New("z2m: a restart was asked for")

// Bridge carries a Zigbee network to MQTT and back.
type Bridge struct {
	o       Options
	base    string
	network *zigbee.Network
	log     *slog.Logger // its records go to bridge/logging too
	quiet   *slog.Logger // those of what is not for bridge/logging
	started time.Time

	jobs    jobs
	acts    acts
	out     outbox
	timers  timers
	saver   saver
	restart chan struct{}

	received atomic.Uint64 // messages that were for us
	logLevel atomic.Int64  // least slog.Level for bridge/logging

	logMu   sync.Mutex
	lastLog string // guarded by logMu

	mu         sync.Mutex
	settings   Settings
	overrides  map[string]any // of Settings, what users have set
	deviceSets map[zigbee.IEEEAddress]map[string]any
	groupSets  map[uint16]map[string]any
	devices    map[zigbee.IEEEAddress]*device
	removed    map[zigbee.IEEEAddress]bool // by a request, which the network is yet to tell: see late
	groups     map[uint16]*group
	states     map[string]map[string]any // the cache, by entity
	dirty      map[string]bool           // states that are not in the store yet
	joinedLast zigbee.IEEEAddress
	running    bool // the network has been started once, and the topics published
	updating   map[zigbee.IEEEAddress]context.CancelFunc
	published  map[string]uint64 // of long topics, the hash of what was published last
	following  uint64            // number of the journey that what is published now belongs to
	told       bool              // something of it was published, or waits
	energy     *EnergyScan       // the last one; nil: none yet
	lastMap    *NetworkMap       // likewise
}

var _ zigbee.Handler = (*Bridge)(nil)

// New returns a bridge and its network, with the settings and states of the stores.
func New(o Options) (*Bridge, error) {
	if o.BaseTopic == "" {
		o.BaseTopic = "zigbee2mqtt"
	}
	if !mqtt.ValidTopicName(o.BaseTopic) {
		return nil, fmt.Errorf("z2m: %.100q is no base topic: it must be a topic name without + and #", o.BaseTopic)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Resolve == nil {
		o.Resolve = devices.Resolve
	}
	b := &Bridge{
		o: o, base: o.BaseTopic, quiet: o.Logger, started: time.Now(), restart: make(chan struct{}, 1),
		deviceSets: make(map[zigbee.IEEEAddress]map[string]any), groupSets: make(map[uint16]map[string]any),
		devices: make(map[zigbee.IEEEAddress]*device), removed: make(map[zigbee.IEEEAddress]bool), groups: make(map[uint16]*group),
		states: make(map[string]map[string]any), dirty: make(map[string]bool),
		updating: make(map[zigbee.IEEEAddress]context.CancelFunc), published: make(map[string]uint64),
	}
	b.log = slog.New(&logTee{next: o.Logger.Handler(), bridge: b})
	b.jobs.init()
	b.out.init(o.Broker, b.quiet)
	b.saver.store = o.Settings
	if err := b.load(); err != nil {
		return nil, err
	}
	b.applyLogLevel()
	no := o.Network
	no.Handler, no.Answer = b, b.tellTime
	if no.Logger == nil {
		no.Logger = b.log
	}
	var err error
	if b.network, err = zigbee.New(no); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.network.Devices() {
		b.take(d)
	}
	b.applyAvailability()
	return b, nil
}

// Network returns the network, for the stick to be served by.
func (b *Bridge) Network() *zigbee.Network { return b.network }

// Logger returns a logger whose records go to bridge/logging too. It is for the
// driver of the stick.
func (b *Bridge) Logger() *slog.Logger { return b.log }

// StateTopic is where it is said whether the bridge is there. Offline is to be published
// there, retained and with QoS 1, when the program dies: the will of the bridge.
func (b *Bridge) StateTopic() string { return b.base + "/bridge/state" }

// Offline is the payload of the will.
const Offline = `{"state":"offline"}`

// Run carries messages both ways until ctx ends, and runs the network. When it
// returns states are written and bridge/state says offline.
func (b *Bridge) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Last words go out when ctx has ended.
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	var sender errgroup.Group
	sender.Go(func() error { b.out.run(sending); return nil })

	const dontSendRetained = 0x20 // retain handling 2 (5.0 §3.8.3.1)
	err := b.o.Broker.Subscribe(ctx, b.base+"/#", mqtt.NoLocal|dontSendRetained, func(m mqtt.Message) { b.incoming(m.Topic, m.Payload, m.Trace) })
	if err == nil {
		b.publishStart() // who sees it may ask at once
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return b.network.Run(ctx) })
		g.Go(func() error { b.jobs.run(ctx); return nil })
		g.Go(func() error { b.tick(ctx); return nil })
		g.Go(func() error {
			select {
			case <-b.restart:
				return ErrRestart
			case <-ctx.Done():
				return nil
			}
		})
		err = g.Wait()
	}
	b.timers.stop()
	b.mu.Lock()
	b.publishText("bridge/state", Offline, retained, 0)
	b.mu.Unlock()
	b.out.close()
	last, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	if saveErr := b.saveStates(last); saveErr != nil && err == nil {
		err = saveErr
	}
	stop := context.AfterFunc(last, stopSending)
	defer stop()
	sender.Wait()
	if err == nil || errors.Is(err, context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

// publishStart tells what there is before a stick is served.
func (b *Bridge) publishStart() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = true
	b.publishAll()
}

// publishAll tells what zigbee2mqtt tells when it has connected. Without a stick the
// bridge is offline: nothing can be reached. The mutex is held.
func (b *Bridge) publishAll() {
	b.publishBridgeState()
	b.publishText("bridge/converters", `[]`, retained, 0)
	b.publishInfo()
	b.publishDevices()
	b.publishGroups()
	b.publishDefinitions()
	b.publishText("bridge/extensions", `[]`, retained, 0)
	for _, d := range b.sortedDevices() {
		b.discover(entity{device: d}, false)
	}
	for _, g := range b.sortedGroups() {
		b.discover(entity{group: g}, false)
	}
	b.publishAvailabilities()
	if a := b.settings.Advanced; a.CacheState && a.CacheStateSendOnStartup {
		b.publishCached()
	}
}

func (b *Bridge) publishBridgeState() {
	payload := Offline
	if _, _, running := b.network.Info(); running {
		payload = `{"state":"online"}`
	}
	b.publishText("bridge/state", payload, retained, 1)
}

// Republish sends bridge/state and all states again. It is for when Home Assistant has
// started: states are not retained unless somebody has set it, and it knows none.
func (b *Bridge) Republish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publishBridgeState()
	b.publishCached()
}

// tick does what is to be done from time to time.
func (b *Bridge) tick(ctx context.Context) {
	const saveInterval = 5 * time.Minute
	save := time.NewTicker(saveInterval)
	defer save.Stop()
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	minutes := 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case <-save.C:
			if err := b.saveStates(ctx); err != nil && ctx.Err() == nil {
				b.log.Error("the states could not be saved", "err", err)
			}
		case <-minute.C:
			b.mu.Lock()
			interval := b.settings.Health.Interval
			b.mu.Unlock()
			if minutes++; minutes >= interval {
				minutes = 0
				b.publishHealth()
			}
		}
	}
}
