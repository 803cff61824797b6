package dashboard

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"
	"unsafe"
)

// The history of all devices: of each number the last value of each minute for an hour, and
// the mean of each ten minutes for a day. It is in memory alone: what a card would have to
// take of it would wear it out.
const (
	minuteSize = 60
	tenSize    = 144
	tenMinutes = 10

	// maxSeries numbers are remembered, of which each takes less than a kilobyte.
	maxSeries = 8192
)

// history holds what the properties of devices were.
type history struct {
	mu     sync.Mutex
	began  time.Time // of the first sample; zero: there is none
	last   time.Time // of the last one
	step   int       // samples up to now
	series map[seriesKey]*series
}

type seriesKey struct{ device, property string }

// series is one number over time, in two rings. Places that were never written are NaN.
type series struct {
	minutes [minuteSize]float32
	tens    [tenSize]float32
	sum     float64 // of the ten minutes that are not over
	count   int
	written int // step of the last value
}

func newSeries() *series {
	s := new(series)
	nan := float32(math.NaN())
	for i := range s.minutes {
		s.minutes[i] = nan
	}
	for i := range s.tens {
		s.tens[i] = nan
	}
	return s
}

// sample takes what all calls each with as the values of this minute.
func (h *history) sample(now time.Time, all func(each func(device, property string, value float64))) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.series == nil {
		h.series = make(map[seriesKey]*series)
		h.began = now
	}
	h.last = now
	nan := float32(math.NaN())
	i := h.step % minuteSize
	for _, s := range h.series {
		s.minutes[i] = nan
	}
	all(func(device, property string, value float64) {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return
		}
		key := seriesKey{device, property}
		s := h.series[key]
		if s == nil {
			if len(h.series) >= maxSeries {
				return
			}
			s = newSeries()
			h.series[key] = s
		}
		s.minutes[i] = float32(value)
		s.sum += value
		s.count++
		s.written = h.step
	})
	h.step++
	if h.step%tenMinutes != 0 {
		return
	}
	i = (h.step/tenMinutes - 1) % tenSize
	for key, s := range h.series {
		s.tens[i] = nan
		if s.count > 0 {
			s.tens[i] = float32(s.sum / float64(s.count))
		}
		s.sum, s.count = 0, 0
		if h.step-s.written > tenSize*tenMinutes {
			delete(h.series, key)
		}
	}
}

// points returns the last hour of a number, or the last day. Times are counted back from
// the last sample: the clock of the box may have been set in between.
func (h *history) points(device, property string, day bool) []point {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.series[seriesKey{device, property}]
	if s == nil {
		return nil
	}
	ring, every, n, last := s.minutes[:], time.Minute, h.step, h.last
	if day {
		ring, every, n = s.tens[:], tenMinutes*time.Minute, h.step/tenMinutes
		last = last.Add(-time.Duration(h.step%tenMinutes) * time.Minute)
	}
	var points []point
	for i := max(0, n-len(ring)); i < n; i++ {
		v := float64(ring[i%len(ring)])
		if len(points) > 0 || !math.IsNaN(v) {
			points = append(points, point{last.Add(-time.Duration(n-1-i) * every), v})
		}
	}
	return points
}

// since tells when the history begins; zero: it has not.
func (h *history) since() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.began
}

// bytes is what the history takes, about.
func (h *history) bytes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.series) * int(unsafe.Sizeof(series{})+unsafe.Sizeof(seriesKey{})+unsafe.Sizeof(uintptr(0)))
}

// keepHistory takes a sample each minute until ctx ends.
func (s *Server) keepHistory(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.history.sample(now, s.numbers)
		}
	}
}

// numbers calls each with all that is a number in the state of a device.
func (s *Server) numbers(each func(device, property string, value float64)) {
	for _, d := range s.o.Devices() {
		v := s.values.get(d.ID)
		if cmp.Or(v.availability, online) != online {
			continue
		}
		for key, value := range v.values {
			if f, ok := numberOf(value); ok {
				each(d.ID, key, f)
				continue
			}
			object, _ := value.(map[string]any)
			for member, value := range object {
				if f, ok := numberOf(value); ok {
					each(d.ID, key+"."+member, f)
				}
			}
		}
	}
	if s.o.ZigbeeNetwork == nil {
		return
	}
	for ieee, state := range s.o.ZigbeeNetwork.States() {
		for key, value := range state {
			if f, ok := numberOf(value); ok {
				each(ieee.String(), key, f)
			}
		}
	}
}

// pointAnswer is a point of a history; null: nothing was said.
type pointAnswer struct {
	Time  time.Time `json:"time"`
	Value *float64  `json:"value"`
}

// historyAnswer is what GET /api/devices/{id}/history tells.
type historyAnswer struct {
	Property string        `json:"property"`
	Unit     string        `json:"unit,omitempty"`
	Since    *time.Time    `json:"since"` // before it the box was not running; null: it began just now
	Points   []pointAnswer `json:"points"`
}

func (s *Server) historyCall(r *request) (historyAnswer, error) {
	row, properties, err := s.findDevice(r.PathValue("id"))
	if err != nil {
		return historyAnswer{}, err
	}
	key, span := r.URL.Query().Get("property"), cmp.Or(r.URL.Query().Get("span"), "hour")
	i := slices.IndexFunc(properties, func(v propertyView) bool { return v.Key == key })
	switch {
	case i < 0:
		return historyAnswer{}, wrong("property", "The device has no property %.64q: GET /api/devices/%s lists them.", key, row.ID)
	case span != "hour" && span != "day":
		return historyAnswer{}, wrong("span", "span is hour or day.")
	}
	a := historyAnswer{Property: key, Unit: properties[i].Unit, Points: []pointAnswer{}}
	if began := s.history.since(); !began.IsZero() {
		a.Since = &began
	}
	for _, p := range s.history.points(row.ID, key, span == "day") {
		point := pointAnswer{Time: p.At}
		if p.Value == p.Value {
			point.Value = &p.Value
		}
		a.Points = append(a.Points, point)
	}
	return a, nil
}
