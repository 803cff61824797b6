package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"lintel/gateway/mqtt"
)

// mix is how a house publishes. Each has the same hundred devices: sixty that
// report every minute, twenty every ten seconds, five meters every second, and
// fifteen battery sensors every ten minutes. That is eight messages a second.
type mix struct {
	name, what string
	choose     func(d *device, i int) // sets QoS and RETAIN of the device i
}

var mixes = []mix{
	{"qos1", "all at QoS 1, nothing retained", func(d *device, i int) { d.qos = 1 }},
	{"qos1-retained", "all at QoS 1, every other device retained", func(d *device, i int) { d.qos, d.retain = 1, i%2 == 1 }},
	// zigbee2mqtt and Tasmota's telemetry: QoS 0, not retained. ESPHome: QoS 0,
	// retained. Nothing is acknowledged.
	{"qos0", "all at QoS 0, every third device retained, as they come", func(d *device, i int) { d.retain = i%3 == 0 }},
}

// device is one that publishes to one topic.
type device struct {
	topic  string
	every  time.Duration
	qos    mqtt.QoS
	retain bool
	values func(dst []byte, n int, at time.Time, r *rand.Rand) []byte

	client *client
	next   time.Duration // on the clock of the house
	sent   int

	// By number of the message; the lock of the house holds them.
	acked   []bool
	got     [2][]bool // by the listeners with sessions
	pending map[uint16]int
}

func newDevices(m mix) (devices []*device) {
	add := func(n int, every time.Duration, topic string, values func([]byte, int, time.Time, *rand.Rand) []byte) {
		for i := range n {
			d := &device{topic: fmt.Sprintf(topic, i), every: every, values: values, pending: make(map[uint16]int)}
			m.choose(d, len(devices))
			devices = append(devices, d)
		}
	}
	add(30, time.Minute, "zigbee2mqtt/climate %02d", climate)
	add(30, time.Minute, "tele/plug_%02d/SENSOR", plug)
	add(10, 10*time.Second, "zigbee2mqtt/radiator %02d", climate)
	add(10, 10*time.Second, "tele/inverter_%02d/SENSOR", plug)
	add(5, time.Second, "tele/meter_%d/SENSOR", meter)
	add(15, 10*time.Minute, "zigbee2mqtt/battery %02d", climate)
	return devices
}

// What devices say, in the words of zigbee2mqtt and Tasmota: 110 to 270 bytes. The
// number of the message is added.

func climate(dst []byte, n int, at time.Time, r *rand.Rand) []byte {
	return fmt.Appendf(dst, `{"n":%d,"battery":%d,"humidity":%.2f,"last_seen":%q,"linkquality":%d,"pressure":%.1f,"temperature":%.2f,"voltage":%d}`,
		n, 80+r.IntN(20), 40+20*r.Float64(), at.Format(time.RFC3339), 60+r.IntN(120), 990+30*r.Float64(), 18+6*r.Float64(), 2900+r.IntN(100))
}

func plug(dst []byte, n int, at time.Time, r *rand.Rand) []byte {
	power := 300 * r.Float64()
	return fmt.Appendf(dst, `{"n":%d,"Time":%q,"ENERGY":{"TotalStartTime":"2025-03-01T08:12:44","Total":%.3f,"Yesterday":%.3f,"Today":%.3f,"Period":%d,"Power":%.0f,"ApparentPower":%.0f,"ReactivePower":%.0f,"Factor":%.2f,"Voltage":%d,"Current":%.3f}}`,
		n, at.Format("2006-01-02T15:04:05"), 812+float64(n)/100, 1.204, float64(n)/1000, r.IntN(20), power, power*1.1, power*0.2, 0.9, 225+r.IntN(10), power/230)
}

func meter(dst []byte, n int, at time.Time, r *rand.Rand) []byte {
	return fmt.Appendf(dst, `{"n":%d,"Time":%q,"SML":{"total_in":%.4f,"total_out":%.4f,"power":%d,"power_L1":%d,"power_L2":%d,"power_L3":%d,"meter_number":"0A01484D591100067AF2"}}`,
		n, at.Format("2006-01-02T15:04:05"), 20411.2+float64(n)/3600, 318.7011, 200+r.IntN(3000), r.IntN(1000), r.IntN(1000), r.IntN(1000))
}

// number reads the number of a message.
func number(payload []byte) (int, bool) {
	rest, ok := bytes.CutPrefix(payload, []byte(`{"n":`))
	digits, _, more := bytes.Cut(rest, []byte(","))
	n, err := strconv.Atoi(string(digits))
	return n, ok && more && err == nil && n >= 0 && n < 1<<30
}

// house is its devices, and three who listen to all of them: one at QoS 0, and two
// at QoS 1 with sessions of which the second goes away.
type house struct {
	address string
	pace    float64 // seconds of the house in one second
	random  *rand.Rand
	byTopic map[string]*device

	devices   []*device
	listeners [3]*client
	clock     time.Duration // of the house

	mu       sync.Mutex
	deaf     bool      // acknowledgements do not count any more
	heard    time.Time // when the last message came
	messages int
}

// The listeners. Those with sessions are got[0] and got[1] of a device.
const (
	listening = iota
	keeping
	leaving
)

func newHouse(address string, m mix, pace float64) *house {
	h := &house{address: address, pace: pace, random: rand.New(rand.NewPCG(1, 2)), byTopic: make(map[string]*device), devices: newDevices(m)}
	for _, d := range h.devices {
		h.byTopic[d.topic] = d
		d.next = time.Duration(h.random.Int64N(int64(d.every)))
	}
	return h
}

// connect connects all who are not.
func (h *house) connect() error {
	for who := range h.listeners {
		if err := h.arrive(who); err != nil {
			return err
		}
	}
	for i, d := range h.devices {
		if d.client != nil {
			continue
		}
		c := &client{id: fmt.Sprintf("device%d", i), clean: true, acknowledged: func(id uint16) { h.acknowledged(d, id) }}
		if err := c.dial(h.address); err != nil {
			return err
		}
		d.client = c
	}
	return nil
}

// arrive connects a listener.
func (h *house) arrive(who int) error {
	if h.listeners[who] != nil {
		return nil
	}
	c := &client{id: fmt.Sprintf("listener%d", who), filter: "#", qos: 1, received: func(m *mqtt.Publish) { h.received(who, m) }}
	if who == listening {
		c.clean, c.qos = true, 0
	}
	if err := c.dial(h.address); err != nil {
		return err
	}
	h.listeners[who] = c
	return nil
}

// leave disconnects a listener.
func (h *house) leave(who int) {
	h.listeners[who].disconnect()
	h.listeners[who] = nil
}

// hangUp ends all connections, to a broker that may be gone.
func (h *house) hangUp() {
	for who, c := range h.listeners {
		if c != nil {
			h.leave(who)
		}
	}
	for _, d := range h.devices {
		if d.client != nil {
			d.client.disconnect()
			d.client = nil
		}
	}
}

func (h *house) acknowledged(d *device, id uint16) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n, ok := d.pending[id]; ok && !h.deaf {
		d.acked[n] = true
		delete(d.pending, id)
	}
}

func (h *house) received(who int, m *mqtt.Publish) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = time.Now()
	d := h.byTopic[string(m.Topic)]
	n, ok := number(m.Payload)
	if who != listening && d != nil && ok && n < d.sent {
		d.got[who-keeping][n] = true
	}
}

// play lets the devices publish for so long a time of this world.
func (h *house) play(ctx context.Context, length time.Duration) error {
	start, from := time.Now(), h.clock
	end := from + time.Duration(float64(length)*h.pace)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due := h.devices[0]
		for _, d := range h.devices {
			if d.next < due.next {
				due = d
			}
		}
		h.clock = min(due.next, end)
		timer.Reset(time.Until(start.Add(time.Duration(float64(h.clock-from) / h.pace))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if due.next >= end {
			return nil
		}
		if err := h.publish(due); err != nil {
			return err
		}
	}
}

// houseMorning is when the clock of a house is 0.
var houseMorning = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (h *house) publish(d *device) error {
	m := mqtt.Publish{QoS: d.qos, Retain: d.retain, Payload: d.values(nil, d.sent, houseMorning.Add(d.next), h.random)}
	h.mu.Lock()
	if d.qos > 0 {
		m.PacketID = uint16(d.sent%65535) + 1
		d.pending[m.PacketID] = d.sent
	}
	d.acked = append(d.acked, false)
	for i := range d.got {
		d.got[i] = append(d.got[i], false)
	}
	d.sent++
	h.messages++
	h.mu.Unlock()
	d.next += d.every
	_, err := d.client.conn.Write(m.AppendTopic(nil, mqtt.V311, d.topic))
	return err
}

// account says how many messages since from were acknowledged, and how many of
// those one of the listeners with sessions did not get. nil is since the start.
func (h *house) account(from []int) (acknowledged, lost int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, d := range h.devices {
		first := 0
		if from != nil {
			first = from[i]
		}
		for n := first; n < d.sent; n++ {
			if d.acked[n] {
				acknowledged++
				if !d.got[0][n] || !d.got[1][n] {
					lost++
				}
			}
		}
	}
	return acknowledged, lost
}

// mark returns how many messages each device has sent.
func (h *house) mark() (sent []int) {
	for _, d := range h.devices {
		sent = append(sent, d.sent)
	}
	return sent
}

// complete waits until nothing since from is missing any more, or nothing comes for
// silence, and then for the broker to write what nobody waits for.
func (h *house) complete(ctx context.Context, from []int) error {
	const (
		silence = 10 * time.Second
		settle  = time.Second
	)
	h.mu.Lock()
	h.heard = time.Now()
	h.mu.Unlock()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, lost := h.account(from)
		h.mu.Lock()
		since := time.Since(h.heard)
		h.mu.Unlock()
		if since > silence || since > settle && lost == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// hear sets whether acknowledgements count.
func (h *house) hear(yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = !yes
}

var errSilent = errors.New("the broker does not answer")
