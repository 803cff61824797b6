package access

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"time"
)

// Identity is who somebody was found to be. It does not change; rights are looked
// up in the [Policy] of the moment.
type Identity struct {
	User     string    // empty: anonymous
	ClientID string    // MQTT Client Identifier; empty: not an MQTT client
	Name     string    // subject name of the client certificate; empty: none
	Roles    []string  // in the order in which their rules are asked
	Topics   []string  // topic filters that are its own: it may do everything there, before any role is asked
	Rules    []Rule    // that came with its token, asked before any role
	Expires  time.Time // when it ceases to be; zero: never
	Internal bool      // a part of the house: it may do everything

	proof   string // what the user was let in with, see [Control.Renew]
	renewed bool   // its rights are those of a user of the box
}

// Login is what somebody shows who wants in.
type Login struct {
	ClientID    string
	HasUserName bool
	UserName    string
	HasPassword bool
	Password    []byte            // erased by the caller
	Certificate *x509.Certificate // of the client, verified; nil: none
	Address     netip.Addr        // where it comes from; zero: a unix socket
	Anonymous   string            // role of clients that show nothing, on this listener; empty: they are refused
}

// Action is what somebody wants to do with a topic.
type Action byte

// The actions.
const (
	Publish   Action = iota + 1 // topic is a topic name
	Subscribe                   // topic is a topic filter, without $share/NAME/
	Receive                     // topic is a topic name: a message is about to be delivered
)

// ErrBadLogin is the error for what somebody shows and what is definitely wrong. Any
// other error leaves the question open.
var ErrBadLogin = errors.New("user name or password is wrong")
