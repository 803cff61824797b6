package access

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// NameField is where in a client certificate its name stands.
type NameField string

// The fields. A certificate has to have exactly one of the kind: of two names nobody
// can say which one counts.
const (
	CommonName NameField = "cn"    // of the subject
	DNSName    NameField = "dns"   // alternative name
	Email      NameField = "email" // alternative name
	URI        NameField = "uri"   // alternative name; without slashes, such as urn:dev:mac:0024befffe804ff1
)

// UnmarshalText reads a NameField.
func (f *NameField) UnmarshalText(text []byte) error {
	switch v := NameField(text); v {
	case CommonName, DNSName, Email, URI:
		*f = v
		return nil
	}
	return fmt.Errorf("%q is none of cn, dns, email, uri", text)
}

// Name returns whom a certificate names; empty: nobody.
func (c *ClientCertificates) Name(cert *x509.Certificate) string {
	name, _ := c.name(cert)
	return name
}

func (c *ClientCertificates) name(cert *x509.Certificate) (string, error) {
	var names []string
	what := "common name"
	switch c.o.Field {
	case CommonName, "":
		// Subject.CommonName is the last one of several.
		names = commonNames(cert.Subject)
	case DNSName:
		what, names = "DNS name", cert.DNSNames
	case Email:
		what, names = "e-mail address", cert.EmailAddresses
	case URI:
		what = "URI"
		for _, u := range cert.URIs {
			names = append(names, u.String())
		}
	}
	if len(names) != 1 {
		return "", fmt.Errorf("has %d names of the kind %s; right is one", len(names), what)
	}
	if err := checkName(names[0]); err != nil {
		return "", fmt.Errorf("%s %w", what, err)
	}
	return names[0], nil
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

func commonNames(subject pkix.Name) []string {
	var names []string
	for _, attribute := range subject.Names {
		if attribute.Type.Equal(oidCommonName) {
			text, _ := attribute.Value.(string) // what is no text has no name
			names = append(names, text)
		}
	}
	return names
}

// checkName says why a text cannot be the name of a client. It stands in topics, where
// + # / and $ mean something, and on pages, where two names must not look alike for
// want of a character that can be seen.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("is empty")
	case len(name) > maxCertificateName:
		return fmt.Errorf("is longer than %d bytes", maxCertificateName)
	case strings.ContainsAny(name, "+#/"):
		return fmt.Errorf("%q holds +, # or /, which mean something in topics", name)
	case name[0] == '$':
		return fmt.Errorf("%q begins with $, as topics of the broker do", name)
	case name[0] == ' ', name[len(name)-1] == ' ':
		return fmt.Errorf("%q begins or ends with a space", name)
	}
	for _, r := range name { // U+FFFD stands for what is not UTF-8
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return fmt.Errorf("%q holds a character that cannot be seen", name)
		}
	}
	return nil
}
