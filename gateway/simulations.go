package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/gateway/dashboard"
	"lintel/gateway/homeassistant"
	"lintel/gateway/mqtt"
	"lintel/persist"
	"lintel/serialbridge"
	"lintel/serialbridge/modbus"
	"lintel/serialbridge/simulator"
)

// maxSimulations play at a time: they cost what real sticks cost.
const maxSimulations = 8

// simulationNumber tells the devices that are tried out on the page from those of --simulate.
const simulationNumber = 7

// simulations are the sticks that a person tries out on the page. They are not there after
// a restart, nor is what was retained of them.
type simulations struct {
	g      *gateway
	bucket *persist.Bucket[string] // by Device.ID of devices and sticks, the kind: what is to be taken back
	stale  []string                // those of the run before

	mu      sync.Mutex
	playing map[string]*simulation // by kind
	ctx     context.Context        // of run; nil: it does not run
	players sync.WaitGroup
}

type simulation struct {
	dashboard.Simulation
	port   serialbridge.NamedPort
	cancel context.CancelFunc
	ended  chan struct{}
}

// newSimulations forgets what is left of those of the run before in the store. It comes before
// all that reads there what Home Assistant was told.
func newSimulations(ctx context.Context, g *gateway) (*simulations, error) {
	bucket, err := persist.NewBucket[string](g.store, "simulated")
	if err != nil {
		return nil, err
	}
	s := &simulations{g: g, bucket: bucket, playing: make(map[string]*simulation)}
	s.stale = slices.Sorted(maps.Keys(maps.Collect(bucket.All())))
	if len(s.stale) == 0 {
		return s, nil
	}
	told, err := persist.NewBucket[map[string]string](g.store, "homeassistant")
	if err != nil {
		return nil, err
	}
	habits, err := persist.NewBucket[string](g.store, "serialbridge")
	if err != nil {
		return nil, err
	}
	sticks, err := persist.NewBucket[homeassistant.Stick](g.store, "sticks")
	if err != nil {
		return nil, err
	}
	for _, id := range s.stale {
		if err := errors.Join(sticks.Delete(ctx, id), told.Delete(ctx, id), habits.Delete(ctx, "habits/"+id)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// run takes back what the run before has left at the broker, and lets sticks play until ctx
// ends.
func (s *simulations) run(ctx context.Context) error {
	for _, id := range s.stale {
		if err := s.takeBack(ctx, id); err != nil && ctx.Err() == nil {
			s.g.log.Warn("what is left of a simulated device stays", "device", id, "err", err)
		}
	}
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	<-ctx.Done()
	s.players.Wait()
	return nil
}

// takeBack empties what is retained of a device or stick, and forgets that it was there.
func (s *simulations) takeBack(ctx context.Context, id string) error {
	base := s.g.config.Serial.BaseTopic + "/" + id
	topics := []string{homeassistant.Topic(s.g.box, id, homeassistant.Options{Prefix: s.g.config.HomeAssistant.Prefix}), base + "/state", base + "/availability"}
	for _, topic := range topics {
		if err := s.g.boxClient.Publish(ctx, mqtt.Message{Topic: topic, QoS: 1, Retain: true}); err != nil {
			return err
		}
	}
	return s.bucket.Delete(ctx, id)
}

// heard takes note of a device behind a simulated stick, before anything is published of it.
func (s *simulations) heard(d *serialbridge.Device) {
	s.mu.Lock()
	kind := ""
	for _, p := range s.playing {
		if p.Stick == d.Stick {
			kind = p.Kind
		}
	}
	s.mu.Unlock()
	if kind == "" {
		return
	}
	if _, known := s.bucket.Get(d.ID); known {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.bucket.Put(ctx, d.ID, kind); err != nil {
		s.g.log.Warn("a simulated device may stay after a restart", "device", d.ID, "err", err)
	}
}

// Kinds are the sticks that can be played.
func (s *simulations) Kinds() []string { return simulator.Kinds() }

// Playing are those that are played.
func (s *simulations) Playing() []dashboard.Simulation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []dashboard.Simulation
	for _, kind := range slices.Sorted(maps.Keys(s.playing)) {
		list = append(list, s.playing[kind].Simulation)
	}
	return list
}

// Start plugs a simulated stick in.
func (s *simulations) Start(ctx context.Context, kind string) error {
	device, err := simulator.NewDevice(kind, simulationNumber)
	if err != nil {
		return &dashboard.SimulationError{Reason: fmt.Sprintf("there is no simulated stick %.40q, only %s", kind, strings.Join(simulator.Kinds(), ", "))}
	}
	path := filepath.Join(s.g.o.Data, "simulated-"+kind)
	port := serialbridge.NamedPort{Path: path, Protocol: device.Protocol, Simulated: true}
	if device.Protocol == "modbus" { // which devices there are on a bus only a person can know
		port.Driver = new(modbus.Driver(modbus.Options{Units: []modbus.Unit{{Address: 1, Map: "sdm120"}}}))
	}
	s.mu.Lock()
	switch {
	case s.playing[kind] != nil:
		s.mu.Unlock()
		return &dashboard.SimulationError{Reason: "it is playing already"}
	case len(s.playing) >= maxSimulations:
		s.mu.Unlock()
		return &dashboard.SimulationError{Reason: fmt.Sprintf("%d sticks are playing: stop one of them first", maxSimulations)}
	case s.ctx == nil || s.ctx.Err() != nil:
		s.mu.Unlock()
		return &dashboard.SimulationError{Reason: "the box is starting or stopping: try again in a moment"}
	}
	playing, cancel := context.WithCancel(s.ctx)
	p := &simulation{Simulation: dashboard.Simulation{Kind: kind, Since: time.Now(), Stick: serialbridge.StickID(path)}, port: port, cancel: cancel, ended: make(chan struct{})}
	s.playing[kind] = p
	s.players.Go(func() {
		defer close(p.ended)
		stick := simulator.New(simulator.Options{Link: path, Device: device, Logger: s.g.log})
		if err := stick.Run(playing); err != nil {
			s.g.log.Error("simulated stick failed", "port", path, "err", err)
		}
	})
	s.mu.Unlock()
	err = s.bucket.Put(ctx, p.Stick, kind)
	if err == nil {
		err = s.g.bridge.Plug(ctx, port)
	}
	if err != nil {
		s.forget(p)
		return errors.Join(err, s.bucket.Delete(ctx, p.Stick))
	}
	return nil
}

func (s *simulations) forget(p *simulation) {
	p.cancel()
	<-p.ended
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.playing, p.Kind)
}

// Stop pulls a simulated stick, with all that there is of its devices.
func (s *simulations) Stop(ctx context.Context, kind string) error {
	s.mu.Lock()
	p := s.playing[kind]
	s.mu.Unlock()
	if p == nil {
		return &dashboard.SimulationError{Reason: "it is not playing"}
	}
	if err := s.g.bridge.Unplug(ctx, p.port.Path); err != nil {
		return err
	}
	s.forget(p)
	if err := s.g.sticks.Drop(ctx, p.Stick); err != nil {
		return err
	}
	var errs []error
	for id, of := range maps.Collect(s.bucket.All()) {
		if of == kind {
			errs = append(errs, s.bucket.Delete(ctx, id))
		}
	}
	return errors.Join(errs...)
}
