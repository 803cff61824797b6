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
	"net"
	"net/http"
	"net/url"
	"strings"

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
	}
	switch u.url.Scheme {
	case "mqtt":
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	case "mqtts":
		return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	}
	transport := &http.Transport{TLSClientConfig: config}
	ws, _, err := websocket.Dial(ctx, u.url.String(), &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: transport},
		Subprotocols: []string{"mqtt"}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, err
	}
	if ws.Subprotocol() != "mqtt" {
		ws.CloseNow()
		return nil, errors.New("the server at the URL does not speak MQTT over WebSocket")
	}
	ws.SetReadLimit(-1) // packets are limited
	return websocket.NetConn(context.WithoutCancel(ctx), ws, websocket.MessageBinary), nil
}
