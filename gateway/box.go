package gateway

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"lintel/gateway/homeassistant"
	"lintel/hardware"
)

// identify says which box this is: the board's serial number where it has one,
// else an id that is made up once and kept.
func identify(o Options) (homeassistant.Box, error) {
	board := hardware.ReadBoard("/")
	id := clean(board.SerialNumber)
	if id == "" {
		var err error
		if id, err = keptID(o.Data); err != nil {
			return homeassistant.Box{}, err
		}
	}
	model := board.Model
	if model == "" {
		model = "computer"
	}
	short := strings.ToUpper(id[max(0, len(id)-6):])
	return homeassistant.Box{ID: id, Name: "Lintel " + short, Model: model, Version: o.Version}, nil
}

// keptID reads the made-up id of this box, or makes it up.
func keptID(data string) (string, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return "", fmt.Errorf("data folder: %w; choose another with --data", err)
	}
	name := filepath.Join(data, "box-id")
	text, err := os.ReadFile(name)
	if id := clean(string(text)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("data folder: %w", err)
	}
	id := strings.ToLower(rand.Text()[:12])
	if err := renameio.WriteFile(name, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("data folder: %w; choose another with --data", err)
	}
	return id, nil
}

// clean keeps what may stand in an id.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

// vitals returns a function that tells how the box is doing, by the keys of
// homeassistant.BoxDevice.
func (g *gateway) vitals() func() map[string]any {
	started := time.Now()
	last, lastTime := uint64(0), started
	perMinute := -1 // not known yet
	return func() map[string]any {
		stats := g.broker.Stats()
		now := time.Now()
		v := map[string]any{
			"version":          g.o.Version,
			"board":            g.box.Model,
			"started":          started.Add(time.Until(now)).Format(time.RFC3339),
			"clients":          stats.ClientsConnected,
			"messages_dropped": stats.PublishDropped,
			"logins_refused":   g.access.audit.Refusals(),
			"storage":          g.storage(),
		}
		if since := now.Sub(lastTime); since >= 10*time.Second { // what a few messages of the start would be in a minute is no figure
			perMinute = int(float64(stats.PublishReceived-last) / since.Minutes())
			last, lastTime = stats.PublishReceived, now
		}
		if perMinute >= 0 {
			v["messages_per_minute"] = perMinute
		}
		machine := hardware.ReadVitals("/")
		if machine.Temperature != 0 {
			v["temperature"] = machine.Temperature
		}
		if machine.MemoryTotal > 0 {
			v["memory_used"] = int(100 * (machine.MemoryTotal - machine.MemoryAvailable) / machine.MemoryTotal)
		}
		var disk unix.Statfs_t
		if unix.Statfs(g.o.Data, &disk) == nil {
			v["disk_free"] = disk.Bavail * uint64(disk.Bsize) / 1e6
		}
		return v
	}
}

// storage says in a few words how the store is doing.
func (g *gateway) storage() string {
	switch n := len(g.losses()); {
	case g.store.Err() != nil:
		return "failed"
	case n == 1:
		return "a loss, see the page of the box"
	case n > 1:
		return fmt.Sprintf("%d losses, see the page of the box", n)
	case g.store.DiskLow():
		return "nearly full"
	}
	return "ok"
}
