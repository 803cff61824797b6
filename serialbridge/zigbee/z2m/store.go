package z2m

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"

	"lintel/serialbridge/zigbee"
)

// Keys of Options.Settings: "config" for what is of no device and no group, and
// these and an address or a number. States have an address or a number alone.
const (
	configKey    = "config"
	devicePrefix = "device/"
	groupPrefix  = "group/"
)

// saver writes settings, in the order in which they are changed.
type saver struct {
	store   Store
	writing sync.Mutex // held while values are written

	mu      sync.Mutex
	pending map[string]map[string]any // nil: to be deleted
}

// put takes note of a value that is to be written; it must not be changed any more.
func (s *saver) put(key string, value map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		s.pending = make(map[string]map[string]any)
	}
	s.pending[key] = value
}

// save returns when all that was put before is written. What could not be
// written stays to be written the next time.
func (s *saver) save(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	pending := s.pending
	s.pending = nil
	s.mu.Unlock()
	var failed error
	for key, value := range pending {
		var err error
		if failed == nil && value == nil {
			err = s.store.Delete(ctx, key)
		} else if failed == nil {
			err = s.store.Put(ctx, key, value)
		}
		if err != nil {
			failed = fmt.Errorf("the settings could not be saved: %w", err)
		}
		if failed != nil {
			s.mu.Lock()
			if _, newer := s.pending[key]; !newer {
				if s.pending == nil {
					s.pending = make(map[string]map[string]any)
				}
				s.pending[key] = value
			}
			s.mu.Unlock()
		}
	}
	return failed
}

// saveSoon has what was put written, by a job.
func (b *Bridge) saveSoon() {
	b.jobs.add("settings", func(ctx context.Context) {
		if err := b.saver.save(ctx); err != nil {
			b.log.Error("the settings are not kept", "err", err)
		}
	})
}

// load reads the stores.
func (b *Bridge) load() error {
	for key, value := range b.o.Settings.All() {
		if key == configKey {
			b.overrides = value
		} else if text, ok := strings.CutPrefix(key, devicePrefix); ok {
			if ieee, err := zigbee.ParseIEEEAddress(text); err == nil {
				b.deviceSets[ieee] = value
			}
		} else if text, ok := strings.CutPrefix(key, groupPrefix); ok {
			if id, err := strconv.ParseUint(text, 10, 16); err == nil && id > 0 {
				b.groupSets[uint16(id)] = value
			}
		}
	}
	settings, err := settingsOf(b.overrides)
	if err != nil {
		return fmt.Errorf("z2m: the stored settings are not right: %w", err)
	}
	b.settings = settings
	for id, set := range b.groupSets {
		b.groups[id] = &group{id: id, own: set}
	}
	if settings.Advanced.CacheState && settings.Advanced.CacheStatePersistent {
		for id, state := range b.o.States.All() {
			b.states[id] = state
		}
	}
	return nil
}

// saveStates writes the states that have changed, and forgets those of devices
// and groups that are gone.
func (b *Bridge) saveStates(ctx context.Context) error {
	b.mu.Lock()
	if !b.settings.Advanced.CacheStatePersistent {
		b.mu.Unlock()
		return nil
	}
	changed := make(map[string]map[string]any, len(b.dirty))
	for id := range b.dirty {
		changed[id] = b.states[id]
	}
	clear(b.dirty)
	b.mu.Unlock()
	for id, state := range changed {
		var err error
		if state == nil {
			err = b.o.States.Delete(ctx, id)
		} else {
			err = b.o.States.Put(ctx, id, state)
		}
		if err != nil {
			b.mu.Lock()
			for id := range changed {
				b.dirty[id] = true
			}
			b.mu.Unlock()
			return fmt.Errorf("state of %s: %w", id, err)
		}
	}
	return nil
}

// setDevice replaces what is set for a device; nil forgets it. The mutex is held.
func (b *Bridge) setDevice(ieee zigbee.IEEEAddress, set map[string]any) {
	key := devicePrefix + ieee.String()
	if set == nil {
		delete(b.deviceSets, ieee)
	} else {
		b.deviceSets[ieee] = set
		if d := b.devices[ieee]; d != nil {
			d.own, d.options = set, merge(b.settings.DeviceOptions, set)
		}
	}
	b.saver.put(key, maps.Clone(set))
}

// setGroup replaces what is set for a group; nil forgets it. The mutex is held.
func (b *Bridge) setGroup(id uint16, set map[string]any) {
	if set == nil {
		delete(b.groupSets, id)
		delete(b.groups, id)
	} else {
		b.groupSets[id] = set
		if g := b.groups[id]; g != nil {
			g.own = set
		} else {
			b.groups[id] = &group{id: id, own: set}
		}
	}
	b.saver.put(groupPrefix+strconv.Itoa(int(id)), maps.Clone(set))
}
