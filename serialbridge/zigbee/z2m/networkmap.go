package z2m

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
)

// mapNode is a node of a network map as front ends are told it.
type mapNode struct {
	zigbee.MapNode
	name         string
	manufacturer string
	model        string
	lastSeen     time.Time
	definition   *devices.Definition
}

func (b *Bridge) networkMap(ctx context.Context, r *request) (map[string]any, error) {
	kind := textOf(r.value)
	if r.isBody {
		kind = textOf(r.body["type"])
	}
	if !slices.Contains([]string{"raw", "graphviz", "plantuml"}, kind) {
		return nil, fmt.Errorf("Type '%s' not supported, allowed are: raw,graphviz,plantuml", kind)
	}
	routes := r.flag("routes")
	told, err := b.network.Map(ctx, routes, r.progress)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	nodes := b.mapNodes(told)
	colors := b.settings.MapOptions
	b.lastMap = b.mapOf(nodes, told.Links)
	b.mu.Unlock()
	links := slices.DeleteFunc(told.Links, func(l zigbee.MapLink) bool { return l.Relationship > 3 }) // not of the network any more
	data := map[string]any{"type": kind, "routes": routes}
	if !r.isBody {
		delete(data, "routes")
	}
	switch kind {
	case "raw":
		data["value"] = rawMap(nodes, links)
	case "graphviz":
		data["value"] = graphviz(nodes, links, colors)
	default:
		data["value"] = plantUML(nodes, links)
	}
	return data, nil
}

func (b *Bridge) mapNodes(m zigbee.Map) []mapNode {
	var nodes []mapNode
	for _, n := range m.Nodes {
		node := mapNode{MapNode: n, name: coordinatorName, lastSeen: time.Now()}
		if d := b.devices[n.IEEEAddress]; d != nil {
			if d.disabled() || d.Type == zigbee.GreenPower {
				continue
			}
			node.name, node.manufacturer, node.model = d.name(), d.ManufacturerName, d.ModelID
			node.lastSeen, node.definition = d.LastSeen, d.definition
		} else if n.Type != "Coordinator" {
			continue
		}
		nodes = append(nodes, node)
	}
	return nodes
}

func rawMap(nodes []mapNode, links []zigbee.MapLink) map[string]any {
	nodeList, linkList := []any{}, []any{}
	for _, n := range nodes {
		o := map[string]any{
			"ieeeAddr": n.IEEEAddress, "friendlyName": n.name, "type": n.Type, "networkAddress": n.NetworkAddress,
		}
		if n.manufacturer != "" {
			o["manufacturerName"] = n.manufacturer
		}
		if n.model != "" {
			o["modelID"] = n.model
		}
		if n.Asked {
			o["failed"] = append([]string{}, n.Failed...)
		}
		if n.Type != "Coordinator" && !n.lastSeen.IsZero() {
			o["lastSeen"] = n.lastSeen.UnixMilli()
		}
		if d := n.definition; d != nil {
			o["definition"] = map[string]any{"model": d.Model, "vendor": d.Vendor, "description": d.Description, "supports": supports(d)}
		}
		nodeList = append(nodeList, o)
	}
	for _, l := range links {
		routeList := []any{}
		for _, x := range l.Routes {
			routeList = append(routeList, map[string]any{
				"destinationAddress": x.Destination, "nextHopAddress": x.NextHop, "status": x.Status,
				"memoryConstrained": bit(x.MemoryConstrained), "manyToOne": bit(x.ManyToOne),
				"routeRecordRequired": bit(x.RouteRecordRequired), "reserved1": 0,
			})
		}
		linkList = append(linkList, map[string]any{
			"source":     map[string]any{"ieeeAddr": l.Source.IEEEAddress, "networkAddress": l.Source.NetworkAddress},
			"target":     map[string]any{"ieeeAddr": l.Target.IEEEAddress, "networkAddress": l.Target.NetworkAddress},
			"deviceType": l.DeviceType, "rxOnWhenIdle": l.RxOnWhenIdle, "relationship": l.Relationship,
			"permitJoining": l.PermitJoin, "depth": l.Depth, "lqi": l.LinkQuality, "linkquality": l.LinkQuality,
			"routes": routeList, "sourceIeeeAddr": l.Source.IEEEAddress, "targetIeeeAddr": l.Target.IEEEAddress,
			"sourceNwkAddr": l.Source.NetworkAddress,
		})
	}
	return map[string]any{"nodes": nodeList, "links": linkList}
}

func bit(set bool) int {
	if set {
		return 1
	}
	return 0
}

// supports is what a definition exposes, for people.
func supports(d *devices.Definition) string {
	var list []string
	for _, e := range d.Exposes {
		text := e.Name
		if text == "" {
			var names []string
			for _, f := range e.Features {
				names = append(names, f.Name)
			}
			text = fmt.Sprintf("%s (%s)", e.Type, strings.Join(names, ", "))
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return strings.Join(list, ", ")
}

// nodeLines are the lines of a node's label.
func nodeLines(n mapNode) (name, address, model, seen string) {
	address = fmt.Sprintf("%s (0x%04x)", n.IEEEAddress, uint16(n.NetworkAddress))
	if len(n.Failed) > 0 {
		address += " failed: " + strings.Join(n.Failed, ",")
	}
	if n.Type != "Coordinator" {
		model = "not supported"
		if d := n.definition; d != nil {
			model = fmt.Sprintf("%s %s (%s)", d.Vendor, d.Description, d.Model)
		}
	}
	return n.name, address, model, ago(n.lastSeen)
}

// ago says how long ago something was, by its two largest units.
func ago(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	left := time.Since(t).Round(time.Second)
	var parts []string
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		n := left / u.size
		if n == 0 && (u.size > time.Second || len(parts) > 0) || len(parts) == 2 {
			continue
		}
		left -= n * u.size
		name := u.name
		if n != 1 {
			name += "s"
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, name))
	}
	return strings.Join(parts, ", ") + " ago"
}

func graphviz(nodes []mapNode, links []zigbee.MapLink, o MapOptions) string {
	var text strings.Builder
	text.WriteString("digraph G {\nnode[shape=record];\n")
	colors := o.Graphviz.Colors
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\x00", "", "{", `\{`, "}", `\}`, "|", `\|`, "<", `\<`, ">", `\>`)
	for _, n := range nodes {
		name, address, model, seen := nodeLines(n)
		lines := []string{escape.Replace(name), escape.Replace(address)}
		style, fill, font := `"rounded, dashed, filled"`, colors.Fill.EndDevice, colors.Font.EndDevice
		switch n.Type {
		case "Coordinator":
			style, fill, font = `"bold, filled"`, colors.Fill.Coordinator, colors.Font.Coordinator
		case string(zigbee.Router):
			style, fill, font = `"rounded, filled"`, colors.Fill.Router, colors.Font.Router
		}
		if model != "" {
			lines = append(lines, escape.Replace(model))
		}
		lines = append(lines, seen)
		fmt.Fprintf(&text, "  %q [style=%s, fillcolor=%q, fontcolor=%q, label=\"{%s}\"];\n", n.IEEEAddress, style, fill, font, strings.Join(lines, "|"))
		for _, l := range links {
			if l.Source.IEEEAddress != n.IEEEAddress {
				continue
			}
			width, weight, color, label := "2", 1, colors.Line.Active, fmt.Sprint(l.LinkQuality)
			if len(l.Routes) == 0 {
				width, weight, color = "0.5", 0, colors.Line.Inactive
			} else {
				var to []string
				for _, r := range l.Routes {
					to = append(to, fmt.Sprintf("0x%04x", uint16(r.Destination)))
				}
				label += " (routes: " + strings.Join(to, ",") + ")"
			}
			if n.Type == string(zigbee.EndDevice) {
				width = "1"
			}
			fmt.Fprintf(&text, "  %q -> %q [penwidth=%s, weight=%d, color=%q, label=%q]\n", n.IEEEAddress, l.Target.IEEEAddress, width, weight, color, label)
		}
	}
	text.WriteString("}")
	return text.String()
}

func plantUML(nodes []mapNode, links []zigbee.MapLink) string {
	lines := []string{"@startuml"}
	nodes = slices.SortedFunc(slices.Values(nodes), func(x, y mapNode) int { return cmp.Compare(x.name, y.name) })
	for _, n := range nodes {
		name, address, model, seen := nodeLines(n)
		lines = append(lines, fmt.Sprintf("card %s [", n.IEEEAddress), name, "---", address)
		if model != "" {
			lines = append(lines, "---", model)
		}
		lines = append(lines, "---", seen, "]", "")
	}
	for _, l := range links {
		lines = append(lines, fmt.Sprintf("%s --> %s: %d", l.Source.IEEEAddress, l.Target.IEEEAddress, l.LinkQuality))
	}
	return strings.Join(append(lines, "", "@enduml"), "\n")
}
