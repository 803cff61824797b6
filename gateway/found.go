package gateway

import (
	"context"
	"net"
	"slices"
	"strconv"

	"lintel/mdns"
)

// runMDNS makes the box known on the network.
func (g *gateway) runMDNS(ctx context.Context) error {
	id := "id=" + g.box.ID
	services := []mdns.Service{}
	for _, offer := range []struct{ scheme, service string }{{"mqtt", "_mqtt._tcp"}, {"mqtts", "_secure-mqtt._tcp"}} {
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
		services = append(services, mdns.Service{Instance: g.box.Name, Type: "_lintel._tcp", Port: port(g.http.Addr()),
			Text: []string{id, "name=" + g.box.Name, "model=" + g.box.Model, "version=" + g.o.Version}})
	}
	services = append(services, g.lentCoordinators()...)
	err := mdns.New(mdns.Options{Host: g.config.MDNS.Host, Services: services, Logger: g.log}).Run(ctx)
	if err != nil {
		// The house works without being found by name.
		g.log.Warn("not found by name on this network", "err", err)
		<-ctx.Done()
	}
	return nil
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
