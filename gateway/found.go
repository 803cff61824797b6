package gateway

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"lintel/gateway/dashboard"
	"lintel/mdns"
	"lintel/persist"
)

// What the box looks for on the network, by service type.
const (
	homeAssistantService = "_home-assistant._tcp"
	lintelService        = "_lintel._tcp"
	brokerService        = "_mqtt._tcp"
	secureBrokerService  = "_secure-mqtt._tcp"
)

// coordinatorServices are the types by which Zigbee sticks with a network socket of
// their own are found; Home Assistant looks for the same.
var coordinatorServices = []string{"_zigbee-coordinator._tcp", "_slzb-06._tcp", "_uzg-01._tcp", "_xzg._tcp", "_zigstar_gw._tcp"}

// renamedKey is where the bucket "mdns" keeps which names other machines had.
const renamedKey = "renamed"

// buildMDNS prepares to be found and to find.
func (g *gateway) buildMDNS() error {
	kept, err := persist.NewBucket[map[string]string](g.store, "mdns")
	if err != nil {
		return err
	}
	renamed, _ := kept.Get(renamedKey)
	g.renames = make(chan map[string]string, 1)
	g.advertiser = mdns.New(mdns.Options{
		Host: g.config.MDNS.Host, Services: g.services(), Renamed: renamed, Logger: g.log,
		OnRename: func(renamed map[string]string) {
			select {
			case <-g.renames: // nobody has taken the older ones yet
			default:
			}
			g.renames <- renamed
		},
	})
	g.keptNames = kept
	g.browser = mdns.NewBrowser(mdns.BrowserOptions{
		Types:  append([]string{homeAssistantService, lintelService, brokerService, secureBrokerService}, coordinatorServices...),
		Logger: g.log,
	})
	return nil
}

// runRenames keeps the names that the box got on the network, and tells those that
// write down where its pages are.
func (g *gateway) runRenames(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case renamed := <-g.renames:
			if g.publisher != nil {
				g.publisher.SetConfigurationURL(g.pageURL())
			}
			if err := g.keptNames.Put(ctx, renamedKey, renamed); err != nil && ctx.Err() == nil {
				g.log.Warn("names on the network not kept", "err", err)
			}
		}
	}
}

// runMDNS makes the box known on the network. The house works without being found
// by name.
func (g *gateway) runMDNS(ctx context.Context) error {
	if err := g.advertiser.Run(ctx); err != nil {
		g.log.Warn("not found by name on this network", "err", err)
		g.checkup.noName(err)
		<-ctx.Done()
	}
	return nil
}

// runBrowser looks for others on the network, which the house works without too.
func (g *gateway) runBrowser(ctx context.Context) error {
	if err := g.browser.Run(ctx); err != nil {
		g.log.Warn("nothing is found on this network", "err", err)
		<-ctx.Done()
	}
	return nil
}

// found returns what others on the network advertise under the types at the moment.
// It may be called at any time; without mDNS there is nothing.
func (g *gateway) found(types ...string) []mdns.Found {
	if g.browser == nil {
		return nil
	}
	var out []mdns.Found
	for _, t := range types {
		out = append(out, slices.DeleteFunc(g.browser.Found(t), g.isOwn)...)
	}
	return out
}

// foundHomeAssistants returns the Home Assistants on the network.
func (g *gateway) foundHomeAssistants() []mdns.Found { return g.found(homeAssistantService) }

// neighbours are everything that is found, as the status page shows it.
func (g *gateway) neighbours() []dashboard.Neighbour {
	var out []dashboard.Neighbour
	add := func(f mdns.Found, kind, scheme, about string) {
		n := dashboard.Neighbour{
			Kind: kind, Name: f.Instance, Where: net.JoinHostPort(f.Host, strconv.Itoa(f.Port)),
			About: about, Page: scheme == "http",
		}
		if scheme != "" {
			n.Where = scheme + "://" + n.Where
		}
		for _, a := range f.Addresses {
			n.Addresses = append(n.Addresses, a.String())
		}
		out = append(out, n)
	}
	value := func(f mdns.Found, key string) string {
		v, _ := f.Value(key)
		return v
	}
	for _, f := range g.foundHomeAssistants() {
		add(f, "Home Assistant", "", value(f, "version"))
	}
	boxes := g.found(lintelService)
	for _, f := range boxes {
		add(f, "Lintel", "http", value(f, "version"))
	}
	for _, f := range g.found(brokerService, secureBrokerService) {
		if slices.ContainsFunc(boxes, func(b mdns.Found) bool { return strings.EqualFold(b.Host, f.Host) }) {
			continue // every box has one
		}
		scheme := "mqtt"
		if f.Type == secureBrokerService {
			scheme = "mqtts"
		}
		add(f, "MQTT broker", scheme, "")
	}
	for _, f := range g.found(coordinatorServices...) {
		add(f, "Zigbee coordinator", "tcp", value(f, "radio_type"))
	}
	return out
}

// isOwn reports whether the box itself advertises the service.
func (g *gateway) isOwn(f mdns.Found) bool {
	id, _ := f.Value("id")
	return id == g.box.ID || strings.EqualFold(f.Host, g.hostName())
}

// services are what the box advertises.
func (g *gateway) services() []mdns.Service {
	id := "id=" + g.box.ID
	services := []mdns.Service{}
	for _, offer := range []struct{ scheme, service string }{{"mqtt", brokerService}, {"mqtts", secureBrokerService}} {
		i := slices.IndexFunc(g.brokers, func(l brokerListener) bool { return l.scheme == offer.scheme })
		if i >= 0 {
			services = append(services, mdns.Service{Instance: g.box.Name, Type: offer.service, Port: port(g.brokers[i].Addr()), Text: []string{id}})
		}
	}
	if g.http != nil {
		services = append(services, mdns.Service{Instance: g.box.Name, Type: "_http._tcp", Port: port(g.http.Addr()), Text: []string{"path=/"}})
	}
	if g.https != nil {
		services = append(services, mdns.Service{Instance: g.box.Name, Type: "_https._tcp", Port: port(g.https.Addr()), Text: []string{"path=/"}})
	}
	if g.http != nil {
		services = append(services, mdns.Service{Instance: g.box.Name, Type: lintelService, Port: port(g.http.Addr()),
			Text: []string{id, "name=" + g.box.Name, "model=" + g.box.Model, "version=" + g.o.Version, "path=/api/pair"}})
	}
	return append(services, g.lentCoordinators()...)
}

// lentCoordinators are the Zigbee sticks that are lent to other programs, as Home
// Assistant and zigbee2mqtt look for them.
func (g *gateway) lentCoordinators() []mdns.Service {
	var services []mdns.Service
	for _, p := range g.config.Serial.Ports {
		if p.Protocol != "lend" || p.Lend.Zigbee == "" {
			continue
		}
		_, text, err := net.SplitHostPort(p.Lend.Listen)
		port, portErr := strconv.Atoi(text)
		if err != nil || portErr != nil {
			continue // which the configuration has refused
		}
		services = append(services, mdns.Service{Instance: g.box.Name + " Zigbee", Type: "_zigbee-coordinator._tcp", Port: port,
			Text: []string{"radio_type=" + p.Lend.Zigbee, "serial_number=" + g.box.ID + "-" + text}})
	}
	return services
}
