package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/access"
)

// secureHouse is a house with MQTT over TLS that somebody has claimed.
type secureHouse struct {
	*owner
	address string
	trust   *x509.CertPool
}

func startSecureHouse(t *testing.T) *secureHouse {
	t.Helper()
	c := closedConfig()
	c.MQTT.TLS = []string{"127.0.0.1:0"}
	data := t.TempDir()
	e, stop := startWith(t, c, data, false)
	t.Cleanup(stop)
	h := &secureHouse{owner: claim(t, e), trust: x509.NewCertPool()}
	for _, b := range e.Brokers {
		if b.Scheme == "mqtts" {
			h.address = b.Addr.String()
		}
	}
	root, err := os.ReadFile(filepath.Join(data, "tls", "root.pem"))
	if err != nil || !h.trust.AppendCertsFromPEM(root) {
		t.Fatal(err)
	}
	return h
}

// issue has a certificate issued over the API.
func (h *secureHouse) issue(name string) (pair tls.Certificate, serial string) {
	h.t.Helper()
	var made struct{ Certificate, Key, Serial string }
	h.call("POST", "/api/certificates", map[string]string{"name": name}, &made)
	pair, err := tls.X509KeyPair([]byte(made.Certificate), []byte(made.Key))
	if err != nil {
		h.t.Fatal(err)
	}
	return pair, made.Serial
}

// connect connects a client, of which lost tells when the broker throws it out.
func (h *secureHouse) connect(id string, pair *tls.Certificate, user, password string) (lost chan error, err error) {
	h.t.Helper()
	config := &tls.Config{RootCAs: h.trust, ServerName: "lintel.local"}
	if pair != nil {
		config.Certificates = []tls.Certificate{*pair}
	}
	lost = make(chan error, 1)
	o := paho.NewClientOptions().AddBroker("ssl://" + h.address).SetClientID(id).SetTLSConfig(config).
		SetUsername(user).SetPassword(password).SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(10 * time.Second).
		SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err })
	client := paho.NewClient(o)
	token := client.Connect()
	if !token.WaitTimeout(20 * time.Second) {
		h.t.Fatal("no answer to CONNECT")
	}
	if token.Error() == nil {
		h.t.Cleanup(func() { client.Disconnect(0) })
	}
	return lost, token.Error()
}

// events are the events of a kind in the audit log.
func (h *secureHouse) events(kind string) []access.Event {
	h.t.Helper()
	var in struct{ Events []access.Event }
	h.get("/api/audit", &in)
	return slices.DeleteFunc(in.Events, func(e access.Event) bool { return e.Kind != kind })
}

// TestCertificateIsRevoked: a certificate that the page has handed out lets its user in
// without a password until it is revoked; then who came with it has to go, and nobody else.
func TestCertificateIsRevoked(t *testing.T) {
	t.Parallel()
	h := startSecureHouse(t)
	h.call("POST", "/api/users", map[string]string{"name": "lamp", "password": "light the way"}, nil)
	pair, serial := h.issue("lamp")
	other, _ := h.issue("lamp")

	gone, err := h.connect("one", &pair, "", "")
	if err != nil {
		t.Fatal(err)
	}
	stays := make(map[string]chan error)
	if stays["with another certificate"], err = h.connect("two", &other, "", ""); err != nil {
		t.Fatal(err)
	}
	if stays["with the password"], err = h.connect("three", nil, "lamp", "light the way"); err != nil {
		t.Fatal(err)
	}
	h.call("DELETE", "/api/certificates/"+serial, nil, nil)
	select {
	case <-gone:
	case <-time.After(10 * time.Second): // sooner than the door looks by itself
		t.Fatal("who came with the certificate that was revoked is still connected")
	}
	if _, err := h.connect("one", &pair, "", ""); err == nil {
		t.Error("the revoked certificate lets its owner in")
	}
	if events := h.events(access.CertificateRefused); len(events) != 1 || events[0].User != "lamp" || !strings.Contains(events[0].Detail, "was revoked, serial number "+serial) {
		t.Errorf("in the audit log: %+v", events)
	}
	if _, err := h.connect("four", &other, "", ""); err != nil {
		t.Errorf("the other certificate of the name does not: %v", err)
	}
	for who, lost := range stays {
		select {
		case err := <-lost:
			t.Errorf("who came %s was thrown out: %v", who, err)
		default:
		}
	}
	for kind, times := range map[string]int{access.CertificateIssued: 2, access.CertificateRevoked: 1} {
		if events := h.events(kind); len(events) != times || events[0].User != "lamp" || !strings.Contains(events[0].Detail, "by admin") {
			t.Errorf("%s: %+v", kind, events)
		}
	}
}
