package zigbee

import (
	"encoding/hex"
	"testing"
)

// The vectors are those of the Zigbee specification, annexes C.5 and C.6, and of the
// base device behavior, section 10.1.
func TestHash(t *testing.T) {
	unhex := func(text string) []byte {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, v := range []struct{ message, digest string }{
		{"c0", "ae3a102a28d43ee0d4a09e22788b206c"},
		{"c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "a7977e88bc0b61e8210827109a228f2d"},
		{"83fed3407a939723a5c639b26916d505c3b5", "66b6900981e1ee3ca4206b6b861c02bb"},
	} {
		if digest := hashMMO(unhex(v.message)); hex.EncodeToString(digest[:]) != v.digest {
			t.Errorf("hash of %s is %x, want %s", v.message, digest, v.digest)
		}
	}
	key := [16]byte(unhex("404142434445464748494a4b4c4d4e4f"))
	if digest := keyedHash(key, unhex("c0")); hex.EncodeToString(digest[:]) != "4512807bf94cb3400f0e2c25fb76e999" {
		t.Errorf("keyed hash is %x", digest)
	}
}
