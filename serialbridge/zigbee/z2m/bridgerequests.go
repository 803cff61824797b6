package z2m

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

func (b *Bridge) permitJoin(ctx context.Context, r *request) (map[string]any, error) {
	text := textOf(r.value)
	if r.isBody {
		text = textOf(r.body["time"])
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || n < 0 || n > 254 {
		return nil, fmt.Errorf("%w: time is a number of seconds from 0 to 254", errInvalidPayload)
	}
	data := map[string]any{"time": int(n)}
	var via *zigbee.IEEEAddress
	if id := textOf(r.body["device"]); id != "" {
		b.mu.Lock()
		e, ok := b.resolve(id)
		switch {
		case ok && e.device != nil:
			via = &e.device.ieee
		case ok && e.group == nil:
			info, _, _ := b.network.Info()
			via = &info.IEEEAddress
		}
		if via != nil {
			data["device"] = e.name()
		}
		b.mu.Unlock()
		if via == nil {
			return nil, fmt.Errorf("Device '%s' does not exist", id)
		}
	}
	if err := b.permit(ctx, time.Duration(n)*time.Second, via); err != nil {
		return nil, err
	}
	return data, nil
}

// Permit opens the network for new devices, or closes it (0). See [zigbee.Network.PermitJoin].
func (b *Bridge) Permit(ctx context.Context, duration time.Duration) error {
	return b.permit(ctx, duration, nil)
}

func (b *Bridge) permit(ctx context.Context, duration time.Duration, via *zigbee.IEEEAddress) error {
	if err := b.network.PermitJoin(ctx, duration, via); err != nil {
		return err
	}
	if duration > 0 {
		b.log.Info("new devices may join", "seconds", int(duration.Seconds()))
	} else {
		b.log.Info("no new devices may join")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if duration == 0 {
		b.timers.cancel("permit join")
	}
	b.publishInfo()
	return nil
}

func (b *Bridge) healthCheck(context.Context, *request) (map[string]any, error) {
	return map[string]any{"healthy": true}, nil
}

func (b *Bridge) coordinatorCheck(ctx context.Context, _ *request) (map[string]any, error) {
	missing, err := b.network.MissingRouters(ctx)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, ieee := range missing {
		list = append(list, map[string]any{"ieee_address": ieee, "friendly_name": b.nameOf(ieee)})
	}
	return map[string]any{"missing_routers": list}, nil
}

func (b *Bridge) requestRestart(context.Context, *request) (map[string]any, error) {
	const patience = 500 * time.Millisecond // for the answer to go out
	b.timers.after("restart", patience, func() {
		select {
		case b.restart <- struct{}{}:
		default:
		}
	})
	return nil, nil
}

// backup returns a ZIP of all that is kept, under the names that zigbee2mqtt has for
// it. The network key is in it.
func (b *Bridge) backup(ctx context.Context, _ *request) (map[string]any, error) {
	coordinator, err := b.network.Backup(ctx)
	if err != nil {
		return nil, err
	}
	_, parameters, _ := b.network.Info()
	b.mu.Lock()
	config := b.configTree(parameters)
	states := merge(nil, nil)
	for id, state := range b.states {
		states[id] = state
	}
	all := b.devicesPayload()
	b.mu.Unlock()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for _, file := range []struct {
		name  string
		value any
	}{
		{"configuration.yaml", config}, // JSON is YAML too
		{"state.json", states},
		{"devices.json", all},
		{"coordinator_backup.json", coordinator},
	} {
		w, err := z.Create(file.name)
		if err == nil {
			_, err = w.Write(append(encode(file.value), '\n'))
		}
		if err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return map[string]any{"zip": base64.StdEncoding.EncodeToString(archive.Bytes())}, nil
}

// options changes settings. The channel is that of the network, which moves.
func (b *Bridge) options(ctx context.Context, r *request) (map[string]any, error) {
	change, ok := object(r.body["options"])
	if !ok {
		return nil, fmt.Errorf("%w: options is an object", errInvalidPayload)
	}
	numbers(change) // package devices knows float64
	for _, key := range []string{"homeassistant", "serial", "version"} {
		if change[key] != nil {
			return nil, fmt.Errorf("%s is set in the configuration of the box, not here", key)
		}
	}
	channel := uint8(0)
	if advanced, ok := object(change["advanced"]); ok && advanced["channel"] != nil {
		if err := validate(configSchema, change); err != nil {
			return nil, err
		}
		n, _ := zcl.Float(advanced["channel"])
		channel = uint8(n)
		advanced = mergeNulls(advanced, map[string]any{"channel": nil})
		change = merge(change, nil)
		change["advanced"] = advanced
	}
	b.mu.Lock()
	err := b.apply(change)
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if channel != 0 {
		b.jobs.add("channel", func(ctx context.Context) {
			if err := b.network.ChangeChannel(ctx, channel); err != nil {
				b.log.Error("the network could not move to another channel", "channel", channel, "err", err)
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			b.publishInfo()
		})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applyBlocklist()
	b.publishInfo()
	b.publishAvailabilities()
	for _, d := range b.sortedDevices() {
		b.discover(entity{device: d}, false)
	}
	return map[string]any{"restart_required": false}, nil
}

func (b *Bridge) addInstallCode(ctx context.Context, r *request) (map[string]any, error) {
	value := textOf(r.value)
	if r.isBody {
		value = textOf(r.body["value"])
	}
	if value == "" {
		return nil, errInvalidPayload
	}
	const longest = 512
	if len(value) > longest {
		return nil, errors.New("this is no install code: it is too long")
	}
	if _, err := b.network.AddInstallCode(ctx, value); err != nil {
		return nil, err
	}
	return map[string]any{"value": value}, nil
}
