package gateway

import (
	"slices"
)

// notice tells a person of something, in the log and on the pages.
func (g *gateway) notice(text string) {
	g.log.Error("needs a person", "what", text)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.noticed = append(g.noticed, text)
}

// startNotices are what was told of so far.
func (g *gateway) startNotices() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.noticed)
}

// notices are what a person should look after, for the pages.
func (g *gateway) notices() []string {
	all := append(g.startNotices(), g.updateNotices()...)
	if err := g.access.control.Problem(); err != nil {
		all = append(all, "The rules in force are not those of the role file: "+err.Error())
	}
	_, machine := machineProblems(g.machineFacts())
	all = append(all, machine...)
	if configured := g.config.MDNS.Host + ".local"; g.hostName() != configured {
		all = append(all, "Another machine on this network is called "+configured+", so this box is "+g.hostName()+
			" and stays that. To give it a name of its own, set host in the section [mdns] of its configuration.")
	}
	return append(all, g.networkNotices()...)
}

// updateNotices are what a person should know of updates on the first page.
func (g *gateway) updateNotices() []string {
	s := g.updater.Status()
	var all []string
	if s.Trial != nil {
		all = append(all, "Version "+s.Version+" is on trial: it is kept when all is back that was there before. The page Update shows what it waits for.")
	}
	if s.Failed != "" {
		all = append(all, "The last update failed. "+s.Failed)
	}
	if s.Returned != nil {
		all = append(all, "Version "+s.Returned.Version+" was tried and did not hold, so version "+s.Version+" is back. "+s.Returned.Reason)
	}
	return all
}

// networkNotices are what a person should know of the network.
func (g *gateway) networkNotices() []string {
	if ssid := g.config.Network.WiFi.SSID; ssid != "" && g.network != nil {
		return []string{"The configuration names the wireless network \"" + ssid + "\". This version cannot join one: plug an Ethernet cable in."}
	}
	return nil
}
