package gateway

import (
	"context"
	"time"

	"lintel/gateway/dashboard"
)

// homeassistantPage is what the page of Home Assistant shows and does: it is
// [dashboard.HomeAssistant].
type homeassistantPage struct{ g *gateway }

// Logins returns the logins that there are, whether they are online and when they were
// last used.
func (p homeassistantPage) Logins() []dashboard.HomeAssistantLogin {
	l := p.g.logins
	clients := l.clients()
	var all []dashboard.HomeAssistantLogin
	for _, name := range homeassistantLoginNames() {
		if _, ok := l.users.Get(name); !ok {
			continue
		}
		login := dashboard.HomeAssistantLogin{User: name, Used: l.lastSeen(name)}
		for _, c := range clients {
			if c.User == name && c.Connected {
				login.Online, login.Address = true, c.RemoteAddr
			}
		}
		all = append(all, login)
	}
	return all
}

// NewLogin returns a login that nobody has come with yet.
func (p homeassistantPage) NewLogin(ctx context.Context, by string) (user, password string, err error) {
	return p.g.logins.newHomeAssistantLogin(ctx, by)
}

// lastSeen returns when a login was last used; zero: never.
func (l *homeassistantLogins) lastSeen(name string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[name].last
}
