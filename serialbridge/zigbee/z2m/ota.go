package z2m

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"lintel/serialbridge/zigbee"
)

// Updater gives devices new firmware. Its methods may be called from any goroutine.
type Updater interface {
	// Check asks a device what it runs, and looks for another image.
	Check(ctx context.Context, d zigbee.Device, o UpdateOptions) (UpdateStatus, error)
	// Update gives a device an image and returns when it has taken it. From equals to
	// if there was none.
	Update(ctx context.Context, d zigbee.Device, o UpdateOptions, progress func(percent float64, left time.Duration)) (from, to Firmware, err error)
	// Schedule has an image given to a device when it asks for one.
	Schedule(ctx context.Context, d zigbee.Device, o UpdateOptions) error
	Unschedule(ctx context.Context, d zigbee.Device) error
}

// UpdateOptions say which image is meant.
type UpdateOptions struct {
	Downgrade bool
	URL       string // where the image is; empty: an index knows
	Image     []byte // the image itself, or nil
	// RequestTimeout is how long a device may take for its next request, and
	// ResponseDelay the least time between two answers; 0: as usual. BlockSize is how much
	// it is sent at most at once; 0: as usual.
	RequestTimeout, ResponseDelay time.Duration
	BlockSize                     int
}

// UpdateStatus is what a check has found.
type UpdateStatus struct {
	Available         bool
	Installed, Latest uint32 // file versions
	Source            string // where the image is
	ReleaseNotes      string
}

// Firmware is what a device runs.
type Firmware struct {
	FileVersion     uint32
	SoftwareBuildID string
	DateCode        string
}

// otaRequest finds the device and the image of a request.
func (b *Bridge) otaRequest(r *request, kind string) (d zigbee.Device, name string, o UpdateOptions, err error) {
	r.answers = "device/ota_update/" + kind
	if r.id() == "" {
		return d, "", o, errInvalidPayload
	}
	o.Downgrade = strings.HasSuffix(strings.ToLower(r.name), "/downgrade")
	o.URL, _ = r.body["url"].(string)
	if image, ok := object(r.body["hex"]); ok {
		text, _ := image["data"].(string)
		if o.Image, err = hex.DecodeString(text); err != nil || len(o.Image) == 0 {
			return d, "", o, fmt.Errorf("%w: hex.data is the image in hexadecimal digits", errInvalidPayload)
		}
	}
	o.RequestTimeout = milliseconds(amount(r.body, "image_block_request_timeout"))
	o.ResponseDelay = milliseconds(amount(r.body, "image_block_response_delay"))
	o.BlockSize = int(amount(r.body, "default_maximum_data_size"))
	b.mu.Lock()
	defer b.mu.Unlock()
	found, err := b.deviceOf(r.id())
	if err != nil {
		return d, "", o, err
	}
	if o.URL == "" && o.Image == nil && (found.definition == nil || !found.definition.OTA) {
		err = fmt.Errorf("Device '%s' does not support OTA updates", found.name())
	}
	return found.Device, found.name(), o, err
}

// beginUpdate says that a device is being asked or updated, so that nobody else does it.
func (b *Bridge) beginUpdate(ctx context.Context, d zigbee.Device, name string) (context.Context, func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.updating[d.IEEEAddress] != nil {
		return nil, nil, fmt.Errorf("OTA update or check for update already in progress for '%s'", name)
	}
	ctx, cancel := context.WithCancel(ctx)
	b.updating[d.IEEEAddress] = cancel
	return ctx, func() {
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.updating, d.IEEEAddress)
	}, nil
}

// setUpdate publishes the state of an update; what is not in it stays as it was, but the
// progress.
func (b *Bridge) setUpdate(ieee zigbee.IEEEAddress, update map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[ieee]
	if d == nil {
		return
	}
	id := ieee.String()
	if old, ok := object(b.states[id]["update"]); ok {
		old = merge(old, nil)
		delete(old, "progress")
		delete(old, "remaining")
		b.states[id] = merge(b.states[id], nil)
		b.states[id]["update"] = old
	}
	b.publishState(entity{device: d}, map[string]any{"update": update}, changed)
}

func (b *Bridge) otaCheck(ctx context.Context, r *request) (map[string]any, error) {
	d, name, o, err := b.otaRequest(r, "check")
	if err != nil {
		return nil, err
	}
	data := map[string]any{"id": r.id(), "update_available": false, "downgrade": o.Downgrade}
	if b.o.Updater == nil {
		b.setUpdate(d.IEEEAddress, map[string]any{"state": "idle"})
		return data, nil
	}
	ctx, end, err := b.beginUpdate(ctx, d, name)
	if err != nil {
		return nil, err
	}
	defer end()
	status, err := b.o.Updater.Check(ctx, d, o)
	if err != nil {
		return nil, fmt.Errorf("Failed to check if OTA update available for '%s' (%w)", name, err)
	}
	b.setUpdate(d.IEEEAddress, updateState(status))
	data["update_available"] = status.Available
	if status.Source != "" {
		data["source"] = status.Source
	}
	if status.ReleaseNotes != "" {
		data["release_notes"] = status.ReleaseNotes
	}
	return data, nil
}

// SetUpdateStatus publishes what an updater has found by itself.
func (b *Bridge) SetUpdateStatus(ieee zigbee.IEEEAddress, status UpdateStatus) {
	b.setUpdate(ieee, updateState(status))
}

func updateState(s UpdateStatus) map[string]any {
	update := map[string]any{
		"state": "idle", "installed_version": s.Installed, "latest_version": s.Installed,
		"latest_source": nil, "latest_release_notes": nil,
	}
	if s.Available {
		update["state"], update["latest_version"] = "available", s.Latest
		if s.Source != "" {
			update["latest_source"] = s.Source
		}
		if s.ReleaseNotes != "" {
			update["latest_release_notes"] = s.ReleaseNotes
		}
	}
	return update
}

func (b *Bridge) otaUpdate(ctx context.Context, r *request) (map[string]any, error) {
	d, name, o, err := b.otaRequest(r, "update")
	if err != nil {
		return nil, err
	}
	none := fmt.Errorf("Update of '%s' failed (No image currently available)", name)
	if b.o.Updater == nil {
		return nil, none
	}
	ctx, end, err := b.beginUpdate(ctx, d, name)
	if err != nil {
		return nil, err
	}
	defer end()
	b.log.Info("a device is updated", "device", name)
	from, to, err := b.o.Updater.Update(ctx, d, o, func(percent float64, left time.Duration) {
		b.setUpdate(d.IEEEAddress, map[string]any{"state": "updating", "progress": round(percent, 2), "remaining": int(math.Round(left.Seconds()))})
	})
	if err != nil {
		b.setUpdate(d.IEEEAddress, map[string]any{"state": "available"})
		return nil, fmt.Errorf("OTA update of '%s' failed (%w)", name, err)
	}
	b.setUpdate(d.IEEEAddress, updateState(UpdateStatus{Installed: to.FileVersion}))
	if from == to {
		return nil, none
	}
	b.log.Info("a device was updated", "device", name, "from", from.FileVersion, "to", to.FileVersion)
	// It may be able to do more now: ask it again what it is, and set it up again.
	b.timers.after("interview/"+d.IEEEAddress.String(), 5*time.Second, func() {
		b.jobs.add("request/"+d.IEEEAddress.String(), func(ctx context.Context) {
			err := b.network.SetConfigured(d.IEEEAddress, "")
			if err == nil {
				err = b.network.Interview(ctx, d.IEEEAddress)
			}
			if err != nil && ctx.Err() == nil {
				b.log.Error("the interview after an update has failed; ask for it again later", "device", b.nameOf(d.IEEEAddress), "err", err)
			}
		})
	})
	return map[string]any{"id": r.id(), "from": firmware(from), "to": firmware(to)}, nil
}

func firmware(f Firmware) map[string]any {
	o := map[string]any{"file_version": f.FileVersion}
	if f.SoftwareBuildID != "" {
		o["software_build_id"] = f.SoftwareBuildID
	}
	if f.DateCode != "" {
		o["date_code"] = f.DateCode
	}
	return o
}

func (b *Bridge) otaAbort(_ context.Context, r *request) (map[string]any, error) {
	r.answers = "device/ota_update/update"
	b.mu.Lock()
	d, err := b.deviceOf(r.id())
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	cancel := b.updating[d.ieee]
	b.mu.Unlock()
	if cancel == nil {
		return nil, fmt.Errorf("No OTA in progress to abort for device '%s'", b.nameOf(d.ieee))
	}
	cancel()
	r.answers = "device/ota_update/update/abort"
	b.setUpdate(d.ieee, map[string]any{"state": "available"})
	return map[string]any{"id": r.id()}, nil
}

func (b *Bridge) otaSchedule(ctx context.Context, r *request) (map[string]any, error) {
	d, name, o, err := b.otaRequest(r, "schedule")
	if err != nil {
		return nil, err
	}
	if b.o.Updater == nil {
		return nil, fmt.Errorf("no image is known for '%s'", name)
	}
	if err := b.o.Updater.Schedule(ctx, d, o); err != nil {
		return nil, err
	}
	b.setUpdate(d.IEEEAddress, map[string]any{"state": "scheduled"})
	data := map[string]any{"id": r.id()}
	if o.URL != "" {
		data["url"] = o.URL
	}
	return data, nil
}

func (b *Bridge) otaUnschedule(ctx context.Context, r *request) (map[string]any, error) {
	r.answers = "device/ota_update/unschedule"
	b.mu.Lock()
	found, err := b.deviceOf(r.id())
	var d zigbee.Device
	if err == nil {
		d = found.Device
	}
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if b.o.Updater != nil {
		if err := b.o.Updater.Unschedule(ctx, d); err != nil {
			return nil, err
		}
	}
	b.setUpdate(d.IEEEAddress, map[string]any{"state": "idle"})
	return map[string]any{"id": r.id()}, nil
}
