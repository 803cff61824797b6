package homeassistant

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A word that changes is told at the next look, a number with the next minute, and one
// that counts down at each look, but not for the store.
func TestBoxStateTellsWhatMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		values := map[string]any{"storage": "ok", "clients": 1, "seconds": 0}
		set := func(key string, value any) {
			mu.Lock()
			defer mu.Unlock()
			values[key] = value
		}
		r := newRecorder()
		s := NewBoxState(BoxStateOptions{Broker: r, Live: []string{"seconds"}, Values: func() map[string]any {
			mu.Lock()
			defer mu.Unlock()
			copied := make(map[string]any)
			for key, value := range values {
				copied[key] = value
			}
			return copied
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		r.take()
		expect := func(what string, wait time.Duration, want ...string) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			var got []string
			for _, m := range r.take() {
				flag := "live "
				if m.Retain {
					flag = "kept "
				}
				got = append(got, flag+string(m.Payload))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: sent %q, want %q", what, got, want)
			}
		}
		set("storage", "nearly full")
		expect("a word", boxLook, `kept {"clients":1,"seconds":0,"storage":"nearly full"}`)
		set("clients", 2)
		expect("a number", boxInterval-time.Second)
		expect("the minute", boxLook, `kept {"clients":2,"seconds":0,"storage":"nearly full"}`)
		set("seconds", 20)
		expect("a count", boxLook, `live {"clients":2,"seconds":20,"storage":"nearly full"}`)
		set("seconds", 10)
		expect("down", boxLook, `live {"clients":2,"seconds":10,"storage":"nearly full"}`)
		expect("nothing", boxLook)
		for range 5 {
			s.Changed()
		}
		expect("asked for", boxLook, `kept {"clients":2,"seconds":10,"storage":"nearly full"}`)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
