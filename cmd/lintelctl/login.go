package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"

	"lintel/gateway/mqtt"
)

// mqttPorts are the usual ports of the schemes of brokers.
var mqttPorts = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}

// login says which broker is meant, and who comes.
type login struct {
	broker, user, password, passwordFile, id string
	version                                  string
	ca, fingerprint, certificate, key        string
	qos                                      int
}

// loginFlags adds the flags of a client of a broker.
func loginFlags(flags *flag.FlagSet) *login {
	l := new(login)
	flags.StringVar(&l.broker, "broker", os.Getenv("LINTEL_BROKER"), "`URL` of the broker, such as mqtt://lintel.local, mqtts://…, ws://… or wss://… (default $LINTEL_BROKER)")
	flags.StringVar(&l.user, "user", os.Getenv("LINTEL_USER"), "user `name` (default $LINTEL_USER)")
	flags.StringVar(&l.password, "password", "", "`password`, which others on this machine see (default $LINTEL_PASSWORD, which they do not)")
	flags.StringVar(&l.passwordFile, "password-file", "", "`file` with the password")
	flags.StringVar(&l.id, "id", "", "client `identifier` (default: the broker gives one)")
	flags.StringVar(&l.version, "mqtt", "5", "`version` of MQTT: 5, 3.1.1 or 3.1")
	flags.IntVar(&l.qos, "qos", 0, "quality of service: `0`, 1 or 2")
	flags.StringVar(&l.ca, "ca", "", "`file` with the certificate authority in PEM; that of a box is at /ca.pem of its pages")
	flags.StringVar(&l.fingerprint, "fingerprint", "", "SHA-256 of the broker's certificate as `hex` digits, in place of an authority")
	flags.StringVar(&l.certificate, "cert", "", "`file` with a client certificate in PEM")
	flags.StringVar(&l.key, "key", "", "`file` with its key")
	return l
}

// parseBroker reads the URL of a broker, or its host alone.
func (l *login) parseBroker() (*url.URL, error) {
	text := l.broker
	if text != "" && !strings.Contains(text, "://") {
		text = "mqtt://" + text
	}
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, fmt.Errorf("--broker is missing, such as --broker mqtt://lintel.local: %w", errUsage)
	case err != nil || u.Hostname() == "" || mqttPorts[u.Scheme] == "":
		return nil, fmt.Errorf("--broker %s is no URL of a broker, such as mqtt://lintel.local, mqtts, ws or wss: %w", l.broker, errUsage)
	case u.User != nil:
		return nil, fmt.Errorf("user and password do not stand in the URL: use --user and $LINTEL_PASSWORD: %w", errUsage)
	}
	return u, nil
}

// connectPacket returns what the client says first.
func (l *login) connectPacket() (*mqtt.Connect, error) {
	c := &mqtt.Connect{CleanStart: true, KeepAlive: uint16(mqttKeepAlive / time.Second), ClientID: l.id}
	switch l.version {
	case "5", "5.0":
		c.Version = mqtt.V50
	case "3.1.1", "311":
		c.Version = mqtt.V311
	case "3.1", "31":
		c.Version = mqtt.V31
	default:
		return nil, fmt.Errorf("--mqtt %s: right is 5, 3.1.1 or 3.1: %w", l.version, errUsage)
	}
	if c.Version == mqtt.V31 && l.id == "" {
		return nil, fmt.Errorf("MQTT 3.1 needs an identifier: --id: %w", errUsage)
	}
	if l.qos < 0 || l.qos > 2 {
		return nil, fmt.Errorf("--qos %d: right is 0, 1 or 2: %w", l.qos, errUsage)
	}
	password := cmp.Or(l.password, os.Getenv("LINTEL_PASSWORD"))
	if l.passwordFile != "" {
		text, err := readInput(l.passwordFile, 64<<10, nil)
		if err != nil {
			return nil, err
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	if l.user != "" {
		c.HasUserName, c.UserName = true, l.user
	}
	if password != "" {
		if l.user == "" && c.Version != mqtt.V50 { // 3.1.1 §3.1.2.9
			return nil, fmt.Errorf("a password needs --user: %w", errUsage)
		}
		c.HasPassword, c.Password = true, []byte(password)
	}
	return c, nil
}

// tlsConfig returns how to know the broker.
func (l *login) tlsConfig(host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if l.ca != "" {
		text, err := readInput(l.ca, 1<<20, nil)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate in PEM", l.ca)
		}
	}
	if l.fingerprint != "" {
		want, err := hex.DecodeString(strings.ReplaceAll(l.fingerprint, ":", ""))
		if err != nil || len(want) != sha256.Size {
			return nil, fmt.Errorf("--fingerprint has 64 hexadecimal digits: %w", errUsage)
		}
		c.InsecureSkipVerify = true // the fingerprint says more than a chain does
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if got := sha256.Sum256(s.PeerCertificates[0].Raw); !bytes.Equal(got[:], want) {
				return fmt.Errorf("the certificate of the broker has another fingerprint: %x", got)
			}
			return nil
		}
	}
	if l.certificate != "" {
		pair, err := tls.LoadX509KeyPair(l.certificate, cmp.Or(l.key, l.certificate))
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// dial opens a network connection to a broker.
func (l *login) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	config, err := l.tlsConfig(u.Hostname())
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), mqttPorts[u.Scheme]))
	switch u.Scheme {
	case "mqtt":
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	case "mqtts":
		return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	}
	ws, _, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
			// Elsewhere there may be no TLS, and the password would go there.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Subprotocols: []string{"mqtt"}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, err
	}
	if ws.Subprotocol() != "mqtt" {
		ws.CloseNow()
		return nil, errors.New("there is a WebSocket, but not for MQTT: is its path right, such as /mqtt?")
	}
	return websocket.NetConn(context.Background(), ws, websocket.MessageBinary), nil
}
