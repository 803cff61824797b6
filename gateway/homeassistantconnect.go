package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lintel/gateway/broker"
	"lintel/gateway/dashboard"
	"lintel/gateway/homeassistant"
	"lintel/persist"
)

// homeassistantPage is what the page of Home Assistant shows and does: it is
// [dashboard.HomeAssistant].
type homeassistantPage struct {
	*homeassistant.Connector
	g         *gateway
	connected *persist.Bucket[homeassistant.Connection] // by the login that it comes with
}

func newHomeAssistantPage(g *gateway) (*homeassistantPage, error) {
	connected, err := persist.NewBucket[homeassistant.Connection](g.store, "homeassistant.connect")
	if err != nil {
		return nil, err
	}
	return &homeassistantPage{g: g, connected: connected, Connector: homeassistant.NewConnector(homeassistant.ConnectorOptions{
		Lookup: g.homeAssistantAddresses,
		Hosts:  g.brokerHosts,
		Port:   g.brokerPort,
		Login:  g.logins.New,
		Visit:  g.logins.Visit,
	})}, nil
}

// hasClient reports whether the broker has a session of a user.
func (g *gateway) hasClient(user string) bool {
	return slices.ContainsFunc(g.broker.Clients(), func(c broker.ClientInfo) bool { return c.User == user })
}

// homeAssistantAddresses returns where the host of a Home Assistant is that was found.
func (g *gateway) homeAssistantAddresses(host string) []netip.Addr {
	for _, f := range g.foundHomeAssistants() {
		if strings.EqualFold(strings.TrimSuffix(f.Host, "."), strings.TrimSuffix(host, ".")) {
			return f.Addresses
		}
	}
	return nil
}

// Logins returns the logins that there are, whether they are online and when they were
// last used.
func (p *homeassistantPage) Logins() []dashboard.HomeAssistantLogin {
	clients := p.g.broker.Clients()
	var all []dashboard.HomeAssistantLogin
	for _, name := range homeassistant.LoginNames() {
		if _, ok := p.g.access.users.Get(name); !ok {
			continue
		}
		login := dashboard.HomeAssistantLogin{User: name, Used: p.g.logins.LastUsed(name)}
		for _, c := range clients {
			if c.User == name && c.Connected {
				login.Online, login.Address = true, c.RemoteAddr
			}
		}
		if c, ok := p.connected.Get(name); ok {
			login.Connection = &c
		}
		all = append(all, login)
	}
	return all
}

// NewLogin returns a login that nobody has come with yet.
func (p *homeassistantPage) NewLogin(ctx context.Context, by string) (user, password string, err error) {
	user, password, err = p.g.logins.New(ctx, by)
	if err == nil {
		err = p.connected.Delete(ctx, user) // of whom it was before
	}
	return user, password, err
}

// Found returns the Home Assistants on the network.
func (p *homeassistantPage) Found() []homeassistant.Found {
	const most = 20
	var all []homeassistant.Found
	known := make(map[string]bool)
	for _, m := range p.g.foundHomeAssistants() {
		f, ok := homeassistant.FoundOf(m)
		if ok && !known[f.ID] && len(all) < most {
			known[f.ID] = true
			all = append(all, f)
		}
	}
	return all
}

// Finish connects the Home Assistant that a browser comes back from, and remembers it.
func (p *homeassistantPage) Finish(ctx context.Context, r homeassistant.Return) (homeassistant.Connection, error) {
	c, err := p.Connector.Finish(ctx, r)
	if failure, ok := errors.AsType[*homeassistant.ConnectError](err); ok && failure.Reason == homeassistant.HasBroker {
		if text := p.ownBroker(c); text != "" {
			return c, &homeassistant.ConnectError{Reason: homeassistant.Connected, Text: text}
		}
	}
	if err != nil {
		return c, err
	}
	// It takes one broker: with the login of before it cannot come any more.
	for user, old := range p.connected.All() {
		if old.ID == c.ID && user != c.User {
			if err := p.connected.Delete(ctx, user); err != nil {
				return c, err
			}
			if err := p.g.logins.Release(ctx, user); err != nil {
				return c, err
			}
		}
	}
	return c, p.connected.Put(ctx, c.User, c)
}

// ownBroker says what to do about a Home Assistant that has a broker already which is the
// one of this box; empty: it is another one, or one from before.
func (p *homeassistantPage) ownBroker(c homeassistant.Connection) string {
	for _, l := range p.Logins() {
		from, _ := netip.ParseAddrPort(l.Address)
		same := l.Connection != nil && l.Connection.ID == c.ID
		switch {
		case l.Online && (same || from.Addr().Unmap().String() == c.Address):
			return fmt.Sprintf("This Home Assistant is connected to this box already, with the login %s. There is nothing to do.", l.User)
		case same:
			return fmt.Sprintf("This Home Assistant was connected to this box before, with the login %s, and is not here now. "+
				"Is it asking to log in again, or does it look for the box at %s? Delete MQTT in Home Assistant, at Settings, Devices & services, and press Connect again.", l.User, l.Connection.Broker)
		}
	}
	return ""
}
