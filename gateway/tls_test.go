package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/gateway/settings"
	"lintel/persist"
)

// secureBroker is a broker behind TLS that lets in whom a certificate names, and one
// user with a password.
type secureBroker struct {
	*gateway
	host, port string
	root       string      // file
	let        chan string // who was let in
}

func startSecureBroker(t *testing.T, mode settings.ClientCertificateMode) *secureBroker {
	t.Helper()
	data := t.TempDir()
	store, err := persist.Open(filepath.Join(data, "store"), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	g := &gateway{config: settings.Default(), o: Options{Data: data}, log: slog.New(slog.DiscardHandler), store: store}
	g.access = newEntrance(g.config.Access)
	if g.access.audit, err = access.NewAudit(store, nil); err != nil {
		t.Fatal(err)
	}
	if err := g.openAuthority(); err != nil {
		t.Fatal(err)
	}
	s := &secureBroker{gateway: g, root: filepath.Join(data, "tls", "root.pem"), let: make(chan string, 100)}
	g.broker, err = broker.New(store, broker.Options{Authenticate: func(_ context.Context, r *broker.ConnectRequest) error {
		switch {
		case r.TLS == nil:
			return errors.New("no TLS")
		case len(r.TLS.PeerCertificates) > 0:
			s.let <- "certificate of " + g.certificates.Name(r.TLS.PeerCertificates[0])
		case r.UserName == "hub" && string(r.Password) == "secret":
			s.let <- "user hub"
		default:
			return &broker.Refusal{Code: mqtt.NotAuthorized}
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.host, s.port, _ = net.SplitHostPort(l.Addr().String())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- g.broker.Run(ctx) }()
	go func() { ended <- g.broker.Serve(ctx, tls.NewListener(l, g.tlsConfig(mode)), "mqtts") }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil {
			t.Error(err)
		}
	})
	return s
}

// issue writes a client certificate of the box, and returns what mosquitto's programs
// need to show it, and its serial number.
func (s *secureBroker) issue(t *testing.T, name string) (args []string, serial string) {
	t.Helper()
	certPEM, keyPEM, err := s.authority.IssueClient(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(os.WriteFile(cert, certPEM, 0o600), os.WriteFile(key, keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	issued := s.authority.Issued()
	return []string{"--cert", cert, "--key", key}, issued[len(issued)-1].Serial
}

// mosquitto runs mosquitto_pub or mosquitto_sub against the broker.
func (s *secureBroker) mosquitto(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip(program + " is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	args = append([]string{"-h", s.host, "-p", s.port, "-t", "a/b", "-q", "1"}, args...)
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestMosquittoOverTLS(t *testing.T) {
	t.Parallel()
	for _, mode := range []settings.ClientCertificateMode{settings.ClientCertificateRequest, settings.ClientCertificateRequire} {
		t.Run(string(mode), func(t *testing.T) {
			s := startSecureBroker(t, mode)
			lamp, _ := s.issue(t, "lamp")
			lost, serial := s.issue(t, "lost")
			trust := []string{"--cafile", s.root}
			publish := func(args ...string) (string, error) {
				return s.mosquitto(t, "mosquitto_pub", append([]string{"-m", "light", "-r"}, args...)...)
			}
			let := func(want string) {
				t.Helper()
				select {
				case got := <-s.let:
					if got != want {
						t.Errorf("let in %q, want %q", got, want)
					}
				default:
					t.Errorf("nobody was let in; want %q", want)
				}
			}
			for _, version := range []string{"tlsv1.2", "tlsv1.3"} {
				if out, err := publish(append(slices.Concat(trust, lamp), "--tls-version", version)...); err != nil {
					t.Fatalf("with a certificate, %s: %v %s", version, err, out)
				}
				let("certificate of lamp")
			}
			if out, err := s.mosquitto(t, "mosquitto_sub", append(slices.Concat(trust, lamp), "-C", "1", "-W", "10")...); err != nil || out != "light" {
				t.Errorf("mosquitto_sub: %v %s", err, out)
			}
			let("certificate of lamp")
			if out, err := publish(slices.Concat(trust, lost)...); err != nil {
				t.Errorf("before it is revoked: %v %s", err, out)
			}
			let("certificate of lost")
			if err := s.authority.Revoke(serial); err != nil {
				t.Fatal(err)
			}
			out, err := publish(append(trust, "-u", "hub", "-P", "secret")...)
			if request := mode == settings.ClientCertificateRequest; (err == nil) != request {
				t.Errorf("with a password: %v %s", err, out)
			} else if request {
				let("user hub")
			}
			foreign := startSecureBroker(t, mode)
			stranger, _ := foreign.issue(t, "lamp")
			for what, args := range map[string][]string{
				"revoked":                         slices.Concat(trust, lost),
				"revoked, with a password":        append(slices.Concat(trust, lost), "-u", "hub", "-P", "secret"),
				"of another box":                  slices.Concat(trust, stranger),
				"of another box, with a password": append(slices.Concat(trust, stranger), "-u", "hub", "-P", "secret"),
				"with nothing":                    trust,
				"with a wrong password":           append(slices.Clone(trust), "-u", "hub", "-P", "Secret"),
				"trusting somebody else":          append([]string{"--cafile", foreign.root}, lamp...),
				"without TLS":                     {"-u", "hub", "-P", "secret"},
			} {
				if out, err := publish(args...); err == nil {
					t.Errorf("let in %s: %s", what, out)
				}
			}
			if n := len(s.let); n > 0 {
				t.Errorf("%d more were let in, the first: %s", n, <-s.let)
			}
		})
	}
}

// TLS before 1.2 is not spoken, in whatever way a client asks for it.
func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	s := startSecureBroker(t, settings.ClientCertificateRequest)
	address := net.JoinHostPort(s.host, s.port)
	for version, good := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		nc, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if err == nil {
			nc.Close()
		}
		if (err == nil) != good {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	for version, good := range map[string]bool{"-tls1": false, "-tls1_1": false, "-tls1_2": true, "-tls1_3": true} {
		args := []string{"s_client", "-connect", address, "-CAfile", s.root, "-verify_return_error", "-verify_ip", s.host, version}
		if !good {
			args = append(args, "-cipher", "DEFAULT@SECLEVEL=0") // else openssl itself would not
		}
		out, err := exec.Command(program, args...).CombinedOutput()
		if (err == nil) != good {
			t.Errorf("openssl %s: %v\n%s", version, err, out)
		}
		if !good && !strings.Contains(string(out), "alert protocol version") {
			t.Errorf("openssl %s was not told why:\n%s", version, out)
		}
	}
}

// A house without a certificate of its own serves the box's, to whatever kind of
// listener.
func TestOwnCertificateIsServed(t *testing.T) {
	t.Parallel()
	c := localConfig()
	c.HTTP.Listen = ""
	c.MQTT.TLS, c.MQTT.WebSocketTLS = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	data := t.TempDir()
	e, stop := startWith(t, c, data, false)
	defer stop()
	root, err := os.ReadFile(filepath.Join(data, "tls", "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(root) {
		t.Fatalf("root.pem: %s", root)
	}
	served := 0
	for _, b := range e.Brokers {
		if b.Scheme != "mqtts" && b.Scheme != "wss" {
			continue
		}
		served++
		for _, name := range []string{"lintel.local", "lintel", "127.0.0.1"} {
			nc, err := tls.Dial("tcp", b.Addr.String(), &tls.Config{RootCAs: pool, ServerName: name})
			if err != nil {
				t.Errorf("%s as %s: %v", b.Scheme, name, err)
				continue
			}
			nc.Close()
		}
	}
	if served != 2 {
		t.Errorf("%d listeners with TLS", served)
	}
}

// A certificate that cannot be used keeps nothing from starting, and nobody who trusts
// the box from connecting.
func TestInstalledCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := localConfig()
	config.MQTT.TLS = []string{"127.0.0.1:0"}
	config.MQTT.Certificate, config.MQTT.Key = filepath.Join(dir, "nothing.pem"), filepath.Join(dir, "nothing.key")
	config.MQTT.ClientCertificates.CA = filepath.Join(dir, "nothing.ca")
	e, stop := startWith(t, config, t.TempDir(), false)
	defer stop()
	i := slices.IndexFunc(e.Brokers, func(b Endpoint) bool { return b.Scheme == "mqtts" })
	nc, err := tls.Dial("tcp", e.Brokers[i].Addr.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if issuer := nc.ConnectionState().PeerCertificates[0].Issuer.CommonName; !strings.HasPrefix(issuer, "Lintel CA ") {
		t.Errorf("serves a certificate of %q", issuer)
	}
}
