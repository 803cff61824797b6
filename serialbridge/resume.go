package serialbridge

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"lintel/gateway/mqtt"
)

const (
	maxState = 64 << 10 // bytes of a state that is taken up again

	// stale is how long after the start a value from before it is shown that
	// was not heard since.
	stale = 24 * time.Hour
)

// recall notes the state of a device that was published before this start, until
// the device is heard.
func (s *Supervisor) recall(m mqtt.Message) {
	id := strings.Split(strings.TrimPrefix(m.Topic, s.o.BaseTopic+"/"), "/")[0]
	var values map[string]any
	if !m.Retain || !validID(id) || len(m.Payload) > maxState || json.Unmarshal(m.Payload, &values) != nil {
		return
	}
	maps.DeleteFunc(values, func(key string, value any) bool {
		_, object := value.(map[string]any) // bounded by the state itself
		return !validKey(key) || value == nil || !object && !presentable(value)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[id]; d != nil {
		d.before = values
		d.resume()
	} else if len(s.before) < maxDevices {
		s.before[id] = values
	}
}

// resume takes what a device is known to have said before this start: a sensor
// that tells its humidity less often than its temperature keeps both, and a total
// is held against what it was. Some drivers know a property only when it was heard
// again; until then its value stays in the state as it was.
func (d *device) resume() {
	for _, p := range d.Properties {
		value, known := d.before[p.Key]
		if !known {
			continue
		}
		delete(d.before, p.Key)
		if _, heard := d.values[p.Key]; heard {
			continue
		}
		if members := p.members(); members != nil {
			if value, _ = members.value(nil, value); value != nil {
				d.values[p.Key] = value
			}
			continue
		}
		if !fits(&p, value) {
			continue
		}
		d.values[p.Key] = value
		if number, ok := value.(float64); ok && isTotal(&p) {
			d.totals.set(p.Key, number, time.Time{})
		}
	}
}

// fits tells whether a value out of JSON is one of the property.
func fits(p *Property, value any) bool {
	switch v := value.(type) {
	case float64:
		return p.Kind == Measurement || p.Kind == Setting
	case string:
		return (p.Kind == State || p.Kind == Choice || p.Kind == Text) && (len(p.Options) == 0 || slices.Contains(p.Options, v))
	case bool:
		return p.Kind == Binary || p.Kind == Switch
	}
	return false
}
