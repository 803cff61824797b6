package update

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"testing"
	"time"
)

// FuzzOpen gives a box bytes that say they are a bundle: it never believes a root that its
// key has not signed.
func FuzzOpen(f *testing.F) {
	key := testKey(1)
	root := testRoot(300, 1)
	whole := writeBundle(f, testManifest(10), root, key, testKey(2))
	f.Add(whole)
	f.Add(whole[:200])
	f.Add([]byte(magic))
	keys := trust(key)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readAll(b, keys)
		if err != nil {
			if !isType[*Refusal](err) {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		if !bytes.Equal(got, root) {
			t.Fatal("a root is believed that nobody signed")
		}
	})
}

// FuzzManifest reads what somebody with the key has signed.
func FuzzManifest(f *testing.F) {
	m := testManifest(10)
	m.Format, m.Keys = Format, []KeyID{{1}}
	m.Root = Blob{Size: 5}
	m.Payload = Payload{Kind: RootPayload, Blob: m.Root}
	good, err := json.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1}`))
	r := Release{Board: "lintel", Kernel: "6.12.47-v8", Counter: 9}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			if !isType[*Refusal](err) {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		_ = r.Judge(m, time.Now(), MaxRoot)
		// What is believed can be written and is the same afterwards.
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseManifest(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if textAgain, _ := json.Marshal(again); !bytes.Equal(text, textAgain) {
			t.Fatalf("%s became %s", text, textAgain)
		}
	})
}

// FuzzIndex reads an index that was signed, and one that was not.
func FuzzIndex(f *testing.F) {
	key := testKey(1)
	file := testIndex(f, key, testEntry(f, key, 10, Stable, 50))
	f.Add(file)
	var e envelope
	if err := json.Unmarshal(file, &e); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(e.Index))
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := ParseIndex(b, trust(testKey(2))); err == nil {
			t.Fatalf("an index is believed that nobody signed: %+v", x)
		} else if !isType[*Refusal](err) {
			t.Fatalf("%v is no refusal", err)
		}
		signatures, err := sign(indexPrefix, b, []ed25519.PrivateKey{key})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := json.Marshal(envelope{Signatures: []envelopeSignature{{signatures[0].key, signatures[0].bytes[:]}}, Index: string(b)})
		if err != nil {
			t.Fatal(err)
		}
		x, err := ParseIndex(signed, trust(key))
		if err != nil {
			if !isType[*Refusal](err) {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		r := Release{Board: "lintel", Kernel: "6.12.47-v8", Counter: 9}
		_ = x.Offer(r, Beta, "box", false, time.Now(), MaxRoot)
		if _, err := x.Encode(key); err != nil {
			t.Fatalf("what is believed cannot be written: %v", err)
		}
	})
}

// FuzzContentRange reads what a web server says of a part.
func FuzzContentRange(f *testing.F) {
	f.Add("bytes 5-9/10")
	f.Add("bytes 5-9/*")
	f.Fuzz(func(t *testing.T, s string) {
		if first, total, ok := contentRange(s); ok && (first < 0 || first >= total) {
			t.Fatalf("%q: first %d of %d", s, first, total)
		}
	})
}

// FuzzKeys reads keys out of a configuration.
func FuzzKeys(f *testing.F) {
	f.Add(trust(testKey(1), testKey(2)).String())
	f.Fuzz(func(t *testing.T, s string) {
		keys, err := ParseKeys(s)
		if err != nil {
			return
		}
		again, err := ParseKeys(keys.String())
		if err != nil || again.String() != keys.String() {
			t.Fatalf("%q: %v, %v", s, again, err)
		}
	})
}
