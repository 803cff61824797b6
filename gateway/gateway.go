package gateway

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/clock"
	"lintel/gateway/dashboard"
	"lintel/gateway/homeassistant"
	"lintel/gateway/network"
	"lintel/gateway/settings"
	"lintel/gateway/syslog"
	"lintel/gateway/update"
	"lintel/gateway/uplink"
	"lintel/mdns"
	"lintel/persist"
	"lintel/serialbridge"
	"lintel/serialbridge/simulator"
)

// Options are what the command line says and the configuration does not.
type Options struct {
	Data     string // folder of everything that is kept
	Simulate bool   // plug a virtual meter and a Zigbee stick in
	Version  string
	Root     string   // file system that the machine and its USB are read from; empty: the machine's own
	Check    []string // runs [persist.Check], see [persist.Options]; nil: nothing does

	Card *settings.Card // what a person has put on the card; nil: nobody looks

	Release update.Release // what this program is, but for its version
	Machine update.Roots   // that updates are installed on; nil: this is no appliance, and Home Assistant hears of none
	// NoMachine says why an appliance has no Machine; nil: this is none.
	NoMachine error

	// Clock is the machine's, to be kept right; nil: something else sets it.
	Clock clock.System

	Network bool // the network of the machine is ours to set up

	// ConfigFile is what the configuration came from, into which the pages write, or where it
	// would be; empty: there is none.
	ConfigFile string

	Reload <-chan os.Signal // the role file is to be read again; nil: never
	Ready  func(Endpoints)  // called when clients can connect; may be nil
	Logger *slog.Logger     // nil: silent

	restartLeast time.Duration          // 0: the usual one
	steadyTime   time.Duration          // 0: the usual one
	watchTime    time.Duration          // 0: the usual one
	clocks       func() persist.Reading // nil: those of the machine
	updates      homeassistant.Updates  // nil: the usual ones
}

// gateway is the house while it runs.
type gateway struct {
	config settings.Config
	o      Options
	log    *slog.Logger
	lines  *dashboard.Log // the last ones of log
	syslog *syslog.Sender // nil: there is no log server
	box    homeassistant.Box

	store     *persist.Store
	access    *entrance
	broker    *broker.Broker
	bridge    *serialbridge.Supervisor
	boxState  *homeassistant.BoxState
	publisher *homeassistant.Publisher
	vitals    *vitals
	wear      *wear
	commands  *homeassistant.BoxCommands
	sticks    *homeassistant.Sticks
	devices   *deviceBook
	simulated *simulations
	clock     *clock.Client // nil: something else sets the clock
	updater   *update.Updater
	health    *houseHealth
	checkup   *checkup
	network   *network.Manager         // nil: the network is not ours
	boxUpdate *homeassistant.BoxUpdate // nil: nothing installs updates
	logins    *homeassistant.Logins
	journeys  *journeys
	zigbee    *zigbeeHouse // nil: there is none
	uplinks   []*uplink.Uplink
	haBridge  *homeassistantBridge
	brokers   []brokerListener
	http      net.Listener // nil: no pages without TLS
	https     net.Listener // nil: no pages over TLS; it does not speak that itself
	control   net.Listener // nil: none could be opened
	probe     net.Listener // nil: nobody asks there whether the broker works

	advertiser *mdns.Advertiser // nil, like browser: not to be found
	browser    *mdns.Browser
	renames    chan map[string]string // of the advertiser
	keptNames  *persist.Bucket[map[string]string]

	authority    *access.Authority
	certificates *access.ClientCertificates

	serving   atomic.Int32 // listeners of the broker that are served
	built     atomic.Bool  // all parts are there
	hasZigbee atomic.Bool  // a Zigbee network was there since the start

	clients   []*broker.Client
	boxClient *broker.Client // speaks for the box

	restarts chan struct{} // somebody has asked for a restart

	mu      sync.Mutex
	noticed []string // what was wrong at the start, for the pages
}

// ballast is the space on the disk that is set aside for opening the store when the
// disk is full.
const ballast = 40 << 20

// module is a part of the house that runs until its context ends.
type module struct {
	name string
	run  func(context.Context) error
}

// Run runs the house until ctx ends or a part of it fails; with ErrRestart if somebody has
// asked for a restart. It opens the listeners only when all that was stored is loaded: a
// client that is told "not authorized" or "no session" by mistake may not come back.
//
// It stops from the outside in: listeners and pages, then sticks and Home
// Assistant, which still say goodbye, then the broker, then the store.
func Run(ctx context.Context, config settings.Config, o Options) (err error) {
	g := &gateway{config: config, o: o, log: o.Logger, lines: dashboard.NewLog(config.Log.Level), restarts: make(chan struct{}, 1)}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	handlers := []slog.Handler{g.log.Handler(), g.lines}
	if g.syslog, err = g.newSyslog(); err != nil {
		return err
	}
	if g.syslog != nil {
		handlers = append(handlers, g.syslog)
	}
	g.log = slog.New(slog.NewMultiHandler(handlers...))
	g.journeys = &journeys{g: g, watchTime: cmp.Or(o.watchTime, watchTime)}
	if g.box, err = identify(o); err != nil {
		return err
	}
	g.answerStarting()
	defer func() {
		if g.probe != nil {
			g.probe.Close()
		}
	}()
	if g.store, err = openStore(o.Data, o.Check, o.clocks, g.log); err != nil {
		return err
	}
	defer func() {
		if cerr := g.store.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close the store: %w", cerr)
		}
	}()
	g.access = newEntrance(config.Access)
	brokerOptions := config.MQTT.Options()
	brokerOptions.Version, brokerOptions.Logger = o.Version, g.log
	brokerOptions.Authenticate, brokerOptions.Authorize = g.access.door.authenticate, g.access.door.authorize
	brokerOptions.Methods = map[string]broker.Method{"SCRAM-SHA-256": g.access.door.scram}
	if g.broker, err = broker.New(g.store, brokerOptions); err != nil {
		return err
	}
	// Not before the broker is there: nobody may write before persist.Store.SetGroupDone.
	if err := g.openAuthority(); err != nil {
		return err
	}
	if err := g.openAccess(ctx); err != nil {
		return err
	}
	if name := g.access.claim.BoxName(); name != "" {
		g.box.Name = name
	}
	g.buildClock()
	g.buildNetwork()
	if err := g.build(); err != nil {
		g.closeListeners()
		return err
	}
	g.built.Store(true)
	return g.run(ctx)
}

// run starts the modules, inner ones first, and stops them the other way round.
func (g *gateway) run(ctx context.Context) error {
	// The broker outlives ctx: what the others say while they stop still
	// has to go through it.
	brokerCtx, stopBroker := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopBroker(nil)
	brokerDone := make(chan error, 1)
	go func() { brokerDone <- g.broker.Run(brokerCtx) }()

	if err := g.settle(ctx); err != nil {
		g.log.Warn("some devices may be shown online that are not there", "err", err)
	}
	modules, ctx := errgroup.WithContext(ctx)
	for _, m := range g.modules() {
		modules.Go(func() error {
			if err := m.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			return nil
		})
	}
	modules.Go(func() error { // a failed store stops everything
		select {
		case <-g.store.Failed():
			return fmt.Errorf("store: %w", g.store.Err())
		case <-ctx.Done():
			return nil
		}
	})
	if g.o.Ready != nil {
		g.o.Ready(g.endpoints())
	}
	err := modules.Wait()
	g.journeys.close()
	for _, c := range g.clients {
		c.Close()
	}
	stopBroker(nil)
	if brokerErr := <-brokerDone; err == nil {
		err = brokerErr
	}
	return err
}

// modules is the whole house on one screen.
func (g *gateway) modules() []module {
	var m []module
	add := func(name string, run func(context.Context) error) { m = append(m, module{name, run}) }
	for _, l := range g.brokers {
		add(l.scheme, func(ctx context.Context) error { return g.serve(ctx, l) })
	}
	add("door", func(ctx context.Context) error { return g.access.door.run(ctx, g.broker) })
	add("audit", g.access.audit.Run)
	add("observations", g.access.door.observed.Run)
	if g.access.jwt != nil {
		add("jwt", g.access.jwt.Run)
	}
	if g.o.Reload != nil {
		add("reload", g.reloadOnSignal)
	}
	add("authority", g.authority.Run)
	if g.syslog != nil {
		add("syslog", g.syslog.Run)
	}
	add("homeassistant logins", g.logins.Run)
	add("box", g.boxState.Run)
	add("box commands", g.runBoxCommands)
	add("wear", g.wear.run)
	if g.network != nil {
		add("network", g.network.Run)
	}
	if g.clock != nil {
		add("clock", g.clock.Run)
	}
	add("update", g.updater.Run)
	if g.o.Machine != nil {
		add("pulse", g.health.pulse.run)
	}
	if g.probe != nil {
		add("probe", func(ctx context.Context) error { return g.broker.Serve(ctx, g.probe, probeListener) })
	}
	if g.boxUpdate != nil {
		add("box update", g.boxUpdate.Run)
	}
	if g.publisher != nil {
		add("homeassistant", g.publisher.Run)
	}
	if g.o.Simulate {
		add("simulator", simulator.New(simulator.Options{Link: g.simulatedPort(), Device: simulator.P1Meter(simulator.NewHousehold(0))}).Run)
	}
	if g.zigbee != nil {
		add("zigbee", g.zigbee.run)
		add("zigbee updates", g.zigbee.updates.run)
		if g.zigbee.publisher != nil {
			add("zigbee discovery", g.zigbee.publisher.Run)
		}
	}
	if g.o.Simulate && g.zigbee != nil {
		add("zigbee simulator", g.runZigbeeHouse)
	}
	add("serialbridge", g.bridge.Run)
	add("sticks", g.sticks.Run)
	add("simulated sticks", g.simulated.run)
	for _, u := range g.uplinks {
		add("uplink", u.Run)
	}
	add("homeassistant bridge", g.haBridge.run)
	if g.http != nil || g.https != nil {
		add("dashboard", g.runDashboard)
	}
	add("backup", g.store.KeepBackups)
	add("restart", g.awaitRestart)
	if g.control != nil {
		add("control", g.serveControl)
	}
	if g.advertiser != nil {
		add("mdns", g.runMDNS)
		add("mdns names", g.runRenames)
		add("mdns browser", g.runBrowser)
	}
	return m
}
