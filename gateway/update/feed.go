package update

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxRedirects = 5
	// answerPatience is how long a server may take to begin its answer, indexPatience to
	// send all of an index.
	answerPatience = 30 * time.Second
	indexPatience  = time.Minute
)

// A Feed is static files on a web server: an index and bundles. What it says is believed
// only where a key signed it, so a feed may be http as well as https. It may be used from
// any goroutine.
type Feed struct {
	URL    string       // of the index, or of the folder with index.json, which then ends in /
	Keys   Keys         // that may sign the index
	Client *http.Client // nil: one that follows a few redirects, from https to https only

	// tests set these
	rest  func(tries int) time.Duration // before another try; nil: seconds that double
	stall time.Duration                 // how long a download may stand still; 0: a minute
	room  func(dir string) (int64, error)
}

// newClient returns a client for feeds. It follows a few redirects, from https to https
// only. roots are the certificate authorities that it believes, nil for those of the system.
// Downloads take as long as they take; silence does not.
func newClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: roots},
			TLSHandshakeTimeout:   15 * time.Second,
			ResponseHeaderTimeout: answerPatience,
			IdleConnTimeout:       30 * time.Second,
			MaxIdleConns:          2,
			ForceAttemptHTTP2:     true,
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			switch {
			case len(via) > maxRedirects:
				return fmt.Errorf("more than %d redirects", maxRedirects)
			case next.URL.Scheme != "http" && next.URL.Scheme != "https":
				return fmt.Errorf("redirected to %s, which is no web address", next.URL.Redacted())
			case via[0].URL.Scheme == "https" && next.URL.Scheme != "https":
				return fmt.Errorf("redirected from https to %s, which is not encrypted", next.URL.Redacted())
			}
			return nil
		},
	}
}

// defaultClient is for feeds without one of their own.
var defaultClient = newClient(nil)

// Index fetches the index. It fails with a [Refusal] if what is there is not believed.
func (f *Feed) Index(ctx context.Context) (*Index, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, indexPatience, errors.New("the server is too slow"))
	defer cancel()
	resp, err := f.get(ctx, f.index(), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, MaxIndex+1))
	if err != nil {
		return nil, fmt.Errorf("the index of releases was cut: %w", cause(ctx, err))
	}
	return ParseIndex(b, f.Keys)
}

// index returns the address of the index.
func (f *Feed) index() string {
	if strings.HasSuffix(f.URL, "/") {
		return f.URL + "index.json"
	}
	return f.URL
}

// address returns the address of an entry's file.
func (f *Feed) address(e *Entry) (string, error) {
	base, err := url.Parse(f.index())
	if err != nil {
		return "", err
	}
	u, err := base.Parse(e.File)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// get asks for an address.
func (f *Feed) get(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	if !isWebAddress(address) {
		return nil, fmt.Errorf("the address of the feed, %.200q, is no http or https address: set update.feed", address)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	// Bytes are counted and resumed: no encoding on the way.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "lintel")
	resp, err := cmp.Or(f.Client, defaultClient).Do(req)
	if err != nil {
		return nil, connectError(cause(ctx, err))
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		resp.Body.Close()
		return nil, fmt.Errorf("%s sends %.40q though it was asked for none: turn compression off for the feed", address, encoding)
	}
	return resp, nil
}

// cause returns why ctx ended if that is why err is there.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// connectError says what to do about a connection that failed.
func connectError(err error) error {
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case isInvalid && invalid.Reason == x509.Expired:
		return fmt.Errorf("the certificate of the feed is not valid at the time that this box has, %s: is its clock right? %w", time.Now().UTC().Format(time.DateTime), err)
	case isType[x509.UnknownAuthorityError](err):
		return fmt.Errorf("nobody whom this box knows vouches for the certificate of the feed: use http, or a certificate of a public authority; the releases are signed anyway. %w", err)
	case isType[x509.HostnameError](err):
		return fmt.Errorf("the certificate of the feed is for another name than that in update.feed: %w", err)
	case isType[*net.DNSError](err):
		return fmt.Errorf("the name of the feed is not found: is the box on the Internet, and update.feed right? %w", err)
	}
	return fmt.Errorf("the feed does not answer: %w", err)
}

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// statusError says that a server has answered something else than was asked for.
func statusError(resp *http.Response) error {
	address := resp.Request.URL.Redacted()
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("the feed has no %s (%s): is update.feed right?", address, resp.Status)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("the feed does not give %s away (%s): it has to be readable by all", address, resp.Status)
	}
	return fmt.Errorf("the feed answers %s for %s", resp.Status, address)
}
