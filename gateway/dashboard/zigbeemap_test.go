package dashboard

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/z2m"
)

// townMap is a network of a coordinator, some routers and end devices, as its tables tell.
func townMap(routers, ends int) *z2m.NetworkMap {
	m := &z2m.NetworkMap{Time: time.Unix(0, 0), Nodes: []z2m.MapNode{{IEEEAddress: 1, Name: "Coordinator", Type: "Coordinator"}}}
	for i := range routers {
		ieee := zigbee.IEEEAddress(100 + i)
		m.Nodes = append(m.Nodes, z2m.MapNode{IEEEAddress: ieee, Name: fmt.Sprintf("plug %d", i), Type: "Router"})
		up := zigbee.IEEEAddress(1)
		if i >= 8 {
			up = zigbee.IEEEAddress(100 + i%8)
		}
		m.Links = append(m.Links, z2m.MapLink{Hears: up, Heard: ieee, Quality: uint8(90 + i*3)}, z2m.MapLink{Hears: ieee, Heard: up, Quality: 120})
		for j := range i {
			m.Links = append(m.Links, z2m.MapLink{Hears: ieee, Heard: zigbee.IEEEAddress(100 + j), Quality: 20})
		}
	}
	for i := range ends {
		ieee := zigbee.IEEEAddress(1000 + i)
		m.Nodes = append(m.Nodes, z2m.MapNode{IEEEAddress: ieee, Name: fmt.Sprintf("sensor %d", i), Type: "EndDevice"})
		m.Links = append(m.Links, z2m.MapLink{Hears: zigbee.IEEEAddress(100 + i%routers), Heard: ieee, Child: true, Quality: 60})
	}
	return m
}

func TestMapIsReadable(t *testing.T) {
	for _, size := range []struct{ routers, ends int }{{1, 0}, {3, 5}, {40, 160}} {
		m := townMap(size.routers, size.ends)
		lost := z2m.MapNode{IEEEAddress: 9999, Name: "cellar", Type: "EndDevice"}
		m.Nodes = append(m.Nodes, lost)
		d := drawMap(m)
		if !reflect.DeepEqual(d, drawMap(m)) {
			t.Error("the same map is drawn another way")
		}
		if len(d.Nodes) != len(m.Nodes) || d.Nodes[0].Class != "coordinator" || d.Lost != 1 {
			t.Fatalf("%d nodes of %d, %d lost", len(d.Nodes), len(m.Nodes), d.Lost)
		}
		at := make([][2]float64, len(d.Nodes))
		for i, n := range d.Nodes {
			at[i][0], _ = strconv.ParseFloat(n.X, 64)
			at[i][1], _ = strconv.ParseFloat(n.Y, 64)
			if at[i][0] < 0 || at[i][1] < 0 || at[i][0] > float64(d.Size) || at[i][1] > float64(d.Size) {
				t.Errorf("%s is at %v, outside of %d", n.Name, at[i], d.Size)
			}
			for j := range i {
				if math.Hypot(at[i][0]-at[j][0], at[i][1]-at[j][1]) < mapLeaf-2 {
					t.Errorf("%s stands on %s", n.Name, d.Nodes[j].Name)
				}
			}
		}
		ways := 0
		for _, l := range d.Links {
			if l.Class != "other" {
				ways++
			}
		}
		if ways != len(m.Nodes)-2 {
			t.Errorf("%d ways of %d devices", ways, len(m.Nodes)-2)
		}
	}
}

// TestMapFollowsWays: a good way of two hops is better than a bad one of one, and an end device
// has the parent that has it for a child, though another hears it better.
func TestMapFollowsWays(t *testing.T) {
	m := &z2m.NetworkMap{
		Nodes: []z2m.MapNode{{IEEEAddress: 1, Name: "Coordinator", Type: "Coordinator"}, {IEEEAddress: 2, Name: "near", Type: "Router"},
			{IEEEAddress: 3, Name: "far", Type: "Router"}, {IEEEAddress: 4, Name: "sensor", Type: "EndDevice"}, {IEEEAddress: 5, Name: "off", Type: "Router", Silent: true}},
		Links: []z2m.MapLink{{Hears: 1, Heard: 2, Quality: 250}, {Hears: 2, Heard: 3, Quality: 250}, {Hears: 1, Heard: 3, Quality: 10},
			{Hears: 3, Heard: 4, Quality: 40, Child: true}, {Hears: 1, Heard: 4, Quality: 200}, {Hears: 77, Heard: 78, Quality: 1}}}
	d := drawMap(m)
	for i, want := range []string{" 0", "Coordinator 1", "near 2", "far 3", " 0"} {
		if got := fmt.Sprint(d.Nodes[i].Via, " ", d.Nodes[i].Hops); got != want {
			t.Errorf("%s: %q, want %q", d.Nodes[i].Name, got, want)
		}
	}
	if d.Nodes[4].Class != mapUnheard || d.Links[0].Class != "good" || d.Links[2].Class != "weak" {
		t.Errorf("%+v, %+v", d.Nodes[4], d.Links)
	}
	if empty := drawMap(&z2m.NetworkMap{}); len(empty.Nodes) != 0 {
		t.Errorf("%+v", empty)
	}
}

func BenchmarkDrawMap(b *testing.B) {
	m := townMap(40, 160)
	b.ReportAllocs()
	for b.Loop() {
		drawMap(m)
	}
}
