package zigbee

import (
	"context"
	"slices"
	"time"
)

const (
	mapPause = time.Second     // between routers, to spare the network
	mapRetry = 5 * time.Second // until a congested network has calmed down
	mapPages = 256             // of a table
)

// Map is who hears whom in the network.
type Map struct {
	Nodes []MapNode
	Links []MapLink
}

// MapNode is a device, or the coordinator, in a map.
type MapNode struct {
	IEEEAddress    IEEEAddress
	NetworkAddress NetworkAddress
	Type           string // "Coordinator" or a DeviceType
	// Asked says that it is a router or the coordinator; Failed then lists what it
	// did not tell: "lqi", "routingTable".
	Asked  bool
	Failed []string
}

// MapLink is an entry in a router's neighbour table.
type MapLink struct {
	Source       MapEnd // the neighbour
	Target       MapEnd // the router that tells
	DeviceType   uint8
	RxOnWhenIdle uint8
	Relationship uint8
	PermitJoin   uint8
	Depth        uint8
	LinkQuality  uint8
	Routes       []Route // of the router through this neighbour
}

// MapEnd is one end of a link.
type MapEnd struct {
	IEEEAddress    IEEEAddress
	NetworkAddress NetworkAddress
}

// Route is an entry in a routing table.
type Route struct {
	Destination, NextHop NetworkAddress
	Status               string // "ACTIVE" …
	MemoryConstrained    bool
	ManyToOne            bool
	RouteRecordRequired  bool
}

// Map asks all routers for their neighbours, and for their routes if they are wanted.
// It takes a second or more for each router. Progress, if it is not nil, is told how many of
// them were asked.
func (n *Network) Map(ctx context.Context, routes bool, progress func(done, of int)) (Map, error) {
	s, err := n.started()
	if err != nil {
		return Map{}, err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	info, _, _ := n.Info()
	m := Map{Nodes: []MapNode{{IEEEAddress: info.IEEEAddress, Type: "Coordinator", Asked: true}}}
	for _, d := range n.Devices() {
		if d.Type != GreenPower {
			m.Nodes = append(m.Nodes, MapNode{
				IEEEAddress: d.IEEEAddress, NetworkAddress: d.NetworkAddress,
				Type: string(d.Type), Asked: d.Type == Router || d.Type == Unknown,
			})
		}
	}
	done, of := 0, 0
	for _, node := range m.Nodes {
		if node.Asked {
			of++
		}
	}
	for i := range m.Nodes {
		node := &m.Nodes[i]
		if !node.Asked {
			continue
		}
		if progress != nil {
			progress(done, of)
		}
		done++
		if err := pause(ctx, mapPause); err != nil {
			return Map{}, err
		}
		var neighbours []neighbour
		var table []Route
		if !n.askTable(ctx, s, node, zdoNeighbours, func(data []byte) (page, error) {
			p, list, err := parseNeighbours(data)
			if err == nil {
				neighbours = append(neighbours, list...)
			}
			return p, err
		}) {
			node.Failed, neighbours = append(node.Failed, "lqi"), nil
		}
		if routes && !n.askTable(ctx, s, node, zdoRoutes, func(data []byte) (page, error) {
			p, list, err := parseRoutes(data)
			if err == nil {
				table = append(table, list...)
			}
			return p, err
		}) {
			node.Failed, table = append(node.Failed, "routingTable"), nil
		}
		if ctx.Err() != nil {
			return Map{}, context.Cause(ctx)
		}
		m.Links = append(m.Links, n.links(node, neighbours, table)...)
	}
	return m, nil
}

// links are what a router's tables tell.
func (n *Network) links(router *MapNode, neighbours []neighbour, routes []Route) []MapLink {
	var links []MapLink
	for _, nb := range neighbours {
		if nb.relationship > 3 { // a former child, or one that is not let in yet
			continue
		}
		if nb.ieee == 0 { // some devices of Xiaomi do not tell
			n.mu.Lock()
			nb.ieee = n.addresses[nb.address]
			n.mu.Unlock()
		}
		links = append(links, MapLink{
			Source: MapEnd{nb.ieee, nb.address}, Target: MapEnd{router.IEEEAddress, router.NetworkAddress},
			DeviceType: nb.deviceType, RxOnWhenIdle: nb.rxOnWhenIdle, Relationship: nb.relationship,
			PermitJoin: nb.permitJoin, Depth: nb.depth, LinkQuality: nb.linkQuality,
			Routes: slices.DeleteFunc(slices.Clone(routes), func(r Route) bool { return r.NextHop != nb.address }),
		})
	}
	return links
}

// askTable reads a table page by page, and a second time if that fails.
func (n *Network) askTable(ctx context.Context, s *session, node *MapNode, cluster uint16, parse func([]byte) (page, error)) bool {
	start := 0
	for range mapPages {
		var p page
		ask := func() error {
			limited, cancel := context.WithTimeout(ctx, zdoTimeout)
			defer cancel()
			data, err := s.coordinator.ZDO(limited, node.NetworkAddress, cluster, []byte{byte(start)})
			if err == nil {
				p, err = parse(data)
			}
			return err
		}
		if err := ask(); err != nil {
			if pause(ctx, mapRetry) != nil || ask() != nil {
				return false
			}
		}
		start += p.count
		if start >= p.total {
			return true
		}
		if p.count == 0 || start > 0xff {
			return false // it promises more than it tells
		}
	}
	return false
}
