package broker_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// deliveries are about messages on their way.
var deliveries = []scenario{
	{name: "each QoS to each QoS", run: func(w *world) {
		from := w.publisher("from")
		for asked := range mqtt.QoS(3) {
			to := w.subscriber(fmt.Sprint("to", asked))
			w.subscribe(to, "t", mqtt.SubscriptionOptions(asked))
			for qos := range mqtt.QoS(3) {
				from.publish(msg("t", fmt.Sprint(qos), qos))
			}
			for i, r := range w.want(to, "0", "1", "2") {
				if want := min(mqtt.QoS(i), asked); r.QoS != want || r.Topic != "t" || r.Retain {
					t := r.Message
					w.Errorf("published with QoS %d, subscribed with %d: %+v", i, asked, t)
				}
			}
			to.leave()
		}
	}},
	{name: "order of a topic", run: func(w *world) {
		const n = 1000
		for which, levels := range [][]mqtt.QoS{{0}, {1}, {2}, {0, 1, 2}} {
			topic := fmt.Sprint("order/", which)
			to := w.subscriber("to")
			w.subscribe(to, topic, 2)
			from := w.publisher("from")
			messages := make([]mqtt.Message, n)
			for i := range messages {
				messages[i] = msg(topic, fmt.Sprint(i), levels[rand.N(len(levels))])
			}
			from.publish(messages...)
			// What is of another QoS may overtake [v5 MQTT-4.6.0-6].
			var want, got [3][]string
			for _, m := range messages {
				want[m.QoS] = append(want[m.QoS], string(m.Payload))
			}
			for _, r := range w.rest(to) {
				got[r.QoS] = append(got[r.QoS], string(r.Payload))
			}
			for qos := range want {
				if !slices.Equal(got[qos], want[qos]) {
					w.Errorf("QoS %d of %v: received %d of %d, or not in their order", qos, levels, len(got[qos]), len(want[qos]))
				}
			}
			from.leave()
			to.leave()
		}
	}},
	{name: "one to 50", run: func(w *world) {
		var to [50]party
		for i := range to {
			to[i] = w.subscriber(fmt.Sprint("to", i))
			w.subscribe(to[i], "all/#", mqtt.SubscriptionOptions(i%3))
		}
		from := w.publisher("from")
		var want []string
		for i := range 20 {
			want = append(want, fmt.Sprint(i))
			from.publish(msg("all/of/them", want[i], 2))
		}
		for i := range to {
			for _, r := range w.want(to[i], want...) {
				if r.QoS != mqtt.QoS(i%3) {
					w.Errorf("QoS %d, subscribed with %d", r.QoS, i%3)
				}
			}
		}
	}},
	{name: "20 to one", run: func(w *world) {
		to := w.subscriber("to")
		w.subscribe(to, "from/+", 2)
		const n = 20
		var publishers sync.WaitGroup
		for i := range n {
			from := w.publisher(fmt.Sprint("from", i))
			publishers.Go(func() {
				var messages []mqtt.Message
				for j := range 50 {
					messages = append(messages, msg(fmt.Sprint("from/", i), fmt.Sprint(j), mqtt.QoS(i%3)))
				}
				from.publish(messages...)
			})
		}
		publishers.Wait()
		next := make(map[string]int)
		for _, r := range w.rest(to) {
			if string(r.Payload) != fmt.Sprint(next[r.Topic]) {
				w.Fatalf("%s: received %s, want %d", r.Topic, r.Payload, next[r.Topic])
			}
			next[r.Topic]++
		}
		for i := range n {
			if topic := fmt.Sprint("from/", i); next[topic] != 50 {
				w.Errorf("%s: %d of 50 came", topic, next[topic])
			}
		}
	}},
	{name: "payloads", run: func(w *world) {
		to, from := w.subscriber("to"), w.publisher("from")
		w.subscribe(to, "payload", 2)
		large := make([]byte, 1<<20)
		for i := range large {
			large[i] = byte(i * i >> 3)
		}
		for qos := range mqtt.QoS(3) {
			for _, payload := range [][]byte{nil, {0}, []byte("\xff\xfe\x00"), large} {
				from.publish(mqtt.Message{Topic: "payload", Payload: payload, QoS: qos})
				rest := w.rest(to)
				if len(rest) != 1 || !bytes.Equal(rest[0].Payload, payload) || rest[0].QoS != qos {
					w.Errorf("QoS %d: %d bytes did not arrive as they are", qos, len(payload))
				}
			}
		}
	}},
	{name: "topics", run: func(w *world) {
		deep := strings.Repeat("l/", 199) + "l"
		from := w.publisher("from")
		for _, topic := range []string{"/", "//", "a//b/", " ", "größe/温度/🌡", "\ufeffbom", "a\u0301", deep, strings.Repeat("x", 65535)} {
			to := w.subscriber("to")
			w.subscribe(to, topic, 1)
			from.publish(msg(topic, "x", 1), msg("else", "y", 1))
			if r := w.want(to, "x")[0]; r.Topic != topic {
				w.Errorf("received topic %.80q, want %.80q", r.Topic, topic)
			}
			to.leave()
		}
	}},
	{name: "properties", run: func(w *world) {
		var p mqtt.Properties
		p.AddUser("b", "1")
		p.SetUint(mqtt.PayloadFormatIndicator, 1)
		p.AddUser("a", "2")
		p.SetText(mqtt.ContentType, "text/größe")
		p.AddUser("b", "1")
		p.AddUser("", "")
		p.SetText(mqtt.ResponseTopic, "answers/1")
		p.SetText(mqtt.CorrelationData, "\x00\xff")
		m := retained("t", "x", 1)
		m.Properties = p.Encode(nil)
		to, from := w.subscriber("to"), w.publisher("from")
		w.subscribe(to, "t", 2)
		from.publish(m)
		late := w.subscriber("late")
		w.subscribe(late, "t", 2)
		want := m.Properties
		if !w.from.has5 || !w.to.has5 {
			want = nil
		}
		for what, to := range map[string]party{"live": to, "retained": late} {
			if r := w.want(to, "x")[0]; !bytes.Equal(r.Properties, want) {
				w.Errorf("%s: received properties %q, want %q", what, r.Properties, want)
			}
		}
	}},
	{name: "request and response", properties: true, run: func(w *world) {
		asks, answers := w.publisher("asks"), w.subscriber("answers")
		w.subscribe(asks, "response/asks", 1)
		w.subscribe(answers, "request", 1)
		for i := range 3 {
			var p mqtt.Properties
			p.SetText(mqtt.ResponseTopic, "response/asks")
			p.SetText(mqtt.CorrelationData, fmt.Sprint("c", i))
			request := msg("request", fmt.Sprint(i), 1)
			request.Properties = p.Encode(nil)
			asks.publish(request)
			got, err := mqtt.DecodeProperties(w.next(answers).Properties)
			if err != nil {
				w.Fatal(err)
			}
			var back mqtt.Properties
			back.SetText(mqtt.CorrelationData, got.Text(mqtt.CorrelationData))
			response := msg(got.Text(mqtt.ResponseTopic), fmt.Sprint("to ", i), 1)
			response.Properties = back.Encode(nil)
			answers.publish(response)
			r := w.next(asks)
			got, err = mqtt.DecodeProperties(r.Properties)
			if err != nil || string(r.Payload) != fmt.Sprint("to ", i) || got.Text(mqtt.CorrelationData) != fmt.Sprint("c", i) {
				w.Errorf("received %s with %q", r.Payload, r.Properties)
			}
		}
	}},
	{name: "slow receiver", run: slowReceiver},
	{name: "taken over", run: func(w *world) {
		if w.to.inside && !w.from.inside {
			return // it is refused: see TestInProcessKeepsItsID
		}
		first := w.subscriber("same")
		w.subscribe(first, "first", 1)
		second := w.publisher("same")
		first.ended(mqtt.SessionTakenOver)
		w.subscribe(second, "second", 1)
		from := w.publisher("from")
		from.publish(msg("first", "1", 1), msg("second", "2", 1))
		w.want(second, "2")
		if n := w.s.Stats().Sessions; n != 2 {
			w.Errorf("%d sessions, want 2", n)
		}
	}},
	{name: "empty client id", run: func(w *world) {
		for _, p := range []party{w.from.connect(w.T, w.s, ""), w.to.connect(w.T, w.s, "")} {
			if code := p.try(msg("t", "", 1)); code != mqtt.Success {
				w.Errorf("publishing: %v", code)
			}
		}
		if n := w.s.Stats().Sessions; n != 2 {
			w.Errorf("%d sessions, want 2", n)
		}
	}},
}

// slowReceiver: what is of QoS 0 is dropped and counted, the rest waits in the
// session, and nobody else waits.
func slowReceiver(w *world) {
	to, other, from := w.subscriber("slow"), w.subscriber("other"), w.publisher("from")
	w.subscribe(to, "slow/#", 2)
	w.subscribe(other, "slow/1", 2)
	to.hold()
	sent := 0
	large := strings.Repeat("x", 16<<10)
	for ; w.s.Stats().PublishDropped == 0; sent++ {
		if sent == 10_000 {
			w.Fatal("nothing was dropped")
		}
		from.publish(msg("slow/0", fmt.Sprintf("%05d%s", sent, large), 0))
	}
	const n = 300 // more than may be in flight
	for i := range n {
		from.publish(msg("slow/1", fmt.Sprint(i), mqtt.QoS(1+i%2)))
	}
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	w.want(other, want...)
	dropped := w.s.Stats().PublishDropped
	to.release()
	last, came := -1, 0
	var got []string
	for _, r := range w.rest(to) {
		if r.QoS > 0 {
			got = append(got, string(r.Payload))
			continue
		}
		var i int
		if _, err := fmt.Sscanf(string(r.Payload[:5]), "%d", &i); err != nil || i <= last || len(r.Payload) != 5+len(large) {
			w.Fatalf("received %.10q after %d", r.Payload, last)
		}
		last = i
		came++
	}
	if came+int(dropped) != sent {
		w.Errorf("%d of QoS 0 came and %d were dropped, of %d", came, dropped, sent)
	}
	if !slices.Equal(got, want) {
		w.Errorf("received %d of %d of QoS 1 and 2, or not in their order", len(got), n)
	}
}

// expiries are about the Message Expiry Interval.
var expiries = []scenario{
	{name: "expiry", properties: true, limits: broker.Options{MaxInflight: 2}, run: func(w *world) {
		from, to := w.publisher("from"), w.subscriber("to")
		w.subscribe(to, "t", 1)
		within := func(topic, payload string, d time.Duration) mqtt.Message {
			m := retained(topic, payload, 1)
			m.Expires = time.Now().Add(d)
			return m
		}
		// Two are in flight, the others wait.
		to.hold()
		from.publish(within("t", "a", time.Second), msg("t", "b", 1), within("t", "expires", time.Second), within("t", "stays", 100*time.Second))
		from.publish(within("r/stays", "y", 100*time.Second), within("r/expires", "x", time.Second))
		late := w.subscriber("late")
		w.subscribe(late, "r/+", 1)
		for _, r := range w.rest(late) {
			if r.left < 0 || r.left > 100 || r.left > 1 != (r.Topic == "r/stays") {
				w.Errorf("%s comes with %d seconds left", r.Topic, r.left)
			}
		}
		eventually(w, "a second is over", func() bool { return w.s.Stats().Retained == 2 })
		to.release()
		rest := w.want(to, "a", "b", "stays")
		if left := rest[2].left; left > 99 || left < 80 {
			w.Errorf("%d seconds are left of 100", left)
		}
		if rest[1].left != -1 {
			w.Errorf("%d seconds are left of what does not expire", rest[1].left)
		}
		later := w.subscriber("later")
		w.subscribe(later, "r/+", 1)
		if left := w.want(later, "y")[0].left; left > 99 || left < 80 {
			w.Errorf("%d seconds are left of 100", left)
		}
	}},
}
