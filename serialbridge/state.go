package serialbridge

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"

	"lintel/gateway/mqtt"
)

// dirty is what of a device waits to be published.
type dirty uint8

const (
	dirtyDevice dirty = 1 << iota
	dirtyAvailability
	dirtyState
	dirtyGone
)

// device is what the supervisor knows of a device. It is guarded by the
// supervisor's mutex.
type device struct {
	Device        // never changed in place: it is given away
	own    string // its ID for the driver, which is another one if it is anonymous
	owner  *stick
	values map[string]any // the last ones, without events; nil: not known any more
	before map[string]any // values from before this start that were not heard since, nor are of a property that is known
	online bool
	totals totals

	published time.Time   // of the state; zero: never
	due       *time.Timer // until the state is published; nil: nothing waits

	appeared time.Time // when online has changed
	heard    time.Time // last reading; zero: none since the stick was opened
	habit    habit
	silent   bool         // it was silent for too long
	starts   uint         // of the house since it was heard
	awaited  bool         // it was heard before this start, and its driver does not know of it yet
	kept     acquaintance // what was written down

	dirty   dirty
	journey uint64      // number of the last reading that is to be published; 0: nobody watches
	unlit   []string    // keys of Lights that the device has no more
	events  []eventSaid // oldest first
	waiting int         // size of events
}

// eventSaid is what happened once: an Event, a Tag, or the bytes of a Raw.
type eventSaid struct {
	key     string
	payload []byte
}

// silentTooLong tells whether a device must be thought to be gone. One that has
// nothing to tell, such as a row of buttons, is there with its stick.
func (d *device) silentTooLong(now time.Time, t timing) bool {
	since := d.heard
	if since.IsZero() { // it may be remembered and dead
		since = d.appeared
	}
	return d.speaksByItself() && now.Sub(since) > d.habit.patience(t)>>d.starts
}

// speaksByItself tells whether silence means that a device is gone.
func (d *device) speaksByItself() bool {
	return !d.WhenUsed && (d.awaited || !d.heard.IsZero() || d.measures())
}

// measures tells whether a device has something to tell by itself.
func (d *device) measures() bool {
	return slices.ContainsFunc(d.Properties, func(p Property) bool { return p.Kind == Measurement })
}

func (d *device) setOnline(online bool) {
	if d.online != online {
		d.online, d.appeared = online, time.Now()
		d.owner.enqueue(d, dirtyAvailability)
	}
}

// hear notes that a reading came.
func (d *device) hear(now time.Time) {
	if !d.heard.IsZero() {
		d.habit.pause(now.Sub(d.heard))
	}
	d.heard, d.silent, d.starts = now, false, 0
	d.setOnline(true)
	d.keep()
}

// merge takes the values of a reading. It returns why some were left out, or "".
// number is that of the journey of the reading; 0: nobody watches.
func (d *device) merge(values map[string]any, now time.Time, number uint64) (trouble string) {
	if !d.totals.plausible(d.Properties, values, now) {
		return DamagedImplausible
	}
	var news news
	occurred := false
	for key, value := range values {
		i := slices.IndexFunc(d.Properties, func(p Property) bool { return p.Key == key })
		if i < 0 {
			trouble = "unknown property"
			continue
		}
		p := &d.Properties[i]
		if p.Kind == Event || p.Kind == Raw || p.Kind == Tag {
			payload, ok := occurrence(p.Kind, value)
			if !ok {
				trouble = "unusable value"
				continue
			}
			if !d.happen(p.Kind, eventSaid{key, payload}) {
				trouble = "event lost"
			}
			occurred = true
			continue
		}
		before, known := d.values[key]
		if members := p.members(); members != nil {
			object, ok := members.value(before, value)
			if !ok {
				trouble = "unusable value"
			}
			if object == nil && value != nil {
				continue
			}
			value = object
		} else if !presentable(value) {
			trouble = "unusable value"
			continue
		}
		if d.values[key] = value; !known || !reflect.DeepEqual(before, value) {
			news = max(news, newsOf(p))
		}
	}
	publishes, wait := d.tell(news, now)
	if number != 0 {
		d.follow(number, publishes || occurred, wait)
	}
	return trouble
}

// happen has something published that happened. Where the broker is slow it drops
// what has waited longest, and reports false: of events the newest count.
func (d *device) happen(kind Kind, e eventSaid) (kept bool) {
	d.events = append(d.events, e)
	d.waiting += e.size()
	kept = true
	for kind != Raw && len(d.events) > maxEvents || kind == Raw && d.waiting > maxRaw {
		d.waiting -= d.events[0].size()
		d.events = d.events[1:]
		kept = false
	}
	d.owner.enqueue(d, 0)
	return kept
}

func (e eventSaid) size() int { return len(e.payload) + 64 }

// occurrence returns what is published of something that happens.
func occurrence(kind Kind, value any) (payload []byte, ok bool) {
	switch v := value.(type) {
	case string:
		if kind == Tag {
			return []byte(v), v != "" && len(v) <= maxText
		}
		return mustJSON(map[string]string{"event_type": v}), kind == Event && len(v) <= maxText
	case []byte:
		return v, kind == Raw && len(v) <= maxText
	}
	return nil, false
}

// presentable tells whether a value is one that JSON and a house can hold.
func presentable(value any) bool {
	switch v := value.(type) {
	case float64:
		return !math.IsNaN(v) && !math.IsInf(v, 0)
	case string:
		return len(v) <= maxText
	case int64, bool, nil:
		return true
	}
	return false
}

// messages returns what is to be published of a device, and takes it off.
func (d *device) messages(base string) []mqtt.Message {
	var ms []mqtt.Message
	topic := base + "/" + d.ID + "/"
	if d.dirty&dirtyGone != 0 {
		d.dirty = 0
		for _, p := range d.Properties {
			if p.Kind == Light {
				ms = append(ms, mqtt.Message{Topic: topic + p.Key, QoS: 1, Retain: true})
			}
		}
		return append(ms, mqtt.Message{Topic: topic + "state", QoS: 1, Retain: true}, mqtt.Message{Topic: topic + "availability", QoS: 1, Retain: true})
	}
	for _, key := range d.unlit {
		ms = append(ms, mqtt.Message{Topic: topic + key, QoS: 1, Retain: true})
	}
	availability := mqtt.Message{Topic: topic + "availability", Payload: []byte("offline"), QoS: 1, Retain: true}
	if d.dirty&dirtyAvailability != 0 && !d.online {
		ms = append(ms, availability)
	}
	if d.dirty&dirtyState != 0 && len(d.values)+len(d.before) > 0 {
		// QoS 0: the next reading replaces it, and a meter speaks every
		// second. The broker writes the latest to the card now and then.
		values := d.values
		if len(d.before) > 0 {
			values = maps.Clone(d.before)
			maps.Copy(values, d.values)
		}
		ms = append(ms, mqtt.Message{Topic: topic + "state", Payload: mustJSON(values), Retain: true})
		for _, p := range d.Properties {
			if p.Kind == Light {
				ms = append(ms, mqtt.Message{Topic: topic + p.Key, Payload: mustJSON(lit(&p, d.values[p.Key])), Retain: true})
			}
		}
	}
	if d.dirty&dirtyAvailability != 0 && d.online {
		availability.Payload = []byte("online") // who is online has the right state
		ms = append(ms, availability)
	}
	for _, e := range d.events {
		ms = append(ms, mqtt.Message{Topic: topic + e.key, Payload: e.payload, QoS: 1})
	}
	d.dirty, d.events, d.waiting, d.unlit = 0, nil, 0, nil
	return ms
}

// lit returns what is published of a Light on its own topic. Home Assistant does not
// read a light out of another object. It wants to hear the state each time, reads a
// color only beside a color_mode, and warns of what is null.
func lit(p *Property, value any) map[string]any {
	light := map[string]any{"state": nil}
	object, _ := value.(map[string]any)
	for name, v := range object {
		if v != nil {
			light[name] = v
		}
	}
	if light["color_mode"] == nil {
		switch {
		case light["color"] != nil && p.Has(RGBW):
			light["color_mode"] = "rgbw"
		case light["color"] != nil:
			light["color_mode"] = "rgb"
		case light["color_temp"] != nil:
			light["color_mode"] = "color_temp"
		}
	}
	return light
}

// mustJSON encodes values that presentable has passed.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
