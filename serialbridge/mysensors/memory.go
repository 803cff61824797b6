package mysensors

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge"
)

// A rememberedNode is what is kept of a node under its number. One that has only
// been given its number says nothing.
type rememberedNode struct {
	Given   bool   `json:"given,omitempty"`
	Name    string `json:"name,omitempty"`    // of the sketch
	Version string `json:"version,omitempty"` // of the sketch
	Library string `json:"library,omitempty"` // version of MySensors
}

// A rememberedChild is what is kept of a child under "node.child".
type rememberedChild struct {
	Type        int    `json:"type"` // unknownChild: it was not presented
	Description string `json:"description,omitempty"`
	Variables   []int  `json:"variables,omitempty"`
}

func nodeKey(number int) string         { return strconv.Itoa(number) }
func childKey(number, child int) string { return fmt.Sprintf("%d.%d", number, child) }

// keep writes down what a node said of itself.
func (d *decoder) keep(n *node) {
	r := rememberedNode{Version: n.device.SWVersion, Library: n.library}
	if n.device.Name != nameless(n.number) {
		r.Name = n.device.Name
	}
	d.remember(nodeKey(n.number), r)
}

// keepChild writes down what is known of a child.
func (d *decoder) keepChild(n *node, number int) {
	r := rememberedChild{Type: unknownChild}
	if c, presented := n.children[number]; presented {
		r.Type, r.Description = c.typ, c.description
	}
	for at := range n.heard {
		if at.child == number {
			r.Variables = append(r.Variables, at.typ)
		}
	}
	slices.Sort(r.Variables)
	d.remember(childKey(n.number, number), r)
}

// give notes that a node was given a number.
func (d *decoder) give(number int) {
	d.given[number] = true
	d.remember(nodeKey(number), rememberedNode{Given: true})
}

func (d *decoder) remember(key string, r any) {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // numbers and texts
	}
	d.sink.Remember(key, string(text))
}

// recall announces the nodes that are remembered.
func (d *decoder) recall() {
	memory := d.sink.Recall()
	keys := slices.SortedFunc(maps.Keys(memory), func(a, b string) int {
		// 7 before 7.3 before 7.12
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	for _, key := range keys {
		text, childText, isChild := strings.Cut(key, ".")
		id, ok := number(text, maxNode)
		if !ok {
			continue
		}
		if !isChild {
			d.recallNode(id, memory[key])
			continue
		}
		if c, ok := number(childText, wholeNode-1); ok {
			d.recallChild(id, c, memory[key])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(d.nodes)) {
		d.announce(d.nodes[id])
	}
}

func (d *decoder) recallNode(id int, value string) {
	var r rememberedNode
	if json.Unmarshal([]byte(value), &r) != nil {
		return
	}
	if r.Given {
		d.given[id] = true
		return
	}
	n := d.begin(id)
	if r.Name != "" {
		n.device.Name = r.Name
	}
	n.device.SWVersion = r.Version
	if r.Library != "" {
		d.present(n, r.Library)
	}
}

func (d *decoder) recallChild(id, number int, value string) {
	var r rememberedChild
	n := d.nodes[id]
	if n == nil || json.Unmarshal([]byte(value), &r) != nil || r.Type < unknownChild || r.Type > maxChildType {
		return
	}
	if r.Type != unknownChild {
		n.children[number] = child{r.Type, r.Description}
	}
	for _, typ := range r.Variables {
		if d.variables[typ] != nil {
			d.has(n, number, typ)
		}
	}
}

// nameless is the name of a node whose sketch told none.
func nameless(number int) string {
	if number == 0 {
		return "MySensors gateway"
	}
	return "MySensors node " + strconv.Itoa(number)
}

// forgets forgets a node if that is what is wanted, which makes its number free
// for others.
func (d *decoder) forgets(c serialbridge.Command) bool {
	if c.Key != serialbridge.ForgetButton().Key {
		return false
	}
	for _, n := range d.nodes {
		if n.device.ID != c.Device || n.number == 0 {
			continue
		}
		delete(d.nodes, n.number)
		for key := range d.sink.Recall() {
			if node, _, _ := strings.Cut(key, "."); node == nodeKey(n.number) {
				d.sink.Remember(key, "")
			}
		}
		d.sink.Gone(n.device.ID)
	}
	return true
}
