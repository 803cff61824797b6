package serialbridge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
)

// disk is a Memory.
type disk struct {
	texts map[string]string
	full  bool
}

func (d *disk) All() iter.Seq2[string, string] { return maps.All(d.texts) }

func (d *disk) Put(_ context.Context, key, value string) error {
	if d.full {
		return errors.New("full")
	}
	d.texts[key] = value
	return nil
}

func (d *disk) Delete(_ context.Context, key string) error {
	delete(d.texts, key)
	return nil
}

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &disk{texts: map[string]string{"one/a": "1", "one/b/c": "2", "two/a": "3"}}
		m := newMemory(kept)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() { m.keep(ctx, func(err error) { t.Error(err) }); close(done) }()

		if got := m.recall("one"); !maps.Equal(got, map[string]string{"a": "1", "b/c": "2"}) {
			t.Errorf("recalled %v", got)
		}
		m.recall("one")["a"] = "the caller's"
		m.remember("one", "a", "4")
		m.remember("one", "b/c", "")
		synctest.Wait()
		m.remember("three", "new", "5")
		m.remember("three", "new", "6")
		cancel()
		<-done // what came before is on the disk
		want := map[string]string{"one/a": "4", "two/a": "3", "three/new": "6"}
		if !maps.Equal(kept.texts, want) {
			t.Errorf("the disk has %v, want %v", kept.texts, want)
		}
		if got := newMemory(kept).recall("three"); !maps.Equal(got, map[string]string{"new": "6"}) {
			t.Errorf("recalled %v", got)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(nil)
	for _, bad := range [][2]string{{"", "x"}, {"ü", "x"}, {"a\n", "x"}, {strings.Repeat("k", maxMemoryKey+1), "x"}, {"k", strings.Repeat("v", maxMemoryValue+1)}} {
		if got := m.remember("p", bad[0], bad[1]); got != "unusable memory" {
			t.Errorf("%.20q: %q", bad, got)
		}
	}
	for i := range maxMemoryKeys {
		if got := m.remember("p", fmt.Sprint(i), "x"); got != "" {
			t.Fatal(i, got)
		}
	}
	if got := m.remember("p", "more", "x"); got != "memory full" {
		t.Errorf("one more: %q", got)
	}
	if got := m.remember("p", "0", "y"); got != "" {
		t.Errorf("a known one: %q", got)
	}
	if got := m.remember("other", "0", "y"); got != "" {
		t.Errorf("another protocol: %q", got)
	}
}

// What cannot be written is said, and the house goes on.
func TestMemoryOfAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(&disk{full: true, texts: map[string]string{}})
		complaints := 0
		go m.keep(t.Context(), func(error) { complaints++ })
		m.remember("p", "a", "1")
		synctest.Wait()
		if complaints != 1 || m.recall("p")["a"] != "1" {
			t.Errorf("%d complaints, recalled %v", complaints, m.recall("p"))
		}
	})
}
