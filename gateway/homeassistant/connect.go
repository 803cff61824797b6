package homeassistant

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// CallbackPath is where Home Assistant sends the browser back to.
	CallbackPath = "/homeassistant/callback"

	tryTime  = 10 * time.Minute // for a person to log in; Home Assistant's codes last as long
	maxTries = 16               // that wait for a person
)

// ConnectorOptions are the options of [NewConnector]. The functions may be called from
// several goroutines at the same time.
type ConnectorOptions struct {
	// Lookup returns where a host is whose name ends with .local; nil, or nothing:
	// the system may know.
	Lookup func(host string) []netip.Addr
	// Hosts returns under which names and addresses the broker may be reached, the best
	// first, besides those that a try finds out. Port is its port without TLS; 0: none.
	Hosts func() []string
	Port  func() int
	// Login makes a login for a Home Assistant. by says who wants it.
	Login func(ctx context.Context, by string) (user, password string, err error)
	// Visit says what became of the last client that came to the broker with a login
	// since then.
	Visit func(user string, since time.Time) Visit
}

// Visit is what became of a client that came to the broker.
type Visit int

// The visits.
const (
	NoVisit   Visit = iota // nobody came
	Refused                // the login was wrong
	LockedOut              // too many had been wrong before
	LetIn
)

// Connector makes the box's broker the one of a Home Assistant, by what Home Assistant
// offers for programs of other makers: the person logs in on a page of Home Assistant's
// own, which sends the browser back with a code (IndieAuth); for that the box gets a
// token, sets MQTT up with it as the pages of Home Assistant do, and gives it back.
// Nothing of it is kept.
//
// Its methods may be called from any goroutine.
type Connector struct {
	o ConnectorOptions

	mu    sync.Mutex
	tries map[string]*try // by their state
}

// try is a person on the way to Home Assistant's page and back.
type try struct {
	base        *url.URL
	fingerprint string
	remote      netip.AddrPort // where Home Assistant answered
	page        string         // client_id
	owner, by   string
	since       time.Time
}

// NewConnector returns a Connector that nobody has begun anything with.
func NewConnector(o ConnectorOptions) *Connector {
	return &Connector{o: o, tries: make(map[string]*try)}
}

// Begin is how a try begins.
type Begin struct {
	Addresses   []string // of Home Assistant, as they were found or typed; the first that answers counts
	Fingerprint string   // of its certificate, if a person vouches for that
	Page        string   // scheme and host by which the browser has come to the box
	Owner       string   // who begins: nobody else can finish
	By          string   // the same in words, for the audit log
}

// Begin looks whether there is a Home Assistant, and returns where to send the browser. Its
// errors are of type [ConnectError].
func (c *Connector) Begin(ctx context.Context, b Begin) (authorize string, err error) {
	page, err := url.Parse(b.Page)
	if err != nil || page.Host == "" {
		return "", connectError(BadRequest, "The box cannot tell by which address it was opened. Open it by its name or its IP address.")
	}
	if c.o.Port() == 0 {
		return "", connectError(Unconnected, "This box has no broker without TLS that Home Assistant could be connected to. Add an address to listen in [mqtt] of the configuration, or connect by hand.")
	}
	t := &try{page: page.Scheme + "://" + page.Host + "/", owner: b.Owner, by: b.By, fingerprint: b.Fingerprint}
	for _, address := range b.Addresses {
		base, failure := parseAddress(address)
		if failure == nil {
			h := newHome(base, b.Fingerprint, netip.AddrPort{}, c.o.Lookup)
			if failure = h.look(ctx); failure == nil {
				t.base = base
				t.remote, _ = h.ends()
				break
			}
		}
		// That nothing answers says less than what something answers.
		if err == nil || reasonOf(err) == NotReached {
			err = failure
		}
	}
	if t.base == nil && err == nil {
		_, err = parseAddress("")
	}
	if t.base == nil {
		return "", err
	}
	state := c.remember(t)
	query := url.Values{"client_id": {t.page}, "redirect_uri": {strings.TrimSuffix(t.page, "/") + CallbackPath}, "state": {state}}
	return t.base.JoinPath("/auth/authorize").String() + "?" + query.Encode(), nil
}

func reasonOf(err error) Reason {
	if e, ok := errors.AsType[*ConnectError](err); ok {
		return e.Reason
	}
	return ""
}

// look looks whether a Home Assistant answers that somebody can log in to.
func (h *home) look(ctx context.Context) error {
	a, err := h.get(ctx, "/auth/providers")
	if err != nil {
		return err
	}
	if a.status == http.StatusBadRequest {
		var said struct{ Code string }
		if json.Unmarshal(a.body, &said) == nil && said.Code == "onboarding_required" {
			return connectError(NotAllowed, "This Home Assistant is new: open %s first, make its first user there, and come back.", h.base)
		}
	}
	var providers any // a list, or in later versions an object with one
	if err := h.read(a, &providers); err != nil {
		return err
	}
	if object, ok := providers.(map[string]any); ok {
		providers = object["providers"]
	}
	if _, ok := providers.([]any); !ok {
		return h.strange(a)
	}
	return nil
}

// remember keeps a try until its browser comes back, and returns the name that only that
// browser knows.
func (c *Connector) remember(t *try) (state string) {
	state, t.since = rand.Text(), time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.tries, func(_ string, t *try) bool { return time.Since(t.since) > tryTime })
	for len(c.tries) >= maxTries {
		var oldest string
		for name, t := range c.tries {
			if oldest == "" || t.since.Before(c.tries[oldest].since) {
				oldest = name
			}
		}
		delete(c.tries, oldest)
	}
	c.tries[state] = t
	return state
}

// take returns the try of a state, once, and to its owner alone.
func (c *Connector) take(state, owner string) (*try, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tries[state]
	if t == nil || t.owner != owner || time.Since(t.since) > tryTime {
		return nil, connectError(BadRequest, "This answer of Home Assistant's belongs to nothing that was begun here in the last ten minutes, or it was used already. Press Connect again.")
	}
	delete(c.tries, state)
	return t, nil
}

// Return is what a browser brings back from Home Assistant.
type Return struct {
	State, Code string
	Denied      string // the error in the place of a code
	Owner       string
	Local       netip.Addr // at which the browser has reached the box; zero: not known
}

// Connection is a Home Assistant that was connected.
type Connection struct {
	ID      string    `json:"id"` // where it is
	Name    string    `json:"name"`
	Version string    `json:"version,omitempty"`
	User    string    `json:"user"`    // with which it comes to the broker
	Broker  string    `json:"broker"`  // as it knows it
	Address string    `json:"address"` // at which it answered
	Time    time.Time `json:"time"`
	Notes   []string  `json:"notes,omitempty"` // what else a person should know
}

// ByAddress reports whether Home Assistant knows the broker by an IP address, which it
// goes on to look at when the box has another one.
func (c Connection) ByAddress() bool {
	_, err := netip.ParseAddr(c.Broker)
	return err == nil
}

// Finish connects the Home Assistant that a browser comes back from. It takes as long as
// Home Assistant needs to come to the broker, for each address that is tried. Errors are of
// type [ConnectError], or those of Login.
func (c *Connector) Finish(ctx context.Context, r Return) (Connection, error) {
	t, err := c.take(r.State, r.Owner)
	if err != nil {
		return Connection{}, err
	}
	if r.Denied != "" {
		return Connection{}, connectError(NotAllowed, "Home Assistant was not told to let the box in: %s. Press Connect again, and log in there as an administrator.", quote(r.Denied))
	}
	if r.Code == "" {
		return Connection{}, connectError(BadRequest, "Home Assistant sent the browser back without a code. Press Connect again.")
	}
	h := newHome(t.base, t.fingerprint, t.remote, nil)
	refresh, err := h.authorize(ctx, t.page, r.Code)
	if err != nil {
		return Connection{}, err
	}
	connection, err := c.connect(ctx, h, t, r.Local)
	// Also after a failure, and when there is no time left.
	if revokeErr := h.revoke(context.WithoutCancel(ctx), refresh); revokeErr != nil && err == nil {
		connection.Notes = append(connection.Notes, "Home Assistant did not take back what the box was let in with. Delete it there: your profile, Security, Refresh tokens, "+t.page+".")
	}
	return connection, err
}

// authorize gets a token for a code.
func (h *home) authorize(ctx context.Context, page, code string) (refresh string, err error) {
	a, err := h.form(ctx, "/auth/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {page}})
	if err != nil {
		return "", err
	}
	var said struct {
		Access      string `json:"access_token"`
		Refresh     string `json:"refresh_token"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	json.Unmarshal(a.body, &said) // what it does not understand is strange below
	switch {
	case a.status == http.StatusForbidden && said.Error == "access_denied":
		return "", connectError(NotAllowed, "Home Assistant does not let this user in: %s. Log in there as an administrator.", quote(messageOf(a.body)))
	case a.status == http.StatusBadRequest && said.Description == "Invalid code":
		return "", connectError(BadRequest, "Home Assistant does not know the code that the browser brought. It lasts for ten minutes, and until Home Assistant is restarted. Press Connect again.")
	case a.status != http.StatusOK || !headerText(said.Access) || said.Refresh == "":
		return "", h.strange(a)
	}
	h.token = said.Access
	return said.Refresh, nil
}

// headerText reports whether a token may stand in a header.
func headerText(token string) bool {
	return token != "" && len(token) < maxHead/2 && !strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' })
}

// revoke gives the tokens back.
func (h *home) revoke(ctx context.Context, refresh string) error {
	a, err := h.form(ctx, "/auth/revoke", url.Values{"token": {refresh}})
	if err == nil && a.status != http.StatusOK {
		err = h.strange(a)
	}
	return err
}

// connect sets MQTT up.
func (c *Connector) connect(ctx context.Context, h *home, t *try, local netip.Addr) (Connection, error) {
	connection := Connection{ID: t.base.String(), Name: t.base.Host, Address: t.remote.Addr().Unmap().String()}
	flow, err := h.startFlow(ctx)
	if err != nil {
		return connection, err
	}
	// Only now: who has another broker needs no login here.
	begun := time.Now()
	user, password, err := c.o.Login(ctx, t.by)
	if err != nil {
		h.deleteFlow(ctx, flow)
		return connection, err
	}
	hosts := c.hosts(h, local)
	for i, host := range hosts {
		if i > 0 {
			if flow, err = h.startFlow(ctx); err != nil {
				return connection, err
			}
		}
		state, err := h.fillIn(ctx, flow, brokerForm{host, c.o.Port(), user, password})
		if err == nil {
			connection.User, connection.Broker, connection.Time = user, host, time.Now().UTC().Truncate(time.Second)
			if state != "" && state != "loaded" {
				connection.Notes = append(connection.Notes, "Home Assistant has taken the broker, and says that it is not ready: "+quote(state)+". Look there at Settings, Devices & services, MQTT.")
			}
			h.describe(ctx, &connection)
			return connection, nil
		}
		// The form that comes back takes nothing any more: a new flow is needed.
		h.deleteFlow(ctx, flow)
		if !errors.Is(err, errCannotConnect) {
			return connection, err
		}
		switch c.o.Visit(user, begun) {
		case NoVisit:
			continue // another address may do
		case Refused:
			return connection, connectError(Unconnected, "Home Assistant came to the broker of this box, and its login %s was refused. Somebody may have changed it meanwhile. Press Connect again: the box makes a new password.", user)
		case LockedOut:
			return connection, connectError(Unconnected, "Home Assistant came to the broker of this box, and has to wait because of too many failed logins from its address. Find on the page Access which program there has a wrong password, and try again in some minutes.")
		case LetIn:
			return connection, connectError(Unconnected, "Home Assistant came to the broker of this box and was let in, and yet says that it could not connect. It may be busy. Press Connect again.")
		}
	}
	return connection, connectError(Unconnected, "Home Assistant cannot reach the broker of this box at %s, port %d. Is there a firewall, a guest network or another network between them? If Home Assistant knows the box by another address, connect by hand.",
		strings.Join(hosts, " or "), c.o.Port())
}

// describe asks Home Assistant what it is called. It need not say so.
func (h *home) describe(ctx context.Context, connection *Connection) {
	var said struct {
		Name    string `json:"location_name"`
		Version string
	}
	a, err := h.get(ctx, "/api/config")
	if err != nil || h.read(a, &said) != nil {
		return
	}
	if said.Name != "" {
		connection.Name = cut(said.Name, 100)
	}
	connection.Version = cut(said.Version, 100)
}

// maxHosts is how many addresses of the broker are tried: Home Assistant takes its time for
// each.
const maxHosts = 4

// hosts returns at which addresses Home Assistant may find the broker, the likeliest
// first: the one from which the box has reached Home Assistant, then the one at which
// the browser has reached the box. Names come after addresses: Home Assistant in a container
// often does not resolve .local.
func (c *Connector) hosts(h *home, local netip.Addr) []string {
	remote, towards := h.ends()
	var list []string
	add := func(host string) {
		if a, err := netip.ParseAddr(host); err == nil {
			a = a.Unmap()
			if a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsLoopback() != remote.Addr().Unmap().IsLoopback() {
				return
			}
			host = a.String()
		}
		if len(list) < maxHosts && !slices.Contains(list, host) {
			list = append(list, host)
		}
	}
	add(towards.String())
	if local.IsValid() {
		add(local.WithZone("").String())
	}
	for _, host := range c.o.Hosts() {
		add(host)
	}
	return list
}
