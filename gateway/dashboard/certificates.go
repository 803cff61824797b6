package dashboard

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"lintel/gateway/access"
)

func (s *Server) certificateRoutes() []route {
	return []route{
		{pattern: "GET /api/certificates", level: admin, call: gives(s, s.listCertificates)},
		{pattern: "POST /api/certificates", level: admin, body: 64 << 10, call: takes(s, s.issue)},
		{pattern: "DELETE /api/certificates/{serial}", level: admin, call: gives(s, s.revokeCertificate)},
	}
}

// maxCertificateRows is how many certificates the page shows; the JSON has them all.
const maxCertificateRows = 200

// Certificate is a client certificate as GET /api/certificates tells it.
type Certificate struct {
	Serial  string    `json:"serial"`
	Name    string    `json:"name"`
	Issued  time.Time `json:"issued,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Revoked bool      `json:"revoked"`
}

// certificateList is what GET /api/certificates tells.
type certificateList struct {
	Certificates []Certificate `json:"certificates"`
}

// certificateRequest is what a certificate is to be.
type certificateRequest struct {
	Name string `json:"name" api:"required"`
	CSR  string `json:"csr"` // PEM; empty: the box makes the key
}

// runsOutSoon is how long before its end a certificate is told of.
const runsOutSoon = 30 * 24 * time.Hour

// Expired reports whether the certificate has ended, by the clock of the box.
func (c Certificate) Expired() bool { return !c.Until.IsZero() && time.Now().After(c.Until) }

// RunsOut reports whether it is about to end.
func (c Certificate) RunsOut() bool { return !c.Until.IsZero() && time.Until(c.Until) < runsOutSoon }

// issued is what is told of a new certificate once.
type issued struct {
	Name        string `json:"name"`
	Serial      string `json:"serial"`
	Certificate string `json:"certificate"`   // PEM
	Key         string `json:"key,omitempty"` // PEM; none where there was a signing request
	Authority   string `json:"ca,omitempty"`  // PEM: whom the client trusts

	Nobody bool `json:"-"` // has this name
}

func (s *Server) certificates() []Certificate {
	list := []Certificate{}
	for _, c := range s.o.Certificates() {
		list = append(list, Certificate(c))
	}
	return list
}

// issue makes a client certificate.
func (s *Server) issue(r *request, in certificateRequest) (*issued, error) {
	name, csr := in.Name, in.CSR
	if s.o.Issue == nil {
		return nil, problemf(http.StatusConflict, "", "Certificates of this box let nobody in: it trusts those authorities that the configuration names. Have one of them issue it.")
	}
	var request []byte
	if csr != "" {
		request = []byte(csr)
	}
	certificate, key, err := s.o.Issue(name, request)
	if err != nil {
		return nil, err
	}
	made := &issued{Name: name, Certificate: string(certificate), Key: string(key)}
	block, _ := pem.Decode(certificate)
	if block == nil {
		return nil, errors.New("the authority has issued no PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	made.Serial = hex.EncodeToString(parsed.SerialNumber.Bytes())
	if s.o.Root != nil {
		root, _ := s.o.Root()
		made.Authority = string(root)
	}
	_, known := s.o.Users.Get(name)
	made.Nobody = !known
	s.note(r, access.CertificateIssued, name, ": %s", made.Serial)
	return made, nil
}

// revoke revokes a client certificate, and returns what is known of it.
func (s *Server) revoke(r *request, serial string) (Certificate, error) {
	serial = strings.ToLower(serial)
	if err := s.o.Revoke(serial); err != nil {
		return Certificate{}, err
	}
	c := Certificate{Serial: serial, Revoked: true} // one that is not listed, see access.Authority.Revoke
	for _, listed := range s.certificates() {
		if listed.Serial == serial {
			c = listed
		}
	}
	s.note(r, access.CertificateRevoked, c.Name, ": %s", serial)
	return c, nil
}

// The JSON API.

func (s *Server) listCertificates(*request) (certificateList, error) {
	return certificateList{s.certificates()}, nil
}

func (s *Server) revokeCertificate(r *request) (Certificate, error) {
	return s.revoke(r, r.PathValue("serial"))
}

// The page.

// certificatesView is the part of the page of tokens about client certificates.
type certificatesView struct {
	MayIssue bool
	All      []Certificate // newest first
	More     int           // that are not shown
	Error    *problem
	Name     string // to be issued, as it was typed
	CSR      string
	Made     *issued // shown this once
}

func (s *Server) certificatesView() certificatesView {
	all := s.certificates()
	slices.Reverse(all)
	v := certificatesView{MayIssue: s.o.Issue != nil, All: all[:min(len(all), maxCertificateRows)]}
	v.More = len(all) - len(v.All)
	return v
}

func (s *Server) issueForm(w http.ResponseWriter, r *request) {
	in := certificateRequest{strings.TrimSpace(r.PostFormValue("name")), strings.TrimSpace(r.PostFormValue("csr"))}
	made, err := s.issue(r, in)
	v := s.tokensView(r)
	code := http.StatusOK
	if err != nil {
		v.Certificates.Error = s.problemOf(r.Request, err)
		v.Certificates.Name, v.Certificates.CSR = in.Name, in.CSR
		code = v.Certificates.Error.code
	}
	v.Certificates.Made = made
	s.show(w, r, code, "tokens.html", v)
}

func (s *Server) revokeForm(w http.ResponseWriter, r *request) {
	_, err := s.revoke(r, r.PostFormValue("serial"))
	if err == nil {
		http.Redirect(w, r.Request, "/tokens#certificates", http.StatusSeeOther)
		return
	}
	v := s.tokensView(r)
	v.Certificates.Error = s.problemOf(r.Request, err)
	s.show(w, r, v.Certificates.Error.code, "tokens.html", v)
}
