package gateway

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/gateway/settings"
	"lintel/persist"
)

// entrance is all of package access that a running house has.
type entrance struct {
	users    *access.Users
	lockout  *access.Lockout
	audit    *access.Audit
	sessions *access.Sessions
	tokens   *access.APITokens
	claim    *access.Claim
	jwt      *access.JWT // nil: there are no tokens
	control  *access.Control
	door     *door
}

// newEntrance returns an entrance whose door may be hung, but not used before
// openAccess.
func newEntrance(c settings.AccessConfig) *entrance {
	return &entrance{lockout: access.NewLockout(), door: newDoor(c.Anonymous)}
}

// defaultRoleFile is the role file in the data folder when the configuration names none: that
// of who makes roles on the pages.
const defaultRoleFile = "roles.toml"

// openAccess loads who may do what, and does what the files ask for that a person put on
// the card. No listener is open yet: nobody is refused because a user is not loaded.
func (g *gateway) openAccess(ctx context.Context) error {
	a := g.access
	var err error
	if a.users, err = access.NewUsers(g.store, g.log); err != nil {
		return err
	}
	if a.audit, err = access.NewAudit(g.store, g.log); err != nil {
		return err
	}
	if a.sessions, err = access.NewSessions(g.store, a.users); err != nil {
		return err
	}
	if a.tokens, err = access.NewAPITokens(g.store); err != nil {
		return err
	}
	if a.claim, err = access.NewClaim(g.store, a.users, a.sessions, a.tokens); err != nil {
		return err
	}
	if g.config.Access.JWT.Enabled() {
		o := g.config.Access.JWT.Options()
		o.ClockKnown, o.Logger = g.store.ClockKnown, g.log
		if a.jwt, err = access.NewJWT(o); err != nil {
			return fmt.Errorf("access.jwt: %w", err)
		}
	}
	roleFile := g.config.Access.Roles
	if roleFile == "" {
		roleFile = filepath.Join(g.o.Data, defaultRoleFile)
	}
	a.control, err = access.NewControl(ctx, access.ControlOptions{
		Store: g.store, Users: a.users, Lockout: a.lockout, Audit: a.audit,
		RoleFile: roleFile, Optional: g.config.Access.Roles == "", Prefix: g.config.HomeAssistant.Prefix, Needed: g.config.Access.Needed(),
		JWT:              a.jwt,
		CertificateName:  func(c *x509.Certificate) string { return g.certificates.Name(c) },
		CertificateRoles: g.config.Access.CertificateRoles,
		Claimed:          a.claim.Claimed,
		ClockKnown:       g.store.ClockKnown,
		Changed:          func() { g.broker.AccessChanged() },
		Logger:           g.log,
	})
	if err != nil {
		return fmt.Errorf("access.roles: %w", err)
	}
	a.door.observed, err = access.NewObservations(access.ObservationsOptions{
		Store: g.store, ClockKnown: g.store.ClockKnown, AskAgain: func() { g.broker.AccessChanged() }, Logger: g.log})
	if err != nil {
		return err
	}
	a.door.control, a.door.revoked = a.control, g.authority.Revoked
	a.door.exists = func(user string) bool { _, ok := a.users.Get(user); return ok }
	a.users.OnChange(a.door.userChanged)
	return g.lookAtCard(ctx)
}

// lookAtCard does what the files ask for that a person put on the card or into the data
// folder.
func (g *gateway) lookAtCard(ctx context.Context) error {
	if g.o.Card == nil {
		return nil
	}
	done, err := persist.NewBucket[string](g.store, "access.reset")
	if err != nil {
		return err
	}
	return g.o.Card.Obey(ctx, settings.House{Claim: g.access.claim, Audit: g.access.audit, Done: done, Warn: g.notice})
}

// reloadOnSignal reads the role file again when it is told to.
func (g *gateway) reloadOnSignal(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.o.Reload:
		}
		if err := g.access.control.Reload(ctx); err != nil {
			g.log.Error("role file not usable, the rules before stay in force", "err", err)
		} else {
			g.log.Info("role file read again")
		}
	}
}

// explain says what a user may do and why. Nobody is the user with the empty name.
func (g *gateway) explain(user, clientID string, action access.Action, topic string) (access.Verdict, error) {
	id := &access.Identity{ClientID: clientID}
	if user != "" {
		u, ok := g.access.users.Get(user)
		if !ok {
			return access.Verdict{}, access.ErrNoUser
		}
		if u.Disabled {
			return access.Verdict{Why: "the user is disabled and not let in"}, nil
		}
		id = g.access.control.Identify(u, &access.Login{ClientID: clientID})
	}
	policy := g.access.control.Policy()
	v := policy.Explain(id, action, topic, nil)
	v.Way = policy.Way(id, action, topic)
	return v, nil
}

// securityEvent is the JSON of an event on the topic …/gateway/security.
type securityEvent struct {
	EventType string     `json:"event_type"` // the kind, as Home Assistant's event entities want to have it
	Kind      string     `json:"kind"`
	User      string     `json:"user,omitempty"`
	Client    string     `json:"client,omitempty"`
	Address   netip.Addr `json:"address,omitzero"`
	Detail    string     `json:"detail,omitempty"`
	Count     int        `json:"count"`
}

// tellSecurity makes events of the audit log messages of a client. They are of
// QoS 0 and not retained: what was is in the log.
func (g *gateway) tellSecurity(client *broker.Client) {
	topic := g.config.Serial.BaseTopic + "/gateway/security"
	g.access.audit.OnEvent(func(e access.Event) {
		payload, err := json.Marshal(securityEvent{e.Kind, e.Kind, e.User, e.ClientID, e.Address, e.Detail, e.Count})
		if err == nil {
			err = client.Publish(context.Background(), mqtt.Message{Topic: topic, Payload: payload})
		}
		if err != nil {
			g.log.Debug("security event not published", "err", err)
		}
	})
}
