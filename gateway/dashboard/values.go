package dashboard

import (
	"encoding/json"
	"strings"
	"sync"
	"time"

	"lintel/gateway/mqtt"
)

const (
	maxDevices = 1500 // devices, sticks and the box
	maxState   = 64 << 10
)

// values holds the last state of each device as it stands in the topics.
type values struct {
	base string // with a slash at the end

	mu      sync.Mutex
	devices map[string]deviceState
}

// deviceState is what the topics of a device say. The map is never changed.
type deviceState struct {
	availability string
	values       map[string]any
	at           time.Time // of the values
}

// handle takes the message of an availability or state topic.
func (v *values) handle(m mqtt.Message) {
	rest, ok := strings.CutPrefix(m.Topic, v.base)
	if !ok {
		return
	}
	device, leaf, ok := strings.Cut(rest, "/")
	if !ok || len(m.Payload) > maxState {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.devices[device]
	if !ok && len(v.devices) >= maxDevices {
		return
	}
	switch leaf {
	case "availability":
		s.availability = string(m.Payload)
	case "state":
		var values map[string]any
		if json.Unmarshal(m.Payload, &values) != nil {
			return
		}
		s.values, s.at = values, time.Now()
	default:
		return
	}
	v.devices[device] = s
}

func (v *values) get(device string) deviceState {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.devices[device]
}
