package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"golang.org/x/sync/errgroup"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// runBroker runs a broker on a store until the test ends.
func runBroker(t testing.TB, store *persist.Store) *broker.Broker {
	t.Helper()
	b, err := broker.New(store, broker.Options{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return b.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		g.Wait()
	})
	return b
}

// brokerGate is a gate whose pages are about a real broker, with clients on sockets.
type brokerGate struct {
	*gate
	broker *broker.Broker
	addr   string
}

func newBrokerGate(t *testing.T) *brokerGate {
	g := new(brokerGate)
	g.gate = newGate(t, func(o *Options) {
		g.broker = o.MQTT
		client, err := o.MQTT.NewClient("lintel-dashboard")
		if err != nil {
			t.Fatal(err)
		}
		o.Broker, o.Clients, o.Stats = client, o.MQTT.Clients, o.MQTT.Stats
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- o.MQTT.Serve(ctx, l, "door") }()
		t.Cleanup(func() {
			cancel()
			<-served
		})
		o.MQTTListeners = func() []BrokerListener {
			return []BrokerListener{{Scheme: "mqtt", Address: l.Addr().String(), Name: "door"}}
		}
		g.addr = l.Addr().String()
	})
	if err := g.o.Users.Create(t.Context(), access.User{Name: "nora", Page: access.Operator, Topics: []string{"garden/#"}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := g.o.Users.Create(t.Context(), access.User{Name: "rosa", Page: access.Operator, Roles: []string{"viewer"}}, nil); err != nil {
		t.Fatal(err)
	}
	return g
}

// connect connects a client, an independent one.
func (g *brokerGate) connect(id string, clean bool) *paho.Client {
	g.t.Helper()
	nc, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	c := paho.NewClient(paho.ClientConfig{Conn: nc})
	connect := &paho.Connect{ClientID: id, CleanStart: clean, KeepAlive: 30}
	if topic := "wills/" + id; mqtt.ValidTopicName(topic) {
		connect.WillMessage = &paho.WillMessage{Topic: topic, Payload: []byte("bye")}
	}
	if !clean {
		never := uint32(3600)
		connect.Properties = &paho.ConnectProperties{SessionExpiryInterval: &never}
	}
	if _, err := c.Connect(g.t.Context(), connect); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { nc.Close() })
	return c
}

// await waits for what the broker does a little later than it is seen from outside.
func (g *brokerGate) await(reached func() bool) {
	g.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !reached(); <-tick.C {
		if time.Now().After(deadline) {
			g.t.Fatal("waited in vain")
		}
	}
}

// publish publishes as a part of the house would.
func (g *brokerGate) publish(topic, payload string, retain bool) {
	g.t.Helper()
	if err := g.o.Broker.Publish(g.t.Context(), mqtt.Message{Topic: topic, Payload: []byte(payload), Retain: retain, QoS: 1}); err != nil {
		g.t.Fatal(err)
	}
}

// told makes a call that must succeed and reads its answer.
func (g *brokerGate) told(b browse, out any) {
	g.t.Helper()
	a := g.want(200, b)
	if err := json.Unmarshal([]byte(a.body), out); err != nil {
		g.t.Fatalf("%s: %v: %s", b.path, err, a.body)
	}
}

func TestClientsAPI(t *testing.T) {
	g := newBrokerGate(t)
	kitchen := g.connect("kitchen/lamp", false)
	if _, err := kitchen.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "k/+", QoS: 1, NoLocal: true}}}); err != nil {
		t.Fatal(err)
	}
	for i := range 120 {
		g.connect(fmt.Sprintf("crowd-%03d", i), true)
	}
	var list struct {
		Clients         []BrokerClient
		Pages, Matching int
	}
	g.told(browse{path: "/api/clients", as: "vera"}, &list)
	if len(list.Clients) != 100 || list.Pages != 2 || list.Matching != 122 {
		t.Errorf("%d of %d on %d pages", len(list.Clients), list.Matching, list.Pages)
	}
	g.told(browse{path: "/api/clients?page=2", as: "vera"}, &list)
	if len(list.Clients) != 22 {
		t.Errorf("%d on page 2", len(list.Clients))
	}
	g.told(browse{path: "/api/clients?q=KITCHEN&page=99", as: "vera"}, &list)
	if len(list.Clients) != 1 || list.Clients[0].ID != "kitchen/lamp" || list.Clients[0].Protocol != "5.0" || !list.Clients[0].Persistent {
		t.Errorf("%+v", list)
	}
	g.publish("k/1", "on", false)
	var c BrokerClientDetail
	const path = "/api/clients/kitchen%2Flamp"
	g.told(browse{path: path, as: "vera"}, &c)
	if !c.Connected || *c.ExpirySeconds != 3600 || c.KeepAlive != 30 || c.Sent != 1 || len(c.Filters) != 1 || c.Filters[0].Filter != "k/+" ||
		!c.Filters[0].NoLocal || c.Will.Topic != "wills/kitchen/lamp" || c.Will.Text != "bye" || c.Denials != nil {
		t.Errorf("%+v", c)
	}
	g.want(404, browse{path: "/api/clients/nobody", as: "vera"})
	g.want(404, browse{path: "/api/clients/" + strings.Repeat("%00", 100), as: "vera"})

	// Who may throw out whom.
	g.want(403, browse{method: "DELETE", path: path, as: "vera"})
	g.want(403, browse{method: "DELETE", path: path + "?session=true", as: "olga"})
	g.want(400, browse{method: "DELETE", path: path + "?session=perhaps", as: "admin"})
	g.want(409, browse{method: "DELETE", path: "/api/clients/lintel-dashboard", as: "admin"})
	g.want(404, browse{method: "DELETE", path: "/api/clients/nobody", as: "admin"})
	g.want(204, browse{method: "DELETE", path: path, as: "olga"})
	<-kitchen.Done()
	if c, ok := g.broker.Session("kitchen/lamp"); !ok || c.Connected {
		t.Errorf("after it was disconnected: %t %+v", ok, c)
	}
	g.want(409, browse{method: "DELETE", path: path, as: "olga"})
	g.want(204, browse{method: "DELETE", path: path + "?session=true", as: "admin"})
	if _, ok := g.broker.Session("kitchen/lamp"); ok {
		t.Error("its session goes on")
	}
}

func TestBrokerAPI(t *testing.T) {
	g := newBrokerGate(t)
	worker := g.connect("worker", false)
	if _, err := worker.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "$share/crew/jobs/#", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	worker.Disconnect(&paho.Disconnect{})
	<-worker.Done()
	g.await(func() bool { c, _ := g.broker.Session("worker"); return !c.Connected })
	g.connect("other", true)
	g.publish("jobs/1", "x", false)
	var b BrokerState
	g.told(browse{path: "/api/broker", as: "vera"}, &b)
	if len(b.Shares) != 1 || b.Shares[0].Name != "crew" || b.Shares[0].Filter != "jobs/#" || b.Shares[0].Waiting != 1 ||
		b.Shares[0].Members[0].Client != "worker" || b.Shares[0].Members[0].Connected {
		t.Errorf("%+v", b.Shares)
	}
	if len(b.Slow) != 1 || b.Slow[0].ID != "worker" || b.Slow[0].Queued != 1 {
		t.Errorf("%+v", b.Slow)
	}
	if len(b.Listeners) != 1 || b.PublishReceived == 0 || b.Queued != 1 {
		t.Errorf("%+v", b)
	}
	g.want(401, browse{path: "/api/broker"})
}

func TestTopicsAPI(t *testing.T) {
	g := newBrokerGate(t)
	for _, topic := range []string{"garden/pump/state", "garden/pump 2", "garden/pump 10", "house/alarm", "/odd//topic", "garden"} {
		g.publish(topic, `{"on":true}`, true)
	}
	g.publish("house/secret", "\xff\xfe", true)
	var tree Topic
	g.told(browse{path: "/api/topics?depth=8", as: "admin"}, &tree)
	names := func(list []Topic) (s string) {
		for _, o := range list {
			s += o.Name + ","
		}
		return s
	}
	if names(tree.Below) != ",garden,house," || tree.Topics != 7 || names(tree.Below[1].Below) != "pump,pump 2,pump 10," {
		t.Errorf("%+v", tree)
	}
	if garden := tree.Below[1]; garden.Value == nil || *garden.Value != `{"on":true}` || !garden.Retained || garden.Topics != 4 || garden.Time != nil {
		t.Errorf("%+v", garden)
	}
	// Live: what comes is counted while somebody looks.
	g.publish("house/alarm", "off", false)
	tree = Topic{}
	g.told(browse{path: "/api/topics?topic=house", as: "admin"}, &tree)
	for tree.Messages == 0 { // it is on its way
		g.told(browse{path: "/api/topics?topic=house", as: "admin"}, &tree)
	}
	if alarm := tree.Below[0]; *alarm.Value != "off" || alarm.Time == nil || !alarm.Retained || alarm.Rate == 0 {
		t.Errorf("%+v", alarm)
	}
	tree = Topic{}
	g.told(browse{path: "/api/topics?filter=%2B/pump/%23&depth=3", as: "admin"}, &tree)
	if len(tree.Below) != 3 || names(tree.Below[1].Below) != "pump," || names(tree.Below[1].Below[0].Below) != "state," {
		t.Errorf("%+v", tree)
	}
	tree = Topic{}
	g.told(browse{path: "/api/topics?topic=&depth=2", as: "admin"}, &tree)
	if len(tree.Below) != 1 || tree.Below[0].Topic != "/odd" || tree.Below[0].Below[0].Topic != "/odd/" {
		t.Errorf("%+v", tree)
	}
	var found struct{ Found []Topic }
	g.told(browse{path: "/api/topics?q=PUMP", as: "admin"}, &found)
	if len(found.Found) != 3 {
		t.Errorf("%+v", found)
	}
	// Nobody sees what their user may not receive: nora the garden, vera nothing.
	tree = Topic{}
	g.told(browse{path: "/api/topics?depth=3", as: "nora"}, &tree)
	if names(tree.Below) != "garden," || tree.Topics != 4 {
		t.Errorf("nora sees %+v", tree)
	}
	tree = Topic{}
	g.told(browse{path: "/api/topics?depth=3", as: "token operator"}, &tree)
	if tree.Topics != 0 {
		t.Errorf("a token sees %+v", tree)
	}
	// Other rights count at once.
	g.o.Users.Update(t.Context(), "nora", func(u *access.User) { u.Topics = []string{"house/alarm"} })
	tree = Topic{}
	g.told(browse{path: "/api/topics?depth=3", as: "nora"}, &tree)
	if names(tree.Below) != "house," || tree.Topics != 1 {
		t.Errorf("nora sees %+v", tree)
	}
	for _, bad := range []string{"?depth=0", "?depth=9", "?depth=x", "?filter=a/%23/b", "?filter=a%2B"} {
		g.want(400, browse{path: "/api/topics" + bad, as: "admin"})
	}
	g.want(404, browse{path: "/api/topics?topic=no/such", as: "admin"})
}

func TestRetainedAPI(t *testing.T) {
	g := newBrokerGate(t)
	g.publish("garden/a", `{"b":[1,2]}`, true)
	g.publish("garden/b", "text ü", true)
	g.publish("garden//c d", "\x00\x01", true)
	g.publish("house/x", "1", true)
	var o Retained
	g.told(browse{path: "/api/retained/garden/a", as: "nora"}, &o)
	if string(o.JSON) == "" || o.Bytes != 11 || o.AgeSeconds == nil || o.QoS != 1 {
		t.Errorf("%+v", o)
	}
	o = Retained{}
	g.told(browse{path: "/api/retained/garden%2F%2Fc%20d", as: "nora"}, &o)
	if o.Hex != "0001" || o.Topic != "garden//c d" {
		t.Errorf("%+v", o)
	}
	o = Retained{}
	g.told(browse{path: "/api/retained/garden/b", as: "admin"}, &o)
	if o.Text == nil || *o.Text != "text ü" {
		t.Errorf("%+v", o)
	}
	g.want(404, browse{path: "/api/retained/house/x", as: "nora"}) // not theirs to know
	g.want(404, browse{path: "/api/retained/nothing", as: "admin"})

	g.want(403, browse{method: "DELETE", path: "/api/retained/garden/a", as: "vera"})
	g.want(404, browse{method: "DELETE", path: "/api/retained/house/x", as: "nora"})
	g.want(403, browse{method: "DELETE", path: "/api/retained/house/x", as: "rosa"}) // sees it
	g.want(403, browse{method: "DELETE", path: "/api/retained/garden?below=true", as: "nora"})
	g.want(404, browse{method: "DELETE", path: "/api/retained/garden/none", as: "nora"})
	g.want(400, browse{method: "DELETE", path: "/api/retained/$SYS/x", as: "admin"})
	g.want(400, browse{method: "DELETE", path: "/api/retained/garden/%23", as: "admin"})
	g.want(400, browse{method: "DELETE", path: "/api/retained/garden?below=1x", as: "admin"})
	g.want(200, browse{method: "DELETE", path: "/api/retained/garden/a", as: "nora"})
	if a := g.want(200, browse{method: "DELETE", path: "/api/retained/garden?below=true", as: "admin"}); !strings.Contains(a.body, `"deleted": 2`) {
		t.Error(a.body)
	}
	if left := g.broker.RetainedTopics("#"); len(left) != 1 || left[0] != "house/x" {
		t.Errorf("left: %q", left)
	}
}

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

// TestBrokerPages: what the pages show of strangers is text, and they lead where they say.
func TestBrokerPages(t *testing.T) {
	g := newBrokerGate(t)
	const id = "<script>alert(1)</script>/a?b#c"
	c := g.connect(id, false)
	if _, err := c.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "$share/<b>/x/<i>", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"/broker", "/clients", "/clients?q=script", "/clients/%3Cscript%3Ealert%281%29%3C%2Fscript%3E%2Fa%3Fb%23c"} {
		for _, language := range []string{"en", "de"} {
			a := g.want(200, browse{path: page, as: "admin", header: http.Header{"Accept-Language": {language}}})
			if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "<b>") || strings.Contains(a.body, "<i>") {
				t.Errorf("%s shows markup of strangers", page)
			}
		}
	}
	a := g.want(200, browse{path: "/clients", as: "vera"})
	_, rest, _ := strings.Cut(a.body, `<a href="/clients/%3c`)
	if rest == "" {
		_, rest, _ = strings.Cut(a.body, `<a href="/clients/%3C`)
	}
	path, _, _ := strings.Cut(rest, `"`)
	a = g.want(200, browse{path: "/clients/%3C" + path, as: "vera"})
	if !strings.Contains(a.body, "$share/&lt;b&gt;/x/&lt;i&gt;") || strings.Contains(a.body, "/disconnect") {
		t.Error("a viewer sees another page of the client")
	}
	a = g.want(303, browse{path: "/clients/%3C" + path + "/disconnect", as: "olga", form: map[string][]string{"x": {""}}})
	<-c.Done()
	g.want(200, browse{path: strings.ReplaceAll(a.location(), "+", "%2B"), as: "olga"})
	g.want(303, browse{path: "/clients/%3C" + path + "/end", as: "admin", form: map[string][]string{"x": {""}}})
	if _, ok := g.broker.Session(id); ok {
		t.Error("the session goes on")
	}
}
