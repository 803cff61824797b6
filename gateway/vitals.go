package gateway

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"lintel/gateway/homeassistant"
	"lintel/hardware"
)

const (
	// rateLeast is the least time that messages are counted in: what a few messages of
	// the start would be in a minute is no figure.
	rateLeast = 10 * time.Second
	rateUsual = time.Minute

	clockJump  = 5 * time.Second // by which the clock may be corrected without the start being told anew
	backupLook = time.Minute     // between two looks at the files of the backups
	firstYear  = 2026            // a clock that shows an earlier one was not set yet
)

// vitals tells how the box is doing.
type vitals struct {
	g       *gateway
	started time.Time // by the monotonic clock

	mu        sync.Mutex
	told      time.Time // when the box was started, by the wall clock; zero: not told yet
	last      uint64    // messages that had come
	lastTime  time.Time // at this time
	perMinute int       // negative: not known yet
	trouble   hardware.Trouble

	backup       time.Time // of the last one
	backupLooked time.Time
}

func newVitals(g *gateway) *vitals {
	now := time.Now()
	return &vitals{g: g, started: now, lastTime: now, perMinute: -1}
}

// parts finds out what this box can tell.
func (g *gateway) parts() homeassistant.BoxParts {
	_, _, throttling := hardware.ReadThrottling(g.o.Root)
	disk, _ := hardware.ReadDisk(g.o.Root, g.o.Data)
	_, led := hardware.FindLED(g.o.Root)
	return homeassistant.BoxParts{Throttling: throttling, Writes: disk.Written > 0, CardLife: disk.LifeUsed > 0, LED: led}
}

// values returns the state of the box, by the keys of homeassistant.BoxDevice.
func (v *vitals) values() map[string]any {
	m := v.g.readMachine()
	problems, _ := machineProblems(m.facts())
	v.mu.Lock()
	defer v.mu.Unlock()
	g := v.g
	stats := g.broker.Stats()
	now := time.Now()
	storage := g.storage()
	values := map[string]any{
		"version":          g.o.Version,
		"board":            g.box.Model,
		"clients":          stats.ClientsConnected,
		"messages_dropped": stats.PublishDropped,
		"logins_refused":   g.access.audit.Refusals(),
		"storage":          storage,
		"storage_problem":  storage != "ok",
		"machine":          "ok",
		"machine_problem":  len(problems) > 0,
	}
	if len(problems) > 0 {
		values["machine"] = strings.Join(problems, ", ")
	}
	if g.clockKnown() {
		values["started"] = v.start(now).UTC().Format(time.RFC3339)
	}
	v.count(now, stats.PublishReceived)
	if v.perMinute >= 0 {
		values["messages_per_minute"] = v.perMinute
	}
	m.tellHomeAssistant(values)
	if now.Sub(v.backupLooked) >= backupLook {
		v.backup, v.backupLooked = g.store.LastBackup(), now
	}
	if v.backup.Year() >= firstYear {
		values["backup"] = v.backup.UTC().Format(time.RFC3339)
	}
	g.commands.Tell(values)
	g.tellPermitJoin(values)
	return values
}

// lookAtBackups has the next values tell of a backup that was made just now.
func (v *vitals) lookAtBackups() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.backupLooked = time.Time{}
}

// start returns when the box was started. A clock that was wrong then does not matter,
// and one that is corrected a little all the time does not change it.
func (v *vitals) start(now time.Time) time.Time {
	at := now.Round(0).Add(-now.Sub(v.started))
	if off := at.Sub(v.told); off > clockJump || off < -clockJump {
		v.told = at
	}
	return v.told
}

// count takes note of how many messages have come.
func (v *vitals) count(now time.Time, messages uint64) {
	least := rateUsual
	if v.perMinute < 0 {
		least = rateLeast
	}
	if since := now.Sub(v.lastTime); since >= least {
		v.perMinute = int(math.Round(float64(messages-v.last) / since.Minutes()))
		v.last, v.lastTime = messages, now
	}
}

// tellHomeAssistant adds what the machine tells.
func (m *machine) tellHomeAssistant(values map[string]any) {
	if m.vitals.Temperature != 0 {
		values["temperature"] = m.vitals.Temperature
	}
	if m.vitals.Uptime > 0 { // else there is no /proc
		values["load"] = m.vitals.Load
	}
	if m.vitals.MemoryTotal > 0 {
		values["memory_used"] = int(100 * (m.vitals.MemoryTotal - m.vitals.MemoryAvailable) / m.vitals.MemoryTotal)
	}
	if m.total > 0 {
		values["disk_free"] = m.free / 1e6
	}
	if m.knowsPower {
		values["throttled"] = m.now != 0
		values["throttled_by"] = inWords(m.now)
		values["throttled_before"] = inWords(m.been)
	}
	if m.disk.LifeUsed > 0 {
		values["card_life_used"] = m.disk.LifeUsed
	}
	if m.disk.Spare != "" {
		values["card_spare"] = m.disk.Spare
	}
	if m.disk.Written > 0 {
		values["written"] = m.written
	}
	if m.perDay >= 0 {
		values["written_per_day"] = m.perDay
	}
}

// troubleSinceStart takes note of trouble that there was, and returns all.
func (v *vitals) troubleSinceStart(been hardware.Trouble) hardware.Trouble {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.trouble |= been
	return v.trouble
}

func inWords(t hardware.Trouble) string {
	if t == 0 {
		return "none"
	}
	return t.String()
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
