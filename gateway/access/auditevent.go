package access

import (
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// The kinds of an [Event].
const (
	LoggedIn       = "login"
	LoginRefused   = "login refused"
	LoginLockedOut = "locked out"
	UserAdded      = "user added"
	UserChanged    = "user changed"
	UserDeleted    = "user deleted"
	RulesChanged   = "rules changed"
	RulesRefused   = "rules refused"
	TokenAdded     = "token added"
	TokenDeleted   = "token deleted"
	BoxClaimed     = "claimed"
	BoxReset       = "reset"
	BoxNamed       = "named"

	CertificateIssued  = "certificate issued"
	CertificateRevoked = "certificate revoked"
	CertificateRefused = "certificate refused"

	PairingShown   = "pairing code shown"
	Paired         = "paired"
	PairingRefused = "pairing refused"

	BridgeSet     = "bridge mode set"
	BridgeRemoved = "bridge mode ended"

	NetworkTried = "network settings tried"
	NetworkSet   = "network settings kept"

	BackupTaken    = "backup taken"
	BackupRestored = "backup restored"

	UpdateAsked  = "update asked for"
	RestartAsked = "restart asked for"

	SettingsChanged = "settings changed"
)

// Kinds returns the kinds of events that there are.
func Kinds() []string {
	return []string{LoggedIn, LoginRefused, LoginLockedOut, UserAdded, UserChanged, UserDeleted,
		RulesChanged, RulesRefused, TokenAdded, TokenDeleted, BoxClaimed, BoxReset, BoxNamed,
		CertificateIssued, CertificateRevoked, CertificateRefused,
		PairingShown, Paired, PairingRefused,
		BridgeSet, BridgeRemoved, NetworkTried, NetworkSet, BackupTaken, BackupRestored, UpdateAsked, RestartAsked, SettingsChanged}
}

// Event is something that matters to who looks after the safety of the box.
type Event struct {
	Time     time.Time  `json:"time"` // of the last of Count; by the clock of the box, which may have been wrong
	Kind     string     `json:"kind"`
	User     string     `json:"user,omitempty"`
	ClientID string     `json:"client,omitempty"`
	Address  netip.Addr `json:"address,omitzero"`
	Detail   string     `json:"detail,omitempty"`
	Count    int        `json:"count"` // how often it happened
}

// strange reports whether somebody who is not let in can cause the event.
func (e Event) strange() bool {
	return e.Kind == LoginRefused || e.Kind == LoginLockedOut || e.Kind == CertificateRefused || e.Kind == PairingRefused
}

const maxEventCount = 1_000_000_000

// bounded cuts an event to what the log keeps.
func (e Event) bounded() Event {
	e.Time = e.Time.UTC().Truncate(time.Second)
	e.Kind, e.User, e.ClientID = cut(e.Kind, maxEventText), cut(e.User, maxEventText), cut(e.ClientID, maxEventText)
	e.Detail = cut(e.Detail, maxEventDetail)
	e.Address = e.Address.Unmap().WithZone("")
	e.Count = min(e.Count, maxEventCount)
	return e
}

// bytes is how much JSON an event is, about.
func (e Event) bytes() int {
	return len(e.Kind) + len(e.User) + len(e.ClientID) + len(e.Detail) + 160
}

// cut makes a text of at most limit bytes that has no bytes which JSON would make
// longer or a terminal would obey.
func cut(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError || strings.ContainsRune(`"\<>&`, r) {
			return '?'
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	for limit -= len("…"); !utf8.RuneStart(s[limit]); limit-- {
	}
	return s[:limit] + "…"
}
