package uplink

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// pair is a certificate and its key.
type pair struct {
	chain           [][]byte // as it is shown
	cert            *x509.Certificate
	key             *ecdsa.PrivateKey
	certPEM, keyPEM []byte
}

// issue signs a certificate; by nil is by itself.
func issue(t *testing.T, by *pair, template x509.Certificate) *pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{key: key}
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := &template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	p.chain = [][]byte{der}
	if by != nil && by.cert.Issuer.CommonName != by.cert.Subject.CommonName {
		p.chain = append(p.chain, by.chain...) // the root is not shown
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, der := range p.chain {
		p.certPEM = append(p.certPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	p.keyPEM = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})
	return p
}

// authority makes one that issues certificates.
func authority(t *testing.T, by *pair, name string) *pair {
	return issue(t, by, x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
}

// localhost is for a server that is here.
func localhost() x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"broker.example.com"}}
}

func (p *pair) tls() tls.Certificate { return tls.Certificate{Certificate: p.chain, PrivateKey: p.key} }

func (p *pair) fingerprint() string {
	sum := sha256.Sum256(p.cert.Raw)
	return hex.EncodeToString(sum[:])
}

// secure has a box listen with TLS, and over WebSocket with TLS.
func secure(t *testing.T, b *box, config *tls.Config) (urls map[string]string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Serve(ctx, l, "tls") }()
	web := httptest.NewUnstartedServer(b.WebSocket(ctx, "wss"))
	web.TLS = config.Clone()
	web.StartTLS()
	web.Config.ErrorLog = nil
	t.Cleanup(func() {
		cancel()
		web.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return map[string]string{"mqtts": "mqtts://" + l.Addr().String(), "wss": "wss://" + web.Listener.Addr().String() + "/mqtt"}
}

// secured is what a box is given for a broker with TLS.
type secured struct {
	ca          []byte
	fingerprint string
	client      *pair
}

func (s secured) config(t *testing.T) *tls.Config {
	t.Helper()
	var certificate, key []byte
	if s.client != nil {
		certificate, key = s.client.certPEM, s.client.keyPEM
	}
	config, err := TLSConfig(s.ca, s.fingerprint, certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// carries looks whether messages go both ways between an uplink's ends.
func carries(t *testing.T, b *box, r remote, payload string) {
	t.Helper()
	here, there := b.listen("#"), r.listen("#")
	b.publish(mqtt.Message{Topic: "from/box", Payload: []byte(payload), QoS: 1})
	there.await("from/box", payload)
	r.publish(mqtt.Message{Topic: "from/remote", Payload: []byte(payload), QoS: 2})
	here.await("from/remote", payload)
}

// says waits until an uplink says each of some words, and nothing else meanwhile.
func (r *running) says(t *testing.T, words ...string) {
	t.Helper()
	var last string
	defer func() {
		if t.Failed() {
			t.Logf("it said: %s", last)
		}
	}()
	poll(t, fmt.Sprintf("Status to say %q", words), func() bool {
		s := r.Status()
		if s.Connected {
			t.Fatal("it is connected")
		}
		last = s.Error
		for _, w := range words {
			if !strings.Contains(last, w) {
				return false
			}
		}
		return true
	})
	if !strings.HasSuffix(last, ".") {
		t.Errorf("no sentence: %s", last)
	}
}

// TestTLS connects to a broker with TLS in each way that there is to trust it or not.
func TestTLS(t *testing.T) {
	root := authority(t, nil, "root")
	other := authority(t, nil, "other root")
	between := authority(t, root, "intermediate")
	good := issue(t, root, localhost())
	chained := issue(t, between, localhost())
	alone := issue(t, nil, localhost())
	elsewhere := issue(t, root, x509.Certificate{Subject: pkix.Name{CommonName: "127.0.0.1"}, DNSNames: []string{"broker.example.com"}})
	template := localhost()
	template.NotBefore, template.NotAfter = time.Date(2001, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(2002, 3, 4, 0, 0, 0, 0, time.UTC)
	expired := issue(t, root, template)
	template.NotBefore, template.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
	early := issue(t, root, template)
	template = localhost()
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	otherUse := issue(t, root, template)
	box := issue(t, root, x509.Certificate{Subject: pkix.Name{CommonName: "box"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	stranger := issue(t, other, x509.Certificate{Subject: pkix.Name{CommonName: "box"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})

	clients := x509.NewCertPool()
	clients.AddCert(root.cert)
	plain := func(p *pair) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{p.tls()}} }
	asking := func(how tls.ClientAuthType, most uint16) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{good.tls()}, ClientAuth: how, ClientCAs: clients, MaxVersion: most}
	}
	want := tls.RequireAndVerifyClientCert
	colons := strings.ToUpper(alone.fingerprint()[:2]) + ":" + alone.fingerprint()[2:]

	for _, c := range []struct {
		name   string
		server *tls.Config
		box    secured
		words  []string // none: it connects
	}{
		{"its authority", plain(good), secured{ca: root.certPEM}, nil},
		{"its authority, over another", plain(chained), secured{ca: root.certPEM}, nil},
		{"itself as the authority", plain(alone), secured{ca: alone.certPEM}, nil},
		{"one of two authorities", plain(good), secured{ca: append(append([]byte(nil), other.certPEM...), root.certPEM...)}, nil},
		{"another authority", plain(good), secured{ca: other.certPEM}, []string{"does not know who has signed", good.fingerprint(), "give it to the box"}},
		{"another authority, over another", plain(chained), secured{ca: other.certPEM}, []string{"does not know who has signed", chained.fingerprint()}},
		{"no authority", plain(alone), secured{}, []string{"does not know who has signed", alone.fingerprint()}},
		{"another host", plain(elsewhere), secured{ca: root.certPEM}, []string{"is not for 127.0.0.1.", "(broker.example.com)", elsewhere.fingerprint()}},
		{"another host, by fingerprint", plain(elsewhere), secured{fingerprint: elsewhere.fingerprint()}, nil},
		{"expired", plain(expired), secured{ca: root.certPEM}, []string{"is good from 2001-01-02 to 2002-03-04", "Have it renewed", "clock"}},
		{"expired, by fingerprint", plain(expired), secured{fingerprint: expired.fingerprint()}, nil},
		{"not yet", plain(early), secured{ca: root.certPEM}, []string{"not good at this time", "clock"}},
		{"for clients", plain(otherUse), secured{ca: root.certPEM}, []string{"is not good", "get another", otherUse.fingerprint()}},
		{"fingerprint", plain(alone), secured{fingerprint: colons}, nil},
		{"another fingerprint", plain(alone), secured{fingerprint: good.fingerprint()}, []string{"another certificate", alone.fingerprint(), "give that"}},
		{"fingerprint of the authority", plain(good), secured{fingerprint: root.fingerprint()}, []string{"another certificate", good.fingerprint()}},

		{"client certificate", asking(want, 0), secured{ca: root.certPEM, client: box}, nil},
		{"client certificate, TLS 1.2", asking(want, tls.VersionTLS12), secured{ca: root.certPEM, client: box}, nil},
		{"client certificate and fingerprint", asking(want, 0), secured{fingerprint: good.fingerprint(), client: box}, nil},
		{"no client certificate, none needed", asking(tls.VerifyClientCertIfGiven, 0), secured{ca: root.certPEM}, nil},
		{"no client certificate", asking(want, 0), secured{ca: root.certPEM}, []string{"a certificate of the box", "there is none", "Give the box one"}},
		{"no client certificate, TLS 1.2", asking(want, tls.VersionTLS12), secured{ca: root.certPEM}, []string{"wants to see a certificate of the box", "Give the box one"}},
		{"another client certificate", asking(want, 0), secured{ca: root.certPEM, client: stranger}, []string{"does not take the certificate of the box", "Give the box another"}},
		{"another client certificate, TLS 1.2", asking(want, tls.VersionTLS12), secured{ca: root.certPEM, client: stranger}, []string{"does not take the certificate of the box"}},
		{"old TLS", &tls.Config{Certificates: []tls.Certificate{good.tls()}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, secured{ca: root.certPEM},
			[]string{"no TLS from 1.2 on", "brought up to date"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			there := newBox(t, broker.Options{})
			for scheme, url := range secure(t, there, c.server) {
				t.Run(scheme, func(t *testing.T) {
					b := newBox(t, broker.Options{})
					r := run(t, b, Options{URL: url, TLS: c.box.config(t), ClientID: "box-" + scheme})
					if c.words != nil {
						r.says(t, c.words...)
						return
					}
					r.connected(t)
					carries(t, b, there, "over "+scheme)
				})
			}
		})
	}
}

// TestTLSMosquitto is the same with the TLS of another.
func TestTLSMosquitto(t *testing.T) {
	root, other := authority(t, nil, "root"), authority(t, nil, "other root")
	server := issue(t, root, localhost())
	client := issue(t, root, x509.Certificate{Subject: pkix.Name{CommonName: "box"}})
	stranger := issue(t, other, x509.Certificate{Subject: pkix.Name{CommonName: "box"}})
	start := func(t *testing.T, more string) (*mosquitto, string) {
		dir := t.TempDir()
		for name, data := range map[string][]byte{"ca.pem": root.certPEM, "cert.pem": server.certPEM, "key.pem": server.keyPEM} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		l.Close()
		m := newMosquitto(t, fmt.Sprintf("listener %s 127.0.0.1\ncafile %[2]s/ca.pem\ncertfile %[2]s/cert.pem\nkeyfile %[2]s/key.pem\n%s", port, dir, more))
		return m, "mqtts://127.0.0.1:" + port
	}
	for _, c := range []struct {
		name  string
		more  string
		box   secured
		words []string
	}{
		{"its authority", "", secured{ca: root.certPEM}, nil},
		{"fingerprint", "", secured{fingerprint: server.fingerprint()}, nil},
		{"another authority", "", secured{ca: other.certPEM}, []string{"does not know who has signed", server.fingerprint()}},
		{"client certificate", "require_certificate true", secured{ca: root.certPEM, client: client}, nil},
		{"no client certificate", "require_certificate true", secured{ca: root.certPEM}, []string{"a certificate of the box", "there is none"}},
		{"no client certificate, TLS 1.2", "require_certificate true\ntls_version tlsv1.2", secured{ca: root.certPEM}, []string{"wants to see a certificate of the box"}},
		{"another client certificate", "require_certificate true", secured{ca: root.certPEM, client: stranger}, []string{"does not take the certificate of the box", "Give the box another"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, url := start(t, c.more)
			b := newBox(t, broker.Options{})
			r := run(t, b, Options{URL: url, TLS: c.box.config(t)})
			if c.words != nil {
				r.says(t, c.words...)
				return
			}
			r.connected(t)
			carries(t, b, m, strings.Repeat("over TLS ", 50_000))
		})
	}
}

// TestWrongPort has each scheme come to a port that is for another.
func TestWrongPort(t *testing.T) {
	good := issue(t, nil, localhost())
	there := newBox(t, broker.Options{})
	urls := secure(t, there, &tls.Config{Certificates: []tls.Certificate{good.tls()}})
	web := httptest.NewServer(there.WebSocket(t.Context(), "ws"))
	t.Cleanup(web.Close)
	at := map[string]string{"mqtt": there.addr, "mqtts": strings.TrimPrefix(urls["mqtts"], "mqtts://"),
		"ws": web.Listener.Addr().String(), "wss": strings.TrimSuffix(strings.TrimPrefix(urls["wss"], "wss://"), "/mqtt")}
	for _, c := range []struct{ scheme, port, words string }{
		{"mqtt", "mqtts", "whether it wants TLS"},
		{"mqtt", "wss", "whether it wants TLS"},
		{"mqtts", "mqtt", "Leave TLS out"},
		{"mqtts", "ws", "Leave TLS out"},
		{"ws", "mqtt", "does not speak MQTT over WebSocket"},
		{"ws", "mqtts", "whether it wants TLS"},
		{"ws", "wss", "whether it wants TLS"},
		{"wss", "mqtt", "does not speak MQTT over WebSocket"},
		{"wss", "mqtts", "does not speak MQTT over WebSocket"},
		{"wss", "ws", "Leave TLS out"},
	} {
		t.Run(c.scheme+" at "+c.port, func(t *testing.T) {
			r := run(t, newBox(t, broker.Options{}), Options{URL: c.scheme + "://" + at[c.port], TLS: secured{fingerprint: good.fingerprint()}.config(t)})
			r.says(t, c.words)
		})
	}
	t.Run("mqtt at the TLS of OpenSSL", func(t *testing.T) {
		// It answers with an alert.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				nc.Write([]byte{0x15, 3, 1, 0, 2, 2, 0x46})
				nc.Close()
			}
		}()
		run(t, newBox(t, broker.Options{}), Options{URL: "mqtt://" + l.Addr().String()}).says(t, "Turn TLS on")
	})
}
