package gateway

import (
	"strings"

	"lintel/gateway/access"
	"lintel/gateway/mqtt"
)

// maxEffects are how many effects of other rules are told.
const maxEffects = 500

// roleEffects tells what would change for those who are known if other rules were in force: for
// the subscriptions that there are, what users were seen to publish, and what was refused
// lately. more is how many effects are left out.
func (g *gateway) roleEffects(then *access.Policy) (effects []access.Effect, more int) {
	now := g.access.control.Policy()
	seen := make(map[access.Effect]bool)
	look := func(id *access.Identity, action access.Action, topic string) {
		e := access.Effect{User: id.User, ClientID: id.ClientID, Action: action.String(), Topic: topic,
			Before: now.Over(id, action, topic), After: then.Over(id, action, topic)}
		if e.Before == e.After || seen[e] {
			return
		}
		seen[e] = true
		if len(effects) == maxEffects {
			more++
			return
		}
		effects = append(effects, e)
	}
	for _, c := range g.broker.Clients() {
		id := g.access.identity(c.User, c.ID, g.broker.Identity(c.ID))
		if id == nil {
			continue
		}
		detail, _ := g.broker.Client(c.ID)
		for _, s := range detail.Filters {
			_, filter, _ := mqtt.SplitShared(s.Filter)
			look(id, access.Subscribe, access.EscapeTopic(filter))
		}
		if detail.Will != nil {
			look(id, access.Publish, access.EscapeTopic(detail.Will.Topic))
		}
	}
	for _, user := range g.access.door.observed.Users() {
		done, _ := g.access.door.observed.Of(user, 0)
		client := ""
		if n := len(done.Clients); n > 0 {
			client = done.Clients[n-1].ID
		}
		id := g.access.identity(user, client, nil)
		if id == nil {
			continue
		}
		for _, t := range done.Publish {
			look(id, access.Publish, t.Topic)
		}
		for _, t := range done.Subscribe {
			if !strings.Contains(t.Topic, "%c") { // else the client has it now, and was looked at
				look(id, access.Subscribe, t.Topic)
			}
		}
	}
	for _, d := range g.access.door.denials.All() {
		if id := g.access.identity(d.User, d.ClientID, g.broker.Identity(d.ClientID)); id != nil && d.Action != "login" {
			for _, a := range []access.Action{access.Publish, access.Subscribe, access.Receive} {
				if a.String() == d.Action {
					look(id, a, access.EscapeTopic(d.Topic))
				}
			}
		}
	}
	return effects, more
}

// identity is who a client is: what its admission says, else the user of that name; nil: nobody
// knows.
func (a *entrance) identity(user, clientID string, admitted any) *access.Identity {
	if admitted, ok := admitted.(*admission); ok {
		id := admitted.rights.Load().id
		if id != nil && id.User == user {
			named := *id
			named.ClientID = clientID
			return &named
		}
	}
	u, ok := a.users.Get(user)
	if !ok || u.Disabled {
		return nil
	}
	return a.control.Identify(u, &access.Login{ClientID: clientID})
}
