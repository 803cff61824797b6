package mqtt

import (
	"bytes"
	"testing"
)

// hotPath are PUBLISH packets as a broker forwards them most.
var hotPath = []struct {
	name string
	v    Version
	m    Publish
}{
	{"v3", V311, Publish{Topic: []byte("house/kitchen/meter/state"), Payload: make([]byte, 64)}},
	{"v5", V50, Publish{Topic: []byte("house/kitchen/meter/state"), Payload: make([]byte, 64)}},
	{"v5properties", V50, Publish{Topic: []byte("house/kitchen/meter/state"), Payload: make([]byte, 64),
		Properties: []byte("\x01\x01\x03\x00\x10application/json\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w")}},
}

// TestForwardWithoutAllocation: reading a PUBLISH and writing it for the next
// receiver costs no memory, and its properties leave as they came.
func TestForwardWithoutAllocation(t *testing.T) {
	for _, x := range hotPath {
		packet := x.m.Append(nil, x.v)
		out := make([]byte, 0, 2*len(packet))
		var m Publish
		allocs := testing.AllocsPerRun(100, func() {
			p, _, err := Parse(packet, x.v, 0)
			if err == nil {
				err = m.Decode(p, x.v)
			}
			if err != nil {
				t.Fatal(err)
			}
			out = m.Append(out[:0], x.v)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", x.name, allocs)
		}
		if !bytes.Equal(out, packet) {
			t.Errorf("%s: % x\nbecame % x", x.name, packet, out)
		}
		// Appending to what was decoded must not write into the packet.
		before := bytes.Clone(packet)
		_ = append(m.Topic, "xxxx"...)
		_ = append(m.Properties, "xxxx"...)
		_ = append(m.Payload, "xxxx"...)
		if !bytes.Equal(packet, before) {
			t.Errorf("%s: the fields of a decoded packet share their room", x.name)
		}
	}
}

func BenchmarkPublishDecode(b *testing.B) {
	for _, x := range hotPath {
		b.Run(x.name, func(b *testing.B) {
			packet := x.m.Append(nil, x.v)
			var m Publish
			b.ReportAllocs()
			for b.Loop() {
				p, _, _ := Parse(packet, x.v, 0)
				if err := m.Decode(p, x.v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPublishAppend(b *testing.B) {
	for _, x := range hotPath {
		b.Run(x.name, func(b *testing.B) {
			out := x.m.Append(nil, x.v)
			b.ReportAllocs()
			for b.Loop() {
				out = x.m.Append(out[:0], x.v)
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Match("house/+/meter/#", "house/kitchen/meter/state")
	}
}
