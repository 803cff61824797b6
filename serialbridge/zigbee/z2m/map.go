package z2m

import (
	"time"

	"lintel/serialbridge/zigbee"
)

// NetworkMap is who hears whom, for people.
type NetworkMap struct {
	Time  time.Time `json:"time"` // when it was made
	Nodes []MapNode `json:"nodes"`
	Links []MapLink `json:"links"`
}

// MapNode is a device, or the coordinator: the first one.
type MapNode struct {
	IEEEAddress zigbee.IEEEAddress `json:"ieee_address"`
	Name        string             `json:"friendly_name"`
	Type        string             `json:"type"`             // Coordinator, Router, EndDevice or Unknown
	Silent      bool               `json:"silent,omitempty"` // a router that has not answered
}

// MapLink is that one device hears another.
type MapLink struct {
	Hears   zigbee.IEEEAddress `json:"hears"` // a router or the coordinator
	Heard   zigbee.IEEEAddress `json:"heard"`
	Child   bool               `json:"child,omitempty"` // what is sent to the one heard goes through the other
	Quality uint8              `json:"quality"`         // 0 to 255
}

// relationChild is that of a neighbour whose parent the router is (Zigbee specification, table
// 2-130).
const relationChild = 1

// mapOf is what was told of the network, without what is not known and without links that are
// there twice.
func (b *Bridge) mapOf(nodes []mapNode, links []zigbee.MapLink) *NetworkMap {
	m := &NetworkMap{Time: time.Now()}
	known := make(map[zigbee.IEEEAddress]bool)
	for _, n := range nodes {
		known[n.IEEEAddress] = true
		m.Nodes = append(m.Nodes, MapNode{n.IEEEAddress, n.name, n.Type, len(n.Failed) > 0})
	}
	type pair struct{ hears, heard zigbee.IEEEAddress }
	seen := make(map[pair]bool)
	for _, l := range links {
		p := pair{l.Target.IEEEAddress, l.Source.IEEEAddress}
		if !known[p.hears] || !known[p.heard] || p.hears == p.heard || seen[p] {
			continue
		}
		seen[p] = true
		m.Links = append(m.Links, MapLink{Hears: p.hears, Heard: p.heard, Child: l.Relationship == relationChild, Quality: l.LinkQuality})
	}
	return m
}

// Map returns the map that was made last, by whomever; nil: none was. It is not to be changed.
func (b *Bridge) Map() *NetworkMap {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lastMap
}
