package ezsp

import (
	"encoding/binary"
	"reflect"
	"testing"

	"lintel/serialbridge/zigbee"
)

// deaf returns a coordinator without a stick, and what it tells.
func deaf(version uint8) (*Coordinator, *[]zigbee.Event) {
	var events []zigbee.Event
	c := &Coordinator{
		events:    func(e zigbee.Event) { events = append(events, e) },
		log:       silent,
		announced: true,
		messages:  make(map[uint16]*message),
		questions: make(map[uint8]*question),
		watchers:  make(map[chan status]struct{}),
		addresses: make(map[zigbee.IEEEAddress]zigbee.NetworkAddress),
	}
	c.agreed.Store(uint32(version))
	return c, &events
}

// TestCapturedCallbacks: what real sticks said is understood.
func TestCapturedCallbacks(t *testing.T) {
	c, events := deaf(14) // their layout is that of 14
	m := &message{to: 0xc9de, sent: make(chan status, 1)}
	c.messages[3] = m
	for _, capture := range captures(t) {
		if capture.OK && capture.From == "ncp" && len(capture.Payload) > 6 && capture.Name != "VERSION_RSP" { // which is of the legacy format
			c.frame(unhex(t, capture.Payload))
		}
	}
	want := []zigbee.Event{zigbee.Incoming{
		Source: 0xc9de, SourceEndpoint: 1, DestinationEndpoint: 1, Profile: 0x0104, Cluster: 6, LinkQuality: 3,
		Data: []byte{0x18, 0x04, 0x0b, 0, 0},
	}}
	if !reflect.DeepEqual(*events, want) {
		t.Errorf("events are %+v", *events)
	}
	select {
	case s := <-m.sent:
		if s != statusOK {
			t.Errorf("sent: %v", s)
		}
	default:
		t.Error("no confirmation")
	}
	if c.counters.Malformed > 0 {
		t.Errorf("counters: %+v", c.counters)
	}
}

// TestTruncated: no callback that is cut off tells anything.
func TestTruncated(t *testing.T) {
	for _, version := range []uint8{13, 14, 16, 19} {
		whole := map[frameID][]byte{}
		join := binary.LittleEndian.AppendUint64([]byte{0x34, 0x12}, 0x0011223344556677)
		whole[cbTrustCenterJoin] = append(join, 1, 0, 0, 0)
		whole[cbIncomingRouteRecord] = append(append([]byte(nil), join...), 1, 2)[:10]
		aps := apsFrame{profile: 0x0104, cluster: 6, source: 1, destination: 1}
		if version < 14 {
			whole[cbIncomingMessage] = append(aps.append([]byte{0}), 99, 0xd0, 0x34, 0x12, 0xff, 0xff, 3, 1, 2, 3)
		} else {
			p := append(aps.append([]byte{0}), join...)
			whole[cbIncomingMessage] = append(p, 0xff, 0xff, 99, 0xd0, 0, 0, 0, 0, 3, 1, 2, 3)
		}
		for id, params := range whole {
			for n := range params {
				c, events := deaf(version)
				c.frame(append([]byte{0, 0x90, 1, byte(id), byte(id >> 8)}, params[:n]...))
				if len(*events) > 0 || c.counters.Malformed != 1 {
					t.Errorf("version %d, %d of %d bytes of 0x%04x tell %+v", version, n, len(params), id, *events)
				}
			}
			c, events := deaf(version)
			c.frame(append([]byte{0, 0x90, 1, byte(id), byte(id >> 8)}, params...))
			if id != cbIncomingRouteRecord && len(*events) != 1 {
				t.Errorf("version %d: 0x%04x tells %+v", version, id, *events)
			}
		}
	}
}

// TestStatus: a status means the same in both tables.
func TestStatus(t *testing.T) {
	if got := fromEmber(0x66); got != statusDeliveryFailed {
		t.Errorf("0x66 is %v", got)
	}
	if got := fromEmber(0); got != statusOK {
		t.Errorf("0 is %v", got)
	}
	if got := fromEmber(0xfe); got == statusOK || got.busy() {
		t.Errorf("0xfe is %v", got)
	}
	seen := make(map[uint8]status)
	for s, known := range statuses {
		if other, ok := seen[known.ember]; ok && known.ember != 0 {
			t.Errorf("%v and %v have the same number", s, other)
		}
		seen[known.ember] = s
	}
}
