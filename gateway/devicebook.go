package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lintel/persist"
	"lintel/serialbridge"
)

// maxNamedDevices have a name or an icon that a person has given.
const maxNamedDevices = 2000

// deviceLook is what a person has made of a device behind a serial stick.
type deviceLook struct {
	Name string `json:"name,omitempty"` // empty: what its driver calls it
	Icon string `json:"icon,omitempty"` // mdi:NAME; empty: none
}

// deviceBook keeps what people call devices behind serial sticks, and takes devices away.
type deviceBook struct {
	g      *gateway
	bucket *persist.Bucket[deviceLook]

	mu    sync.Mutex
	looks map[string]deviceLook // by Device.ID
}

func newDeviceBook(g *gateway) (*deviceBook, error) {
	bucket, err := persist.NewBucket[deviceLook](g.store, "device looks")
	if err != nil {
		return nil, err
	}
	b := &deviceBook{g: g, bucket: bucket, looks: make(map[string]deviceLook)}
	for id, look := range bucket.All() {
		b.looks[id] = look
	}
	return b, nil
}

// apply gives a device the name and the icon that a person has chosen.
func (b *deviceBook) apply(d *serialbridge.Device) {
	b.mu.Lock()
	look := b.looks[d.ID]
	b.mu.Unlock()
	if look.Name != "" {
		d.Name = look.Name
	}
	d.Icon = look.Icon
}

// devices are those of the sticks, as people call them.
func (b *deviceBook) devices() []serialbridge.Device {
	devices := b.g.bridge.Devices()
	for i := range devices {
		b.apply(&devices[i])
	}
	return devices
}

// Check says why a device would not take a message on its set topic.
func (b *deviceBook) Check(device string, payload []byte) error {
	return b.g.bridge.Check(device, payload)
}

// Heard tells when each device was heard last.
func (b *deviceBook) Heard() map[string]time.Time { return b.g.bridge.Heard() }

// Rename calls a device something else, here and in Home Assistant, where its ids stay.
func (b *deviceBook) Rename(ctx context.Context, device, name string) error {
	return b.change(ctx, device, func(look *deviceLook) { look.Name = name })
}

// SetIcon gives a device an icon, here and in Home Assistant.
func (b *deviceBook) SetIcon(ctx context.Context, device, icon string) error {
	return b.change(ctx, device, func(look *deviceLook) { look.Icon = icon })
}

func (b *deviceBook) change(ctx context.Context, device string, change func(*deviceLook)) error {
	b.mu.Lock()
	look := b.looks[device]
	change(&look)
	if _, known := b.looks[device]; !known && len(b.looks) >= maxNamedDevices {
		b.mu.Unlock()
		return fmt.Errorf("%d devices have a name already: remove those that are gone", maxNamedDevices)
	}
	if b.looks[device] = look; look == (deviceLook{}) {
		delete(b.looks, device)
	}
	b.mu.Unlock()
	err := b.keep(ctx, device, look)
	b.g.bridge.Announce(device)
	return err
}

func (b *deviceBook) keep(ctx context.Context, device string, look deviceLook) error {
	if look == (deviceLook{}) {
		return b.bucket.Delete(ctx, device)
	}
	return b.bucket.Put(ctx, device, look)
}

// Remove takes a device away with all that is retained of it. Its name goes too.
func (b *deviceBook) Remove(ctx context.Context, device string) error {
	if err := b.g.bridge.Remove(device); err != nil {
		return err
	}
	b.mu.Lock()
	_, named := b.looks[device]
	delete(b.looks, device)
	b.mu.Unlock()
	if !named {
		return nil
	}
	return b.keep(ctx, device, deviceLook{})
}
