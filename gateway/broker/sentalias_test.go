package broker_test

import (
	"testing"

	"lintel/gateway/mqtt"
)

// The server uses topic aliases as far as the client takes them
// [v5 MQTT-3.1.2-26, MQTT-3.1.2-27], each connection for itself.
func TestSentTopicAliases(t *testing.T) {
	s := newServer(t)
	packet := durable(mqtt.V50, "aliased")
	packet.Properties.SetUint(mqtt.TopicAliasMaximum, 2)
	publisher := connect(t, s, clean(mqtt.V50, "publisher"))
	for range 2 { // the second connection begins anew
		c := connect(t, s, packet)
		c.subscribe(filter("t/#", 1))
		for _, want := range []struct {
			published string
			qos       mqtt.QoS
			topic     string
			alias     uint16
		}{
			{"t/a", 0, "t/a", 1}, {"t/a", 0, "", 1}, {"t/a", 1, "", 1},
			{"t/b", 1, "t/b", 2}, {"t/c", 1, "t/c", 0}, {"t/c", 0, "t/c", 0}, {"t/b", 0, "", 2},
		} {
			publisher.publish(want.published, "x", want.qos, false)
			m := c.message()
			if string(m.Topic) != want.topic || m.TopicAlias != want.alias || m.QoS != want.qos {
				t.Errorf("%s at QoS %d came as topic %q, alias %d; want %q, %d", want.published, want.qos, m.Topic, m.TopicAlias, want.topic, want.alias)
			}
			if m.QoS == 1 {
				c.ack(mqtt.PUBACK, m.PacketID)
			}
		}
		c.barrier()
		c.bye()
	}
}

// Without a maximum there are no aliases; a fan-out to clients with and without
// gives each its own form.
func TestSentTopicAliasesOfOneMessage(t *testing.T) {
	s := newServer(t)
	packet := clean(mqtt.V50, "with")
	packet.Properties.SetUint(mqtt.TopicAliasMaximum, 10)
	with, without := connect(t, s, packet), connect(t, s, clean(mqtt.V50, "without"))
	for _, c := range []*rawClient{with, without} {
		c.subscribe(filter("t", 0))
	}
	publisher := connect(t, s, clean(mqtt.V311, "publisher"))
	for i := range 3 {
		publisher.publish("t", "x", 0, false)
		if m := without.message(); string(m.Topic) != "t" || m.TopicAlias != 0 {
			t.Errorf("client without aliases got topic %q, alias %d", m.Topic, m.TopicAlias)
		}
		want := ""
		if i == 0 {
			want = "t"
		}
		if m := with.message(); string(m.Topic) != want || m.TopicAlias != 1 {
			t.Errorf("message %d: topic %q, alias %d", i, m.Topic, m.TopicAlias)
		}
	}
}

// An alias is only known once its first packet was sent: one that is too large
// for the client defines nothing.
func TestSentTopicAliasOfDroppedPacket(t *testing.T) {
	s := newServer(t)
	packet := clean(mqtt.V50, "small")
	packet.Properties.SetUint(mqtt.TopicAliasMaximum, 10)
	packet.Properties.SetUint(mqtt.MaximumPacketSize, 40)
	c := connect(t, s, packet)
	c.subscribe(filter("t", 0))
	publisher := connect(t, s, clean(mqtt.V311, "publisher"))
	publisher.publish("t", "this payload is too long for a packet of 40 bytes", 0, false)
	publisher.publish("t", "short", 0, false)
	if m := c.message(); string(m.Topic) != "t" || m.TopicAlias != 1 || string(m.Payload) != "short" {
		t.Errorf("first packet that fits: topic %q, alias %d, payload %q", m.Topic, m.TopicAlias, m.Payload)
	}
}
