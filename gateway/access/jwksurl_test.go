package access

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer is a web server with a key set, in a bubble.
type issuer struct {
	mu     sync.Mutex
	answer func(http.ResponseWriter, *http.Request)
	asked  int
}

// ServeHTTP answers as it was told last.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.asked++
	answer := i.answer
	i.mu.Unlock()
	answer(w, r)
}

func (i *issuer) set(answer func(http.ResponseWriter, *http.Request)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

// has makes the issuer answer with a text.
func (i *issuer) has(text []byte) {
	i.set(func(w http.ResponseWriter, _ *http.Request) { w.Write(text) })
}

func (i *issuer) times() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// pipes is a listener whose connections are pipes, so that the time of a bubble can
// pass while they are silent.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// startIssuer starts an issuer and a verifier with its keys, which is not running yet.
func startIssuer(t *testing.T, o JWTOptions) (*issuer, *JWT) {
	t.Helper()
	o.JWKSURL = "http://localhost/keys"
	j := newJWT(t, o)
	i := &issuer{answer: http.NotFound}
	listener := make(pipes)
	server := &http.Server{Handler: i}
	done := make(chan struct{})
	go func() { server.Serve(listener); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	j.keys.(*keysOfURL).client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		own, other := net.Pipe()
		select {
		case listener <- other:
			return own, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return i, j
}

// startJWT runs a verifier until the test ends.
func startJWT(t *testing.T, j *JWT) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { j.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
}

// tokenIs fails if the answer about a token is not the expected one.
func tokenIs(t *testing.T, j *JWT, token, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := "good"
	id, err := j.Verify(ctx, token, &Login{})
	if errors.Is(err, ErrBadLogin) {
		got = "bad"
	} else if err != nil {
		got = "in doubt"
	}
	if got != want {
		t.Errorf("token is %s, want %s: %+v, %v", got, want, id, err)
	}
}

// longToken is good for all that a bubble takes.
func longToken(t *testing.T, id string, key any) string {
	return signedToken(t, jose.ES256, jose.JSONWebKey{Key: key, KeyID: id}, good().with(payload{"exp": time.Now().Add(1000 * time.Hour).Unix()}), nil)
}

func TestKeysOfURLChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k1, k2, k3 := newTokenEC(elliptic.P256()), newTokenEC(elliptic.P256()), newTokenEC(elliptic.P256())
		jwk := func(id string, k any) jose.JSONWebKey { return jose.JSONWebKey{Key: k, KeyID: id} }
		set1, set2 := keySet(t, jwk("1", k1.Public())), keySet(t, jwk("2", k2.Public()))
		t1, t2, t3 := longToken(t, "1", k1), longToken(t, "2", k2), longToken(t, "3", k3)
		forged := longToken(t, "1", k3)

		i, j := startIssuer(t, JWTOptions{})
		i.has(set1)
		tokenIs(t, j, t1, "in doubt") // nobody has read the keys
		startJWT(t, j)
		synctest.Wait()
		tokenIs(t, j, t1, "good")
		tokenIs(t, j, forged, "bad") // its key is there
		began := time.Now()
		tokenIs(t, j, t2, "in doubt") // its key may have come since
		if waited := time.Since(began); waited > 0 {
			t.Errorf("waited %v for an answer that cannot come", waited)
		}
		if n := i.times(); n != 1 {
			t.Fatalf("asked %d times, want once", n)
		}

		i.has(set2)
		time.Sleep(keysPause)
		tokenIs(t, j, t2, "good") // asks at once
		tokenIs(t, j, t1, "in doubt")
		if n := i.times(); n != 2 {
			t.Fatalf("asked %d times, want twice", n)
		}
		time.Sleep(keysPause)
		tokenIs(t, j, t1, "bad")
		tokenIs(t, j, t3, "in doubt")
		if n := i.times(); n != 3 {
			t.Fatalf("asked %d times, want three", n)
		}

		// Without anybody who asks.
		i.has(set1)
		time.Sleep(refreshKeys)
		synctest.Wait()
		tokenIs(t, j, t1, "good")
		if n := i.times(); n != 4 {
			t.Fatalf("asked %d times, want four", n)
		}

		// A token without a key id may be of a new key, too.
		i.has(set2)
		time.Sleep(keysPause)
		tokenIs(t, j, longToken(t, "", k2), "good")
		time.Sleep(keysPause)
		tokenIs(t, j, longToken(t, "", k3), "bad")
	})
}

// However many tokens with unknown keys come, the issuer is asked once in a while.
func TestKeysOfURLAreAskedForSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTokenEC(elliptic.P256())
		i, j := startIssuer(t, JWTOptions{})
		i.set(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			w.Write(keySet(t, jose.JSONWebKey{Key: k.Public(), KeyID: "1"}))
		})
		startJWT(t, j)
		began := time.Now()
		var tries sync.WaitGroup
		for n := range 200 {
			tries.Go(func() {
				bad := longToken(t, fmt.Sprint("x", n), k)
				for time.Since(began) < 3*keysPause {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					if id, err := j.Verify(ctx, bad, &Login{}); err == nil {
						t.Errorf("got %+v", id)
					}
					time.Sleep(time.Second / 2)
				}
			})
		}
		tries.Wait()
		if n, most := i.times(), int(time.Since(began)/keysPause)+1; n > most {
			t.Errorf("asked %d times, want at most %d", n, most)
		}
		tokenIs(t, j, longToken(t, "1", k), "good")
	})
}

// A failing issuer changes nothing for keys that are known, and leaves others open.
func TestKeysOfURLFail(t *testing.T) {
	k := newTokenEC(elliptic.P256())
	good := keySet(t, jose.JSONWebKey{Key: k.Public(), KeyID: "1"})
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"not found": http.NotFound,
		"error":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); w.Write(good) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/others" {
				w.Write(good)
			} else {
				http.Redirect(w, r, "/others", http.StatusFound)
			}
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"no set":  func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":7}`)) },
		"empty":   func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{}`)) },
		"other keys": func(w http.ResponseWriter, _ *http.Request) {
			w.Write(keySet(t, jose.JSONWebKey{Key: tokenEd().Public()}))
		},
		"secret":    func(w http.ResponseWriter, _ *http.Request) { w.Write(keySet(t, jose.JSONWebKey{Key: hmacSecret})) },
		"many keys": func(w http.ResponseWriter, _ *http.Request) { w.Write(manyKeys(t, maxKeys+1)) },
		"large": func(w http.ResponseWriter, _ *http.Request) {
			w.Write(slices.Concat(good, bytes.Repeat([]byte(" "), maxKeyFile)))
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 4096)); err != nil {
					return
				}
			}
		},
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"slow": func(w http.ResponseWriter, r *http.Request) {
			w.Write(good[:9])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"gone": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"huge header": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 100<<10))
			w.Write(good)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				known, unknown := longToken(t, "1", k), longToken(t, "2", k)
				i, j := startIssuer(t, JWTOptions{Algorithms: []string{"ES256"}})
				i.set(answer)
				startJWT(t, j)
				tokenIs(t, j, known, "in doubt")
				time.Sleep(time.Hour)
				if n := i.times(); n < 10 || n > 30 {
					t.Errorf("asked %d times in an hour", n)
				}
				i.has(good)
				time.Sleep(keysPause) // the next who asks makes it read them
				tokenIs(t, j, known, "good")
				i.set(answer)
				time.Sleep(keysPause)
				tokenIs(t, j, unknown, "in doubt")
				time.Sleep(2 * time.Hour)
				tokenIs(t, j, known, "good")
				i.has(good)
				time.Sleep(maxKeysPause + keysTimeout)
				synctest.Wait()
				time.Sleep(keysPause)
				tokenIs(t, j, unknown, "bad")
			})
		})
	}
}

// Keys that are read while a token is tried with those before them are tried too: a
// token must not be refused because their ids are known by then.
func TestKeysOfURLReadMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := func(id string) []byte {
			return keySet(t, jose.JSONWebKey{Key: newTokenEC(elliptic.P256()).Public(), KeyID: id})
		}
		i, j := startIssuer(t, JWTOptions{Algorithms: []string{"ES256"}})
		i.has(set("1"))
		for _, id := range []string{"1", "2"} { // first there were none
			tried := j.keys.keys()
			if id == "1" {
				startJWT(t, j)
			} else {
				i.has(set("2"))
				time.Sleep(refreshKeys + time.Second)
			}
			synctest.Wait()
			newer, err := j.keys.newer(t.Context(), tried, id, jose.ES256)
			if err != nil || len(newer) != 1 || newer[0].id != id {
				t.Errorf("newer than %v: %v, %v, want the key %s", tried, newer, err, id)
			}
			if newer, err := j.keys.newer(t.Context(), newer, id, jose.ES256); err != nil || newer != nil {
				t.Errorf("newer than those with its id: %v, %v, want none", newer, err)
			}
		}
	})
}

func manyKeys(t *testing.T, n int) []byte {
	keys := make([]jose.JSONWebKey, n)
	for i := range keys {
		keys[i] = jose.JSONWebKey{Key: tokenEC().Public(), KeyID: fmt.Sprint(i)}
	}
	return keySet(t, keys...)
}

// Keys over real TLS: only from whom an authority vouches for.
func TestKeysOfURLOverTLS(t *testing.T) {
	k := newTokenEC(elliptic.P256())
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(keySet(t, jose.JSONWebKey{Key: k.Public(), KeyID: "1"}))
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of who goes away
	server.StartTLS()
	defer server.Close()
	ca := keyFile(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	for _, tt := range []struct{ name, ca, want string }{
		{"known authority", ca, "good"},
		{"unknown authority", "", "in doubt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := newJWT(t, JWTOptions{JWKSURL: server.URL, JWKSCA: tt.ca})
			startJWT(t, j)
			tokenIs(t, j, longToken(t, "1", k), tt.want)
		})
	}
}
