package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"lintel/gateway/access"
	"lintel/gateway/dashboard"
)

// Endpoints are where the house can be reached.
type Endpoints struct {
	Brokers   []Endpoint
	HTTP      net.Addr // of the pages without TLS; nil: none
	HTTPS     net.Addr // of the pages over TLS; nil: none
	Unclaimed bool     // a person has to claim the box on the page
	Discovery string   // topic filter of the discovery documents; empty: none
	State     string   // topic filter of the states of all devices
}

// Endpoint is a listener of the broker.
type Endpoint struct {
	Scheme string // mqtt, mqtts, ws, wss or unix
	Addr   net.Addr
}

func (g *gateway) endpoints() Endpoints {
	e := Endpoints{State: g.config.Serial.BaseTopic + "/+/state", Unclaimed: !g.access.claim.Claimed()}
	for _, l := range g.brokers {
		e.Brokers = append(e.Brokers, Endpoint{l.scheme, l.Addr()})
	}
	if g.http != nil {
		e.HTTP = g.http.Addr()
	}
	if g.https != nil {
		e.HTTPS = g.https.Addr()
	}
	if g.publisher != nil {
		e.Discovery = g.config.HomeAssistant.Prefix + "/device/+/config"
	}
	return e
}

// hostName is what the box is called on the network: what the configuration says,
// unless another host has that name already.
func (g *gateway) hostName() string {
	if g.advertiser == nil {
		return g.config.MDNS.Host + ".local"
	}
	return g.advertiser.Host() + ".local"
}

// pageURL is where a person finds the pages: over TLS if they are there.
func (g *gateway) pageURL() string {
	scheme, l, usual := "https", g.https, 443
	if l == nil {
		scheme, l, usual = "http", g.http, 80
	}
	if l == nil {
		return ""
	}
	if p := port(l.Addr()); p != usual {
		return fmt.Sprintf("%s://%s:%d", scheme, g.hostName(), p)
	}
	return scheme + "://" + g.hostName()
}

// addresses are where a person finds the broker.
func (g *gateway) addresses() []string {
	var a []string
	for _, l := range g.brokers {
		if l.scheme == "unix" {
			a = append(a, "unix:"+l.Addr().String())
		} else {
			a = append(a, fmt.Sprintf("%s://%s:%d", l.scheme, g.hostName(), port(l.Addr())))
		}
	}
	return a
}

// brokerListeners are where the broker is reached, for the pages.
func (g *gateway) brokerListeners() []dashboard.BrokerListener {
	var list []dashboard.BrokerListener
	for _, l := range g.brokers {
		list = append(list, dashboard.BrokerListener{Scheme: l.scheme, Address: l.Addr().String(), Name: l.address})
	}
	return append(list, dashboard.BrokerListener{Scheme: "page", Address: "/mqtt", Name: dashboard.PageListener})
}

// brokerHosts are the names by which others find the broker.
func (g *gateway) brokerHosts() []string {
	if !g.config.MDNS.Enabled {
		return nil
	}
	return []string{g.hostName()}
}

// brokerPort is where the broker listens without TLS, for others than programs on the box
// if it does that at all; 0: nowhere.
func (g *gateway) brokerPort() (found int) {
	for _, l := range g.brokers {
		a, ok := l.Addr().(*net.TCPAddr)
		if l.scheme != "mqtt" || !ok {
			continue
		}
		if !a.IP.IsLoopback() {
			return a.Port
		}
		if found == 0 {
			found = a.Port
		}
	}
	return found
}

// names are those under which clients may look for the box.
func (g *gateway) names() access.Names {
	n := access.Names{Hosts: []string{strings.TrimSuffix(g.hostName(), ".local")}}
	if host, err := os.Hostname(); err == nil {
		n.Hosts = append(n.Hosts, host)
	}
	addresses, _ := net.InterfaceAddrs() // none: those that the certificate has stay there
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			n.Addresses = append(n.Addresses, p.Addr())
		}
	}
	return n
}

func port(a net.Addr) int {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.Port
	}
	return 0
}
