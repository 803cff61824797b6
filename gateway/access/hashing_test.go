package access

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"
)

// storm logs clients in, all at once, and returns how many argon2 that cost and by how much
// the heap grew at most.
func storm(t *testing.T, u *Users, clients int, user func(i int) string, password []byte) (cost int64, growth uint64) {
	t.Helper()
	ctx := t.Context()
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtime.GC()
	metrics.Read(heap)
	before := heap[0].Value.Uint64()
	start := time.Now()
	over := make(chan struct{})
	cost = computations(u, func() {
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				if _, err := u.Verify(ctx, user(i), password, fmt.Sprint("client", i)); err != nil {
					t.Errorf("%s: %v", user(i), err)
				}
			})
		}
		go func() {
			all.Wait()
			close(over)
		}()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for done := false; !done; {
			select {
			case <-tick.C:
			case <-over:
				done = true
			}
			metrics.Read(heap)
			growth = max(growth, heap[0].Value.Uint64())
		}
	})
	growth -= min(growth, before)
	t.Logf("%d logins: %d argon2, %d MiB more heap, %v", clients, cost, growth>>20, time.Since(start).Round(time.Millisecond))
	return cost, growth
}

// TestLoginStorm is what happens when the power comes back.
func TestLoginStorm(t *testing.T) {
	clients := 200
	if testing.Short() {
		clients = 20
	}
	u := openUsers(t)
	// All have the same hash, which saves making 200 and nothing else: proofs are by user.
	hash := newHash([]byte("right"))
	var users []User
	for i := range clients {
		users = append(users, User{Name: fmt.Sprint("user", i), Hash: hash})
	}
	if err := u.Import(t.Context(), users); err != nil {
		t.Fatal(err)
	}
	own := func(i int) string { return users[i].Name }
	cost, growth := storm(t, u, clients, own, []byte("right"))
	if cost != int64(clients) {
		t.Errorf("%d clients cost %d argon2", clients, cost)
	}
	// Two hashes, one that was and what the logins themselves need.
	if growth > 64<<20 {
		t.Errorf("the heap grew by %d MiB", growth>>20)
	}
	if cost, _ := storm(t, u, clients, own, []byte("right")); cost != 0 {
		t.Errorf("the second time cost %d argon2", cost)
	}
}

// TestLoginStormOfOneUser is a house where all devices have the same login.
func TestLoginStormOfOneUser(t *testing.T) {
	for _, c := range []struct{ name, hash, password string }{
		{"own", newHash([]byte("right")), "right"},
		{"imported", foreignHashes[1].hash, foreignHashes[1].password}, // the one is that of the new hash
	} {
		u := openUsers(t)
		createUser(t, u, User{Name: "device", Hash: c.hash})
		one := func(int) string { return "device" }
		for i := range 2 {
			if cost, _ := storm(t, u, 200, one, []byte(c.password)); cost != int64(1-i) {
				t.Errorf("%s: storm %d cost %d argon2", c.name, i, cost)
			}
		}
	}
}

// TestStormOfLargeHashes is 20 users as they come from mosquitto 2.1.
func TestStormOfLargeHashes(t *testing.T) {
	const clients = 20
	u := openUsers(t)
	hash := as2x1("right")
	for i := range clients {
		createUser(t, u, User{Name: fmt.Sprint("user", i), Hash: hash})
	}
	cost, growth := storm(t, u, clients, func(i int) string { return fmt.Sprint("user", i) }, []byte("right"))
	if cost != 2*clients { // the old hash and the new one
		t.Errorf("%d clients cost %d argon2", clients, cost)
	}
	if growth > 2*47<<20 { // one at a time, and one that was
		t.Errorf("the heap grew by %d MiB", growth>>20)
	}
}
