package dashboard

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"lintel/gateway/access"
)

// claimView is the claim page: the form, and after it what was made.
type claimView struct {
	Frame       frame
	BoxName     string
	Error       *problem
	Far         bool // the visitor is not in this network
	Fingerprint string
	Notices     []string // of a file that should have claimed the box
	Done        bool
	Kept        bool // the login of Home Assistant was there before
	Connect     bool // there is a page that connects it
	Guide       bool // through the rest of the set-up
	Restore     bool // a backup can be restored in place of a claim
	Login       brokerLogin
}

// brokerLogin is what a person types into Home Assistant or a device.
type brokerLogin struct {
	Hosts    []string // names or addresses, the best first
	Port     string
	User     string
	Password string
}

// brokerLogin returns how to reach the broker with a login.
func (s *Server) brokerLogin(r *request, user, password string) brokerLogin {
	b := brokerLogin{User: user, Password: password}
	for _, scheme := range []string{"mqtt", "mqtts"} {
		for _, a := range s.o.Addresses() {
			u, err := url.Parse(a)
			if err == nil && u.Scheme == scheme && b.Port == "" {
				b.Hosts, b.Port = []string{u.Hostname()}, u.Port()
			}
		}
	}
	// Not everything finds .local names, a container for one.
	if ip := localIP(r.Request); ip.IsValid() && !ip.IsLoopback() {
		b.Hosts = append(b.Hosts, ip.String())
	}
	return b
}

func (s *Server) claimView(r *request) claimView {
	v := claimView{Frame: s.frame(r, r.t("Claim this box")), Restore: s.o.Backups != nil, Far: !near(address(r.Request))}
	if !v.Far {
		v.Notices = s.o.Notices()
	}
	if s.o.Root != nil {
		_, v.Fingerprint = s.o.Root()
	}
	return v
}

func (s *Server) claimPage(w http.ResponseWriter, r *request) {
	if s.o.Claim.Claimed() {
		http.Redirect(w, r.Request, "/", http.StatusSeeOther)
		return
	}
	s.show(w, r, http.StatusOK, "claim.html", s.claimView(r))
}

func (s *Server) claimForm(w http.ResponseWriter, r *request) {
	password, name, homeassistant := r.PostFormValue("password"), strings.TrimSpace(r.PostFormValue("name")), ""
	var err error = wrong("again", "The passwords differ. Type the same one twice.")
	if password == r.PostFormValue("again") {
		homeassistant, err = s.claim(w, r, password, name)
	}
	v := s.claimView(r)
	v.BoxName = name
	if err != nil {
		v.Error = s.problemOf(r.Request, err)
		s.show(w, r, v.Error.code, "claim.html", v)
		return
	}
	v.Guide = s.o.Welcome != nil
	v.Done, v.Kept, v.Connect = true, homeassistant == "", s.o.HomeAssistant != nil
	v.Login = s.brokerLogin(r, access.HomeAssistantUser, homeassistant)
	s.show(w, r, http.StatusOK, "claim.html", v)
}

// claimAnswer is what GET /api/claim tells a program.
type claimAnswer struct {
	Claimed bool   `json:"claimed"`
	Name    string `json:"name"`
}

type claimRequest struct {
	Password string `json:"password" api:"required"`
	Name     string `json:"name"`
}

// claimedAnswer is how the owner and Home Assistant log in.
type claimedAnswer struct {
	User          string    `json:"user"`
	HomeAssistant claimedAt `json:"homeassistant"`
}

type claimedAt struct {
	User     string   `json:"user"`
	Password string   `json:"password,omitempty"` // none: the login goes on with the one that it has
	Hosts    []string `json:"hosts,omitempty"`
	Port     string   `json:"port,omitempty"`
}

func (s *Server) claimState(*request) (claimAnswer, error) {
	return claimAnswer{s.o.Claim.Claimed(), s.name()}, nil
}

func (s *Server) claimCall(w http.ResponseWriter, r *request) {
	var in claimRequest
	err := decode(r, &in)
	homeassistant := ""
	if err == nil {
		homeassistant, err = s.claim(w, r, in.Password, in.Name)
	}
	b := s.brokerLogin(r, access.HomeAssistantUser, homeassistant)
	s.reply(w, r, claimedAnswer{access.AdminUser, claimedAt{b.User, b.Password, b.Hosts, b.Port}}, err)
}

// claim makes who asks the owner, and logs their browser in.
func (s *Server) claim(w http.ResponseWriter, r *request, password, name string) (homeassistant string, err error) {
	from := address(r.Request)
	if !near(from) {
		return "", problemf(http.StatusForbidden, "", "A box is claimed from its own network only. Do it with a device that is in the same network as the box.")
	}
	if s.o.Claim.Claimed() {
		return "", access.ErrClaimed
	}
	if err := passwordProblem(password); err != nil {
		return "", err
	}
	if err := access.CheckBoxName(name); err != nil {
		return "", wrong("name", "%s", sentence(err))
	}
	ctx, cancel := lasting(r)
	defer cancel()
	homeassistant, err = s.o.Claim.Do(ctx, access.Owner{Password: password, BoxName: name})
	if err != nil {
		return "", err
	}
	s.o.Audit.Add(access.Event{Kind: access.BoxClaimed, User: access.AdminUser, Address: from})
	// The box is claimed whether this works or not: who has the password can log in.
	if token, err := s.o.Sessions.Create(ctx, access.AdminUser, from, r.UserAgent()); err == nil {
		setSession(w, r.Request, token)
		if u, ok := s.o.Users.Get(access.AdminUser); ok {
			r.user, r.level = u.Name, u.Page
		}
	}
	return homeassistant, nil
}

// passwordProblem says what is wrong with a password that a person has chosen, in their
// language.
func passwordProblem(password string) error {
	err := access.CheckPassword([]byte(password))
	switch {
	case err == nil:
		return nil
	case len(password) > access.MaxPassword:
		return wrong("password", "The password is longer than %d bytes: choose a shorter one.", access.MaxPassword)
	case utf8.RuneCountInString(password) < access.MinPassword:
		return wrong("password", "The password has fewer than %d characters: choose a longer one, three or four words are easy to remember.", access.MinPassword)
	}
	return wrong("password", "This password is one of the first that anybody tries: choose another one, three or four words are easy to remember.")
}

// near reports whether an address is in the network of the box: one that no router
// forwards from the Internet, or of the same IPv6 prefix as an address of the box.
// Devices in a house with IPv6 prefer such addresses.
func near(a netip.Addr) bool {
	if !a.IsValid() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return a.IsValid()
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return onLink(a, own)
}

// onLink reports whether an address is in an IPv6 network of own of one link.
func onLink(a netip.Addr, own []net.Addr) bool {
	for _, o := range own {
		p, err := netip.ParsePrefix(fmt.Sprint(o))
		if err == nil && p.Addr().Is6() && p.Bits() >= 64 && p.Contains(a) {
			return true
		}
	}
	return false
}
