package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How often a key set is read.
const (
	refreshKeys    = 10 * time.Minute // when all is well
	minRefreshKeys = time.Minute
	keysPause      = 10 * time.Second // after each time, whoever sends tokens with unknown keys; doubled with each failure
	maxKeysPause   = 5 * time.Minute
	keysTimeout    = 10 * time.Second
)

// keysOfURL are the keys of a URL. One goroutine reads them; the last that were good
// stay until there are others.
type keysOfURL struct {
	url        string
	client     *http.Client
	algorithms []jose.SignatureAlgorithm
	refresh    time.Duration
	log        *slog.Logger
	wake       chan struct{} // asks to read them

	mu      sync.Mutex
	good    []tokenKey    // empty: never read
	reading bool          // they are being read
	ended   time.Time     // when that ended last; zero: never
	err     error         // how
	read    chan struct{} // closed when it ends the next time
}

// openKeyURL returns the keys of JWKSURL.
func (o *JWTOptions) openKeyURL(algorithms []jose.SignatureAlgorithm) (*keysOfURL, error) {
	if err := checkKeyURL(o.JWKSURL); err != nil {
		return nil, err
	}
	k := &keysOfURL{
		url: o.JWKSURL, algorithms: algorithms, refresh: o.JWKSRefresh, log: o.Logger,
		wake: make(chan struct{}, 1), read: make(chan struct{}),
	}
	if k.refresh == 0 {
		k.refresh = refreshKeys
	}
	if k.refresh < minRefreshKeys {
		return nil, fmt.Errorf("keys of tokens every %v: take %v or more", k.refresh, minRefreshKeys)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.JWKSCA != "" {
		text, err := readFile(o.JWKSCA, maxKeyFile)
		if err != nil {
			return nil, fmt.Errorf("authorities of the JWKS URL: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("authorities of the JWKS URL: %s has no certificate in PEM", o.JWKSCA)
		}
	}
	k.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        config,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		// It would lead to where nobody has said that keys come from.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return k, nil
}

// checkKeyURL refuses addresses on whose way somebody could put in keys of their own.
func checkKeyURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("JWKS URL %.200q: it begins with https:// and has neither a user name nor a password", text)
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	if u.Scheme == "https" || u.Scheme == "http" && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("JWKS URL %.200q: take https, keys that come by http can be anybody's", text)
}

func (k *keysOfURL) keys() []tokenKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.good
}

// newer waits until the keys have been read once more, if a new key can help. They are
// not read each time that somebody asks: what was read in the last moments leaves it
// open who is right. Those that were read while others were tried are newer already.
func (k *keysOfURL) newer(ctx context.Context, tried []tokenKey, id string, a jose.SignatureAlgorithm) ([]tokenKey, error) {
	k.mu.Lock()
	good, read, err := k.good, k.read, k.err
	recent := !k.reading && k.recent()
	k.mu.Unlock()
	// Each reading brings a slice of its own.
	if len(good) > 0 && (len(tried) == 0 || &good[0] != &tried[0]) {
		return good, nil
	}
	for _, g := range good {
		if id != "" && g.id == id && g.algorithm == a {
			return nil, nil // an id stands for one key
		}
	}
	if recent {
		if err == nil {
			err = errors.New("they were read a moment ago without that of the token")
		}
		return nil, fmt.Errorf("keys of the issuer: %w", err)
	}
	select {
	case k.wake <- struct{}{}:
	default: // somebody has asked
	}
	select {
	case <-read:
	case <-ctx.Done():
		return nil, fmt.Errorf("keys of the issuer: %w", context.Cause(ctx))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return nil, fmt.Errorf("keys of the issuer: %w", k.err)
	}
	return k.good, nil
}

// recent reports whether it is too early to read the keys again. Called with mu held.
func (k *keysOfURL) recent() bool {
	return !k.ended.IsZero() && time.Since(k.ended) < keysPause
}

// run reads the keys, regularly and when somebody asks, until ctx ends.
func (k *keysOfURL) run(ctx context.Context) {
	next := time.NewTimer(0)
	defer next.Stop()
	pause := keysPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-k.wake:
			k.mu.Lock()
			recent := k.recent()
			k.mu.Unlock()
			if recent {
				continue
			}
		}
		if err := k.fetch(ctx); err == nil {
			pause = keysPause
			next.Reset(k.refresh)
		} else if ctx.Err() == nil {
			k.log.Warn("keys of tokens not read", "url", k.url, "err", err)
			next.Reset(min(pause, k.refresh))
			pause = min(2*pause, maxKeysPause)
		}
	}
}

// fetch reads the keys and tells who waits.
func (k *keysOfURL) fetch(ctx context.Context) error {
	k.mu.Lock()
	k.reading = true
	k.mu.Unlock()
	keys, err := k.get(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.good = keys
	}
	k.reading, k.ended, k.err = false, time.Now(), err
	close(k.read)
	k.read = make(chan struct{})
	return err
}

// get reads the keys.
func (k *keysOfURL) get(ctx context.Context) ([]tokenKey, error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := k.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", k.url, answer.StatusCode)
	}
	text, err := readAll(answer.Body, k.url, maxKeyFile)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeySet(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.url, err)
	}
	if keys = forAlgorithms(keys, k.algorithms); len(keys) == 0 {
		return nil, fmt.Errorf("%s: no key is for %v", k.url, k.algorithms)
	}
	return keys, nil
}
