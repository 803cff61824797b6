package gateway

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/backup"
	"lintel/gateway/checks"
	"lintel/gateway/homeassistant"
	"lintel/serialbridge"
)

const (
	machineAge = 5 * time.Second // of what is known of the machine, at most
	folderAge  = time.Minute     // of what is known of files
	visitAge   = 24 * time.Hour  // for which a refused login of Home Assistant is told
)

// checkup tells what the house knows of itself. It is [dashboard.Checks].
type checkup struct {
	g *gateway

	mu         sync.Mutex
	machine    machine
	machineAt  time.Time
	spare      uint64 // bytes
	foreign    []checks.Certificate
	foldersAt  time.Time
	mdnsFailed error
}

// Known implements [dashboard.Checks].
func (c *checkup) Known() checks.House {
	g := c.g
	h := checks.House{
		Notices: g.startNotices(), Uptime: time.Since(g.vitals.started), Simulated: g.o.Simulate, ClockKnown: g.clockKnown(), Addressed: hasAddress(),
		Broker: checks.Broker{Listeners: len(g.brokers), QueuedMost: int64(g.config.MQTT.MaxQueuedTotal),
			RetainedMost: g.config.MQTT.MaxRetained, RetainedRoom: int64(g.config.MQTT.MaxRetainedBytes)},
		Access: checks.Access{Anonymous: g.config.Access.Anonymous},
	}
	if err := g.Health(); err != nil {
		h.StoreErr = err.Error()
	}
	if err := g.access.control.Problem(); err != nil {
		h.Access.RoleFile = err.Error()
	}
	if g.network != nil {
		h.NoWiFi = g.config.Network.WiFi.SSID
	}
	if g.publisher != nil {
		h.HomeAssistant = &checks.HomeAssistant{Refused: g.publisher.Refused()}
		for _, name := range homeassistant.LoginNames() {
			switch g.logins.Visit(name, time.Now().Add(-visitAge)) {
			case homeassistant.Refused, homeassistant.LockedOut:
				h.HomeAssistant.Logins = append(h.HomeAssistant.Logins, checks.Login{User: name, Refused: true})
			}
		}
	}
	for _, s := range g.sticks.Away() {
		h.Sticks = append(h.Sticks, checks.Stick{ID: s.ID, Device: s.ID, Name: s.Name, State: serialbridge.Waiting})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.advertiser != nil {
		h.Name = &checks.Name{Wanted: g.config.MDNS.Host + ".local", Is: g.hostName()}
		if c.mdnsFailed != nil {
			h.Name.Err = c.mdnsFailed.Error()
		}
	}
	c.addMachine(&h)
	c.addFiles(&h)
	return h
}

func (c *checkup) addMachine(h *checks.House) {
	if time.Since(c.machineAt) >= machineAge {
		c.machine, c.machineAt = c.g.readMachine(), time.Now()
	}
	c.machine.tell(h)
	h.Disk.Full = c.g.store.DiskLow()
}

// addFiles adds what files tell.
func (c *checkup) addFiles(h *checks.House) {
	if time.Since(c.foldersAt) >= folderAge {
		c.foldersAt = time.Now()
		c.spare = sizeOf(filepath.Join(c.g.o.Data, backup.Before))
		c.foreign = nil
		if m := c.g.config.MQTT; m.Certificate != "" {
			if read, err := access.ReadCertificate(m.Certificate, m.Key); err == nil {
				c.foreign = append(c.foreign, checks.Certificate{Name: filepath.Base(m.Certificate), Own: true, Until: read.Leaf.NotAfter})
			}
		}
	}
	h.Disk.Spare = c.spare
	h.Certificates = append(h.Certificates, c.foreign...)
}

// sizeOf is what the files in a folder have; 0: there is none.
func sizeOf(folder string) (bytes uint64) {
	filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				bytes += uint64(info.Size())
			}
		}
		return nil // what cannot be read cannot be told
	})
	return bytes
}

// ForgetStick implements [dashboard.Checks].
func (c *checkup) ForgetStick(ctx context.Context, device string) error {
	if !c.g.sticks.Knows(device) {
		return errors.New("this stick is forgotten already")
	}
	return c.g.sticks.Drop(ctx, device)
}

// FreeSpace implements [dashboard.Checks].
func (c *checkup) FreeSpace() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.foldersAt, c.machineAt = time.Time{}, time.Time{}
	return os.RemoveAll(filepath.Join(c.g.o.Data, backup.Before))
}

// noName takes note that the box cannot make itself known.
func (c *checkup) noName(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mdnsFailed = err
}
