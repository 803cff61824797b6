package gateway

import (
	"lintel/gateway/network"
	"lintel/gateway/settings"
)

// buildNetwork makes what sets the Ethernet port up, if that is ours to do.
func (g *gateway) buildNetwork() {
	if !g.o.Network {
		return
	}
	g.network = network.New(network.Options{
		Settings: g.config.Network.Ethernet,
		Save:     saveEthernet(g.o.ConfigFile),
		Logger:   g.log,
	})
}

// saveEthernet writes settings into a configuration file.
func saveEthernet(file string) func(network.Addresses) error {
	return func(a network.Addresses) error {
		return settings.Change(file, "the page of the network", func(c *settings.Config) { c.Network.Ethernet = a })
	}
}
