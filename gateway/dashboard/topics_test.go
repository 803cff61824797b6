package dashboard

import (
	"strings"
	"testing"

	"lintel/gateway/access"
)

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
