package dashboard

import (
	"bufio"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"lintel/gateway/broker"
)

// A trace is begun on its page, shows packets to who may see them, and is stopped and downloaded.
func TestTracePage(t *testing.T) {
	g := newBrokerGate(t)
	ask := url.Values{"topic": {"+/secret"}, "payload": {"true"}}
	g.want(403, browse{method: "POST", path: "/trace", as: "vera", form: ask})
	for field, form := range map[string]url.Values{"client": {"client": {""}}, "topic": {"topic": {"a/#/b"}}, "address": {"address": {"nowhere"}}} {
		if a := g.want(400, browse{method: "POST", path: "/trace", as: "olga", form: form}); !strings.Contains(a.body, `id="error-`+field+`"`) {
			t.Errorf("nothing is said beside %s", field)
		}
	}
	a := g.want(303, browse{method: "POST", path: "/trace", as: "nora", form: ask})
	path := a.Header.Get("Location")
	g.publish("garden/secret", "roses", false)
	g.publish("house/secret", "keys", false)
	g.await(func() bool { return strings.Count(g.do(browse{path: path, as: "nora"}).body, "received") == 2 })
	if body := g.want(200, browse{path: path, as: "nora"}).body; !strings.Contains(body, "roses") || strings.Contains(body, "keys") {
		t.Error("nora sees what is not hers, or not what is")
	}
	for file, want := range map[string]string{"/trace.txt": `"keys"`, "/trace.jsonl": `"payload":"a2V5cw=="`} {
		if body := g.want(200, browse{path: path + file, as: "admin"}).body; !strings.Contains(body, want) {
			t.Errorf("%s is %s", file, body)
		}
		if body := g.want(200, browse{path: path + file, as: "nora"}).body; strings.Contains(body, want) || !strings.Contains(body, "house/secret") {
			t.Errorf("%s for nora is %s", file, body)
		}
	}
	g.want(404, browse{path: path + "/trace.pcap", as: "nora"})
	g.want(303, browse{method: "POST", path: path + "/stop", as: "nora", form: url.Values{"stop": {"true"}}})
	g.await(func() bool { return strings.Contains(g.do(browse{path: "/trace", as: "nora"}).body, "ended") })
	for range maxTraces {
		g.want(303, browse{method: "POST", path: "/trace", as: "olga", form: url.Values{"client": {"x"}}})
	}
	g.want(503, browse{method: "POST", path: "/trace", as: "olga", form: url.Values{"client": {"x"}}})
	g.want(404, browse{path: path, as: "olga"}) // it made room
}

// The API tells the same at once, as events and as lines.
func TestTraceAPI(t *testing.T) {
	g := newBrokerGate(t)
	for _, query := range []string{"", "?topic=%23a", "?address=300.1.1.1", "?client=a&format=pcap"} {
		g.want(400, browse{path: "/api/trace" + query, as: "olga"})
	}
	g.want(403, browse{path: "/api/trace?client=a", as: "vera"})
	events := g.open(browse{path: "/api/trace?client=kitchen", as: "olga"})
	defer events.Body.Close()
	text := g.open(browse{path: "/api/trace?address=127.0.0.1&format=text", as: "olga"})
	defer text.Body.Close()
	g.connect("kitchen", true)
	lines := bufio.NewScanner(events.Body)
	var first broker.TraceEvent
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(data), &first); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if first.Packet != "CONNECT" || first.Client != "kitchen" {
		t.Errorf("told %+v", first)
	}
	line, err := bufio.NewReader(text.Body).ReadString('\n')
	if err != nil || !strings.Contains(line, "received") || !strings.Contains(line, "kitchen") || !strings.Contains(line, "CONNECT") {
		t.Errorf("told %q, %v", line, err)
	}
}

// What clients send does nothing to the line that tells of it.
func TestTraceDetails(t *testing.T) {
	e := broker.TraceEvent{Kind: broker.TraceReceived, Packet: "PUBLISH", Topic: "a\x1b[2J\nb", QoS: 1, PacketID: 7, Size: 12, Bytes: 9, Payload: []byte{0xff, 1}, Lost: 2}
	const want = `[2 events before this one were lost] PUBLISH "a\x1b[2J\nb" QoS 1 id 7 12 bytes 0xff01 and 7 bytes more`
	if got := traceDetails(&e); got != want {
		t.Errorf("got %s", got)
	}
}
