package gateway

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// writeCertificate makes a certificate for the loopback.
func writeCertificate(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListeners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := localConfig()
	c.HTTP.Listen = ""
	c.MQTT.Certificate, c.MQTT.Key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	c.MQTT.AddressRate, c.MQTT.ConnectRate = 100_000, 100_000 // it connects as often as it can
	writeCertificate(t, c.MQTT.Certificate, c.MQTT.Key, "first")
	second := "[::1]:0"
	if l, err := net.Listen("tcp", second); err != nil {
		second = "127.0.0.1:0" // no IPv6 here
	} else {
		l.Close()
	}
	c.MQTT.Listen = []string{"127.0.0.1:0", second}
	c.MQTT.TLS = []string{"127.0.0.1:0"}
	c.MQTT.WebSocketTLS = []string{"127.0.0.1:0"}
	c.MQTT.Unix = []string{filepath.Join(dir, "socket")}
	c.Access.Anonymous[second], c.Access.Anonymous[c.MQTT.Unix[0]] = "admin", "admin"
	// A process that was killed left its socket.
	stale, err := net.Listen("unix", c.MQTT.Unix[0])
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()

	e, stop := startWith(t, c, filepath.Join(dir, "data"), false)
	defer stop()
	if len(e.Brokers) != 6 {
		t.Fatalf("listeners: %+v", e.Brokers)
	}
	secure := &tls.Config{InsecureSkipVerify: true}
	var served string // the name in the certificate
	secure.VerifyConnection = func(s tls.ConnectionState) error {
		served = s.PeerCertificates[0].Subject.CommonName
		return nil
	}
	connect := func(e Endpoint) paho.Client {
		t.Helper()
		scheme, address := map[string]string{"mqtt": "tcp", "mqtts": "ssl", "ws": "ws", "wss": "wss", "unix": "unix"}[e.Scheme], e.Addr.String()
		options := paho.NewClientOptions().AddBroker(scheme + "://" + address).SetTLSConfig(secure).SetAutoReconnect(false)
		client := paho.NewClient(options)
		if token := client.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
			t.Fatalf("%s %s: %v", e.Scheme, address, token.Error())
		}
		t.Cleanup(func() { client.Disconnect(0) })
		return client
	}
	var connected []paho.Client
	for _, b := range e.Brokers {
		connected = append(connected, connect(b))
	}
	if served != "first" {
		t.Errorf("served the certificate of %q", served)
	}
	// A new certificate is served to who comes then; who is there stays.
	writeCertificate(t, c.MQTT.Certificate, c.MQTT.Key, "second")
	for deadline := time.Now().Add(10 * time.Second); served != "second" && time.Now().Before(deadline); {
		connect(e.Brokers[2]).Disconnect(0)
	}
	if served != "second" {
		t.Errorf("still serves the certificate of %q", served)
	}
	for i, client := range connected {
		if token := client.Publish("still/here", 1, false, "x"); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
			t.Errorf("%s was dropped: %v", e.Brokers[i].Scheme, token.Error())
		}
	}
}

// A socket that did not become a WebSocket does not stay.
func TestRefusedWebSocketIsClosed(t *testing.T) {
	t.Parallel()
	c := localConfig()
	c.MQTT.WebSocket = []string{"127.0.0.1:0"}
	e, stop := startWith(t, c, t.TempDir(), false)
	defer stop()
	i := slices.IndexFunc(e.Brokers, func(b Endpoint) bool { return b.Scheme == "ws" })
	for _, subprotocol := range []string{"mqtt", "chat"} {
		nc, err := net.Dial("tcp", e.Brokers[i].Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: lintel\r\nSec-WebSocket-Protocol: %s\r\n\r\n", subprotocol)
		answer, err := io.ReadAll(nc)
		if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 4")) {
			t.Errorf("%s: %.60q, %v; want a refusal and the end", subprotocol, answer, err)
		}
	}
}

// TestUnusableCertificate: the house goes on with its own certificate.
func TestUnusableCertificate(t *testing.T) {
	t.Parallel()
	c := localConfig()
	c.MQTT.TLS = []string{"127.0.0.1:0"}
	c.MQTT.Certificate, c.MQTT.Key = filepath.Join(t.TempDir(), "cert.pem"), "key.pem"
	data := t.TempDir()
	e, stop := startWith(t, c, data, false)
	defer stop()
	i := slices.IndexFunc(e.Brokers, func(b Endpoint) bool { return b.Scheme == "mqtts" })
	nc, err := tls.Dial("tcp", e.Brokers[i].Addr.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}
