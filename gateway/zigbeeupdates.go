package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/ota"
	"lintel/serialbridge/zigbee/z2m"
)

// zigbeeUpdates is package ota as the bridge wants it.
type zigbeeUpdates struct {
	g       *gateway
	z       *zigbeeHouse
	updater *ota.Updater
	client  *broker.Client // by which a scheduled update is asked for
	asked   chan asked
	images  zigbeeImages

	mu        sync.Mutex
	scheduled map[zigbee.IEEEAddress]z2m.UpdateOptions
	looked    map[zigbee.IEEEAddress]time.Time
}

// asked is a device that has asked for an image by itself.
type asked struct {
	ieee  zigbee.IEEEAddress
	query ota.Query
}

// lookEvery is how often an image is looked for when a device asks by itself. Some do so
// every few minutes.
const lookEvery = 24 * time.Hour

func newZigbeeUpdates(g *gateway, z *zigbeeHouse) (*zigbeeUpdates, error) {
	client, err := g.client("lintel-zigbee-updates")
	u := &zigbeeUpdates{g: g, z: z, client: client, asked: make(chan asked, 64),
		scheduled: make(map[zigbee.IEEEAddress]z2m.UpdateOptions), looked: make(map[zigbee.IEEEAddress]time.Time)}
	u.images.folder = filepath.Join(g.o.Data, "zigbee-images")
	u.updater = ota.New(ota.Options{Index: g.config.Zigbee.OTAIndex, Folder: u.images.folder,
		Asked: func(ieee zigbee.IEEEAddress, q ota.Query) {
			select {
			case u.asked <- asked{ieee, q}:
			default: // it asks again
			}
		}})
	return u, err
}

// run deals with devices that ask by themselves.
func (u *zigbeeUpdates) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-u.asked:
			if err := u.deal(ctx, a); err != nil && ctx.Err() == nil {
				u.g.log.Warn("no look for new firmware", "device", a.ieee, "err", err)
			}
		}
	}
}

func (u *zigbeeUpdates) deal(ctx context.Context, a asked) error {
	u.mu.Lock()
	o, due := u.scheduled[a.ieee]
	delete(u.scheduled, a.ieee)
	look := !due && u.g.config.Zigbee.OTAIndex != "" && time.Since(u.looked[a.ieee]) >= lookEvery
	if look {
		u.looked[a.ieee] = time.Now()
	}
	u.mu.Unlock()
	switch {
	case due:
		// In the same words as a person would: what follows is published the same way.
		name := "update"
		if o.Downgrade {
			name += "/downgrade"
		}
		body := map[string]any{"id": a.ieee.String()}
		if o.URL != "" {
			body["url"] = o.URL
		}
		if o.Image != nil {
			body["hex"] = map[string]string{"data": fmt.Sprintf("%x", o.Image)}
		}
		payload, err := json.Marshal(body)
		if err != nil {
			return err
		}
		return u.client.Publish(ctx, mqtt.Message{Topic: u.g.config.Zigbee.BaseTopic + "/bridge/request/device/ota_update/" + name, Payload: payload})
	case look:
		available, err := u.updater.Look(ctx, a.ieee, a.query)
		if err != nil {
			return err
		}
		u.z.Bridge().SetUpdateStatus(a.ieee, statusOf(available))
	}
	return nil
}

func statusOf(a ota.Available) z2m.UpdateStatus {
	s := z2m.UpdateStatus{Installed: a.Query.FileVersion}
	if a.Entry != nil {
		s.Available, s.Latest, s.Source, s.ReleaseNotes = true, a.Entry.FileVersion, a.Entry.URL, a.Entry.ReleaseNotes
	}
	return s
}

func (u *zigbeeUpdates) Check(ctx context.Context, d zigbee.Device, o z2m.UpdateOptions) (z2m.UpdateStatus, error) {
	available, err := u.updater.Check(ctx, d.IEEEAddress, o.URL, o.Downgrade)
	return statusOf(available), err
}

func (u *zigbeeUpdates) Update(ctx context.Context, d zigbee.Device, o z2m.UpdateOptions, progress func(float64, time.Duration)) (from, to z2m.Firmware, err error) {
	from = z2m.Firmware{SoftwareBuildID: d.SoftwareBuildID, DateCode: d.DateCode}
	had, got, err := u.updater.Update(ctx, d.IEEEAddress, ota.UpdateOptions{Source: o.URL, Data: o.Image, Downgrade: o.Downgrade,
		BlockTime: o.RequestTimeout, Delay: o.ResponseDelay, BlockSize: o.BlockSize, Progress: progress})
	from.FileVersion = had.FileVersion
	if err != nil {
		return from, from, err
	}
	to = from
	to.FileVersion = got.FileVersion
	to.SoftwareBuildID, to.DateCode = u.readBuild(ctx, d)
	return from, to, nil
}

// readBuild reads what a device calls its firmware once it has started again. One that
// does not answer is told of as it was.
func (u *zigbeeUpdates) readBuild(ctx context.Context, d zigbee.Device) (build, date string) {
	const basic, dateCode, softwareBuildID = 0x0000, 0x0006, 0x4000
	network := u.z.Bridge().Network()
	for range 6 {
		select {
		case <-ctx.Done():
			return d.SoftwareBuildID, d.DateCode
		case <-time.After(20 * time.Second):
		}
		if len(d.Endpoints) == 0 {
			break
		}
		if _, err := network.Read(ctx, d.IEEEAddress, d.Endpoints[0].ID, basic, 0, dateCode, softwareBuildID); err == nil {
			break
		}
	}
	if now, ok := network.Device(d.IEEEAddress); ok {
		d = now
	}
	return d.SoftwareBuildID, d.DateCode
}

func (u *zigbeeUpdates) Schedule(_ context.Context, d zigbee.Device, o z2m.UpdateOptions) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.scheduled[d.IEEEAddress] = o
	return nil
}

func (u *zigbeeUpdates) Unschedule(_ context.Context, d zigbee.Device) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.scheduled, d.IEEEAddress)
	return nil
}
