package gateway

import "lintel/gateway/network"

// buildNetwork makes what sets the Ethernet port up, if that is ours to do.
func (g *gateway) buildNetwork() {
	file := g.o.Network
	if file == "" {
		return
	}
	g.network = network.New(network.Options{
		Settings: g.config.Network.Ethernet,
		Save:     saveEthernet(file),
		Logger:   g.log,
	})
}

// saveEthernet writes settings into a configuration file.
func saveEthernet(file string) func(network.Addresses) error {
	return func(a network.Addresses) error {
		return ChangeConfig(file, "the page of the network", func(c *Config) { c.Network.Ethernet = a })
	}
}

// networkNotices are what a person should know of the network.
func (g *gateway) networkNotices() []string {
	if ssid := g.config.Network.WiFi.SSID; ssid != "" && g.network != nil {
		return []string{"The configuration names the wireless network \"" + ssid + "\". This version cannot join one: plug an Ethernet cable in."}
	}
	return nil
}
