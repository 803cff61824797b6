package update

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
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
		r, err := bundle.Root(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
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
