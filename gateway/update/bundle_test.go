package update

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// testKey returns a private key that is the same for the same number.
func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

// trust returns the public keys of the private ones.
func trust(private ...ed25519.PrivateKey) Keys {
	var keys Keys
	for _, k := range private {
		keys = append(keys, k.Public().(ed25519.PublicKey))
	}
	return keys
}

func testManifest(counter int64) Manifest {
	return Manifest{
		Version: "1.2.3", Counter: counter, Board: "lintel", Kernel: "6.12.47-v8",
		Released: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		Expires:  time.Date(2027, 11, 22, 12, 0, 0, 0, time.UTC),
		Notes:    Notes{Summary: "It does more.", URL: "https://example.com/notes"},
	}
}

// testRoot returns size bytes that look like nothing, the same for the same seed.
func testRoot(size int, seed byte) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func writeBundle(t testing.TB, m Manifest, root []byte, signers ...ed25519.PrivateKey) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Write(&b, m, bytes.NewReader(root), signers...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// wantRefusal fails the test unless err is a refusal for the reason, with a sentence.
func wantRefusal(t testing.TB, err error, reason Reason) {
	t.Helper()
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok || refusal.Reason != reason {
		t.Fatalf("got %v (%T), want a refusal for %q", err, err, reason)
	}
	if len(refusal.Text) < 20 || refusal.Text[len(refusal.Text)-1] != '.' {
		t.Errorf("%q is no sentence", refusal.Text)
	}
}

func TestBundleRoundTrip(t *testing.T) {
	current, next := testKey(1), testKey(2)
	root := testRoot(100_000, 1)
	b := writeBundle(t, testManifest(10), root, current, next)
	for _, keys := range []Keys{trust(current), trust(next), trust(next, current)} {
		bundle, err := Open(bytes.NewReader(b), keys)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(bundle.Root())
		if err != nil || !bytes.Equal(got, root) {
			t.Fatalf("root of %d bytes, err %v", len(got), err)
		}
		if bundle.HeadSize+bundle.Manifest.Payload.Size != int64(len(b)) {
			t.Errorf("head of %d bytes and payload of %d, bundle of %d", bundle.HeadSize, bundle.Manifest.Payload.Size, len(b))
		}
	}
	_, err := Open(bytes.NewReader(b), trust(testKey(3)))
	wantRefusal(t, err, UnknownKey)
}

// TestRotation follows a box through the retirement of a key: it trusts what the two keys
// of its release sign, and the release after has other keys.
func TestRotation(t *testing.T) {
	first, second, third := testKey(1), testKey(2), testKey(3)
	both := writeBundle(t, testManifest(10), testRoot(5000, 1), first, second)
	for name, keys := range map[string]Keys{"current": trust(first), "next": trust(second), "both": trust(first, second), "after": trust(second, third)} {
		if _, err := Open(bytes.NewReader(both), keys); err != nil {
			t.Errorf("a box that trusts %s: %v", name, err)
		}
	}
	// The release after trusts second and third: what first alone signs is refused.
	_, err := Open(bytes.NewReader(writeBundle(t, testManifest(11), testRoot(5000, 1), first)), trust(second, third))
	wantRefusal(t, err, UnknownKey)
	if _, err := Open(bytes.NewReader(writeBundle(t, testManifest(11), testRoot(5000, 1), second, third)), trust(first, second)); err != nil {
		t.Errorf("a box that has not followed yet: %v", err)
	}
}

// TestEveryBitCounts flips bits: no bundle that differs in one is read to its end.
func TestEveryBitCounts(t *testing.T) {
	key := testKey(1)
	root := testRoot(3000, 1)
	whole := writeBundle(t, testManifest(10), root, key)
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		if got, err := readAll(b, trust(key)); err == nil {
			t.Fatalf("byte %d changed, and %d bytes of root are believed", i, len(got))
		} else if !isType[*Refusal](err) {
			t.Fatalf("byte %d changed: %v is no refusal", i, err)
		}
	}
	for n := range whole {
		_, err := readAll(whole[:n], trust(key))
		wantRefusal(t, err, Malformed)
	}
	_, err := readAll(append(bytes.Clone(whole), 0), trust(key))
	wantRefusal(t, err, Malformed)
}

func readAll(b []byte, keys Keys) ([]byte, error) {
	bundle, err := Open(iotest.HalfReader(bytes.NewReader(b)), keys)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(bundle.Root())
}

// TestSignatureStandsFirst: what is not signed is not parsed, and a signature is for one
// kind of thing only.
func TestSignatureStandsFirst(t *testing.T) {
	key := testKey(1)
	m := testManifest(10)
	m.Format, m.Keys, m.Root = Format, idsOf([]ed25519.PrivateKey{key}), Blob{Size: 1}
	m.Payload = Payload{Kind: RootPayload, Blob: m.Root}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	asIndex, err := sign(indexPrefix, text, []ed25519.PrivateKey{key})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(bytes.NewReader(rawHead(text, asIndex)), trust(key))
	wantRefusal(t, err, BadSignature)

	stranger, err := sign(manifestPrefix, text, []ed25519.PrivateKey{testKey(2)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(bytes.NewReader(rawHead([]byte("{"), stranger)), trust(key))
	wantRefusal(t, err, UnknownKey)
	stranger[0].key = IDOf(trust(key)[0]) // it lies about who it is
	_, err = Open(bytes.NewReader(rawHead(text, stranger)), trust(key))
	wantRefusal(t, err, BadSignature)
	_, err = Open(bytes.NewReader(rawHead(text, stranger)), nil)
	wantRefusal(t, err, UnknownKey)
}

func rawHead(manifest []byte, signatures []signature) []byte {
	b := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(manifest)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(signatures)))
	for _, s := range signatures {
		b = append(append(b, s.key[:]...), s.bytes[:]...)
	}
	return append(b, manifest...)
}

// TestSignedNonsense: whoever has the key can still make mistakes.
func TestSignedNonsense(t *testing.T) {
	key := testKey(1)
	good := func() map[string]any {
		b := writeBundle(t, testManifest(10), testRoot(100, 1), key)
		bundle, err := Open(bytes.NewReader(b), trust(key))
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(bundle.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for name, test := range map[string]struct {
		change func(m map[string]any)
		reason Reason
	}{
		"format of tomorrow":  {func(m map[string]any) { m["format"] = 2; m["version"] = 7 }, UnknownFormat},
		"no format":           {func(m map[string]any) { delete(m, "format") }, UnknownFormat},
		"format is text":      {func(m map[string]any) { m["format"] = "1" }, Malformed},
		"no version":          {func(m map[string]any) { m["version"] = "" }, Malformed},
		"version on lines":    {func(m map[string]any) { m["version"] = "1\n2" }, Malformed},
		"counter zero":        {func(m map[string]any) { m["counter"] = 0 }, Malformed},
		"counter below zero":  {func(m map[string]any) { m["counter"] = -5 }, Malformed},
		"counter too large":   {func(m map[string]any) { m["counter"] = json.Number("9223372036854775808") }, Malformed},
		"minimum above":       {func(m map[string]any) { m["minimum_counter"] = 11 }, Malformed},
		"board is a path":     {func(m map[string]any) { m["board"] = "../lintel" }, Malformed},
		"no kernel":           {func(m map[string]any) { delete(m, "kernel") }, Malformed},
		"released never":      {func(m map[string]any) { delete(m, "released") }, Malformed},
		"expires before":      {func(m map[string]any) { m["expires"] = "2021-01-01T00:00:00Z" }, Malformed},
		"root too large":      {func(m map[string]any) { m["root"].(map[string]any)["size"] = MaxRoot + 1 }, Malformed},
		"root below zero":     {func(m map[string]any) { m["root"].(map[string]any)["size"] = -1 }, Malformed},
		"short hash":          {func(m map[string]any) { m["root"].(map[string]any)["sha256"] = "00" }, Malformed},
		"payload of another":  {func(m map[string]any) { m["payload"].(map[string]any)["size"] = 99 }, Malformed},
		"unknown payload":     {func(m map[string]any) { m["payload"].(map[string]any)["kind"] = "tar" }, Malformed},
		"no keys":             {func(m map[string]any) { m["keys"] = []string{} }, Malformed},
		"keys of others":      {func(m map[string]any) { m["keys"] = []string{"0011223344556677"} }, BadSignature},
		"notes are a script":  {func(m map[string]any) { m["notes"] = map[string]any{"url": "javascript:alert(1)"} }, Malformed},
		"notes with password": {func(m map[string]any) { m["notes"] = map[string]any{"url": "https://a:b@example.com"} }, Malformed},
		"summary too long":    {func(m map[string]any) { m["notes"] = map[string]any{"summary": strings.Repeat("x", maxSummary+1)} }, Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			m := good()
			test.change(m)
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			signatures, err := sign(manifestPrefix, text, []ed25519.PrivateKey{key})
			if err != nil {
				t.Fatal(err)
			}
			_, err = Open(bytes.NewReader(rawHead(text, signatures)), trust(key))
			wantRefusal(t, err, test.reason)
		})
	}
}

func TestJudge(t *testing.T) {
	running := Release{Version: "1.2.2", Counter: 9, Board: "lintel", Kernel: "6.12.47-v8"}
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		change func(r *Release, m *Manifest)
		now    time.Time
		room   int64
		reason Reason // empty: taken
	}{
		"newer":               {now: now, room: 5000},
		"clock in 1970":       {change: func(_ *Release, m *Manifest) { m.Expires = m.Released }},
		"no image":            {change: func(r *Release, _ *Manifest) { r.Board = "" }, now: now, reason: NotAnImage},
		"another board":       {change: func(_ *Release, m *Manifest) { m.Board = "lintel-vm-arm64" }, now: now, reason: WrongBoard},
		"another kernel":      {change: func(_ *Release, m *Manifest) { m.Kernel = "7.1.3" }, now: now, reason: OtherKernel},
		"older":               {change: func(r *Release, _ *Manifest) { r.Counter = 11 }, now: now, reason: OlderVersion},
		"the same":            {change: func(r *Release, _ *Manifest) { r.Counter = 10 }, now: now, reason: OlderVersion},
		"minimum above":       {change: func(_ *Release, m *Manifest) { m.MinimumCounter = 10 }, now: now, reason: BelowMinimum},
		"minimum met":         {change: func(_ *Release, m *Manifest) { m.MinimumCounter = 9 }, now: now},
		"expired":             {now: now.AddDate(2, 0, 0), reason: Expired},
		"never expires":       {change: func(_ *Release, m *Manifest) { m.Expires = time.Time{} }, now: now.AddDate(50, 0, 0)},
		"larger than a root":  {now: now, room: 999, reason: TooLarge},
		"as large as can be":  {now: now, room: 1000},
		"built without count": {change: func(r *Release, _ *Manifest) { r.Counter = 0 }, now: now},
	} {
		t.Run(name, func(t *testing.T) {
			r, m := running, testManifest(10)
			m.Root.Size = 1000
			if test.change != nil {
				test.change(&r, &m)
			}
			err := r.Judge(&m, test.now, test.room)
			if test.reason != "" {
				wantRefusal(t, err, test.reason)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNewRelease(t *testing.T) {
	keys := trust(testKey(1), testKey(2))
	r, err := NewRelease("1.2.3", "1795000000", "lintel-vm-arm64", keys.String(), "https://example.com/lintel/index.json")
	if err != nil || r.Counter != 1795000000 || len(r.Keys) != 2 || !r.Keys[1].Equal(keys[1]) {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := NewRelease("dev", "", "", "", ""); err != nil || r.Counter != 0 || r.Keys != nil {
		t.Errorf("a build by hand: %+v, %v", r, err)
	}
	for _, wrong := range [][4]string{{"x", "", "", ""}, {"-1", "", "", ""}, {"", "Lintel", "", ""}, {"", "", "AAAA", ""}, {"", "", "", "ftp://example.com"}, {"", "", "", "example.com"}} {
		if r, err := NewRelease("dev", wrong[0], wrong[1], wrong[2], wrong[3]); err == nil {
			t.Errorf("%q is taken: %+v", wrong, r)
		}
	}
}
