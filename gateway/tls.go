package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"

	"lintel/gateway/access"
	"lintel/gateway/settings"
)

// openAuthority opens the box's own certificate authority, or makes it at the first
// start. It is there without a TLS listener too: its page offers it for download.
func (g *gateway) openAuthority() error {
	var err error
	g.authority, err = access.NewAuthority(filepath.Join(g.o.Data, "tls"), access.AuthorityOptions{
		Names: g.names, ClockKnown: g.store.ClockKnown, Logger: g.log})
	if err != nil {
		return err
	}
	c := g.config.MQTT.ClientCertificates
	g.certificates, err = access.NewClientCertificates(access.ClientCertificateOptions{
		Authority: g.authority, CA: c.CA, CRLs: c.CRL, Field: c.Name, ClockKnown: g.store.ClockKnown, Refused: g.certificateRefused, Logger: g.log})
	return err
}

// certificateRefused writes into the audit log what ended a handshake. The name is what
// the certificate says, which may be anything. No listener is open before there is a log.
func (g *gateway) certificateRefused(c *x509.Certificate, err error) {
	g.access.audit.Add(access.Event{Kind: access.CertificateRefused, User: g.certificates.Name(c),
		Detail: fmt.Sprintf("%v, serial number %x", err, c.SerialNumber.Bytes())})
}

// issues reports whether certificates that the box issues let anybody in: where the
// configuration names other authorities it does not trust its own.
func (g *gateway) issues() bool { return g.config.MQTT.ClientCertificates.CA == "" }

// revoke makes a client certificate invalid, and throws out who is connected with it.
func (g *gateway) revoke(serial string) error {
	if err := g.authority.Revoke(serial); err != nil {
		return err
	}
	g.access.door.look()
	return nil
}

// tlsConfig is how the listeners of a kind speak TLS: 1.2 and 1.3, with the cipher
// suites of crypto/tls, which are all sound.
func (g *gateway) tlsConfig(certificates settings.ClientCertificateMode) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: g.authority.GetCertificate}
	if m := g.config.MQTT; m.Certificate != "" {
		config.GetCertificate = access.NewInstalledCertificate(access.InstalledCertificateOptions{
			CertFile: m.Certificate, KeyFile: m.Key, Other: g.authority.GetCertificate, ClockKnown: g.store.ClockKnown, Logger: g.log}).GetCertificate
	}
	if certificates == settings.ClientCertificateRequest || certificates == settings.ClientCertificateRequire {
		g.certificates.Ask(config, certificates == settings.ClientCertificateRequire)
	}
	return config
}
