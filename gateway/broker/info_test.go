package broker_test

import (
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// What a page tells of a client is what the client asked for and what it got.
func TestClientDetail(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{Authorize: allowAll})
	packet := willing(durable(mqtt.V50, "kitchen"), 7)
	packet.HasUserName, packet.UserName = true, "somebody"
	packet.KeepAlive = 60
	c := connect(t, s, packet)
	c.subscribe(mqtt.FilterRequest{Filter: "a/+", Options: 1 | mqtt.NoLocal | mqtt.RetainAsPublished}, filter("$share/g/b/#", 2))
	house, err := s.NewClient("house")
	if err != nil {
		t.Fatal(err)
	}
	defer house.Close()
	for i := range 3 {
		if err := house.Publish(t.Context(), mqtt.Message{Topic: "a/1", Payload: []byte("12345"), QoS: mqtt.QoS(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		c.expect(mqtt.PUBLISH)
	}
	c.publish("c", "four", 0, false)
	c.barrier()
	d, ok := s.Client("kitchen")
	if !ok || !d.Connected || d.KeepAlive != time.Minute || d.SessionExpiry == 0 || !d.Persistent || d.Listener != "tcp" || d.CleanStart {
		t.Errorf("%+v", d.ClientInfo)
	}
	if d.Sent != 3 || d.SentBytes != 15 || d.Received != 1 || d.ReceivedBytes != 4 || d.InFlight != 2 || d.Queued != 2 || d.QueuedBytes == 0 || d.Blocked {
		t.Errorf("%+v", d.ClientInfo)
	}
	if len(d.Filters) != 2 || d.Filters[0].Filter != "$share/g/b/#" || d.Filters[1].Filter != "a/+" || !d.Filters[1].Options.NoLocal() ||
		!d.Filters[1].Options.RetainAsPublished() || d.Filters[1].Options.QoS() != 1 {
		t.Errorf("%+v", d.Filters)
	}
	if d.Will == nil || d.Will.Delay != 7 || d.Will.Topic == "" {
		t.Errorf("%+v", d.Will)
	}
	if _, ok := s.Client("nobody"); ok {
		t.Error("a session of nobody")
	}
	if info, _ := s.Client("house"); info.Received != 3 || info.RemoteAddr != "in-process" {
		t.Errorf("%+v", info.ClientInfo)
	}
	c.drop()
}

// A message that a client did not get says why.
func TestDropsByReason(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxQueuedMessages: 2})
	packet := durable(mqtt.V50, "away")
	packet.Properties.SetUint(mqtt.MaximumPacketSize, 100)
	c := connect(t, s, packet)
	c.subscribe(filter("t", 1))
	house, err := s.NewClient("house")
	if err != nil {
		t.Fatal(err)
	}
	defer house.Close()
	publish := func(size int) {
		t.Helper()
		if err := house.Publish(t.Context(), mqtt.Message{Topic: "t", Payload: make([]byte, size), QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	publish(200)
	c.barrier()
	c.drop()
	for range 5 {
		publish(1)
	}
	d, _ := s.Client("away")
	if d.Drops[broker.DropTooLarge] != 1 || d.Drops[broker.DropQueueFull] != 3 || d.Dropped != 4 {
		t.Errorf("dropped %+v, %d in all", d.Drops, d.Dropped)
	}
}

func TestShares(t *testing.T) {
	for _, x := range []struct {
		name   string
		memory int // for queues, bytes
		all    bool
	}{{"in memory", 32 << 20, true}, {"in the store", 1, false}} {
		t.Run(x.name, func(t *testing.T) {
			s := startServer(t, t.TempDir(), broker.Options{QueueMemory: x.memory})
			one, two := connect(t, s, durable(mqtt.V50, "one")), connect(t, s, durable(mqtt.V50, "two"))
			one.subscribe(filter("$share/crew/jobs/#", 1), filter("plain", 1))
			two.subscribe(filter("$share/crew/jobs/#", 1))
			two.drop()
			one.drop()
			house, err := s.NewClient("house")
			if err != nil {
				t.Fatal(err)
			}
			defer house.Close()
			for _, topic := range []string{"jobs/1", "jobs/2", "jobs/3", "plain"} {
				if err := house.Publish(t.Context(), mqtt.Message{Topic: topic, QoS: 1}); err != nil {
					t.Fatal(err)
				}
			}
			shares := s.Shares()
			if len(shares) != 1 || shares[0].Filter != "$share/crew/jobs/#" || len(shares[0].Members) != 2 ||
				shares[0].Members[0].ClientID != "one" || shares[0].Members[0].Connected || shares[0].Members[0].QoS != 1 {
				t.Fatalf("%+v", shares)
			}
			// Of what is in the store alone it is not known by which subscription it came.
			if share := shares[0]; share.Members[0].Queued+share.Members[1].Queued != 4 || share.More == x.all || share.Waiting != 3 && x.all || share.Waiting > 2 && !x.all {
				t.Errorf("%+v", share)
			}
		})
	}
}
