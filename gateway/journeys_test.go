package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/mqtt"
	"lintel/serialbridge/journey"
)

// followed reads server-sent events of an owner.
type followed struct {
	t     testing.TB
	lines *bufio.Scanner
	close func() error
}

// follow opens server-sent events. They are open when it returns.
func (o *owner) follow(path string) *followed {
	o.t.Helper()
	request, err := http.NewRequestWithContext(o.t.Context(), "GET", o.url+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	answer, err := o.http.Do(request)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		o.t.Fatalf("%s: %s", path, answer.Status)
	}
	f := &followed{o.t, bufio.NewScanner(answer.Body), answer.Body.Close}
	f.lines.Buffer(nil, 1<<20)
	return f
}

// await returns the first journey that is wanted, and holds the times of each.
func (f *followed) await(what string, wanted func(journey.Journey) bool) journey.Journey {
	f.t.Helper()
	late := time.AfterFunc(20*time.Second, func() { f.close() })
	defer late.Stop()
	seen := make(map[uint64]string)
	for f.lines.Scan() {
		data, ok := strings.CutPrefix(f.lines.Text(), "data: ")
		if !ok {
			continue
		}
		var j journey.Journey
		if err := json.Unmarshal([]byte(data), &j); err != nil {
			f.t.Fatal(err)
		}
		for i, s := range j.Stages {
			if i == 0 && s.After != 0 || i > 0 && s.After < j.Stages[i-1].After {
				f.t.Errorf("stage %d is at %d µs: %s", i, s.After, stagesOf(j))
			}
		}
		if wanted(j) {
			return j
		}
		seen[j.Number] = j.Topic + ": " + stagesOf(j)
	}
	f.t.Fatalf("waited in vain for %s: %v", what, seen)
	panic("unreachable")
}

// stagesOf writes the stages of a journey, with clients.
func stagesOf(j journey.Journey) string {
	var all []string
	for _, s := range j.Stages {
		all = append(all, strings.TrimSpace(string(s.Kind)+" "+s.Client))
	}
	return strings.Join(all, ", ")
}

// has reports whether stages come in an order, others between them.
func has(j journey.Journey, stages ...string) bool {
	for s := range strings.SplitSeq(stagesOf(j), ", ") {
		if len(stages) > 0 && s == stages[0] {
			stages = stages[1:]
		}
	}
	return len(stages) == 0
}

// TestJourneyOfMeter: a telegram of the simulated meter is followed from its bytes to each
// receiver, and what is not published says why.
func TestJourneyOfMeter(t *testing.T) {
	t.Parallel()
	c := localConfig()
	c.Zigbee.Enabled = false
	e, stop := startWith(t, c, t.TempDir(), true)
	defer stop()
	messages := listenTo(t, e, "lintel/+/state")
	state := await(t, messages, "the meter's state", func(m paho.Message) bool { return strings.HasPrefix(m.Topic(), "lintel/dsmr_") })
	meter := strings.Split(state.Topic(), "/")[1]
	o := claim(t, e)
	events := o.follow("/api/journey?device=" + meter)
	j := events.await("a journey", func(j journey.Journey) bool {
		return has(j, "heard", "parsed", "converted", "published", "received lintel-serialbridge", "retained") && strings.Contains(stagesOf(j), "sent ") && j.Topic == state.Topic()
	})
	if first := j.Stages[0]; len(first.Bytes) == 0 || first.Size < 100 || !strings.HasSuffix(first.Detail, "simulated-meter") {
		t.Errorf("heard %+v", first)
	}
	for _, s := range j.Stages {
		if s.Kind == journey.Published && (!strings.HasPrefix(s.Text, "{") || s.Topic != state.Topic()) {
			t.Errorf("published %+v", s)
		}
	}
	if j.Device != meter {
		t.Errorf("the journey began at %q", j.Device)
	}
	var last struct{ Journeys []journey.Journey }
	o.get("/api/journey?device="+meter, &last)
	if len(last.Journeys) == 0 {
		t.Error("there are no journeys as JSON")
	}
	for path, want := range map[string]int{"/api/journey": 400, "/api/journey?device=nobody": 404, "/api/journey?topic=a%23": 400, "/api/journey?topic=a&device=b": 400} {
		if status, text := o.try("GET", path, nil); status != want {
			t.Errorf("%s: %d: %s", path, status, text)
		}
	}
	if status, text := o.try("GET", "/journey/"+meter, nil); status != 200 || !strings.Contains(string(text), "Heard at the stick") {
		t.Errorf("the page: %d: %s", status, text)
	}
}

// TestJourneyOfLamp: a command is followed to the frame that it becomes and the lamp's answer, and what the
// lamp reports back to its topic.
func TestJourneyOfLamp(t *testing.T) {
	t.Parallel()
	e, stop := start(t, t.TempDir())
	defer stop()
	messages := listenTo(t, e, "zigbee2mqtt/#")
	const lamp = "0x00178801061a2b3c" // of air.Household
	await(t, messages, "the lamp's first state", func(m paho.Message) bool {
		return m.Topic() == "zigbee2mqtt/"+lamp && strings.Contains(string(m.Payload()), `"brightness":`)
	})
	events := claim(t, e).follow("/api/journey?device=" + lamp)
	c := connect(t, e, "person", "", "")
	c.Publish("zigbee2mqtt/"+lamp+"/set", 1, false, `{"state":"OFF"}`)
	j := events.await("the command", func(j journey.Journey) bool {
		return has(j, "received person", "sent lintel-zigbee", "command", "written", "answer", "published", "received lintel-zigbee") && strings.Contains(stagesOf(j), "handed")
	})
	if j.Topic != "zigbee2mqtt/"+lamp+"/set" || j.Number%2 != 1 {
		t.Errorf("journey %d of %s", j.Number, j.Topic)
	}
	c.Publish("zigbee2mqtt/"+lamp+"/get", 1, false, `{"state":""}`)
	j = events.await("the report", func(j journey.Journey) bool {
		// The lamp may still be saying what it was asked when it joined: only its state is the answer.
		return j.Device == lamp && strings.Contains(j.Stages[0].Detail, "cluster 0x0006") &&
			has(j, "heard", "parsed", "converted", "published", "received lintel-zigbee") && strings.Contains(stagesOf(j), "sent ")
	})
	if len(j.Stages[0].Bytes) == 0 {
		t.Errorf("heard %+v", j.Stages[0])
	}
	c.Publish("zigbee2mqtt/"+lamp+"/set", 1, false, `nonsense`)
	events.await("the refusal", func(j journey.Journey) bool { return has(j, "received person", "sent lintel-zigbee", "failed") })
}

// TestJourneyOfTopic: of a message between clients it is told for whom it waits, who lost it,
// whether the store had to have it; and when nobody looks any more nothing is left of it.
func TestJourneyOfTopic(t *testing.T) {
	t.Parallel()
	c := localConfig()
	c.Zigbee.Enabled, c.HomeAssistant.Enabled = false, false
	e, stop := startWith(t, c, t.TempDir(), false)
	defer stop()
	durable := func() paho.Client {
		options := paho.NewClientOptions().AddBroker("tcp://" + e.Brokers[0].Addr.String()).SetClientID("durable").
			SetCleanSession(false).SetAutoReconnect(false).SetResumeSubs(false)
		client := paho.NewClient(options)
		if token := client.Connect(); !token.WaitTimeout(20*time.Second) || token.Error() != nil {
			t.Fatal(token.Error())
		}
		return client
	}
	here := durable()
	if token := here.Subscribe("talk/+", 1, func(paho.Client, paho.Message) {}); !token.WaitTimeout(20 * time.Second) {
		t.Fatal("no SUBACK")
	}
	slow := stuck(t, e)
	defer slow.Close()
	from := connect(t, e, "from", "", "")
	o := claim(t, e)
	events := o.follow("/api/journey?topic=" + url.QueryEscape("talk/#"))

	from.Publish("talk/a", 1, false, "first")
	events.await("elision", func(j journey.Journey) bool {
		return has(j, "received from", "sent durable", "acknowledged durable", "unwritten", "answered from") && j.Stages[0].Text == "first"
	})
	here.Disconnect(0)
	var status struct {
		Clients []struct {
			ID        string
			Connected bool
		}
	}
	for gone := false; !gone; {
		o.get("/api/status", &status)
		for _, c := range status.Clients {
			gone = gone || c.ID == "durable" && !c.Connected
		}
	}
	from.Publish("talk/a", 1, false, "second")
	events.await("the commit", func(j journey.Journey) bool {
		return has(j, "received from", "queued durable", "committed", "answered from")
	})
	for range 200 {
		from.Publish("talk/large", 0, false, make([]byte, 60_000))
	}
	events.await("the drop", func(j journey.Journey) bool { return has(j, "received from", "dropped slow") })
}

// stuck is a client that subscribes to talk/large and then reads nothing any more.
func stuck(t *testing.T, e Endpoints) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", e.Brokers[0].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	hello := mqtt.Connect{Version: mqtt.V311, ClientID: "slow", CleanStart: true}
	ask := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{{Filter: "talk/large"}}}
	if _, err := nc.Write(ask.Append(hello.Append(nil), mqtt.V311)); err != nil {
		t.Fatal(err)
	}
	var answers [4 + 5]byte // CONNACK and SUBACK
	for n := 0; n < len(answers); {
		m, err := nc.Read(answers[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	return nc
}

// What nobody looks at ends by itself and leaves nothing behind.
func TestJourneysEnd(t *testing.T) {
	c := localConfig()
	c.Zigbee.Enabled = false
	e, stop := startOptions(t, c, Options{Data: t.TempDir(), Simulate: true, Version: "test", watchTime: 3 * time.Second})
	defer stop()
	o := claim(t, e)
	stacks := func() (n int) {
		buf := make([]byte, 1<<22)
		return strings.Count(string(buf[:runtime.Stack(buf, true)]), "gateway.take(")
	}
	// One that has not run yet is not seen; all live as long as they are looked at.
	began := time.Now()
	for n := stacks(); n != 3; n = stacks() {
		if n > 3 || time.Since(began) > 20*time.Second {
			t.Fatalf("%d goroutines for three topics", n)
		}
		for i := range 3 {
			o.get("/api/journey?topic="+fmt.Sprint("a", i), nil)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(100 * time.Millisecond); stacks() > 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left", stacks())
		}
	}
}
