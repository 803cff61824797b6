package uplink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/coder/websocket"
)

// defaultPorts are those of the schemes that an URL may have.
var defaultPorts = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}

// ParseURL reads the URL of a broker.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	const right = "right is one such as mqtt://192.168.1.2:1883 or mqtts://broker.example.com"
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("%.200q is not the URL of a broker; %s", text, right)
	}
	if defaultPorts[u.Scheme] == "" {
		return nil, fmt.Errorf("%.200q begins with none of mqtt, mqtts, ws, wss; %s", text, right)
	}
	if u.User != nil {
		return nil, errors.New("user and password do not stand in the URL; they have keys of their own")
	}
	if u.Scheme[0] == 'm' && strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%.200q has more than host and port; %s", text, right)
	}
	return u, nil
}

// TLSConfig returns the configuration for a broker whose certificate comes from one of the
// authorities in ca, or else has this fingerprint (SHA-256 in hexadecimal, with or
// without colons); with neither the authorities of the system count. certificate and key are
// shown to the broker; they may be empty. All but the fingerprint are PEM.
func TLSConfig(ca []byte, fingerprint string, certificate, key []byte) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("there is no certificate in the file of the authority; right is PEM")
		}
	}
	if fingerprint != "" {
		want, err := hex.DecodeString(strings.ReplaceAll(fingerprint, ":", ""))
		if err != nil || len(want) != sha256.Size {
			return nil, fmt.Errorf("%.100q is not a fingerprint; right are 64 hexadecimal digits, SHA-256 of the certificate", fingerprint)
		}
		c.InsecureSkipVerify = true // the fingerprint says more than a chain does
		c.VerifyConnection = func(s tls.ConnectionState) error {
			got := sha256.Sum256(s.PeerCertificates[0].Raw)
			if !bytes.Equal(got[:], want) {
				return &fingerprintError{hex.EncodeToString(got[:])}
			}
			return nil
		}
	}
	if len(certificate) > 0 || len(key) > 0 {
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// fingerprintError is a certificate that is not the one that was named.
type fingerprintError struct{ got string }

func (e *fingerprintError) Error() string {
	return "the certificate of the broker has another fingerprint: " + e.got
}

// dial opens a network connection to the remote.
func (u *Uplink) dial(ctx context.Context) (net.Conn, error) {
	port := u.url.Port()
	if port == "" {
		port = defaultPorts[u.url.Scheme]
	}
	address := net.JoinHostPort(u.url.Hostname(), port)
	var config *tls.Config
	if u.url.Scheme == "mqtts" || u.url.Scheme == "wss" {
		config = u.o.TLS.Clone()
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if config.ServerName == "" {
			config.ServerName = u.url.Hostname()
		}
		u.wantsCertificate.Store(false)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			u.wantsCertificate.Store(true)
			if len(config.Certificates) > 0 {
				return &config.Certificates[0], nil
			}
			return new(tls.Certificate), nil
		}
	}
	switch u.url.Scheme {
	case "mqtt":
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	case "mqtts":
		nc, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
		if isHangup(err) {
			err = fmt.Errorf("%w: %w", errNoHandshake, err)
		}
		return nc, err
	}
	ws, answer, err := websocket.Dial(ctx, u.url.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			// What is kept alive after an answer that opens no WebSocket would be kept for ever.
			Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
			// Elsewhere there may be no TLS, and the password would go there.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Subprotocols: []string{"mqtt"}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		failed := &webSocketError{err: err}
		if answer != nil {
			failed.status = answer.StatusCode
		}
		return nil, failed
	}
	if ws.Subprotocol() != "mqtt" {
		ws.CloseNow()
		return nil, &webSocketError{err: errors.New("the subprotocol mqtt was not taken")}
	}
	return websocket.NetConn(context.WithoutCancel(ctx), ws, websocket.MessageBinary), nil // packets are limited, frames are not
}

// errNoHandshake is a connection that was closed in place of an answer of TLS.
var errNoHandshake = errors.New("the broker has closed the connection in the TLS handshake")

// webSocketError is why there is no WebSocket for MQTT.
type webSocketError struct {
	status int // of HTTP; 0: none came
	err    error
}

func (e *webSocketError) Error() string { return e.err.Error() }
func (e *webSocketError) Unwrap() error { return e.err }

// isHangup reports whether the other side has closed the connection.
func isHangup(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// certificateError is a broker that has asked for a certificate of the box, and then has
// ended the connection.
type certificateError struct {
	shown bool // there was one
	err   error
}

func (e *certificateError) Error() string { return e.err.Error() }
func (e *certificateError) Unwrap() error { return e.err }

// aboutCertificates are the alerts for the certificate of a client (RFC 8446 §6.2). OpenSSL
// says handshake_failure for a missing one before TLS 1.3.
var aboutCertificates = []tls.AlertError{40, 42, 43, 44, 45, 46, 48, 49, 116}

const protocolVersion tls.AlertError = 70

// isAlert reports whether the other side has ended TLS with one of these alerts, or with any
// if none is named. Their type is not exported for what comes over TCP; the words are the same.
func isAlert(err error, which ...tls.AlertError) bool {
	failed, ok := errors.AsType[*net.OpError](err)
	return ok && failed.Op == "remote error" && (len(which) == 0 ||
		slices.ContainsFunc(which, func(a tls.AlertError) bool { return a.Error() == failed.Err.Error() }))
}

// asked makes an error of the network one of the certificate of the box where that is why:
// in TLS 1.3 the broker looks at it when the handshake is over at the box, and then says
// that it does not take it, or, to a box that has none, nothing.
func (u *Uplink) asked(err error) error {
	shown := u.o.TLS != nil && len(u.o.TLS.Certificates) > 0
	if u.wantsCertificate.Load() && (isAlert(err, aboutCertificates...) || isHangup(err) && !shown) {
		return &certificateError{shown, err}
	}
	return err
}
