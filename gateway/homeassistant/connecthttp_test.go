package homeassistant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lintel/gateway/homeassistant/fakehome"
	"lintel/mdns"
)

// nonsense are answers that Home Assistant never gives.
var nonsense = map[string]http.HandlerFunc{
	"nothing":         func(http.ResponseWriter, *http.Request) {},
	"null":            plain(200, "null"),
	"a number":        plain(200, "5"),
	"an empty list":   plain(200, "[]"),
	"an empty object": plain(200, "{}"),
	"half of JSON":    plain(200, `{"type": "form", "flow_id"`),
	"wrong types":     plain(200, `{"type": 5, "flow_id": [], "errors": "x", "data_schema": {"a": 1}, "access_token": {}, "providers": "x"}`),
	"a web page":      plain(200, "<!DOCTYPE html><title>Router</title>"),
	"an error page":   plain(404, "<html>404"),
	"an error":        plain(502, "Bad gateway"),
	"unknown error":   plain(418, `{"message": "\u0000<b>`+strings.Repeat("x", 1000)+`"}`),
	"no content":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
	"too much":        func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, io.LimitReader(endless{}, 3*maxAnswer)) },
	"deep JSON":       plain(200, strings.Repeat("[", 100_000)),
	"a large header":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxHead)) },
	"a redirect": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://evil.example/a?b")
		w.WriteHeader(302)
	},
	"an odd redirect": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "javascript:x")
		w.WriteHeader(307)
	},
	"too many":    plain(429, "later"),
	"a forbidden": plain(403, "403: Forbidden"),
	"end in the midst": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("["))
	},
	"end at once": func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
	},
	"another protocol": func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Write([]byte("220 mail.example ESMTP\r\n"))
		conn.Close()
	},
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// TestConnectNonsense: whatever answers in the place of Home Assistant at whichever step, a
// sentence says so, and nothing of ours is left in Home Assistant as far as it lets us.
func TestConnectNonsense(t *testing.T) {
	for _, pattern := range []string{"GET /auth/providers", "POST /auth/token", "POST " + flowPath, "POST " + flowPath + "/{id}", "GET /api/config", "POST /auth/revoke", "DELETE " + flowPath + "/{id}"} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			h := newConnectHouse(t, fakehome.Behaviour{})
			for name, serve := range nonsense {
				if pattern == "GET /auth/providers" && name == "an empty list" {
					continue // nobody can log in, which Home Assistant's own page says
				}
				h.site.Behave(func(b *fakehome.Behaviour) { b.Instead = map[string]http.HandlerFunc{pattern: serve} })
				_, err := h.connect()
				switch pattern {
				case "GET /auth/providers", "POST /auth/token", "POST " + flowPath, "POST " + flowPath + "/{id}":
					e, ok := errors.AsType[*ConnectError](err)
					if !ok {
						t.Fatalf("%s: %v", name, err)
					}
					wantSentence(t, err, e.Reason, "")
					if _, ok := h.home.Configured(); ok {
						t.Fatalf("%s: Home Assistant has a broker", name)
					}
					h.wantNothingLeft()
				default:
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				h.home.Unconfigure()
			}
		})
	}
}

// TestConnectFollowsNobody: what leads on elsewhere does not get what is for Home Assistant.
func TestConnectFollowsNobody(t *testing.T) {
	var asked atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer thief.Close()
	h := newConnectHouse(t, fakehome.Behaviour{})
	for _, pattern := range []string{"GET /auth/providers", "POST /auth/token", "POST " + flowPath} {
		h.site.Behave(func(b *fakehome.Behaviour) {
			b.Instead = map[string]http.HandlerFunc{pattern: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusTemporaryRedirect)
			}}
		})
		_, err := h.connect()
		wantSentence(t, err, NotUnderstood, "leads on to "+thief.URL+".")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests went there", n)
	}
}

// TestConnectTLS: a certificate that nobody vouches for is for a person to compare.
func TestConnectTLS(t *testing.T) {
	h := newConnectHouseAt(t, fakehome.Behaviour{}, "127.0.0.1", httptest.NewTLSServer)
	_, err := h.begin(h.server.URL)
	wantSentence(t, err, Certificate, "no authority")
	fingerprint := err.(*ConnectError).Fingerprint
	if fingerprint != formatFingerprint(h.server.Certificate().Raw) || len(fingerprint) != 32*3-1 {
		t.Errorf("the fingerprint is %s", fingerprint)
	}
	begin := func(fingerprint string) (string, error) {
		return h.Begin(t.Context(), Begin{Addresses: []string{h.server.URL}, Page: testPage, Owner: "admin", Fingerprint: fingerprint})
	}
	_, err = begin(strings.Replace(fingerprint, fingerprint[:2], "ZZ", 1))
	wantSentence(t, err, Certificate, "another one")
	if len(h.site.Calls()) != 0 {
		t.Errorf("asked without a certificate: %v", h.site)
	}
	authorize, err := begin(fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	q := h.login(authorize, "login")
	if _, err := h.Finish(t.Context(), Return{State: q.Get("state"), Code: q.Get("code"), Owner: "admin"}); err != nil {
		t.Error(err)
	}
	h.wantNothingLeft()

	_, err = h.begin(strings.Replace(h.server.URL, "https:", "http:", 1))
	wantSentence(t, err, NotUnderstood, "Client sent an HTTP request to an HTTPS server") // Go's server says so
	_, err = newConnectHouse(t, fakehome.Behaviour{}).begin("https://127.0.0.1" + h.server.URL[strings.LastIndexByte(h.server.URL, ':'):])
	wantSentence(t, err, Certificate, "")
	_, err = h.begin("https" + strings.TrimPrefix(newConnectHouse(t, fakehome.Behaviour{}).server.URL, "http"))
	wantSentence(t, err, NotReached, "http://")
}

func TestConnectNotReached(t *testing.T) {
	h := newConnectHouse(t, fakehome.Behaviour{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := "http://" + l.Addr().String()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = h.Begin(ctx, Begin{Addresses: []string{silent}, Page: testPage})
	wantSentence(t, err, NotReached, "does not answer in time")
	l.Close()
	_, err = h.begin(silent)
	wantSentence(t, err, NotReached, "Nothing answers at "+silent)

	home := newHome(&url.URL{Scheme: "http", Host: "ha.local:8123"}, "", netip.AddrPort{}, nil)
	wantSentence(t, home.unanswered(&net.DNSError{IsNotFound: true}), NotReached, "the name ha.local")
	wantSentence(t, home.unanswered(&net.DNSError{IsTimeout: true}), NotReached, "in time")
	wantSentence(t, home.unanswered(errors.New("\x00")), NotReached, "broke off")
}

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]string{
		"http://homeassistant.local:8123":         "http://homeassistant.local:8123",
		" HTTPS://Home.Example/lovelace/0?a=b#c ": "https://home.example",
		"homeassistant.local":                     "http://homeassistant.local:8123",
		"homeassistant.local.":                    "http://homeassistant.local:8123",
		"192.168.1.5":                             "http://192.168.1.5:8123",
		"192.168.1.5:80/":                         "http://192.168.1.5:80",
		"fd00::5":                                 "http://[fd00::5]:8123",
		"http://[fd00::5]":                        "http://[fd00::5]",
		"https://user:secret@ha.local":            "leave the user name",
		"ftp://ha.local":                          "neither",
		"javascript://ha.local/%0aalert(1)":       "neither",
		"file:///etc/passwd":                      "neither",
		"http://":                                 "names no host",
		"..":                                      "names no host",
		"http://<b>\"x":                           "names no host",
		"http://ä.local":                          "names no host",
		"http://.":                                "names no host",
		"http://[fe80::1%25eth0]:8123":            "names no host",
		"ha.local:0":                              "port",
		"ha.local:70000":                          "port",
		"ha.local:x":                              "cannot be read",
		"http://a b":                              "cannot be read",
		"http://" + strings.Repeat("x", 2000):     "too long",
		"":                                        "Type the address",
		"http://ha.local\r\nX: y":                 "cannot be read",
	} {
		u, err := parseAddress(in)
		if strings.Contains(want, "://") {
			if err != nil || u.String() != want {
				t.Errorf("%q: %v, %v", in, u, err)
			}
		} else {
			wantSentence(t, err, BadRequest, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"http://homeassistant.local:8123", "fd00::5", "https://[::1]:1/x", "a@b", "x:y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseAddress(s)
		if err != nil {
			wantSentence(t, err, BadRequest, "")
			return
		}
		again, err := parseAddress(u.String())
		if err != nil || *again != *u || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Hostname() == "" {
			t.Errorf("%q: %v, then %v, %v", s, u, again, err)
		}
	})
}

func TestFound(t *testing.T) {
	m := mdns.Found{Instance: "Home", Host: "ha.local", Port: 8123, Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("fe80::1%eth0")},
		Text: []string{"location_name=The House", "uuid=0123", "version=2026.2.0", "internal_url=http://ha.local:8123", "external_url=https://x.example", "base_url=http://ha.local:8123"}}
	f, ok := FoundOf(m)
	if !ok || f.ID != "0123" || f.Name != "The House" || f.Version != "2026.2.0" ||
		strings.Join(f.URLs, " ") != "http://ha.local:8123 http://192.168.1.5:8123 https://192.168.1.5:8123" {
		t.Errorf("%+v, %t", f, ok)
	}
	m.Text = []string{"internal_url=", "base_url=javascript:alert(1)"}
	if f, ok = FoundOf(m); !ok || f.ID != "http://192.168.1.5:8123" || f.Name != "Home" || len(f.URLs) != 2 {
		t.Errorf("%+v, %t", f, ok)
	}
	m.Addresses = m.Addresses[1:]
	if f, ok = FoundOf(m); ok {
		t.Errorf("nowhere, and yet %+v", f)
	}
}

func FuzzFound(f *testing.F) {
	f.Add("Home", "http://ha.local:8123", "uuid", "House", 8123, []byte{192, 168, 1, 5})
	f.Fuzz(func(t *testing.T, instance, url, uuid, name string, port int, address []byte) {
		m := mdns.Found{Instance: instance, Port: port, Text: []string{"internal_url=" + url, "uuid=" + uuid, "location_name=" + name}}
		if a, ok := netip.AddrFromSlice(address); ok {
			m.Addresses = []netip.Addr{a}
		}
		found, ok := FoundOf(m)
		if !ok {
			return
		}
		if len(found.URLs) == 0 || len(found.URLs) > maxURLs || found.ID == "" || len(found.ID) > 1100 || len(found.Name) > 100 {
			t.Errorf("%+v", found)
		}
		for _, u := range found.URLs {
			if _, err := parseAddress(u); err != nil {
				t.Error(err)
			}
		}
	})
}

// roundTrips answers requests in their order.
type roundTrips []string

func (r *roundTrips) RoundTrip(request *http.Request) (*http.Response, error) {
	text := "5"
	if len(*r) > 0 {
		text, *r = (*r)[0], (*r)[1:]
	}
	status := 200
	if code, rest, ok := strings.Cut(text, " "); ok && len(code) == 3 {
		fmt.Sscan(code, &status)
		text = rest
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {text}}, Body: io.NopCloser(strings.NewReader(text)), Request: request}, nil
}

// FuzzConnect: no answers of Home Assistant do more than fail with a sentence.
func FuzzConnect(f *testing.F) {
	form := `{"type":"form","flow_id":"a","step_id":"broker","data_schema":[{"name":"broker"},{"name":"port"},{"name":"username"},{"name":"password"}]}`
	f.Add(`{"access_token":"a","refresh_token":"b"}`, form, `{"type":"create_entry","result":{"state":"loaded"}}`, `{"location_name":"x"}`)
	f.Add(`{"access_token":"a","refresh_token":"b"}`, `{"type":"menu","flow_id":"a","menu_options":{"broker":"x"}}`, form, `{"type":"form","errors":{"base":"cannot_connect"}}`)
	f.Add(`403 {"error":"access_denied"}`, "401 x", "302 http://x", "404 {}")
	f.Fuzz(func(t *testing.T, token, first, second, third string) {
		h := newHome(&url.URL{Scheme: "http", Host: "ha.local:8123"}, "", netip.MustParseAddrPort("127.0.0.1:8123"), nil)
		answers := roundTrips{token, first, second, third}
		h.client.Transport = &answers
		h.local = netip.MustParseAddr("127.0.0.1")
		check := func(err error) {
			if err != nil {
				e, ok := errors.AsType[*ConnectError](err)
				if !ok {
					t.Fatal(err)
				}
				wantSentence(t, err, e.Reason, "")
			}
		}
		if _, err := h.authorize(t.Context(), testPage+"/", "code"); err != nil {
			check(err)
			return
		}
		c := NewConnector(ConnectorOptions{Hosts: func() []string { return nil }, Port: func() int { return 1883 },
			Login: func(context.Context, string) (string, string, error) { return "u", "p", nil },
			Visit: func(string, time.Time) Visit { return NoVisit }})
		got, err := c.connect(t.Context(), h, &try{base: h.base}, netip.Addr{})
		check(err)
		if err == nil && (len(got.Name) > 100 || len(got.Version) > 100) {
			t.Errorf("%+v", got)
		}
	})
}
