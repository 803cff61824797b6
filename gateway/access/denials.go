package access

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Denial is something that somebody wanted and was not let do.
type Denial struct {
	Time     time.Time  `json:"time"`  // of the last time; by the clock of the box, which may have been wrong
	Count    int        `json:"count"` // how often it was decided; one decision may have refused many messages
	User     string     `json:"user,omitempty"`
	ClientID string     `json:"client,omitempty"`
	Address  netip.Addr `json:"address,omitzero"`
	Action   string     `json:"action"` // login, publish, subscribe or receive
	Topic    string     `json:"topic,omitempty"`
	Rule     string     `json:"rule,omitempty"` // that decided; empty: none did
	Why      string     `json:"why"`            // one sentence for a person
}

// What Denials remember at most.
const (
	maxDenials       = 512
	maxClientDenials = 32  // of one client, as many of what it was to receive, and of one address that was not let in
	maxLoginDenials  = 128 // of those who were not let in, all together
	maxDenialTopic   = 512 // bytes
	maxDenialName    = 256 // bytes of a user name or a client id
)

// Denials remember what was refused lately: 512 denials, of one client 32
// and as many of what it was to receive, 128 of those who were not let in. The oldest give way, of the one who causes many first, so that a client
// that knocks all day does not hide what another one was refused. They are in memory only.
// The methods may be called from any goroutine.
type Denials struct {
	mu  sync.Mutex
	all []*denial // the oldest first
}

// denial is kept with what is needed to say why, which is found out when somebody asks.
type denial struct {
	time    time.Time
	count   int
	id      Identity // for a login: what was shown
	address netip.Addr
	action  Action // 0: a login
	topic   string
	policy  *Policy // that denied
	why     string  // of a login
	source  string  // whose denials are counted together
}

// Login notes that somebody was not let in.
func (l *Denials) Login(user, clientID string, from netip.Addr, why string) {
	user, clientID = user[:min(len(user), maxDenialName)], clientID[:min(len(clientID), maxDenialName)]
	l.add(&denial{id: Identity{User: user, ClientID: clientID}, address: from, why: why, source: from.String()})
}

// Add notes that p did not let somebody do something.
func (l *Denials) Add(p *Policy, id *Identity, from netip.Addr, a Action, topic string) {
	if len(topic) > maxDenialTopic || len(id.ClientID) > maxDenialName {
		return // nobody could show it, or ask about it
	}
	source := "client " + id.ClientID
	if a == Receive { // so many do not hide what the client itself wanted
		source = "receiver " + id.ClientID
	}
	l.add(&denial{id: *id, address: from, action: a, topic: topic, policy: p, source: source})
}

func (l *Denials) add(d *denial) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	same := func(o *denial) bool {
		return o.action == d.action && o.topic == d.topic && o.id.ClientID == d.id.ClientID && o.id.User == d.id.User && o.address == d.address && o.why == d.why
	}
	if i := slices.IndexFunc(l.all, same); i >= 0 {
		d.count = l.all[i].count
		l.all = slices.Delete(l.all, i, i+1)
	}
	d.time, d.count = now, d.count+1
	l.makeRoom(d)
	l.all = append(l.all, d)
}

// makeRoom forgets what has to give way to one more. Called with mu held.
func (l *Denials) makeRoom(d *denial) {
	oldest := func(most int, like func(*denial) bool) bool {
		first, n := -1, 0
		for i, o := range l.all {
			if like(o) {
				if n++; first < 0 {
					first = i
				}
			}
		}
		if n < most {
			return false
		}
		l.all = slices.Delete(l.all, first, first+1)
		return true
	}
	_ = oldest(maxClientDenials, func(o *denial) bool { return o.source == d.source }) ||
		d.action == 0 && oldest(maxLoginDenials, func(o *denial) bool { return o.action == 0 }) ||
		oldest(maxDenials, func(o *denial) bool { return true })
}

// All returns the denials, the newest first.
func (l *Denials) All() []Denial { return l.list(func(*denial) bool { return true }) }

// Of returns those of one client, the newest first.
func (l *Denials) Of(clientID string) []Denial {
	return l.list(func(d *denial) bool { return d.id.ClientID == clientID })
}

func (l *Denials) list(is func(*denial) bool) []Denial {
	l.mu.Lock()
	var found []denial
	for _, d := range slices.Backward(l.all) {
		if is(d) {
			found = append(found, *d)
		}
	}
	l.mu.Unlock()
	list := make([]Denial, 0, len(found))
	for i := range found {
		list = append(list, found[i].tell())
	}
	return list
}

// tell says what was denied and why.
func (d *denial) tell() Denial {
	t := Denial{Time: d.time, Count: d.count, User: d.id.User, ClientID: d.id.ClientID, Address: d.address,
		Action: "login", Topic: d.topic, Why: d.why}
	if d.action != 0 {
		v := d.policy.Explain(&d.id, d.action, d.topic, nil)
		t.Action, t.Rule, t.Why = d.action.String(), v.Rule, v.Why
		if v.Depends {
			t.Why += "; this message was not one that is allowed"
		}
	}
	return t
}
