package broker_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// smallDisk mounts a file system of so many MB.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("LINTEL_NEED_ALL") == "1" {
			t.Fatalf("a small disk cannot be mounted, for which root is needed: %v", err)
		}
		t.Skipf("a small disk cannot be mounted, for which root is needed: %v", err)
	}
	t.Cleanup(func() { // runs after the broker's
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestDiskFull: when the disk is nearly full nobody is told that a message is safe
// which is not; what needs no room goes on, and so does everything when there is room
// again.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t, "size=128m")
	s := startServer(t, filepath.Join(disk, "store"), broker.Options{})
	for _, name := range []string{"away", "sharing"} {
		c := connect(t, s, durable(mqtt.V50, name))
		c.subscribe(filter(map[string]string{"away": "kept", "sharing": "$share/g/shared"}[name], 1))
		c.bye()
	}
	from := connect(t, s, clean(mqtt.V50, "from"))
	from.publish("retained", "before", 1, true)
	from.publish("kept", "before", 1, false)
	watch := connect(t, s, clean(mqtt.V50, "watch"))
	watch.subscribe(filter("#", 0))
	watch.wantMessage("retained", "before", 0)

	filler := filepath.Join(disk, "filler")
	fill := func() {
		t.Helper()
		var st syscall.Statfs_t
		if err := syscall.Statfs(disk, &st); err != nil {
			t.Fatal(err)
		}
		// Between the reserve of 24 MB and its half.
		if err := os.WriteFile(filler, make([]byte, int64(st.Bavail)*int64(st.Bsize)-18<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	inside := newClient(t, s, "inside")
	keep := mqtt.Message{Topic: "kept", Payload: []byte("refused"), QoS: 1}
	isFull := func(err error) bool {
		reason := (*mqtt.Error)(nil)
		return errors.As(err, &reason) && reason.Code == mqtt.QuotaExceeded
	}
	eventually(t, "the disk to be found full", func() bool { return isFull(inside.Publish(t.Context(), keep)) })
	before := s.Stats().Exceeded[broker.LimitDiskSpace]

	for qos, typ := range map[mqtt.QoS]mqtt.PacketType{1: mqtt.PUBACK, 2: mqtt.PUBREC} {
		for _, topic := range []string{"kept", "shared"} {
			from.send(pub(topic, "refused", qos, 7))
			from.wantAck(typ, 7, mqtt.QuotaExceeded)
		}
	}
	m := pub("retained", "refused", 1, 7)
	m.Retain = true
	from.send(m)
	from.wantAck(mqtt.PUBACK, 7, mqtt.QuotaExceeded)
	lasting := connect(t, s, durable(mqtt.V50, "lasting"))
	lasting.send(pub("nobody", "refused", 2, 7)) // the store would hold its packet id
	lasting.wantAck(mqtt.PUBREC, 7, mqtt.QuotaExceeded)
	old := connect(t, s, clean(mqtt.V311, "old"))
	old.send(pub("kept", "refused", 1, 7))
	if got := old.end(); len(got) > 0 {
		t.Errorf("before 5.0: %v", got)
	}
	if n := s.Stats().Exceeded[broker.LimitDiskSpace] - before; n != 7 {
		t.Errorf("%d messages counted, want 7", n)
	}

	// Nobody has heard of these. What needs no room is heard.
	from.exchange(pub("free", "x", 2, 7))
	from.publish("kept", "y", 0, false)
	from.publish("retained", "", 1, true)
	watch.take(3, func(i int, m *mqtt.Publish) {
		if want := []string{"x", "y", ""}[i]; string(m.Payload) != want {
			t.Errorf("message %d is %q, want %q", i, m.Payload, want)
		}
	})
	away := connect(t, s, durable(mqtt.V50, "away"))
	away.ack(mqtt.PUBACK, away.wantMessage("kept", "before", 1).PacketID)
	away.barrier()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	keep.Payload = []byte("after")
	eventually(t, "room", func() bool { return inside.Publish(t.Context(), keep) == nil })
	away.wantMessage("kept", "after", 1)

	// The packet id that was refused is not taken for that of a repetition.
	lasting.exchange(pub("nobody", "x", 2, 7))

	// And all is there after a restart on a full disk.
	away.drop()
	fill()
	s.stop()
	s = startServer(t, s.dir, broker.Options{})
	connect(t, s, durable(mqtt.V50, "away")).wantMessage("kept", "after", 1)
}
