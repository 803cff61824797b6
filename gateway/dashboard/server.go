package dashboard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/clock"
	"lintel/gateway/homeassistant"
	"lintel/gateway/openmetrics"
	"lintel/gateway/uplink"
	"lintel/persist"
	"lintel/serialbridge"
	"lintel/serialbridge/zigbee/z2m"
)

const (
	maxConnections = 64 // of each listener
	maxHeader      = 16 << 10
	maxBody        = 4 << 10 // of a request, unless the route says more
	shutdownTime   = 2 * time.Second
)

// Options are the options of [New]. All functions must be set unless they say
// otherwise; they may be called from several goroutines at the same time.
type Options struct {
	Listeners []Listener // of which those with TLS are offered on the pages of the others

	Name      string          // of the box, until its owner gives it one
	ID        string          // of the box, which never changes
	Model     string          // of the board
	Version   string          // of Lintel
	Addresses func() []string // where the broker is reached, such as mqtt://lintel.local:1883
	Hosts     func() []string // names of the box, the best first; none: it is reached by its addresses

	Broker    serialbridge.Broker // for the last values
	BaseTopic string              // as in [serialbridge.Options]; empty is "lintel"

	Sticks  func() []serialbridge.StickStatus
	Devices func() []serialbridge.Device                                                   // as people call them
	Capture func(ctx context.Context, stick string, w io.Writer, flush func() error) error // as of [serialbridge.Supervisor]
	Clients func() []broker.ClientInfo
	Stats   func() broker.Stats
	Healthy func() error // nil: the house works
	Ready   func() bool  // clients are let in
	Checks  Checks       // nil: nobody judges the house
	// Welcome keeps what is left of the first visit; nil: there is no guide.
	Welcome *persist.Bucket[Welcome]
	Losses  func() []string        // what is known to be lost of what was stored
	Notices func() []string        // what else a person should look after
	Machine func() []Fact          // what is known of the machine
	Uplinks func() []uplink.Status // other brokers
	// DeviceBook names devices and takes them away; nil: there are no pages of devices.
	DeviceBook DeviceBook
	// Simulations are sticks for trying out; nil: there are none.
	Simulations Simulations
	// MQTT is the broker itself, for its pages; nil: there are none.
	MQTT          *broker.Broker
	MQTTListeners func() []BrokerListener // where it is reached

	// Journeys returns the last messages of a device or a topic filter, of which one is
	// empty; it watches them for a while from the first call on. nil: nobody can.
	Journeys func(device, topic string) (Journeys, error)

	// Neighbours are what makes itself known on the network.
	Neighbours func() []Neighbour

	// Zigbee serves the front end of the Zigbee network below /zigbee/, to admins: it may do
	// everything there. nil: none.
	Zigbee http.Handler
	// ZigbeeNetwork is what the page of the Zigbee devices shows; nil: there is none.
	ZigbeeNetwork ZigbeeNetwork

	// Updater installs new versions of the box; nil: there is no page of that.
	Updater Updater

	// HomeAssistant is how Home Assistant gets to know the box; nil: there is no page of it.
	HomeAssistant HomeAssistant
	Bridge        HomeAssistantBridge // nil: there is no bridge mode

	// Metrics adds to /metrics what is not known here; nil: nothing.
	Metrics     func(*openmetrics.Writer)
	OpenMetrics bool // /metrics is for everybody in the network of the box

	Network Network             // nil: the network of the machine is not ours
	Time    func() clock.Status // nil: something else sets the clock

	// Who may do what. Without Users nobody can be asked: then the status is for
	// everybody, there is nothing else, and the rest of these fields is not used.
	Users    *access.Users
	Lockout  *access.Lockout
	Sessions *access.Sessions // Run is called by the server
	Tokens   *access.APITokens
	Claim    *access.Claim
	Audit    *access.Audit
	Roles    func() []string // names of the roles that there are
	Explain  func(user, clientID string, action access.Action, topic string) (access.Verdict, error)
	Reload   func(context.Context) error // reads the role file again
	Denials  *access.Denials             // what was refused lately; nil: nobody remembers

	Control  *access.Control      // whose role file is changed, and who may publish and receive what with MQTT; nil: no pages of either
	Observed *access.Observations // what users do, to propose rules of it; nil: nobody looks
	// Effects tells what other rules than those in force would change for those who are
	// known, and how many effects it leaves out.
	Effects func(then *access.Policy) (effects []access.Effect, more int)

	// Root is the certificate of the box's own authority and its fingerprint, as
	// people compare it; nil: there is none.
	Root func() (pem []byte, fingerprint string)

	// Client certificates of that authority; see [access.Authority].
	Certificates func() []access.IssuedCertificate                                 // oldest first
	Issue        func(name string, csr []byte) (certPEM, keyPEM []byte, err error) // nil: they let nobody in
	Revoke       func(serial string) error                                         // disconnects who came with it

	// Support adds to support bundles; nil: there are none.
	Support Support

	// Settings is the configuration file; nil: there is no page of it.
	Settings Settings

	// Backups of the whole box; nil: there are none.
	Backups Backups

	Log    *Log         // the last lines of the log, for who asks; nil: there are none
	Logger *slog.Logger // nil: silent
}

// Listener is where the pages are served.
type Listener struct {
	net.Listener
	TLS *tls.Config // nil: without
}

// limited returns a listener of connections that are not too many. TLS is the outermost
// of what is around a connection: else net/http would not know that there is any, and
// cookies would not be Secure.
func (l Listener) limited() net.Listener {
	limited := netutil.LimitListener(l.Listener, maxConnections)
	if l.TLS == nil {
		return limited
	}
	return tls.NewListener(limited, l.TLS)
}

// Server serves the page.
type Server struct {
	o      Options
	log    *slog.Logger
	values values
	views  views

	heartbeat time.Duration // after which it is looked whether who follows something is there, and still may

	pageLevels map[string]access.Level // that the pages take, by their paths

	history history // of what devices say
	watches frameWatches
	rates   clientRates
	topics  topicViews
	sockets slots // MQTT connections of pages

	logins   sync.Mutex // held while a password is checked
	changing sync.Mutex // held while users are changed, so that an admin is left

	captures  slots
	backups   slots         // one is made or restored at a time
	followers slots         // of the log and of journeys
	tracers   slots         // who follow a trace
	recorded  recorded      // the traces that pages have begun
	ending    chan struct{} // closed when Run ends: what would go on for ever ends with it

	meter    meter
	drafts   drafts
	mapMu    sync.Mutex // held while a map of the Zigbee network is drawn
	mapOf    *z2m.NetworkMap
	mapDrawn *drawnMap // of that

	supporting  sync.Mutex // held while a bundle is made
	pairing     access.Pairing
	integration func() ([]byte, error) // the zip, made once

	pulse  pulse
	checks lastReport
}

// New returns a server that answers nobody until Run.
func New(o Options) *Server {
	if o.BaseTopic == "" {
		o.BaseTopic = "lintel"
	}
	s := &Server{o: o, log: o.Logger, heartbeat: 15 * time.Second, captures: make(slots, maxCaptures), backups: make(slots, 1),
		followers: make(slots, maxLogFollowers), tracers: make(slots, maxTraces), sockets: make(slots, maxSockets), ending: make(chan struct{})}
	s.views = views{interval: liveInterval, open: make(map[viewKey]*view)}
	s.integration = sync.OnceValues(func() ([]byte, error) { return homeassistant.Integration(o.Version) })
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.values.base = o.BaseTopic + "/"
	s.values.devices = make(map[string]deviceState)
	return s
}

// Run serves until ctx ends, then lets running requests finish for two seconds
// and returns nil. It closes the listeners.
func (s *Server) Run(ctx context.Context) error {
	for _, l := range s.o.Listeners {
		defer l.Close()
	}
	for _, leaf := range []string{"availability", "state"} {
		filter := s.o.BaseTopic + "/+/" + leaf
		if err := s.o.Broker.Subscribe(ctx, filter, 0, s.values.handle); err != nil {
			return fmt.Errorf("subscribe to %s: %w", filter, err)
		}
	}
	if s.o.DeviceBook != nil {
		var keeping sync.WaitGroup
		ctx, stop := context.WithCancel(ctx)
		keeping.Go(func() { s.keepHistory(ctx) })
		defer keeping.Wait()
		defer stop()
	}
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	var beating sync.WaitGroup
	beats, rest := context.WithCancel(ctx)
	beating.Go(func() { s.pulse.run(beats, s.o.Stats, s.o.Clients) })
	defer beating.Wait()
	defer rest() // a listener may have failed
	defer s.topics.close()
	if s.o.Users == nil {
		return s.serve(ctx, server)
	}
	counting, stop := context.WithCancel(ctx)
	counted := make(chan error, 1)
	go func() { counted <- s.o.Sessions.Run(counting) }()
	err := s.serve(ctx, server)
	stop()
	return errors.Join(err, <-counted)
}

// serve serves until ctx ends.
func (s *Server) serve(ctx context.Context, server *http.Server) error {
	var serving errgroup.Group
	ctx, stop := context.WithCancel(ctx) // one listener that fails ends the others
	defer stop()
	for _, l := range s.o.Listeners {
		serving.Go(func() error {
			defer stop()
			if err := server.Serve(l.limited()); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	<-ctx.Done()
	close(s.ending)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		server.Close()
	}
	return serving.Wait()
}

// name is what the box is called.
func (s *Server) name() string {
	if s.o.Claim != nil {
		if name := s.o.Claim.BoxName(); name != "" {
			return name
		}
	}
	return s.o.Name
}

// serveHealth tells strangers no more than they need.
func (s *Server) serveHealth(w http.ResponseWriter, _ *request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if s.o.Healthy() != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ok")
		return
	}
	fmt.Fprintln(w, "ok")
}

// serveRoot hands out the certificate of the box's own authority.
func (s *Server) serveRoot(w http.ResponseWriter, r *request) {
	if s.o.Root == nil {
		s.refuse(w, r, http.StatusNotFound, "This box has no certificate authority of its own: it uses the certificate that the configuration names.")
		return
	}
	pem, fingerprint := s.o.Root()
	h := w.Header()
	h.Set("Content-Type", "application/x-x509-ca-cert") // phones and browsers offer to install it
	h.Set("Content-Disposition", `attachment; filename="lintel-ca.pem"`)
	h.Set("X-Certificate-Fingerprint", fingerprint)
	w.Write(pem)
}
