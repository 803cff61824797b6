package serialbridge

import "time"

// total is what a counter showed.
type total struct {
	value float64
	at    time.Time // zero: before this start
}

// totals holds the counters of a device against what they were, so that one bad
// frame whose checksum happens to be right does not end up in the statistics of a
// house for ever: a total that falls, or rises by more than a house can use, is
// believed when the next reading goes on from there, as it does after a meter was
// changed or has begun a new day.
type totals struct {
	last map[string]total // published
	held map[string]total // of the reading before, which was not believed
}

// perHour is the most that a house uses in an hour, by unit: mains of 3 × 315 A
// and the largest domestic gas and water meters (G16, Q3 16 m³/h), doubled.
// What counts in other units may rise as it likes.
func perHour(unit string) (limit float64, known bool) {
	switch unit {
	case "Wh", "VAh", "varh":
		return 500_000, true
	case "kWh", "kVAh", "kvarh":
		return 500, true
	case "MWh":
		return 0.5, true
	case "MJ":
		return 2000, true
	case "GJ":
		return 2, true
	case "m³":
		return 60, true
	case "L":
		return 60_000, true
	}
	return 0, false
}

func isTotal(p *Property) bool { return p.Kind == Measurement && p.StateClass == "total_increasing" }

func (t *totals) set(key string, value float64, at time.Time) {
	if t.last == nil {
		t.last = make(map[string]total)
	}
	t.last[key] = total{value, at}
}

// follows tells whether a counter in some unit can have gone from before to value.
func follows(unit string, before total, value float64, now time.Time) bool {
	if value < before.value {
		return false
	}
	limit, known := perHour(unit)
	if !known || before.at.IsZero() {
		return true
	}
	// A meter tells its total late and in steps: an hour's use is no jump.
	return value-before.value <= limit*max(1, now.Sub(before.at).Hours())
}

// plausible tells whether the totals of a reading can be true, and notes them.
func (t *totals) plausible(properties []Property, values map[string]any, now time.Time) bool {
	believed, said := true, make(map[string]total)
	for i := range properties {
		p := &properties[i]
		value, ok := number(values[p.Key])
		if !ok || !isTotal(p) {
			continue
		}
		said[p.Key] = total{value, now}
		last, known := t.last[p.Key]
		if !known || follows(p.Unit, last, value, now) {
			continue
		}
		if held, again := t.held[p.Key]; !again || !follows(p.Unit, held, value, now) {
			believed = false
		}
	}
	if !believed {
		t.held = said
		return false
	}
	t.held = nil
	for key, s := range said {
		t.set(key, s.value, s.at)
	}
	return true
}

func number(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	}
	return 0, false
}
