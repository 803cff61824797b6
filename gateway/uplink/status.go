package uplink

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"lintel/gateway/mqtt"
)

// Status is how an uplink is doing. Counters begin at 0 with the program.
type Status struct {
	Name      string    `json:"name"`
	URL       string    `json:"url"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since,omitzero"`    // when that began; zero: it was never connected
	Version   byte      `json:"version,omitempty"` // of the protocol: 4 or 5; 0: not connected
	Error     string    `json:"error,omitempty"`   // why it is not connected
	Problem   string    `json:"problem,omitempty"` // what was left out last, or is not allowed
	Out       uint64    `json:"out"`               // messages sent
	In        uint64    `json:"in"`                // messages received
	Dropped   uint64    `json:"dropped"`           // messages left out
	Waiting   int       `json:"waiting"`           // messages in the session at the box
}

// Status tells how the uplink is doing.
func (u *Uplink) Status() Status {
	u.mu.Lock()
	s := u.status
	u.mu.Unlock()
	info, _ := u.broker.Session(SessionID(u.o.Name))
	s.Waiting = info.Queued
	s.Dropped += info.Dropped
	return s
}

func (u *Uplink) count(change func(*Status)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change(&u.status)
}

// complain says what a person should look after.
func (u *Uplink) complain(format string, args ...any) {
	text := printable(fmt.Sprintf(format, args...))
	u.log.Warn("uplink has a problem", "what", text)
	u.count(func(s *Status) { s.Problem = text })
}

// dropped counts a message that was left out and says why.
func (u *Uplink) dropped(format string, args ...any) {
	u.complain(format, args...)
	u.count(func(s *Status) { s.Dropped++ })
}

func (u *Uplink) connected(r *relay) {
	u.log.Info("uplink connected", "version", byte(r.remote.version))
	u.count(func(s *Status) {
		s.Connected, s.Since, s.Version, s.Error = true, time.Now(), byte(r.remote.version), ""
	})
}

func (u *Uplink) failed(err error) {
	text := sentence(err, u.url.Host)
	u.count(func(s *Status) {
		if s.Connected {
			s.Connected, s.Since, s.Version = false, time.Now(), 0
		}
		s.Error = text
	})
}

// sentence says what an error of an uplink means, and what to do. host is that of the broker.
func sentence(err error, host string) string {
	host = printable(host)
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.sentence(host)
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var fingerprint *fingerprintError
	var client *certificateError
	var web *webSocketError
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("There is no host %s in the network. Look at the name, or give its IP address.", printable(dns.Name))
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("Nothing listens at %s. Look whether the broker runs and the port is right.", host)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Sprintf("%s cannot be reached from here. Look at the address and the network.", host)
	case errors.As(err, &fingerprint):
		return fmt.Sprintf("The broker at %s has another certificate than the one whose fingerprint was given; its own is %s. If the broker has a new certificate, give that; if not, something else answers in its place.", host, fingerprint.got)
	case errors.As(err, &unknown):
		return fmt.Sprintf("The box does not know who has signed the certificate of %s. Its fingerprint is %s: if that is the broker's, give it to the box.", host, presented(err, unknown.Cert))
	case errors.As(err, &name):
		return fmt.Sprintf("The certificate of the broker is not for %s. Give the host name that stands in it (%s), or its fingerprint, %s.", printable(name.Host), namesIn(name.Certificate), fingerprintOf(name.Certificate))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("The certificate of %s is not good at this time: %s. Have it renewed, or set the clock of the box if that is wrong.", host, validity(invalid.Cert))
	case errors.As(err, &invalid):
		return fmt.Sprintf("The certificate of %s is not good: %s. Have the broker get another, or give the box its fingerprint, %s.", host, printable(invalid.Error()), presented(err, invalid.Cert))
	case errors.As(err, &client) && isHangup(err):
		return fmt.Sprintf("%s has closed the connection without an answer. It has asked for a certificate of the box, and there is none: give the box one, and its key, if the broker demands that.", host)
	case errors.As(err, &client) && !client.shown:
		return fmt.Sprintf("The broker at %s wants to see a certificate of the box, and there is none. Give the box one, and its key, that the broker's authority has issued.", host)
	case errors.As(err, &client):
		return fmt.Sprintf("The broker at %s does not take the certificate of the box: %s. Give the box another, and its key, that the broker's authority has issued and that has not expired.", host, printable(client.Error()))
	case isAlert(err, protocolVersion):
		return fmt.Sprintf("The broker at %s speaks no TLS from 1.2 on. Have it brought up to date.", host)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Sprintf("%s does not speak TLS at this port. Leave TLS out or give the port that is for it, mostly 8883, or 443 for WebSocket.", host)
	case errors.Is(err, errNoHandshake):
		return fmt.Sprintf("%s has closed the connection when TLS began. Leave TLS out or give the port that is for it, mostly 8883.", host)
	case errors.Is(err, errWantsTLS):
		return fmt.Sprintf("%s wants TLS at this port. Turn TLS on, or give the port that is without it, mostly 1883.", host)
	case errors.Is(err, errFull):
		return "The box has no room for what the broker sends: its disk or a queue is full. It is tried again."
	case errors.Is(err, errSilentEnd):
		return fmt.Sprintf("%s has closed the connection without an answer. Look whether this is the port of MQTT, and whether it wants TLS.", host)
	case isTimeout(err):
		return fmt.Sprintf("%s does not answer. Look at the address, the port, and whether a firewall is between.", host)
	case errors.As(err, &web) && web.status != 0:
		return fmt.Sprintf("What is at %s answers with %d %s in place of a WebSocket for MQTT. Look at the path of the URL, which is mostly /mqtt, at the port, and whether it wants TLS.", host, web.status, http.StatusText(web.status))
	case errors.As(err, &web):
		return fmt.Sprintf("What is at %s does not speak MQTT over WebSocket. Look at the port, at the path of the URL, which is mostly /mqtt, and whether it wants TLS.", host)
	case errors.Is(err, errEnded), errors.Is(err, context.Canceled):
		return "The connection has ended."
	}
	if wrong, ok := errors.AsType[*mqtt.Error](err); ok {
		switch wrong.Code {
		case mqtt.SessionTakenOver:
			return "Another client has connected to the broker with the client id of this box. Each box needs its own."
		case mqtt.ServerShuttingDown:
			return "The broker is shutting down. It is tried again."
		}
		if errors.Is(err, errClosed) {
			return fmt.Sprintf("The broker has closed the connection: %s.", printable(wrong.Error()))
		}
		return fmt.Sprintf("What answers at %s does not speak MQTT as it should: %s.", host, printable(wrong.Error()))
	}
	if errors.Is(err, errClosed) {
		return "The broker has closed the connection. It is tried again."
	}
	return fmt.Sprintf("The broker at %s cannot be used: %s.", host, printable(err.Error()))
}

func (r *Refusal) sentence(host string) string {
	said := ""
	if r.Reason != "" {
		said = fmt.Sprintf(" It says: %s.", strings.TrimSuffix(r.Reason, "."))
	}
	switch r.Code {
	case mqtt.BadUserNameOrPassword:
		return "The broker at " + host + " does not know this user with this password. Look at both." + said
	case mqtt.NotAuthorized:
		return "The broker at " + host + " does not let this user in. Look at user and password, and at what the broker allows." + said
	case mqtt.ClientIdentifierNotValid:
		return "The broker at " + host + " does not take the client id of this box. Allow it there." + said
	case mqtt.Banned:
		return "The broker at " + host + " has banned this box. Lift that there." + said
	case mqtt.ServerUnavailable, mqtt.ServerBusy, mqtt.ConnectionRateExceeded:
		return "The broker at " + host + " is not ready. It is tried again." + said
	case mqtt.UnsupportedProtocolVersion:
		return "The broker at " + host + " speaks neither MQTT 5.0 nor 3.1.1." + said
	}
	return fmt.Sprintf("The broker at %s does not let the box in: %v.%s", host, r.Code, said)
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// isWrong reports whether an error is about what was said.
func isWrong(err error) bool {
	_, ok := errors.AsType[*mqtt.Error](err)
	return ok
}

// fingerprintOf is what TLSConfig takes; nil is no certificate.
func fingerprintOf(c *x509.Certificate) string {
	if c == nil {
		return "not known"
	}
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// presented is the fingerprint of the certificate that a broker has shown as its own. x509
// tells of the one in the chain where it got no further.
func presented(err error, otherwise *x509.Certificate) string {
	var failed *tls.CertificateVerificationError
	if errors.As(err, &failed) && len(failed.UnverifiedCertificates) > 0 {
		return fingerprintOf(failed.UnverifiedCertificates[0])
	}
	return fingerprintOf(otherwise)
}

// namesIn are those that a certificate is for.
func namesIn(c *x509.Certificate) string {
	if c == nil || len(c.DNSNames)+len(c.IPAddresses) == 0 {
		return "there is none"
	}
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return printable(strings.Join(names, ", "))
}

// validity says when a certificate is good.
func validity(c *x509.Certificate) string {
	if c == nil {
		return "the dates are wrong"
	}
	return fmt.Sprintf("%s is good from %s to %s, and the box has %s", printable(cmp.Or(c.Subject.CommonName, "it")),
		c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly), time.Now().UTC().Format(time.DateTime))
}

// printable makes what others have said fit for a log and a page.
func printable(s string) string {
	const most = 300
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, s)
	if runes := []rune(clean); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return clean
}
