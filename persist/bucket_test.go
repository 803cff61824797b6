package persist

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"lintel/gateway/mqtt"
)

type lamp struct {
	Name  string         `json:"name"`
	Watts int            `json:"watts,omitempty"`
	Parts map[string]int `json:"parts,omitempty"`
}

func bucket[T any](t testing.TB, s *Store, name string) *Bucket[T] {
	t.Helper()
	b, err := NewBucket[T](s, name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func putValue[T any](t testing.TB, b *Bucket[T], key string, value T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Put(ctx, key, value); err != nil {
		t.Fatal(err)
	}
}

func names(b *Bucket[lamp]) string {
	var all []string
	for key, l := range b.All() {
		all = append(all, key+"="+l.Name)
	}
	return strings.Join(all, " ")
}

func TestBucket(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	b := bucket[lamp](t, s, "lamps")
	other := bucket[int](t, s, "lamps2") // the same beginning
	putValue(t, b, "k", lamp{Name: "kitchen", Watts: 7, Parts: map[string]int{"bulb": 2}})
	putValue(t, b, "h", lamp{Name: "hall"})
	putValue(t, b, "a\x00b", lamp{Name: "zero in the key"})
	putValue(t, b, strings.Repeat("l", MaxBucketKey), lamp{Name: "long"})
	putValue(t, b, "gone", lamp{Name: "gone"})
	putValue(t, other, "n", 42)
	if err := b.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), "never was"); err != nil {
		t.Fatal(err)
	}
	putValue(t, b, "h", lamp{Name: "hallway"})
	check := func(b *Bucket[lamp], other *Bucket[int]) {
		t.Helper()
		if got, want := names(b), "a\x00b=zero in the key h=hallway k=kitchen "+strings.Repeat("l", MaxBucketKey)+"=long"; got != want {
			t.Errorf("holds %q, want %q", got, want)
		}
		got, ok := b.Get("k")
		if !ok || got.Watts != 7 || got.Parts["bulb"] != 2 {
			t.Errorf("k is %+v %t", got, ok)
		}
		got.Parts["bulb"] = 3 // a copy
		if again, _ := b.Get("k"); again.Parts["bulb"] != 2 {
			t.Error("who gets a value can change what the bucket holds")
		}
		if _, ok := b.Get("gone"); ok {
			t.Error("what was deleted is there")
		}
		if n, _ := other.Get("n"); n != 42 {
			t.Errorf("the other bucket holds %d", n)
		}
	}
	check(b, other)
	closeStore(t, s)

	s = open(t, dir, Options{})
	if state := load(t, s); len(state.Damaged) > 0 {
		t.Errorf("Load says %q", state.Damaged)
	}
	check(bucket[lamp](t, s, "lamps"), bucket[int](t, s, "lamps2"))
	// A later version has other fields.
	type lampToo struct{ Watts, Volts int }
	if l, ok := bucket[lampToo](t, s, "lamps").Get("k"); !ok || l.Watts != 7 {
		t.Errorf("with other fields: %+v %t", l, ok)
	}
}

func TestBucketRefusesWhatIsTooLarge(t *testing.T) {
	s := open(t, t.TempDir(), Options{MemTableSize: minMemTableSize})
	for _, name := range []string{"", "a\x00b", strings.Repeat("n", maxBucketName+1)} {
		if _, err := NewBucket[int](s, name); err == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
	b := bucket[string](t, s, "b")
	for _, c := range []struct{ key, value string }{
		{"", "v"},
		{strings.Repeat("k", MaxBucketKey+1), "v"},
		{"k", strings.Repeat("v", MaxBucketValue)}, // and two quotes
	} {
		if err := b.Put(t.Context(), c.key, c.value); err == nil {
			t.Errorf("taken: %d bytes under a key of %d", len(c.value), len(c.key))
		}
		if c.key != "k" {
			if err := b.Delete(t.Context(), c.key); err == nil {
				t.Errorf("a key of %d bytes was deleted", len(c.key))
			}
		}
	}
	putValue(t, b, strings.Repeat("k", MaxBucketKey), strings.Repeat("v", MaxBucketValue-2))
	if err := bucket[func()](t, s, "f").Put(t.Context(), "k", nil); err == nil {
		t.Error("a value that JSON cannot hold was taken")
	}
}

func TestBucketOfAStoreThatIsOver(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	b := bucket[int](t, s, "b")
	// Close while many put: each of them ends, and none lies.
	var wait sync.WaitGroup
	stored := make([]bool, 64)
	for i := range stored {
		wait.Go(func() { stored[i] = b.Put(context.Background(), fmt.Sprint(i), i) == nil })
	}
	closeStore(t, s)
	wait.Wait()
	if err := b.Put(context.Background(), "late", 1); err == nil {
		t.Error("a closed store took a value")
	}
	s = open(t, dir, Options{})
	there := maps.Collect(bucket[int](t, s, "b").All())
	for i, ok := range stored {
		if _, is := there[fmt.Sprint(i)]; ok && !is {
			t.Errorf("%d was stored and is not there", i)
		}
	}

	b = bucket[int](t, s, "b")
	release := hold(t, s)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if err := b.Put(ctx, "x", 1); !errors.Is(err, enough) {
		t.Errorf("Put says %v", err)
	}
	release()
	s.fail(errors.New("no disk"))
	if err := b.Put(t.Context(), "x", 1); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("Put on a failed store says %v", err)
	}
}

// A value that is damaged, or that another program version wrote in a way that
// cannot be read, takes nothing else down.
func TestBucketWithDamage(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := bucket[lamp](t, s, "b")
	putValue(t, b, "good", lamp{Name: "g"})
	damaged := append([]byte{prefixBucket}, bucketKey("b", "damaged")...)
	put(t, s, damaged, append(seal(damaged, []byte(`{}`)), 0))
	odd := append([]byte{prefixBucket}, bucketKey("b", "odd")...)
	put(t, s, odd, seal(odd, []byte(`["no lamp"]`)))
	b = bucket[lamp](t, s, "b")
	if got := names(b); got != "good=g" {
		t.Errorf("holds %q", got)
	}
	state := load(t, s)
	if want := `"damaged" of bucket "b": checksum does not match`; len(state.Damaged) != 1 || state.Damaged[0] != want {
		t.Errorf("Load says %q, want %q", state.Damaged, want)
	}
	putValue(t, b, "damaged", lamp{Name: "d"})
	commit(t, s, batch(func(b *Batch) { b.PutRetained(&mqtt.Message{Topic: "t"}) }))
	if got := names(bucket[lamp](t, s, "b")); got != "damaged=d good=g" {
		t.Errorf("after another put it holds %q", got)
	}
}
