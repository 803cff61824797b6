package gateway

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"lintel/gateway/broker"
	"lintel/gateway/dashboard"
	"lintel/gateway/mqtt"
	"lintel/serialbridge/journey"
)

// journeys are the messages that somebody follows through the house. What the bridges tell
// goes into the book; what the broker tells comes over its traces. Nothing of it is there
// while nobody looks.
type journeys struct {
	g         *gateway
	watchTime time.Duration
	book      journey.Book

	mu      sync.Mutex
	watched map[string]*watched
}

// watched is something that somebody looks at.
type watched struct {
	*journey.Watch
	topic string             // by which it is decided who may see what a message says that has no topic
	end   *time.Timer        // runs it out when nobody has looked for a while
	stop  context.CancelFunc // of the traces of the broker
}

// watchTime is how long something is watched after the last look.
const watchTime = 20 * time.Second

// Look returns the last messages of a device, by its ID, IEEE address or name, or of a topic
// filter. They are those since the first look: from then on it is watched until nobody has
// looked for 20 s.
func (js *journeys) Look(device, topic string) (dashboard.Journeys, error) {
	js.mu.Lock()
	defer js.mu.Unlock()
	key := device + "\n" + topic
	w := js.watched[key]
	if w == nil {
		var err error
		if w, err = js.begin(key, device, topic); err != nil {
			return dashboard.Journeys{}, err
		}
		if js.watched == nil {
			js.watched = make(map[string]*watched)
		}
		js.watched[key] = w
	}
	w.end.Reset(js.watchTime)
	list, changed := w.Journeys()
	return dashboard.Journeys{List: list, Changed: changed, Topic: w.topic}, nil
}

// begin begins to watch. The lock is held.
func (js *journeys) begin(key, device, topic string) (*watched, error) {
	devices, filters := js.find(device, topic)
	if len(filters) == 0 {
		return nil, dashboard.ErrNoSuchDevice
	}
	watch, err := js.book.Watch(devices...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	for _, filter := range filters {
		events, err := js.g.broker.Trace(ctx, broker.TraceOptions{Topic: filter, Payload: true})
		if err != nil {
			cancel()
			watch.Close()
			return nil, err
		}
		go take(watch, events)
	}
	w := &watched{Watch: watch, stop: cancel, topic: strings.TrimSuffix(filters[0], "/#")}
	w.end = time.AfterFunc(js.watchTime, func() {
		js.mu.Lock()
		defer js.mu.Unlock()
		js.over(key, w)
	})
	return w, nil
}

// over ends a watch. The lock is held.
func (js *journeys) over(key string, w *watched) {
	if js.watched[key] == w {
		delete(js.watched, key)
	}
	w.end.Stop()
	w.stop()
	w.Close()
}

// close ends all watches.
func (js *journeys) close() {
	js.mu.Lock()
	defer js.mu.Unlock()
	for key, w := range js.watched {
		js.over(key, w)
	}
}

// find returns the devices and the topic filters that a device or a filter is about.
func (js *journeys) find(device, topic string) (devices, filters []string) {
	if topic != "" {
		filters = []string{topic}
	}
	base := js.g.config.Serial.BaseTopic
	for _, d := range js.g.bridge.Devices() {
		switch own := base + "/" + d.ID; {
		case d.ID == device:
			devices, filters = append(devices, d.ID), append(filters, own+"/#")
		case topic != "" && mqtt.Match(topic, own+"/state"):
			devices = append(devices, d.ID)
		}
	}
	if js.g.zigbee == nil {
		return devices, filters
	}
	bridge := js.g.zigbee.Bridge()
	base = strings.TrimSuffix(bridge.StateTopic(), "/bridge/state")
	for _, d := range bridge.Overview().Devices {
		own, ieee := base+"/"+d.Name, d.IEEEAddress.String()
		switch {
		case !mqtt.ValidTopicName(own):
		case device != "" && (ieee == device || d.Name == device):
			devices, filters = append(devices, ieee), append(filters, own+"/#")
		case topic != "" && mqtt.Match(topic, own):
			devices = append(devices, ieee)
		}
	}
	return devices, filters
}

// take puts what the broker tells into a watch until the trace ends.
func take(watch *journey.Watch, events <-chan broker.TraceEvent) {
	for e := range events {
		switch {
		case e.Message == 0:
		case e.Kind == broker.TraceReceived || e.Kind == broker.TraceWill:
			watch.Tell(e.Message, stageOf(&e))
		default: // of a message that came before somebody watched there is nothing to go on from
			watch.Goes(e.Message, stageOf(&e))
		}
	}
}

// stageOf makes a stage of what the broker tells.
func stageOf(e *broker.TraceEvent) journey.Stage {
	s := journey.Stage{Time: e.Time, Kind: journey.Kind(e.Kind), Client: e.Client, Topic: e.Topic, Size: e.Bytes}
	var details []string
	if e.Packet != "" || e.Kind == broker.TraceSent || e.Kind == broker.TraceReceived {
		details = append(details, fmt.Sprintf("QoS %d", e.QoS))
		if e.Retain {
			details = append(details, "retain")
		}
		if e.Dup {
			details = append(details, "dup")
		}
	}
	if e.PacketID != 0 {
		details = append(details, fmt.Sprintf("packet %d", e.PacketID))
	}
	for _, text := range []string{e.Code, e.Detail} {
		if text != "" {
			details = append(details, text)
		}
	}
	s.Detail = strings.Join(details, ", ")
	if e.Kind == broker.TraceReceived && len(e.Payload) > 0 {
		s.Text = payloadText(e.Payload)
	}
	return s
}

// payloadText writes the beginning of a payload, in hexadecimal if it is no text.
func payloadText(payload []byte) string {
	text := payload
	for range utf8.UTFMax - 1 { // it may be cut within a character
		if utf8.Valid(text) || len(text) == 0 {
			break
		}
		text = text[:len(text)-1]
	}
	if utf8.Valid(text) && len(text) > 0 {
		return string(text)
	}
	return "0x" + hex.EncodeToString(payload)
}
