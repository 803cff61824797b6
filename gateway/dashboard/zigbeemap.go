package dashboard

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"lintel/gateway/access"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/z2m"
)

// Measures of the map, in pixels.
const (
	mapRing    = 120 // between rings
	mapLeaf    = 17  // between neighbours on the innermost ring: a line of text
	mapMargin  = 170 // for names outside of the last ring
	mapName    = 22  // characters of a name
	mapOthers  = 3   // links that are not ways, of each router
	mapUnheard = "unheard"
)

// mapView is the page of the map.
type mapView struct {
	Frame    frame
	Map      *drawnMap // nil: none was made yet
	Running  bool
	Scan     *actRow // under way; nil: none
	Acts     actsView
	Operator bool
	Now      time.Time
}

// drawnMap is a map with a place for each device: on rings around the coordinator, by the
// number of hops to it.
type drawnMap struct {
	Time  time.Time
	Size  int // of its square
	Mid   int // of that
	Rings []int
	Nodes []drawnNode // the coordinator is the first
	Links []drawnLink // ways first
	Lost  int         // devices that nobody hears
}

type drawnNode struct {
	z2m.MapNode
	Short string // the name as far as there is room for it
	X, Y  string
	Turn  string // of the name, in degrees, around the node
	Left  bool   // the name ends at the node
	Class string // coordinator, router, end or unheard
	Via   string // the next on the way to the coordinator
	Hops  int    // 0: the coordinator, or it is not known
	Heard uint8  // how well the next hears it
	Links int    // of it
}

type drawnLink struct {
	A, B           zigbee.IEEEAddress
	From, To       string
	Quality        uint8
	X1, Y1, X2, Y2 string
	Class          string // good, fair or weak; other if it is no way to the coordinator
}

func (s *Server) mapPageView(r *request) (any, error) {
	bridge := s.o.ZigbeeNetwork.Bridge()
	v := &mapView{Frame: s.frame(r, r.t("Map of the Zigbee network")), Operator: may(r.level, access.Operator), Now: time.Now()}
	v.Acts = s.actsView(r, may(r.level, access.Admin))
	_, _, v.Running = bridge.Network().Info()
	for i := range v.Acts.Under {
		if v.Acts.Under[i].Request == "networkmap" {
			v.Scan = &v.Acts.Under[i]
		}
	}
	v.Map = s.drawn(bridge.Map())
	return v, nil
}

// drawn draws a map, unless that was done before.
func (s *Server) drawn(m *z2m.NetworkMap) *drawnMap {
	if m == nil {
		return nil
	}
	s.mapMu.Lock()
	defer s.mapMu.Unlock()
	if s.mapOf != m {
		s.mapOf, s.mapDrawn = m, drawMap(m)
	}
	return s.mapDrawn
}

// linkCost is what a link costs on the way to the coordinator, by its quality: as routers
// reckon, from 1 to 7 (Zigbee specification, section 3.6.3.1).
func linkCost(quality uint8) int {
	switch {
	case quality >= 180:
		return 1
	case quality >= 130:
		return 2
	case quality >= 90:
		return 3
	case quality >= 50:
		return 5
	}
	return 7
}

// drawMap gives each device its place. The same map is drawn the same.
func drawMap(m *z2m.NetworkMap) *drawnMap {
	n := len(m.Nodes)
	at := make(map[zigbee.IEEEAddress]int, n)
	for i, node := range m.Nodes {
		at[node.IEEEAddress] = i
	}
	type edge struct {
		to      int
		quality uint8
		child   bool // to is the parent
	}
	edges := make([][]edge, n)
	for _, l := range m.Links {
		a, okA := at[l.Hears]
		b, okB := at[l.Heard]
		if !okA || !okB || a == b {
			continue
		}
		edges[b] = append(edges[b], edge{a, l.Quality, l.Child})
		edges[a] = append(edges[a], edge{b, l.Quality, false})
	}

	// The ways of routers are the cheapest ones; an end device has the one parent that it has.
	const far = math.MaxInt
	cost, via, heard := make([]int, n), make([]int, n), make([]uint8, n)
	for i := range cost {
		cost[i], via[i] = far, -1
	}
	passes := func(i int) bool { return i == 0 || m.Nodes[i].Type != string(zigbee.EndDevice) }
	done := make([]bool, n)
	if n > 0 {
		cost[0] = 0
	}
	for {
		next := -1
		for i := range n {
			if passes(i) && !done[i] && cost[i] < far && (next < 0 || cost[i] < cost[next]) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		done[next] = true
		for _, e := range edges[next] {
			if c := cost[next] + linkCost(e.quality); passes(e.to) && (c < cost[e.to] || c == cost[e.to] && via[e.to] == next && e.quality > heard[e.to]) {
				cost[e.to], via[e.to], heard[e.to] = c, next, e.quality
			}
		}
	}
	for i := range n {
		if passes(i) {
			continue
		}
		best := -1
		for j, e := range edges[i] {
			if cost[e.to] < far && passes(e.to) && (best < 0 || e.child && !edges[i][best].child || e.child == edges[i][best].child && e.quality > edges[i][best].quality) {
				best = j
			}
		}
		if best >= 0 {
			via[i], heard[i] = edges[i][best].to, edges[i][best].quality
		}
	}

	// The tree of ways: each has as much of the circle as it has leaves.
	below := make([][]int, n)
	var lost []int
	for i := 1; i < n; i++ {
		if via[i] >= 0 {
			below[via[i]] = append(below[via[i]], i)
		} else {
			lost = append(lost, i)
		}
	}
	leaves, hops := make([]int, n), make([]int, n)
	deepest := 0
	var count func(i, depth int) int
	count = func(i, depth int) int {
		hops[i] = depth
		deepest = max(deepest, depth)
		slices.SortFunc(below[i], func(a, b int) int {
			return cmp.Or(cmp.Compare(m.Nodes[a].Name, m.Nodes[b].Name), cmp.Compare(m.Nodes[a].IEEEAddress, m.Nodes[b].IEEEAddress))
		})
		for _, j := range below[i] {
			leaves[i] += count(j, depth+1)
		}
		leaves[i] = max(leaves[i], 1)
		return leaves[i]
	}
	all := len(lost)
	if n > 0 {
		all += count(0, 0)
	}
	inner := max(mapRing, float64(all)*mapLeaf/(2*math.Pi))
	radius := func(depth int) float64 {
		if depth == 0 {
			return 0
		}
		return inner + float64(depth-1)*mapRing
	}
	d := &drawnMap{Time: m.Time, Nodes: make([]drawnNode, n), Lost: len(lost)}
	outermost := deepest
	if len(lost) > 0 {
		outermost++
	}
	d.Mid = int(radius(max(outermost, 1))) + mapMargin
	d.Size = 2 * d.Mid
	for depth := 1; depth <= deepest; depth++ {
		d.Rings = append(d.Rings, int(radius(depth)))
	}
	x, y := make([]float64, n), make([]float64, n)
	place := func(i, depth int, angle float64) {
		x[i], y[i] = float64(d.Mid)+radius(depth)*math.Cos(angle), float64(d.Mid)+radius(depth)*math.Sin(angle)
		node := &d.Nodes[i]
		*node = drawnNode{MapNode: m.Nodes[i], Short: shortName(m.Nodes[i].Name), X: pixels(x[i]), Y: pixels(y[i]), Hops: depth, Heard: heard[i], Links: len(edges[i])}
		degrees := angle * 180 / math.Pi
		if node.Left = math.Cos(angle) < 0; node.Left {
			degrees += 180 // so that nobody has to stand on their head
		}
		node.Turn = pixels(degrees)
		switch {
		case i == 0:
			node.Class, node.Turn, node.Left = "coordinator", "0", false
		case passes(i):
			node.Class = "router"
		default:
			node.Class = "end"
		}
		if via[i] >= 0 {
			node.Via = m.Nodes[via[i]].Name
		}
	}
	share := 2 * math.Pi / float64(max(all, 1))
	var spread func(i, depth int, from float64)
	spread = func(i, depth int, from float64) {
		place(i, depth, from+share*float64(leaves[i])/2)
		for _, j := range below[i] {
			spread(j, depth+1, from)
			from += share * float64(leaves[j])
		}
	}
	if n > 0 {
		spread(0, 0, 0)
	}
	for k, i := range lost {
		place(i, outermost, share*(float64(all-len(lost)+k)+.5))
		d.Nodes[i].Hops, d.Nodes[i].Class = 0, mapUnheard
	}

	line := func(a, b int, quality uint8, class string) {
		d.Links = append(d.Links, drawnLink{m.Nodes[a].IEEEAddress, m.Nodes[b].IEEEAddress, m.Nodes[a].Name, m.Nodes[b].Name, quality,
			pixels(x[a]), pixels(y[a]), pixels(x[b]), pixels(y[b]), class})
	}
	for i := 1; i < n; i++ {
		if via[i] < 0 {
			continue
		}
		class := "good"
		if c := linkCost(heard[i]); c > 3 {
			class = "weak"
		} else if c > 1 {
			class = "fair"
		}
		line(i, via[i], heard[i], class)
	}
	for i := range n {
		others := slices.Clone(edges[i])
		slices.SortStableFunc(others, func(a, b edge) int { return cmp.Compare(b.quality, a.quality) })
		shown := 0
		for _, e := range others {
			if shown == mapOthers {
				break
			}
			if e.to > i || via[i] == e.to || via[e.to] == i || !passes(i) || !passes(e.to) ||
				slices.ContainsFunc(d.Links, func(l drawnLink) bool { return l.A == m.Nodes[i].IEEEAddress && l.B == m.Nodes[e.to].IEEEAddress }) {
				continue
			}
			line(i, e.to, e.quality, "other")
			shown++
		}
	}
	return d
}

func pixels(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) }

func shortName(name string) string {
	if utf8.RuneCountInString(name) <= mapName {
		return name
	}
	return string([]rune(name)[:mapName-1]) + "…"
}
