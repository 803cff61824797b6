package broker_test

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// connectBytes is a CONNECT out of its parts, right or wrong.
func connectBytes(name string, level, flags byte, rest ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(name)))
	b = append(b, name...)
	b = append(b, level, flags, 0, 0)
	if level == 5 {
		b = append(b, 0)
	}
	for _, s := range rest {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return append([]byte{0x10, byte(len(b))}, b...)
}

// TestConnectAnswers sends one CONNECT each. An answer of nil is a connection
// that is closed without one.
func TestConnectAnswers(t *testing.T) {
	s := newServer(t)
	v5 := func(change func(*mqtt.Connect)) []byte {
		c := clean(mqtt.V50, "c")
		change(&c)
		return c.Append(nil)
	}
	flags := func(b []byte, flags byte) []byte { b[0] |= flags; return b }
	for name, c := range map[string]struct {
		packet []byte
		want   []byte // the beginning
	}{
		"3.1 empty id":                      {connectBytes("MQIsdp", 3, 2, ""), []byte{0x20, 2, 0, 2}},
		"3.1 long id":                       {connectBytes("MQIsdp", 3, 2, "more than 23 characters are fine"), []byte{0x20, 2, 0, 0}},
		"3.1 reserved flag":                 {connectBytes("MQIsdp", 3, 3, "a"), []byte{0x20, 2, 0, 0}},
		"3.1 reserved header bits":          {flags(connectBytes("MQIsdp", 3, 2, "a"), 8), []byte{0x20, 2, 0, 0}},
		"3.1 user name flag without name":   {connectBytes("MQIsdp", 3, 0xC2, "a"), []byte{0x20, 2, 0, 0}},
		"3.1.1 empty id, session kept":      {connectBytes("MQTT", 4, 0, ""), []byte{0x20, 2, 0, 2}},
		"3.1.1 empty id":                    {connectBytes("MQTT", 4, 2, ""), []byte{0x20, 2, 0, 0}},
		"3.1.1 bridge bit":                  {connectBytes("MQTT", 0x84, 2, "a"), []byte{0x20, 2, 0, 0}},
		"3.1.1 reserved flag":               {connectBytes("MQTT", 4, 3, "a"), nil},
		"3.1.1 reserved header bits":        {flags(connectBytes("MQTT", 4, 2, "a"), 1), nil},
		"3.1.1 password without user name":  {connectBytes("MQTT", 4, 0x42, "a", "p"), nil},
		"3.1.1 user name without its field": {connectBytes("MQTT", 4, 0x82, "a"), nil},
		"3.1.1 user name without its flag":  {connectBytes("MQTT", 4, 2, "a", "u"), nil},
		"3.1.1 will QoS without will":       {connectBytes("MQTT", 4, 0x0A, "a"), nil},
		"3.1.1 will retain without will":    {connectBytes("MQTT", 4, 0x22, "a"), nil},
		"3.1.1 will QoS 3":                  {connectBytes("MQTT", 4, 0x1E, "a", "w", "m"), nil},
		"3.1.1 empty will topic":            {connectBytes("MQTT", 4, 6, "a", "", "m"), nil},
		"3.1.1 will topic with wildcard":    {connectBytes("MQTT", 4, 6, "a", "w/#", "m"), nil},
		"3.1.1 empty will message":          {connectBytes("MQTT", 4, 6, "a", "w", ""), []byte{0x20, 2, 0, 0}},
		"3.1.1 U+0000 in the id":            {connectBytes("MQTT", 4, 2, "a\x00b"), nil},
		"3.1.1 surrogate in the user name":  {connectBytes("MQTT", 4, 0x82, "a", "\xED\xA0\x80"), nil},
		"5.0 empty id":                      {connectBytes("MQTT", 5, 0, ""), []byte{0x20, 37, 0, 0}},
		"5.0 password without user name":    {connectBytes("MQTT", 5, 0x42, "a", "p"), []byte{0x20, 14, 0, 0}},
		"5.0 reserved flag":                 {connectBytes("MQTT", 5, 3, "a"), []byte{0x20, 3, 0, 0x81, 0}},
		"5.0 will QoS 3":                    {v5(func(c *mqtt.Connect) { c.Will = &mqtt.Message{Topic: "w", QoS: 3} }), []byte{0x20, 3, 0, 0x81, 0}},
		"5.0 receive maximum 0":             {v5(func(c *mqtt.Connect) { c.Properties.SetUint(mqtt.ReceiveMaximum, 0) }), []byte{0x20, 3, 0, 0x82, 0}},
		"5.0 maximum packet size 0":         {v5(func(c *mqtt.Connect) { c.Properties.SetUint(mqtt.MaximumPacketSize, 0) }), []byte{0x20, 3, 0, 0x82, 0}},
		"5.0 request problem information 2": {v5(func(c *mqtt.Connect) { c.Properties.SetUint(mqtt.RequestProblemInformation, 2) }), []byte{0x20, 3, 0, 0x82, 0}},
		"5.0 property twice": {v5(func(c *mqtt.Connect) {
			c.Properties.SetUint(mqtt.SessionExpiryInterval, 0)
			c.Properties.SetUint(mqtt.SessionExpiryInterval, 0)
		}), []byte{0x20, 3, 0, 0x82, 0}},
		"5.0 property of another packet":         {v5(func(c *mqtt.Connect) { c.Properties.SetUint(mqtt.TopicAlias, 1) }), []byte{0x20, 3, 0, 0x81, 0}},
		"5.0 authentication data without method": {v5(func(c *mqtt.Connect) { c.Properties.SetText(mqtt.AuthenticationData, "x") }), []byte{0x20, 3, 0, 0x82, 0}},
		"5.0 unknown authentication method":      {v5(func(c *mqtt.Connect) { c.Properties.SetText(mqtt.AuthenticationMethod, "x") }), []byte{0x20, 3, 0, 0x8C, 0}},
		"5.0 will response topic with wildcard": {v5(func(c *mqtt.Connect) {
			c.Will = &mqtt.Message{Topic: "w", Properties: []byte{8, 0, 1, '#'}}
		}), []byte{0x20, 3, 0, 0x82, 0}},
		"MQTT level 3":         {connectBytes("MQTT", 3, 2, "a"), []byte{0x20, 2, 0, 1}},
		"MQIsdp level 4":       {connectBytes("MQIsdp", 4, 2, "a"), []byte{0x20, 2, 0, 1}},
		"MQTT level 6":         {connectBytes("MQTT", 6, 2, "a"), []byte{0x20, 3, 0, 0x84, 0}},
		"foreign protocol":     {connectBytes("HTTP", 4, 2, "a"), nil},
		"not CONNECT":          {[]byte{0xC0, 0}, nil},
		"HTTP":                 {[]byte("GET / HTTP/1.1\r\n\r\n"), nil},
		"length of five bytes": {[]byte{0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}, nil},
		"a CONNECT of 256 MB":  {[]byte{0x10, 0xFF, 0xFF, 0xFF, 0x7F}, nil},
		"a PUBLISH of 100 MB":  {[]byte{0x30, 0x80, 0x80, 0x80, 0x32}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			accepted := len(c.want) > 3 && c.want[3] == 0
			if !accepted { // those that are would take over from each other
				t.Parallel()
			}
			r := openRaw(t, s, mqtt.V50)
			r.raw(c.packet)
			if accepted {
				if p := r.expect(mqtt.CONNACK); int(c.want[1]) != len(p.Body) || p.Body[1] != 0 {
					t.Fatalf("CONNACK % x, want % x", p.Body, c.want)
				}
				r.barrier()
				return
			}
			var got []byte
			for _, p := range r.end() {
				got = append(append(got, byte(p.Type)<<4, byte(len(p.Body))), p.Body...)
			}
			if !bytes.Equal(got, c.want) {
				t.Fatalf("received % x and the end, want % x", got, c.want)
			}
		})
	}
}

// [v5 MQTT-3.1.3-6, MQTT-3.1.3-7, MQTT-3.2.2-16]
func TestAssignedClientIdentifier(t *testing.T) {
	s := newServer(t)
	valid := regexp.MustCompile(`^[0-9a-zA-Z]{1,23}$`)
	seen := make(map[string]bool)
	for _, packet := range []mqtt.Connect{clean(mqtt.V50, ""), durable(mqtt.V50, "")} {
		c := connect(t, s, packet)
		id := c.connack.Properties.Text(mqtt.AssignedClientIdentifier)
		if !valid.MatchString(id) || seen[id] {
			t.Fatalf("assigned %q", id)
		}
		seen[id] = true
		if packet.CleanStart {
			continue
		}
		c.drop()
		again := connect(t, s, durable(mqtt.V50, id))
		if !again.connack.SessionPresent || again.connack.Properties.Has(mqtt.AssignedClientIdentifier) {
			t.Fatalf("the assigned identifier does not lead back: %+v", again.connack)
		}
	}
	if c := connect(t, s, clean(mqtt.V50, "mine")); c.connack.Properties.Has(mqtt.AssignedClientIdentifier) {
		t.Fatal("an identifier was assigned to who had one")
	}
}

// What a client may believe when a property is missing is what it may do:
// nothing is announced as unavailable, and no value is sent that says nothing.
func TestConnackProperties(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{ReceiveMaximum: 17, MaxPacketSize: 12345})
	p := connect(t, s, expiring(mqtt.V50, "c", 60)).connack.Properties
	for id, want := range map[mqtt.PropertyID]uint32{mqtt.ReceiveMaximum: 17, mqtt.MaximumPacketSize: 12345, mqtt.TopicAliasMaximum: 64} {
		if got := p.Uint(id, 0); got != want {
			t.Errorf("property 0x%02x is %d, want %d", byte(id), got, want)
		}
	}
	for _, id := range []mqtt.PropertyID{mqtt.MaximumQoS, mqtt.RetainAvailable, mqtt.WildcardSubscriptionAvailable, mqtt.SubscriptionIdentifierAvailable,
		mqtt.SharedSubscriptionAvailable, mqtt.ServerKeepAlive, mqtt.SessionExpiryInterval, mqtt.ResponseInformation, mqtt.AuthenticationMethod} {
		if p.Has(id) {
			t.Errorf("property 0x%02x is there", byte(id))
		}
	}
}

func TestSessionPresent(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		present := func(packet mqtt.Connect, want bool) {
			t.Helper()
			c := connect(t, s, packet)
			if c.connack.SessionPresent != (want && v != mqtt.V31) { // 3.1 reserves the byte
				t.Fatalf("session present %t", c.connack.SessionPresent)
			}
			c.bye()
		}
		id := "present-" + versionName(v)
		present(durable(v, id), false)
		present(durable(v, id), true)
		present(clean(v, id), false) // ends the one that was there [v3 MQTT-3.1.2-6, v5 MQTT-3.1.2-4]
		present(durable(v, id), false)
		present(durable(v, id), true)
	}, versions...)
}

// Packets behind a CONNECT need not wait for the CONNACK [v5 MQTT-3.1.4-6]. They
// are thrown away if it is refused.
func TestPipelinedConnect(t *testing.T) {
	s := newServer(t)
	watch := connect(t, s, clean(mqtt.V311, "watch"))
	watch.subscribe(filter("pipelined", 2))
	behind := func(v mqtt.Version) []byte {
		b := (&mqtt.Subscribe{PacketID: 3, Filters: []mqtt.FilterRequest{filter("pipelined", 1)}}).Append(nil, v)
		b = (&mqtt.Publish{Topic: []byte("pipelined"), Payload: []byte("x"), QoS: 1, PacketID: 7}).Append(b, v)
		return append(b, 0xC0, 0)
	}
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := openRaw(t, s, v)
		packet := clean(v, "pipeline")
		c.raw(append(packet.Append(nil), behind(v)...))
		c.expect(mqtt.CONNACK)
		c.wantCodes(mqtt.SUBACK, 3, mqtt.GrantedQoS1)
		c.wantMessage("pipelined", "x", 1)
		c.wantAck(mqtt.PUBACK, 7, mqtt.Success)
		c.expect(mqtt.PINGRESP)
		watch.wantMessage("pipelined", "x", 1)
		watch.ack(mqtt.PUBACK, 1)
		watch.barrier()
	}, versions...)
	refused := openRaw(t, s, mqtt.V311)
	refused.raw(append(connectBytes("MQTT", 4, 0, ""), behind(mqtt.V311)...))
	if packets := refused.end(); len(packets) != 1 || packets[0].Type != mqtt.CONNACK {
		t.Fatalf("received %v", packets)
	}
	watch.barrier()
}

// A client that does not finish its CONNECT is not waited for for ever, and
// neither does it hold up the end of the broker.
func TestConnectTimeout(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{ConnectTimeout: 50_000_000})
	c := openRaw(t, s, mqtt.V311)
	c.raw([]byte{0x10})
	if packets := c.end(); len(packets) > 0 {
		t.Fatalf("received %v", packets)
	}
}

func TestTooManyConnections(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxConnections: 2})
	connect(t, s, clean(mqtt.V311, "a"))
	b := connect(t, s, clean(mqtt.V311, "b"))
	for v, want := range map[mqtt.Version]string{mqtt.V311: "\x00\x03", mqtt.V50: "\x00\x89\x00"} {
		c := openRaw(t, s, v)
		packet := clean(v, "c")
		c.raw(packet.Append(nil))
		if packets := c.end(); len(packets) != 1 || string(packets[0].Body) != want {
			t.Fatalf("%v: received %v, want % x", versionName(v), packets, want)
		}
	}
	b.bye()
	connect(t, s, clean(mqtt.V311, "c"))
}
