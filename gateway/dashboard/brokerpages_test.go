package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
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
