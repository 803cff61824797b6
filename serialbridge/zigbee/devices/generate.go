package devices

import (
	"slices"
	"strconv"

	"lintel/serialbridge/zigbee"
)

// Generate makes a definition from the clusters of a device, as zigbee2mqtt
// does: in the order in which the device names its clusters, those that it serves
// first, each trait once. What only the first endpoint has carries no name of
// an endpoint.
func Generate(device *zigbee.Device) *Definition {
	d := &Definition{
		Model: device.ModelID, Vendor: device.ManufacturerName,
		Description: "Automatically generated definition",
		Generated:   true,
		Endpoints:   make(map[string]uint8),
	}
	var endpoints []*zigbee.Endpoint
	for i := range device.Endpoints {
		e := &device.Endpoints[i]
		if e.ID == zigbee.EndpointGreenPower {
			continue
		}
		endpoints = append(endpoints, e)
		for _, c := range slices.Concat(e.Input, e.Output) {
			if !slices.Contains(d.Clusters, c) {
				d.Clusters = append(d.Clusters, c)
			}
		}
	}
	if len(endpoints) > 1 {
		d.MultiEndpoint = true
		for _, e := range endpoints {
			d.Endpoints[strconv.Itoa(int(e.ID))] = e.ID
		}
	}
	g := generator{context: &Context{Definition: d, Device: device}, endpoints: endpoints, done: make(map[*Trait]bool)}
	for _, client := range []bool{false, true} {
		for _, e := range endpoints {
			for _, c := range clustersOf(e, client) {
				g.add(c, client)
			}
		}
	}
	d.Exposes = g.exposes
	if g.action != nil {
		d.Exposes = append(d.Exposes, g.action)
	}
	for _, e := range d.Exposes {
		e.complete(false)
	}
	return d
}

type generator struct {
	context   *Context
	endpoints []*zigbee.Endpoint
	done      map[*Trait]bool
	exposes   []*Expose
	action    *Expose // of all actions, the last of the exposes
}

func clustersOf(e *zigbee.Endpoint, client bool) []uint16 {
	if client {
		return e.Output
	}
	return e.Input
}

// add asks the traits of a cluster what the device shows.
func (g *generator) add(cluster uint16, client bool) {
	// A meter shows what it measures before what it has summed up.
	if cluster == clusterMetering && !client {
		g.add(clusterElectrical, false)
	}
	var with []*zigbee.Endpoint
	for _, e := range g.endpoints {
		if slices.Contains(clustersOf(e, client), cluster) {
			with = append(with, e)
		}
	}
	for _, t := range traits() {
		if t.Generate == nil || t.Client != client || g.done[t] || !slices.Contains(t.Clusters, cluster) {
			continue
		}
		g.done[t] = true
		var shown [][]*Expose
		var of []*zigbee.Endpoint
		most := 0
		for _, e := range with {
			g.context.Endpoint = e.ID
			if x := t.Generate(g.context, e.ID); len(x) > 0 && (!t.Shared || len(of) == 0) {
				shown, of, most = append(shown, x), append(of, e), max(most, len(x))
			}
		}
		onlyFirst := len(of) == 1 && of[0] == g.endpoints[0]
		for i := range most { // the same of all endpoints stands together
			for j, e := range of {
				name := ""
				if !t.Shared && !onlyFirst {
					name = strconv.Itoa(int(e.ID))
				}
				if i < len(shown[j]) {
					g.show(shown[j][i], name)
				}
			}
		}
	}
}

// show adds an expose, once.
func (g *generator) show(x *Expose, endpoint string) {
	if x.Name == "action" {
		if g.action == nil {
			g.action = &Expose{Type: "enum", Name: "action", Access: Published, Category: "diagnostic"}
		}
		for _, v := range x.Values {
			if text, ok := v.(string); ok && endpoint != "" {
				v = text + "_" + endpoint
			}
			if !slices.Contains(g.action.Values, v) {
				g.action.Values = append(g.action.Values, v)
			}
		}
		return
	}
	if endpoint != "" {
		x.at(endpoint)
	}
	if !slices.ContainsFunc(g.exposes, func(o *Expose) bool { return o.Type == x.Type && o.Name == x.Name && o.Endpoint == x.Endpoint }) {
		g.exposes = append(g.exposes, x)
	}
}

// at gives an expose the name of an endpoint. What is inside a composite has none.
func (x *Expose) at(endpoint string) {
	x.Endpoint = endpoint
	if x.Property == "" {
		x.Property = x.Name
	}
	if x.Property != "" {
		x.Property += "_" + endpoint
	}
	if !slices.Contains(nameless, x.Type) {
		return
	}
	for _, f := range x.Features {
		f.at(endpoint)
	}
}
