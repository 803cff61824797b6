package homeassistant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	callTime  = 10 * time.Second // for an answer of Home Assistant
	formTime  = 30 * time.Second // for one before which it connects to the broker
	maxAnswer = 1 << 20          // bytes of an answer
	maxHead   = 32 << 10         // bytes of its header
)

// home is a Home Assistant for the time of one call or of one try.
type home struct {
	base        *url.URL
	fingerprint string // of the certificate that a person vouches for; empty: none
	token       string // access token; empty: none yet
	lookup      func(host string) []netip.Addr

	client *http.Client

	// What the first call finds out: later ones go to the same address, whatever
	// its name leads to then. A dial may go on when its call is over.
	mu     sync.Mutex
	remote netip.AddrPort
	local  netip.Addr // of the box towards Home Assistant
}

// ends returns the addresses of a connection to Home Assistant, of those that there were.
func (h *home) ends() (remote netip.AddrPort, local netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.remote, h.local
}

func newHome(base *url.URL, fingerprint string, remote netip.AddrPort, lookup func(string) []netip.Addr) *home {
	h := &home{base: base, fingerprint: fingerprint, remote: remote, lookup: lookup}
	h.client = &http.Client{
		Transport: &http.Transport{
			DialContext:            h.dial,
			TLSClientConfig:        &tls.Config{ServerName: base.Hostname(), InsecureSkipVerify: true, VerifyConnection: h.verify}, // verify does it
			DisableKeepAlives:      true,
			DisableCompression:     true, // what is bounded is what comes
			MaxResponseHeaderBytes: maxHead,
		},
		// Home Assistant does not redirect what is asked here. Who does would choose
		// where the box goes to, with a token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return h
}

// dial connects to where Home Assistant is.
func (h *home) dial(ctx context.Context, network, address string) (net.Conn, error) {
	addresses := []string{address}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if remote, _ := h.ends(); remote.IsValid() {
		addresses = []string{remote.String()}
	} else if strings.HasSuffix(host, ".local") && h.lookup != nil {
		// The resolver of the system may know nothing of multicast DNS.
		var heard []string
		for _, a := range h.lookup(host) {
			heard = append(heard, net.JoinHostPort(a.String(), port))
		}
		addresses = append(heard, address)
	}
	var conn net.Conn
	for _, a := range addresses {
		d := net.Dialer{Timeout: callTime / 3}
		if len(addresses) == 1 {
			d.Timeout = callTime
		}
		if conn, err = d.DialContext(ctx, network, a); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if remote, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		h.remote = remote.AddrPort()
	}
	if local, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		h.local = local.AddrPort().Addr().Unmap()
	}
	return conn, nil
}

// unknownCertificate says that nobody vouches for a certificate.
type unknownCertificate struct {
	fingerprint string
	err         error
}

func (e *unknownCertificate) Error() string { return e.err.Error() }

// verify takes a certificate that an authority has signed, or the one that a person
// vouches for, whatever it says.
func (h *home) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("no certificate")
	}
	leaf := s.PeerCertificates[0]
	got := formatFingerprint(leaf.Raw)
	if h.fingerprint != "" && subtle.ConstantTimeCompare([]byte(got), []byte(h.fingerprint)) == 1 {
		return nil
	}
	o := x509.VerifyOptions{DNSName: s.ServerName, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(o); err != nil {
		return &unknownCertificate{got, err}
	}
	return nil
}

// formatFingerprint writes the SHA-256 of a certificate as browsers show it.
func formatFingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// answer is what Home Assistant answers.
type answer struct {
	status   int
	location string // of a redirect
	body     []byte
}

// get, form and post make a call. Their errors are of type ConnectError: there is no answer.
func (h *home) get(ctx context.Context, path string) (*answer, error) {
	return h.call(ctx, callTime, http.MethodGet, path, "", nil)
}

func (h *home) form(ctx context.Context, path string, values url.Values) (*answer, error) {
	return h.call(ctx, callTime, http.MethodPost, path, "application/x-www-form-urlencoded", []byte(values.Encode()))
}

func (h *home) post(ctx context.Context, limit time.Duration, path string, body any) (*answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return h.call(ctx, limit, http.MethodPost, path, "application/json", text)
}

func (h *home) call(ctx context.Context, limit time.Duration, method, path, contentType string, body []byte) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, h.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, h.unanswered(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if h.token != "" {
		request.Header.Set("Authorization", "Bearer "+h.token)
	}
	request.Header.Set("User-Agent", "Lintel")
	response, err := h.client.Do(request)
	if err != nil {
		return nil, h.unanswered(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, h.unanswered(err)
	}
	if len(text) > maxAnswer {
		return nil, connectError(NotUnderstood, "What answers at %s sends more than Home Assistant ever does. Check the address.", h.base)
	}
	return &answer{response.StatusCode, response.Header.Get("Location"), text}, nil
}

// unanswered says why there is no answer.
func (h *home) unanswered(err error) error {
	if unknown, ok := errors.AsType[*unknownCertificate](err); ok {
		return h.unknownCertificate(unknown)
	}
	if noName, ok := errors.AsType[*net.DNSError](err); ok && !noName.IsTimeout {
		return connectError(NotReached, "The box does not find the name %s. Type the IP address of Home Assistant instead, such as http://192.168.1.5:8123.", h.base.Hostname())
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || strings.Contains(err.Error(), "HTTP response to HTTPS client") {
		return connectError(NotReached, "Nothing speaks HTTPS at %s. Type the address with http:// if that is how you open Home Assistant.", h.base)
	}
	var timeout net.Error
	remote, _ := h.ends()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return connectError(NotReached, "Nothing answers at %s. Check that Home Assistant runs, and the port: it is 8123 unless somebody has changed it.", h.base)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return connectError(NotReached, "Home Assistant at %s does not answer in time. Check the address, and try again when it is less busy.", h.base)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return connectError(NotReached, "From the box there is no way to %s. Are both in the same network?", h.base)
	case h.base.Scheme == "http" && remote.IsValid():
		return connectError(NotReached, "What is at %s does not answer as Home Assistant does. Type the address with https:// if that is how you open it.", h.base)
	}
	return connectError(NotReached, "The connection to %s broke off. Check the address, and try again.", h.base)
}

func (h *home) unknownCertificate(e *unknownCertificate) error {
	why := "no authority that the box knows has signed it"
	var invalid x509.CertificateInvalidError
	var other x509.HostnameError
	switch {
	case h.fingerprint != "":
		why = "it is another one than the one that you have compared"
	case errors.As(e.err, &other):
		why = "it is for another name"
	case errors.As(e.err, &invalid) && invalid.Reason == x509.Expired:
		why = "it has expired or is not valid yet, by the clock of the box"
	}
	return &ConnectError{Reason: Certificate, Fingerprint: e.fingerprint, Text: fmt.Sprintf(
		"The box cannot tell whether this is your Home Assistant. Look at the certificate of %s: %s. Compare its SHA-256 fingerprint with the one that your browser shows for Home Assistant.", h.base, why)}
}

// strange says what is wrong with an answer that is not the one that was asked for,
// because of its status or because of what is in it.
func (h *home) strange(a *answer) error {
	switch {
	case a.status >= 300 && a.status < 400:
		if to, err := parseAddress(a.location); err == nil && strings.Contains(a.location, "://") && *to != *h.base {
			return connectError(NotUnderstood, "What is at %s leads on to %s. Type that address, if it is your Home Assistant.", h.base, to)
		}
		return connectError(NotUnderstood, "What is at %s leads on to somewhere else. Type the address at which you open Home Assistant.", h.base)
	case a.status == http.StatusForbidden:
		return connectError(NotAllowed, "Home Assistant refuses whatever comes from this box. Look into the file ip_bans.yaml beside its configuration, take the address of the box out, and restart Home Assistant.")
	case a.status == http.StatusTooManyRequests:
		return connectError(NotAllowed, "Home Assistant wants to be asked less often. Try again in some minutes.")
	case a.status >= 500:
		return connectError(NotUnderstood, "Home Assistant could not do it, it answers with error %d. It may still be starting; its log says more. Try again in a minute.", a.status)
	case looksLikeHTML(a.body):
		return connectError(NotUnderstood, "At %s there is a web page, but not what Home Assistant has there. Type the address at which you open Home Assistant, without a proxy between that asks for a login of its own.", h.base)
	case a.status >= 400:
		return connectError(NotUnderstood, "Home Assistant refuses what the box asks for, with error %d: %s. Update both, or connect by hand.", a.status, quote(messageOf(a.body)))
	}
	return connectError(NotUnderstood, "What is at %s does not answer as Home Assistant does. Check the address; if it is right, update both, or connect by hand.", h.base)
}

func looksLikeHTML(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// messageOf returns what an error of Home Assistant says.
func messageOf(body []byte) string {
	var said struct {
		Message     string `json:"message"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Errors      json.RawMessage
	}
	if json.Unmarshal(body, &said) != nil {
		return string(bytes.TrimSpace(body))
	}
	for _, s := range []string{said.Message, said.Description, said.Error, string(said.Errors)} {
		if s != "" {
			return s
		}
	}
	return "no reason"
}

// read reads an answer with status 200 as JSON.
func (h *home) read(a *answer, v any) error {
	if a.status != http.StatusOK || json.Unmarshal(a.body, v) != nil {
		return h.strange(a)
	}
	return nil
}
