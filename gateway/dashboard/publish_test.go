package dashboard

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPublishAPI(t *testing.T) {
	g := newBrokerGate(t)
	good := `{"topic":"garden/x","payload":"ü","qos":1,"retain":true}`
	g.want(403, browse{path: "/api/publish", as: "vera", json: good})
	g.want(403, browse{path: "/api/publish", as: "olga", json: good}) // has no rights of her own
	g.want(403, browse{path: "/api/publish", as: "token operator", json: good})
	g.want(204, browse{path: "/api/publish", as: "nora", json: good})
	if m, ok := g.broker.Retained("garden/x"); !ok || string(m.Payload) != "ü" || m.QoS != 1 {
		t.Errorf("%+v", m)
	}
	g.want(403, browse{path: "/api/publish", as: "nora", json: `{"topic":"house/x"}`})
	g.want(204, browse{path: "/api/publish", as: "token admin", json: `{"topic":"house/x"}`})
	for _, bad := range []string{`{"topic":""}`, `{"topic":"a/#"}`, `{"topic":"$SYS/x"}`, `{"topic":"a","qos":3}`, `{"topic":"a","qos":-1}`, `{"topic":"a","size":1}`, `[]`, `{"topic":"a\u0000"}`} {
		g.want(400, browse{path: "/api/publish", as: "admin", json: bad})
	}
	g.want(413, browse{path: "/api/publish", as: "admin", json: `{"topic":"a","payload":"` + strings.Repeat("x", maxPublish) + `"}`})
}

// A WebSocket of another site's page is refused, and one that does not say where from.
func TestSameOrigin(t *testing.T) {
	for _, x := range []struct {
		origin, site string
		tls, want    bool
	}{
		{"http://lintel.local", "", false, true},
		{"http://LINTEL.local", "same-origin", false, true},
		{"https://lintel.local", "", true, true},
		{"", "", false, false},
		{"null", "", false, false},
		{"http://evil.example", "", false, false},
		{"http://lintel.local.evil.example", "", false, false},
		{"http://lintel.local:8080", "", false, false},
		{"https://lintel.local", "", false, false},
		{"http://lintel.local", "cross-site", false, false},
		{"http://x@lintel.local", "", false, false},
		{"http://lintel.local/", "", false, false},
		{"%zz", "", false, false},
	} {
		url := "http://lintel.local/mqtt"
		if x.tls {
			url = "https://lintel.local/mqtt"
		}
		r := httptest.NewRequest(http.MethodGet, url, nil)
		if x.origin != "" {
			r.Header.Set("Origin", x.origin)
		}
		if x.site != "" {
			r.Header.Set("Sec-Fetch-Site", x.site)
		}
		if got := sameOrigin(r); got != x.want {
			t.Errorf("%+v: %t", x, got)
		}
	}
}
