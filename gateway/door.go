package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/dashboard"
	"lintel/gateway/mqtt"
	"lintel/gateway/update"
)

// door stands between the broker and package access: it lets clients in, tells what they
// may do, and throws out those who may not stay.
type door struct {
	control   *access.Control
	anonymous map[string]string // role of who shows nothing, by the name of the listener

	exists     func(user string) bool
	revoked    func(*x509.Certificate) bool // nil: none is
	visited    func(user string, err error) // somebody was let in (nil) or not; it blocks nobody
	denials    access.Denials
	observed   *access.Observations // nil: nobody looks
	generation atomic.Uint64        // counts changes of users
	changed    chan struct{}

	mu      sync.Mutex
	deleted map[string]bool // users whose sessions are to end
}

// admission is what the door remembers of a client.
type admission struct {
	rights atomic.Pointer[rights] // what was found out last
}

// rights are who somebody was when users were last changed.
type rights struct {
	generation uint64
	id         *access.Identity // nil: has to go
	why        error
}

func newDoor(anonymous map[string]string) *door {
	return &door{anonymous: anonymous, visited: func(string, error) {}, changed: make(chan struct{}, 1), deleted: make(map[string]bool)}
}

// authenticate is broker.Options.Authenticate.
func (d *door) authenticate(ctx context.Context, r *broker.ConnectRequest) error {
	if r.Listener == probeListener {
		r.Identity = prober{}
		return nil
	}
	generation := d.generation.Load()
	var id *access.Identity
	var err error
	if visitor, ok := r.Vouched.(dashboard.Visitor); ok {
		id, err = d.control.Vouch(visitor.User, d.login(r))
	} else {
		id, err = d.control.Login(ctx, d.login(r))
	}
	if err != nil {
		d.visited(r.UserName, err)
		d.denials.Login(r.UserName, r.ClientID, r.Address(), err.Error())
		return refusal(r, err)
	}
	d.admit(r, id, generation)
	return nil
}

// scram is a broker.Method.
func (d *door) scram(ctx context.Context, r *broker.ConnectRequest, exchange func([]byte) ([]byte, error)) (final []byte, err error) {
	generation := d.generation.Load()
	id, final, err := d.control.LoginSCRAM(ctx, d.login(r), r.AuthenticationData, exchange)
	if err != nil {
		d.visited(r.UserName, err)
		d.denials.Login(r.UserName, r.ClientID, r.Address(), err.Error())
		return nil, refusal(r, err)
	}
	d.admit(r, id, generation)
	return final, nil
}

// login is what a client shows.
func (d *door) login(r *broker.ConnectRequest) *access.Login {
	l := &access.Login{
		ClientID: r.ClientID, HasUserName: r.HasUserName, UserName: r.UserName, HasPassword: r.HasPassword, Password: r.Password,
		Address: r.Address(), Anonymous: d.anonymous[r.Listener],
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		l.Certificate = r.TLS.PeerCertificates[0]
	}
	return l
}

// admit leaves in r who the client is. generation is of before that was found out: what
// has changed since is seen.
func (d *door) admit(r *broker.ConnectRequest, id *access.Identity, generation uint64) {
	a := new(admission)
	a.rights.Store(&rights{generation: generation, id: id})
	r.UserName, r.Identity, r.Expires = id.User, a, id.Expires
	d.visited(id.User, nil)
}

// refusal is what a client is told. In doubt it is "server unavailable": Home Assistant
// takes a refusal for good.
func refusal(r *broker.ConnectRequest, err error) error {
	if refused, ok := errors.AsType[*access.Refused](err); ok {
		if r.HasUserName || r.HasPassword || r.AuthenticationMethod != "" {
			// Nobody is told whether it was the name or the password.
			return &broker.Refusal{Code: mqtt.BadUserNameOrPassword}
		}
		return &broker.Refusal{Code: mqtt.NotAuthorized, Reason: refused.Reason}
	}
	if errors.Is(err, access.ErrNotClaimed) {
		return &broker.Refusal{Code: mqtt.ServerUnavailable, Reason: err.Error()}
	}
	return err
}

// actions are those of the broker in the words of package access.
var actions = map[broker.Action]access.Action{
	broker.Publish: access.Publish, broker.Subscribe: access.Subscribe, broker.Receive: access.Receive,
}

// authorize is broker.Options.Authorize.
func (d *door) authorize(r *broker.ConnectRequest, action broker.Action, topic string) broker.Permit {
	if r.InProcess {
		return broker.Allow
	}
	if p, ok := r.Identity.(prober); ok {
		return p.permit(action, topic)
	}
	a, ok := r.Identity.(*admission)
	if !ok || topic == update.ProbeTopic {
		return broker.Deny
	}
	id, _ := d.now(r, a)
	if id == nil {
		return broker.Deny
	}
	policy := d.control.Policy()
	permit := policy.Permit(id, actions[action], topic)
	if !permit.Denied() && d.observed != nil {
		d.observed.Saw(id, actions[action], topic)
	}
	switch {
	case permit.Allowed():
		return broker.Allow
	case permit.Depends():
		return broker.If(func(m *mqtt.Message) bool {
			allowed := permit.Message(m.QoS, m.Retain, m.Payload)
			if !allowed {
				d.denials.Add(policy, id, r.Address(), actions[action], topic)
			}
			return allowed
		})
	}
	d.denials.Add(policy, id, r.Address(), actions[action], topic)
	return broker.Deny
}

// now returns who a client is now; nil: it has to go.
func (d *door) now(r *broker.ConnectRequest, a *admission) (*access.Identity, error) {
	was := a.rights.Load()
	if was.id == nil {
		return nil, was.why
	}
	generation := d.generation.Load()
	if was.generation == generation && was.id.ClientID == r.ClientID {
		return was.id, nil
	}
	id, err := d.control.Renew(was.id)
	if err == nil && id.ClientID != r.ClientID { // the broker has assigned one
		named := *id
		named.ClientID = r.ClientID
		id = &named
	}
	a.rights.Store(&rights{generation, id, err})
	return id, err
}

// userChanged is access.Users.OnChange: it blocks nobody.
func (d *door) userChanged(name string) {
	d.generation.Add(1)
	gone := !d.exists(name)
	d.mu.Lock()
	d.deleted[name] = gone
	d.mu.Unlock()
	if gone && d.observed != nil {
		d.observed.Forget(name)
	}
	d.look()
}

// look makes run look at who is connected. It blocks nobody.
func (d *door) look() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// settle is after how long a client is connected that was let in before a change.
const settle = 15 * time.Second

// run brings what users were changed to into force for those who are connected, and that
// certificates were revoked, until ctx ends.
func (d *door) run(ctx context.Context, b *broker.Broker) error {
	again := time.NewTimer(settle)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.changed:
			b.AccessChanged()
			again.Reset(settle)
		case <-again.C:
		}
		b.DisconnectIf(d.leave)
		d.endSessions(b)
	}
}

// endSessions ends the sessions of users who were deleted: nobody else could ever take
// their client ids. Those of a name that tokens or certificates have too go with them.
func (d *door) endSessions(b *broker.Broker) {
	d.mu.Lock()
	deleted := d.deleted
	d.deleted = make(map[string]bool)
	d.mu.Unlock()
	maps.DeleteFunc(deleted, func(_ string, gone bool) bool { return !gone })
	if len(deleted) == 0 {
		return
	}
	for _, c := range b.Clients() {
		if deleted[c.User] {
			b.EndSession(c.ID, &broker.Refusal{Code: mqtt.AdministrativeAction, Reason: "the user was deleted"})
		}
	}
}

// leave tells a client that has to go why; nil: it stays. Whoever has another password
// or is disabled is not told "not authorized", which clients take for good.
func (d *door) leave(r *broker.ConnectRequest) *broker.Refusal {
	a, ok := r.Identity.(*admission)
	if !ok {
		return nil
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && d.revoked != nil && d.revoked(r.TLS.PeerCertificates[0]) {
		return &broker.Refusal{Code: mqtt.AdministrativeAction, Reason: "the certificate has been revoked"}
	}
	if _, err := d.now(r, a); err != nil {
		return &broker.Refusal{Code: mqtt.AdministrativeAction, Reason: err.Error()}
	}
	return nil
}
