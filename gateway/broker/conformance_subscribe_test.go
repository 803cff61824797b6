package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// Retain Handling, as subscription options.
const (
	retainIfNew mqtt.SubscriptionOptions = 1 << 4
	retainNever mqtt.SubscriptionOptions = 2 << 4
)

// subscriptions are about who gets what.
var subscriptions = []scenario{
	{name: "wildcards", run: func(w *world) {
		from := w.publisher("from")
		topics := []string{"a", "a/b", "a/b/c", "a/", "/a", "b", "/", "a//c", "$SYS/broker/version"}
		for _, filter := range []string{"#", "+", "+/+", "a/#", "a/+", "+/b/#", "a/+/c", "/+", "+/", "+/#", "/#", "a/b/c/#", "a/b/c/+"} {
			to := w.subscriber("to")
			w.subscribe(to, filter, 0)
			var want []string
			for _, topic := range topics[:len(topics)-1] {
				from.publish(msg(topic, topic, 0))
				if mqtt.Match(filter, topic) {
					want = append(want, topic)
				}
			}
			w.want(to, want...)
			to.leave()
		}
	}},
	{name: "topics with $", limits: broker.Options{SysInterval: time.Hour}, run: func(w *world) {
		for _, filter := range []string{"$SYS/broker/version", "$SYS/broker/+", "$SYS/#"} {
			to := w.subscriber("to")
			w.subscribe(to, filter, 0)
			for !strings.HasPrefix(string(w.next(to).Payload), "lintel ") { // the version, published at the start
			}
			w.rest(to)
			to.leave()
		}
		for _, filter := range []string{"#", "+/#", "+/broker/version", "+/broker/#"} {
			to := w.subscriber("to")
			w.subscribe(to, filter, 0)
			w.want(to)
			to.leave()
		}
	}},
	{name: "retained", run: func(w *world) {
		from, live := w.publisher("from"), w.subscriber("live")
		w.subscribe(live, "r/#", 2)
		look := func(payload string, qos mqtt.QoS) {
			w.Helper()
			late := w.subscriber("late")
			w.subscribe(late, "r/+", 2)
			for _, r := range w.want(late, payload) {
				if !r.Retain || r.QoS != qos {
					w.Errorf("received %+v, want RETAIN and QoS %d", r.Message, qos)
				}
			}
			late.leave()
		}
		for qos := range mqtt.QoS(3) {
			from.publish(retained("r/x", "first", qos))
			look("first", qos)
			from.publish(retained("r/x", "second", qos), msg("r/x", "live", qos))
			look("second", qos)
			from.publish(retained("r/x", "", qos))
			late := w.subscriber("late")
			w.subscribe(late, "r/+", 2)
			w.want(late)
			late.leave()
			for _, r := range w.want(live, "first", "second", "live", "") {
				if r.Retain {
					w.Errorf("%q came live with RETAIN", r.Payload)
				}
			}
		}
		if n := w.s.Stats().Retained; n != 0 {
			w.Errorf("%d retained messages are left", n)
		}
	}},
	{name: "many retained", run: func(w *world) {
		const n = 2000
		from := w.publisher("from")
		for i := range n / 500 {
			var messages []mqtt.Message
			for j := range 500 {
				messages = append(messages, retained(fmt.Sprintf("r/%d/%d", i, j), "x", mqtt.QoS(j%3)))
			}
			from.publish(messages...)
		}
		to := w.subscriber("to")
		w.subscribe(to, "r/#", 2)
		seen := make(map[string]bool)
		for _, r := range w.rest(to) {
			seen[r.Topic] = true
		}
		if len(seen) != n {
			w.Errorf("%d of %d came", len(seen), n)
		}
	}},
	{name: "retain handling", options: true, run: func(w *world) {
		from := w.publisher("from")
		from.publish(retained("r", "x", 1))
		for _, x := range []struct {
			options      mqtt.SubscriptionOptions
			first, again int
		}{{0, 1, 1}, {retainIfNew, 1, 0}, {retainNever, 0, 0}} {
			to := w.subscriber("to")
			for _, want := range []int{x.first, x.again, x.again} {
				w.subscribe(to, "r", 1|x.options)
				w.want(to, slices.Repeat([]string{"x"}, want)...)
			}
			to.unsubscribe("r")
			w.subscribe(to, "r", 1|x.options)
			w.want(to, slices.Repeat([]string{"x"}, x.first)...)
			to.leave()
		}
	}},
	{name: "retain as published", options: true, run: func(w *world) {
		from, to := w.publisher("from"), w.subscriber("to")
		w.subscribe(to, "kept/#", 1|mqtt.RetainAsPublished)
		w.subscribe(to, "cleared/#", 1)
		for _, topic := range []string{"kept/x", "cleared/x"} {
			for _, retain := range []bool{true, false} {
				m := msg(topic, "x", 1)
				m.Retain = retain
				from.publish(m)
				if r := w.want(to, "x")[0]; r.Retain != (retain && topic == "kept/x") {
					w.Errorf("%s: published with RETAIN %t, received with %t", topic, retain, r.Retain)
				}
			}
		}
		late := w.subscriber("late")
		w.subscribe(late, "+/x", 1) // without the option
		for _, r := range w.want(late, "x", "x") {
			if !r.Retain {
				w.Error("a retained message came without RETAIN")
			}
		}
	}},
	{name: "no local", options: true, run: func(w *world) {
		from, to := w.publisher("from"), w.subscriber("to")
		w.subscribe(to, "t/+", 1|mqtt.NoLocal)
		to.publish(msg("t/own", "own", 1))
		from.publish(msg("t/other", "other", 1))
		w.want(to, "other")
		// Another subscription has a say of its own.
		w.subscribe(to, "t/own", 0)
		to.publish(msg("t/own", "both", 1))
		if r := w.want(to, "both")[0]; r.QoS != 0 || !slices.Equal(r.by, []string{"t/own"}) {
			w.Errorf("received %+v by %q", r.Message, r.by)
		}
	}},
	{name: "overlapping", run: overlapping},
	{name: "unsubscribe", run: func(w *world) {
		from, to := w.publisher("from"), w.subscriber("to")
		w.subscribe(to, "a", 1)
		w.subscribe(to, "b", 1)
		from.publish(msg("a", "1", 1), msg("b", "2", 1))
		w.want(to, "1", "2")
		w.wantCode(w.to, "unsubscribing", to.unsubscribe("a"), mqtt.Success)
		from.publish(msg("a", "3", 1), msg("b", "4", 1))
		w.want(to, "4")
		unknown := mqtt.Success
		if w.to.has5 && !w.to.inside {
			unknown = mqtt.NoSubscriptionExisted
		}
		for _, filter := range []string{"a", "+", "never"} {
			w.wantCode(w.to, "unsubscribing from "+filter, to.unsubscribe(filter), unknown)
		}
		w.subscribe(to, "a", 0)
		from.publish(msg("a", "5", 1), msg("b", "6", 1))
		w.want(to, "5", "6")
		if n := w.s.Stats().Subscriptions; n != 4 {
			w.Errorf("%d subscriptions, want 4", n)
		}
	}},
	{name: "subscribing again", run: func(w *world) {
		from, to := w.publisher("from"), w.subscriber("to")
		from.publish(retained("t", "retained", 2))
		for _, qos := range []mqtt.QoS{2, 0, 1} {
			w.subscribe(to, "t", mqtt.SubscriptionOptions(qos))
			if r := w.want(to, "retained")[0]; r.QoS != qos {
				w.Errorf("retained with QoS %d, want %d", r.QoS, qos)
			}
			from.publish(msg("t", "live", 2))
			if r := w.want(to, "live")[0]; r.QoS != qos {
				w.Errorf("live with QoS %d, want %d", r.QoS, qos)
			}
		}
		if n := w.s.Stats().Subscriptions; n != 3 {
			w.Errorf("%d subscriptions, want 3", n)
		}
	}},
	{name: "shared", run: shared},
}

// overlapping: one copy comes, at the highest QoS, with the identifiers of all
// subscriptions; 3.1.1 has none. In the process it goes to the handler of each.
func overlapping(w *world) {
	from, to := w.publisher("from"), w.subscriber("to")
	filters := []string{"o/#", "o/+", "o/x"}
	w.subscribe(to, "o/#", 0)
	w.subscribe(to, "o/+", 2)
	w.subscribe(to, "o/x", 1)
	w.subscribe(to, "o/y", 1)
	for qos := range mqtt.QoS(3) {
		from.publish(msg("o/x", "x", qos))
		rest := w.rest(to)
		copies := 1
		if w.to.inside {
			copies = len(filters)
		}
		if len(rest) != copies {
			w.Fatalf("%d copies, want %d", len(rest), copies)
		}
		var by []string
		for _, r := range rest {
			by = append(by, r.by...)
			if r.QoS != qos {
				w.Errorf("received with QoS %d, want %d", r.QoS, qos)
			}
		}
		slices.Sort(by)
		if w.to.has5 && !slices.Equal(by, filters) {
			w.Errorf("received by %q, want %q", by, filters)
		}
	}
}

// shared: each message goes to one of the group, in order, and to everybody else.
func shared(w *world) {
	from := w.publisher("from")
	from.publish(retained("s/x", "retained", 1))
	members := []party{w.subscriber("m1"), w.subscriber("m2")}
	for _, m := range members {
		w.subscribe(m, "$share/g/s/+", 2)
		w.want(m) // nothing retained (5.0 §4.8.2)
	}
	alone, other := w.subscriber("alone"), w.subscriber("other")
	w.subscribe(alone, "s/#", 2)
	w.want(alone, "retained")
	w.subscribe(other, "$share/h/s/x", 2)
	const n = 400
	var messages []mqtt.Message
	var want []string
	for i := range n {
		messages = append(messages, msg("s/x", fmt.Sprintf("%03d", i), mqtt.QoS(1+i*2/n)))
		want = append(want, string(messages[i].Payload))
	}
	from.publish(messages...)
	var all []string
	for i, m := range members {
		got := payloadsOf(w.rest(m))
		if !slices.IsSorted(got) {
			w.Errorf("member %d received not in order", i)
		}
		if len(got) < n/10 {
			w.Errorf("member %d received %d of %d", i, len(got), n)
		}
		all = append(all, got...)
	}
	slices.Sort(all)
	if !slices.Equal(all, want) {
		w.Errorf("the members received %d, want %d, each once", len(all), n)
	}
	w.want(alone, want...)
	w.want(other, want...)
	members[0].unsubscribe("$share/g/s/+")
	from.publish(msg("s/x", "last", 1))
	w.want(members[0])
	w.want(members[1], "last")
}

// refusals are about what a client may not do.
var refusals = []scenario{
	{name: "topics of the server", run: func(w *world) {
		to, from := w.subscriber("to"), w.publisher("from")
		w.subscribe(to, "$SYS/#", 2)
		w.subscribe(to, "$x", 2)
		for _, topic := range []string{"$SYS/broker/version", "$x", "$", "$share/g/t"} {
			for qos := mqtt.QoS(1); qos <= 2; qos++ {
				from := w.publisher("refused")
				want := mqtt.NotAuthorized
				if !w.from.has5 {
					want = mqtt.Success // it has no word for it [v3 MQTT-3.3.5-2]
				}
				w.wantCode(w.from, topic, from.try(retained(topic, "x", qos)), want)
			}
		}
		from.publish(msg("x", "", 1)) // goes on
		w.want(to)
		if n := w.s.Stats().Retained; n != 0 {
			w.Errorf("%d retained messages", n)
		}
	}},
	{name: "wrong topics", run: func(w *world) {
		for _, x := range []struct {
			topic string
			want  mqtt.ReasonCode
		}{
			{"a/#", mqtt.TopicNameInvalid}, {"+", mqtt.TopicNameInvalid}, {"a/+/b", mqtt.TopicNameInvalid},
			{strings.Repeat("l/", 200) + "l", mqtt.TopicNameInvalid},
			{"", mqtt.ProtocolError}, {"a\xff", mqtt.MalformedPacket}, {"a\x00", mqtt.MalformedPacket}, {"\xed\xa0\x80", mqtt.MalformedPacket},
		} {
			for qos := range mqtt.QoS(3) {
				w.mistake(w.from, fmt.Sprintf("publishing to %.40q", x.topic), x.want, func(p party) mqtt.ReasonCode { return p.try(msg(x.topic, "x", qos)) })
			}
		}
	}},
	{name: "wrong properties", properties: true, run: func(w *world) {
		to := w.subscriber("to")
		w.subscribe(to, "#", 2)
		for properties, want := range map[string]mqtt.ReasonCode{
			"\x03\x00":                 mqtt.MalformedPacket, // cut off
			"\x03\x00\x01\xff":         mqtt.MalformedPacket, // not UTF-8
			"\x26\x00\x01a":            mqtt.MalformedPacket, // half
			"\x11\x00\x00\x00\x01":     mqtt.MalformedPacket, // of another packet
			"\x7f":                     mqtt.MalformedPacket,
			"\x01\x02":                 mqtt.ProtocolError,
			"\x01\x01\x01\x01":         mqtt.ProtocolError, // twice
			"\x08\x00\x01#":            mqtt.ProtocolError, // no topic to answer to
			"\x0b\x01":                 mqtt.ProtocolError, // a subscription identifier
			"\x26\x00\x00\x00\x01\xff": mqtt.MalformedPacket,
		} {
			m := retained("t", "x", 1)
			m.Properties = []byte(properties)
			w.mistake(w.from, fmt.Sprintf("properties %q", properties), want, func(p party) mqtt.ReasonCode { return p.try(m) })
		}
		for _, r := range w.rest(to) {
			if r.Topic != "goes/on" {
				w.Errorf("received %+v", r.Message)
			}
		}
	}},
	{name: "too large", limits: broker.Options{MaxPacketSize: 500}, run: func(w *world) {
		version := mqtt.V311
		if w.from.has5 {
			version = mqtt.V50
		}
		to := w.subscriber("to")
		w.subscribe(to, "t", 2)
		for qos := range mqtt.QoS(3) {
			m := msg("t", "", qos)
			m.Payload = make([]byte, 500)
			m.Payload = m.Payload[:1000-len(publishPacket(m, 1).Append(nil, version))]
			p := w.publisher("fits")
			p.publish(m)
			if rest := w.rest(to); len(rest) != 1 || len(rest[0].Payload) != len(m.Payload) {
				w.Errorf("QoS %d: received %v", qos, rest)
			}
			m.Payload = append(m.Payload, 0)
			w.mistake(w.from, "a packet of 501 bytes", mqtt.PacketTooLarge, func(p party) mqtt.ReasonCode { return p.try(m) })
		}
		w.want(to)
	}},
	{name: "wrong filters", run: func(w *world) {
		to := w.subscriber("to")
		for _, filter := range []string{"", "a#", "a/#/b", "+a", "#/", "$share/g", "$share//t", "$share/+/t", strings.Repeat("l/", 200) + "l"} {
			w.wantCode(w.to, fmt.Sprintf("subscribing to %.40q", filter), to.subscribe(filter, 1), mqtt.TopicFilterInvalid)
		}
		w.subscribe(to, strings.Repeat("l/", 199)+"#", 1)
		w.want(to)
		w.mistake(w.to, "a filter that is not UTF-8", mqtt.MalformedPacket, func(p party) mqtt.ReasonCode { return p.subscribe("a\xff", 0) })
		w.mistake(w.to, "a filter with U+0000", mqtt.MalformedPacket, func(p party) mqtt.ReasonCode { return p.subscribe("a\x00", 0) })
	}},
	{name: "wrong options", options: true, run: func(w *world) {
		for options, want := range map[mqtt.SubscriptionOptions]mqtt.ReasonCode{
			3: mqtt.ProtocolError, 3 << 4: mqtt.ProtocolError, 0x40: mqtt.MalformedPacket, 0x80: mqtt.MalformedPacket,
		} {
			w.mistake(w.to, fmt.Sprintf("subscription options %#x", byte(options)), want, func(p party) mqtt.ReasonCode { return p.subscribe("t", options) })
		}
		w.mistake(w.to, "no local on a share", mqtt.ProtocolError, func(p party) mqtt.ReasonCode { return p.subscribe("$share/g/t", mqtt.NoLocal) })
	}},
	{name: "too many subscriptions", limits: broker.Options{MaxSubscriptions: 3}, run: func(w *world) {
		to := w.subscriber("to") // has one
		w.subscribe(to, "a", 1)
		w.subscribe(to, "b", 1)
		w.wantCode(w.to, "one too many", to.subscribe("c", 1), mqtt.QuotaExceeded)
		w.subscribe(to, "b", 2)
		to.unsubscribe("a")
		w.subscribe(to, "c", 1)
		from := w.publisher("from")
		from.publish(msg("a", "1", 1), msg("b", "2", 1), msg("c", "3", 1))
		w.want(to, "2", "3")
	}},
}
