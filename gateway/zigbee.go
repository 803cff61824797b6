package gateway

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"lintel/gateway/homeassistant"
	"lintel/persist"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/z2m"
)

// zigbeeHouse is the Zigbee network with all that hangs on it. The bridge is made anew
// when somebody asks for a restart; sticks serve whichever there is.
type zigbeeHouse struct {
	g           *gateway
	publisher   *homeassistant.ZigbeePublisher // nil: Home Assistant is told nothing
	updates     *zigbeeUpdates
	options     z2m.Options
	definitions *z2m.Definitions // that users have written

	// serving is held for reading while a stick is served, and for writing while a bridge
	// takes the place of another: it finds in the store what the last stick has left.
	serving sync.RWMutex

	told atomic.Pointer[zigbee.Info] // of the coordinator, to Home Assistant

	mu     sync.Mutex
	bridge *z2m.Bridge
	over   chan struct{} // closed when the bridge is
	front  http.Handler
}

// buildZigbee connects the network to the store and the broker.
func (g *gateway) buildZigbee() error {
	c := g.config.Zigbee
	if !c.Enabled {
		return nil
	}
	client, err := g.client("lintel-zigbee")
	if err != nil {
		return err
	}
	known, err := persist.NewBucket[zigbee.Device](g.store, "zigbee devices")
	if err != nil {
		return err
	}
	memory, err := persist.NewBucket[string](g.store, "zigbee")
	if err != nil {
		return err
	}
	settings, err := persist.NewBucket[map[string]any](g.store, "zigbee settings")
	if err != nil {
		return err
	}
	states, err := persist.NewBucket[map[string]any](g.store, "zigbee states")
	if err != nil {
		return err
	}
	z := &zigbeeHouse{g: g, definitions: z2m.NewDefinitions(cmp.Or(c.Devices, filepath.Join(g.o.Data, "zigbee-devices")), g.log)}
	if z.updates, err = newZigbeeUpdates(g, z); err != nil {
		return err
	}
	if g.config.HomeAssistant.Enabled {
		z.publisher = homeassistant.NewZigbeePublisher(homeassistant.ZigbeePublisherOptions{Broker: client,
			ZigbeeOptions: homeassistant.ZigbeeOptions{Prefix: g.config.HomeAssistant.Prefix, BaseTopic: c.BaseTopic,
				Version: g.o.Version, URL: g.zigbeeURL()}, Logger: g.log})
	}
	z.options = z2m.Options{
		Broker: client, Settings: settings, States: states, BaseTopic: c.BaseTopic, Version: g.o.Version,
		Network: zigbee.Options{Store: known, Memory: memory, Form: c.Parameters(), TakeOver: c.TakeOver, Answer: z.updates.updater.Handle,
			Journeys: &g.journeys.book},
		HomeAssistant: z2m.HomeAssistant{Enabled: g.config.HomeAssistant.Enabled, DiscoveryTopic: g.config.HomeAssistant.Prefix,
			StatusTopic: g.config.HomeAssistant.Prefix + "/status"},
		Resolve: z.definitions.Resolve, Updater: z.updates, Logger: g.log,
	}
	if z.publisher != nil {
		z.options.Discovery = zigbeeDiscovery{z}
	}
	if err := z.build(); err != nil {
		return err
	}
	g.zigbee = z
	return nil
}

// build makes a bridge.
func (z *zigbeeHouse) build() error {
	z.definitions.Read()
	bridge, err := z2m.New(z.options)
	if err != nil {
		return err
	}
	var files fs.FS
	if folder := z.g.config.Zigbee.Frontend; folder != "" {
		files = os.DirFS(folder)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.bridge, z.over = bridge, make(chan struct{})
	z.front = bridge.Frontend(z2m.FrontendOptions{Token: z.g.config.Zigbee.Token, Files: files})
	z.updates.updater.SetNetwork(bridge.Network())
	return nil
}

// Bridge returns the bridge that there is now.
func (z *zigbeeHouse) Bridge() *z2m.Bridge {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.bridge
}

// run runs one bridge after the other.
func (z *zigbeeHouse) run(ctx context.Context) error {
	for {
		err := z.Bridge().Run(ctx)
		z.mu.Lock()
		close(z.over)
		z.mu.Unlock()
		if !errors.Is(err, z2m.ErrRestart) {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		z.g.log.Info("zigbee starts anew, as asked")
		z.serving.Lock()
		err = z.build()
		z.serving.Unlock()
		if err != nil {
			return err
		}
	}
}

// Serve has a stick be the coordinator of the network. See dongle.Network.
func (z *zigbeeHouse) Serve(ctx context.Context, c zigbee.Coordinator) error {
	z.serving.RLock()
	defer z.serving.RUnlock()
	z.mu.Lock()
	bridge, over := z.bridge, z.over
	z.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- bridge.Network().Serve(ctx, c) }()
	select {
	case err := <-served:
		return err
	case <-over:
		cancel()
		<-served
		return zigbee.ErrReopen // for the bridge that comes after
	}
}

// ServeHTTP serves the front end.
func (z *zigbeeHouse) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	z.mu.Lock()
	front := z.front
	z.mu.Unlock()
	front.ServeHTTP(w, r)
}

// zigbeeURL is where a person finds the front end, empty if there is none.
func (g *gateway) zigbeeURL() string {
	if g.config.Zigbee.Frontend == "" || g.pageURL() == "" {
		return ""
	}
	return g.pageURL() + "/zigbee"
}

// zigbeeDiscovery tells Home Assistant of devices and groups.
type zigbeeDiscovery struct{ z *zigbeeHouse }

func (d zigbeeDiscovery) Entity(info z2m.EntityInfo) (unknown map[string]any) {
	d.z.tellOfBridge() // below which it hangs
	if info.Excluded {
		d.z.publisher.Gone(info.ID)
		return nil
	}
	e := homeassistant.ZigbeeEntity{
		ID: info.ID, Group: info.Group, Name: info.Name, Disabled: info.Disabled, Availability: info.Availability, Overrides: info.Overrides,
		SoftwareBuildID: info.Device.SoftwareBuildID, HardwareVersion: info.Device.HardwareVersion,
	}
	if def := info.Definition; def != nil {
		e.Model, e.Vendor, e.Description, e.Exposes, e.OTA = def.Model, def.Vendor, def.Description, def.Exposes, def.OTA
	}
	for _, s := range info.Scenes {
		e.Scenes = append(e.Scenes, homeassistant.ZigbeeScene{ID: s.ID, Name: s.Name})
	}
	for _, m := range info.Members {
		member := homeassistant.ZigbeeMember{Device: m.Device.String(), Endpoint: m.Endpoint}
		if m.Definition != nil {
			member.Exposes = m.Definition.Exposes
		}
		e.Members = append(e.Members, member)
	}
	return d.z.publisher.Entity(e, info.LastSeen, info.Actions, info.Rename)
}

func (d zigbeeDiscovery) Gone(id string) { d.z.publisher.Gone(id) }

// tellOfBridge tells Home Assistant of the network itself, if that is new: the devices
// hang below it.
func (z *zigbeeHouse) tellOfBridge() {
	info, _, _ := z.Bridge().Network().Info()
	if z.publisher == nil || info.IEEEAddress == 0 {
		return
	}
	told := z.told.Swap(&info)
	if told == nil || told.IEEEAddress != info.IEEEAddress || told.Type != info.Type || told.Revision != info.Revision {
		z.publisher.Bridge(info.IEEEAddress.String(), info.Type, info.Revision)
	}
}
