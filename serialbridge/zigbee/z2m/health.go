package z2m

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"lintel/hardware"
)

// health is bridge/health. Its keys are in this order, not sorted.
type health struct {
	ResponseTime int64 `json:"response_time"` // ms since 1970
	OS           struct {
		LoadAverage   []float64 `json:"load_average"`
		MemoryUsedMB  float64   `json:"memory_used_mb"`
		MemoryPercent float64   `json:"memory_percent"`
	} `json:"os"`
	Process struct {
		UptimeSec     int64   `json:"uptime_sec"`
		MemoryUsedMB  float64 `json:"memory_used_mb"`
		MemoryPercent float64 `json:"memory_percent"`
	} `json:"process"`
	MQTT struct {
		Connected bool   `json:"connected"`
		Queued    int    `json:"queued"`
		Published uint64 `json:"published"`
		Received  uint64 `json:"received"`
	} `json:"mqtt"`
	Devices map[string]deviceHealth `json:"devices"`
}

type deviceHealth struct {
	Messages              uint64  `json:"messages"`
	MessagesPerSec        float64 `json:"messages_per_sec"`
	LeaveCount            int     `json:"leave_count"`
	NetworkAddressChanges int     `json:"network_address_changes"`
}

// counted is what a device had counted when health was reset.
type counted struct {
	since           time.Time
	messages        uint64
	leaves, changes int
}

// publishHealth publishes bridge/health.
func (b *Bridge) publishHealth() {
	var h health
	now := time.Now()
	h.ResponseTime = now.UnixMilli()
	v := hardware.ReadVitals("/")
	const mib = 1 << 20
	used := float64(v.MemoryTotal - v.MemoryAvailable)
	own := processMemory()
	total := max(float64(v.MemoryTotal), 1)
	h.OS.LoadAverage = loadAverage()
	h.OS.MemoryUsedMB, h.OS.MemoryPercent = round(used/mib, 2), round(used/total*100, 4)
	h.Process.UptimeSec = int64(now.Sub(b.started) / time.Second)
	h.Process.MemoryUsedMB, h.Process.MemoryPercent = round(own/mib, 2), round(own/total*100, 4)
	h.MQTT.Connected = true
	h.MQTT.Queued = b.out.waiting()
	h.MQTT.Published, h.MQTT.Received = b.out.published.Load(), b.received.Load()
	h.Devices = make(map[string]deviceHealth)

	b.mu.Lock()
	defer b.mu.Unlock()
	for _, told := range b.network.Devices() {
		d := b.devices[told.IEEEAddress]
		if d == nil || told.Messages == 0 && told.Leaves == 0 && told.AddressChanges == 0 {
			continue
		}
		if d.counted.since.IsZero() {
			d.counted.since = b.started
		}
		n := told.Messages - d.counted.messages
		h.Devices[told.IEEEAddress.String()] = deviceHealth{
			Messages:              n,
			MessagesPerSec:        round(float64(n)/max(now.Sub(d.counted.since).Seconds(), 1), 4),
			LeaveCount:            told.Leaves - d.counted.leaves,
			NetworkAddressChanges: told.AddressChanges - d.counted.changes,
		}
		if b.settings.Health.ResetOnCheck {
			d.counted = counted{now, told.Messages, told.Leaves, told.AddressChanges}
		}
	}
	var text bytes.Buffer
	json.NewEncoder(&text).Encode(h)
	b.publish("bridge/health", bytes.TrimSpace(text.Bytes()), retained, 1, 0, nil, false)
}

func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue)
}

// processMemory is how many bytes the runtime has from the system.
func processMemory() float64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	return float64(samples[0].Value.Uint64())
}

// loadAverage is that of one, five and fifteen minutes; zeros where there is none.
func loadAverage() []float64 {
	load := make([]float64, 3)
	text, _ := os.ReadFile("/proc/loadavg")
	for i, word := range strings.Fields(string(text)) {
		if i < len(load) {
			load[i], _ = strconv.ParseFloat(word, 64)
		}
	}
	return load
}
