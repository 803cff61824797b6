package gateway

import (
	"context"
	"fmt"
	"net/http"

	"lintel/gateway/clock"
	"lintel/gateway/dashboard"
	"lintel/persist"
)

// runDashboard serves the pages, which are told where each part of the house is.
func (g *gateway) runDashboard(ctx context.Context) error {
	client, err := g.broker.NewClient("lintel-dashboard")
	if err != nil {
		return err
	}
	defer client.Close()
	var listeners []dashboard.Listener
	if g.http != nil {
		listeners = append(listeners, dashboard.Listener{Listener: g.http})
	}
	if g.https != nil {
		// Browsers would ask their user for a client certificate.
		listeners = append(listeners, dashboard.Listener{Listener: g.https, TLS: g.tlsConfig(ClientCertificateOff)})
	}
	page, err := newHomeAssistantPage(g)
	if err != nil {
		return err
	}
	welcome, err := persist.NewBucket[dashboard.Welcome](g.store, "pages.welcome")
	if err != nil {
		return err
	}
	var issue func(string, []byte) (certPEM, keyPEM []byte, err error)
	if g.issues() {
		issue = g.authority.IssueClient
	}
	var front http.Handler // a nil *zigbeeHouse would be one
	var zigbeeNetwork dashboard.ZigbeeNetwork
	if g.zigbee != nil {
		front, zigbeeNetwork = g.zigbee, g.zigbee
	}
	var network dashboard.Network // a nil *network.Manager would be one
	if g.network != nil {
		network = g.network
	}
	var clockStatus func() clock.Status
	if g.clock != nil {
		clockStatus = g.clock.Status
	}
	settings := newConfigPage(g)
	return dashboard.New(dashboard.Options{
		Listeners: listeners,
		Name:      g.box.Name,
		ID:        g.box.ID,
		Model:     g.box.Model,
		Version:   g.o.Version,
		Addresses: g.addresses,
		Hosts:     func() []string { return append([]string{g.hostName()}, g.names().Hosts...) },
		Broker:    client,
		BaseTopic: g.config.Serial.BaseTopic,
		Sticks:    g.bridge.Sticks,
		Devices:   g.devices.devices,
		Capture:   g.bridge.Capture,
		Clients:   g.broker.Clients,
		Journeys:  g.journeys.Look,
		Stats:     g.broker.Stats,
		Healthy:   g.Health,
		Ready:     g.ready,
		Metrics:   g.writeMetrics,
		Checks:    g.checkup,
		Welcome:   welcome,
		Losses:    g.losses,
		Notices:   g.notices,
		Updater:   g.updater,
		Machine:   func() []dashboard.Fact { return g.readMachine().facts() },
		Zigbee:    front,
		Uplinks:   g.uplinkStatus,

		DeviceBook: g.devices,

		Simulations: g.simulated,

		Neighbours: g.neighbours,

		MQTT:          g.broker,
		MQTTListeners: g.brokerListeners,

		OpenMetrics:   g.config.HTTP.Metrics == MetricsNetwork,
		ZigbeeNetwork: zigbeeNetwork,
		Network:       network,
		Time:          clockStatus,
		Backups:       backups{g},
		HomeAssistant: page,
		Bridge:        g.haBridge,

		Settings: settings,
		Support:  support{g, settings},
		Users:    g.access.users,
		Lockout:  g.access.lockout,
		Sessions: g.access.sessions,
		Tokens:   g.access.tokens,
		Claim:    g.access.claim,
		Audit:    g.access.audit,
		Roles:    func() []string { return g.access.control.Policy().Roles() },
		Explain:  g.explain,
		Reload:   g.access.control.Reload,
		Denials:  &g.access.door.denials,
		Control:  g.access.control,
		Observed: g.access.door.observed,
		Effects:  g.roleEffects,
		Root:     g.authority.Root,

		Certificates: g.authority.Issued,
		Issue:        issue,
		Revoke:       g.revoke,

		Log:    g.lines,
		Logger: g.log,
	}).Run(ctx)
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
