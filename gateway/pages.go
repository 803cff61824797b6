package gateway

import (
	"context"

	"lintel/gateway/dashboard"
	"lintel/gateway/settings"
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
		listeners = append(listeners, dashboard.Listener{Listener: g.https, TLS: g.tlsConfig(settings.ClientCertificateOff)})
	}
	page, err := newHomeAssistantPage(g)
	if err != nil {
		return err
	}
	welcome, err := persist.NewBucket[dashboard.Welcome](g.store, "pages.welcome")
	if err != nil {
		return err
	}
	configuration := settings.NewPage(settings.PageOptions{File: g.o.ConfigFile, Running: g.config, Network: g.network != nil,
		BoxID: g.box.ID, Restart: g.restartSoon, Logger: g.log})
	o := dashboard.Options{
		Listeners: listeners,
		Name:      g.box.Name,
		ID:        g.box.ID,
		Model:     g.box.Model,
		Version:   g.o.Version,
		Addresses: g.addresses,
		Hosts:     func() []string { return append([]string{g.hostName()}, g.names().Hosts...) },

		Broker:      client,
		BaseTopic:   g.config.Serial.BaseTopic,
		Sticks:      g.bridge.Sticks,
		Devices:     g.devices.devices,
		DeviceBook:  g.devices,
		Capture:     g.bridge.Capture,
		Simulations: g.simulated,
		Journeys:    g.journeys.Look,
		Uplinks:     g.uplinkStatus,
		Neighbours:  g.neighbours,

		Clients:       g.broker.Clients,
		Stats:         g.broker.Stats,
		MQTT:          g.broker,
		MQTTListeners: g.brokerListeners,

		Healthy:     g.Health,
		Ready:       g.ready,
		Metrics:     g.writeMetrics,
		OpenMetrics: g.config.HTTP.Metrics == settings.MetricsNetwork,
		Checks:      g.checkup,
		Welcome:     welcome,
		Losses:      g.losses,
		Notices:     g.notices,
		Machine:     g.machineFacts,
		Updater:     g.updater,
		Backups:     backups{g},

		HomeAssistant: page,
		Bridge:        g.haBridge,
		Settings:      configuration,
		Support:       support{g, configuration},

		Users:        g.access.users,
		Lockout:      g.access.lockout,
		Sessions:     g.access.sessions,
		Tokens:       g.access.tokens,
		Claim:        g.access.claim,
		Audit:        g.access.audit,
		Roles:        func() []string { return g.access.control.Policy().Roles() },
		Explain:      g.explain,
		Reload:       g.access.control.Reload,
		Denials:      &g.access.door.denials,
		Control:      g.access.control,
		Observed:     g.access.door.observed,
		Effects:      g.roleEffects,
		Root:         g.authority.Root,
		Certificates: g.authority.Issued,
		Revoke:       g.revoke,

		Log:    g.lines,
		Logger: g.log,
	}
	// What this house does not have stays nil.
	if g.issues() {
		o.Issue = g.authority.IssueClient
	}
	if g.zigbee != nil {
		o.Zigbee, o.ZigbeeNetwork = g.zigbee, g.zigbee
	}
	if g.network != nil {
		o.Network = g.network
	}
	if g.clock != nil {
		o.Time = g.clock.Status
	}
	return dashboard.New(o).Run(ctx)
}
