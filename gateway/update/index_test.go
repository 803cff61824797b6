package update

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// testEntry returns an entry of a bundle with a root of 1000 bytes.
func testEntry(t testing.TB, key ed25519.PrivateKey, counter int64, channel Channel, percent float64) Entry {
	t.Helper()
	m := testManifest(counter)
	m.Version = fmt.Sprintf("1.0.%d", counter)
	b := writeBundle(t, m, testRoot(1000, byte(counter)), key)
	return entryOf(t, b, trust(key), channel, percent)
}

func entryOf(t testing.TB, b []byte, keys Keys, channel Channel, percent float64) Entry {
	t.Helper()
	bundle, err := Open(strings.NewReader(string(b)), keys)
	if err != nil {
		t.Fatal(err)
	}
	return Entry{
		Channel: channel, Percent: percent, File: bundle.Manifest.Version + ".lintel",
		Bundle: Blob{Size: int64(len(b)), SHA256: sha256.Sum256(b)}, Manifest: bundle.Manifest,
	}
}

func testIndex(t testing.TB, key ed25519.PrivateKey, entries ...Entry) []byte {
	t.Helper()
	x := Index{Format: Format, Updated: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), Entries: entries}
	b, err := x.Encode(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestIndexIsSigned(t *testing.T) {
	key := testKey(1)
	file := testIndex(t, key, testEntry(t, key, 10, Stable, 50))
	x, err := ParseIndex(file, trust(testKey(2), key))
	if err != nil || len(x.Entries) != 1 || x.Entries[0].Manifest.Counter != 10 {
		t.Fatalf("%+v, %v", x, err)
	}
	_, err = ParseIndex(file, trust(testKey(2)))
	wantRefusal(t, err, UnknownKey)
	_, err = ParseIndex([]byte(strings.Replace(string(file), `\"percent\": 50`, `\"percent\": 99`, 1)), trust(key))
	wantRefusal(t, err, BadSignature)
	_, err = ParseIndex([]byte("<html>log in to this network"), trust(key))
	wantRefusal(t, err, Malformed)
	_, err = ParseIndex(make([]byte, MaxIndex+1), trust(key))
	wantRefusal(t, err, TooLarge)
}

// TestIndexOfTomorrow: releases of a later format do not keep a box from those it knows.
func TestIndexOfTomorrow(t *testing.T) {
	key := testKey(1)
	text := `{"format":1,"updated":"2026-11-22T00:00:00Z","news":[1],"releases":[{"channel":"nightly","manifest":{"format":2,"counter":"new"}}]}`
	signatures, err := sign(indexPrefix, []byte(text), []ed25519.PrivateKey{key})
	if err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf(`{"signatures":[{"key":%q,"signature":%q}],"index":%q}`, signatures[0].key, base64Of(signatures[0].bytes[:]), text)
	x, err := ParseIndex([]byte(file), trust(key))
	if err != nil || len(x.Entries) != 0 {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestOffer(t *testing.T) {
	key := testKey(1)
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	old := testEntry(t, key, 8, Stable, 100)
	stable := testEntry(t, key, 10, Stable, 100)
	beta := testEntry(t, key, 12, Beta, 100)
	staged := testEntry(t, key, 14, Stable, 0)
	kernel := testEntry(t, key, 16, Stable, 100)
	kernel.Manifest.Kernel = "6.18.1-v8"
	far := testEntry(t, key, 18, Stable, 100)
	far.Manifest.MinimumCounter = 17
	board := testEntry(t, key, 20, Stable, 100)
	board.Manifest.Board = "lintel-vm-amd64"

	for name, test := range map[string]struct {
		entries                 []Entry
		channel                 Channel
		asked                   bool
		entry, waiting, refused int64 // counters; 1: some refusal
	}{
		"nothing":                {channel: Stable},
		"nothing newer":          {entries: []Entry{old, board}, channel: Stable},
		"the newest":             {entries: []Entry{stable, testEntry(t, key, 11, Stable, 100), old}, channel: Stable, entry: 11},
		"beta is not for stable": {entries: []Entry{stable, beta}, channel: Stable, entry: 10},
		"beta":                   {entries: []Entry{stable, beta}, channel: Beta, entry: 12},
		"stable is for beta":     {entries: []Entry{beta, testEntry(t, key, 13, Stable, 100)}, channel: Beta, entry: 13},
		"staged":                 {entries: []Entry{stable, staged}, channel: Stable, entry: 10, waiting: 14},
		"staged, asked":          {entries: []Entry{stable, staged}, channel: Stable, asked: true, entry: 14},
		"another kernel":         {entries: []Entry{stable, kernel}, channel: Stable, entry: 10, refused: 1},
		"kernel of the past":     {entries: []Entry{kernel, testEntry(t, key, 17, Stable, 100)}, channel: Stable, entry: 17},
		"by way of another":      {entries: []Entry{far, stable}, channel: Stable, entry: 10, refused: 1},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := ParseIndex(testIndex(t, key, test.entries...), trust(key))
			if err != nil {
				t.Fatal(err)
			}
			r := Release{Version: "1.0.9", Counter: 9, Board: "lintel", Kernel: "6.12.47-v8"}
			o := x.Offer(r, test.channel, "box", test.asked, now, MaxRoot)
			counter := func(e *Entry) int64 {
				if e == nil {
					return 0
				}
				return e.Manifest.Counter
			}
			if counter(o.Entry) != test.entry || counter(o.Waiting) != test.waiting || (o.Refused != nil) != (test.refused != 0) {
				t.Errorf("entry %d, waiting %d, refused %v", counter(o.Entry), counter(o.Waiting), o.Refused)
			}
		})
	}
}

// TestShare: boxes are spread evenly, a box stays in when the percentage grows, and other
// boxes are first with another version.
func TestShare(t *testing.T) {
	const boxes = 20_000
	for _, percent := range []float64{1, 10, 50, 99} {
		in := 0
		for i := range boxes {
			if Share(fmt.Sprint("box", i), "1.2.3") < percent {
				in++
			}
		}
		want := percent / 100 * boxes
		if deviation := math.Sqrt(want * (1 - percent/100)); math.Abs(float64(in)-want) > 5*deviation {
			t.Errorf("%v %%: %d of %d boxes", percent, in, boxes)
		}
	}
	both := 0
	for i := range boxes {
		box := fmt.Sprint("box", i)
		s := Share(box, "1.2.3")
		if s < 0 || s >= 100 || s != Share(box, "1.2.3") {
			t.Fatalf("share %v", s)
		}
		if s < 10 && Share(box, "1.2.4") < 10 {
			both++
		}
	}
	if both > boxes/100*2 {
		t.Errorf("%d of %d boxes are among the first tenth twice", both, boxes)
	}
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
