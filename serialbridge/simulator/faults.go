package simulator

import (
	"math/rand/v2"
	"slices"
	"time"
)

// A Fault is what may be done to a frame.
type Fault string

// The faults of a frame.
const (
	Whole Fault = ""     // nothing
	Cut   Fault = "cut"  // it ends too soon
	Flip  Fault = "flip" // one bit is wrong of what the checksum guards
	Sum   Fault = "sum"  // the checksum itself is wrong; a frame that has none stays whole
)

// Faults are what is wrong with a stick all the time. The zero value is a stick in
// good order.
type Faults struct {
	// Shares of all frames, from 0 to 1.
	Noise float64 // up to 64 random bytes come before the frame
	Cut   float64
	Flip  float64
	Sum   float64

	Silent bool          // what the device says is lost
	Double bool          // it talks twice as often
	Slow   time.Duration // pause between two bytes; 0: each frame goes out in one go
}

// maxNoise bounds the random bytes before a frame.
const maxNoise = 64

// choose draws what is done to the next frame.
func (f *Faults) choose(random *rand.Rand) Fault {
	x := random.Float64()
	for _, c := range []struct {
		share float64
		fault Fault
	}{{f.Cut, Cut}, {f.Flip, Flip}, {f.Sum, Sum}} {
		if x < c.share {
			return c.fault
		}
		x -= c.share
	}
	return Whole
}

// noise draws the random bytes before the next frame.
func (f *Faults) noise(random *rand.Rand) []byte {
	if random.Float64() >= f.Noise {
		return nil
	}
	b := make([]byte, 1+random.IntN(maxNoise))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// damaged returns what a fault makes of a frame, and the fault, which is none if
// the frame cannot have it. at chooses one of so many places or bits.
func damaged(f Frame, fault Fault, at func(n int) int) ([]byte, Fault) {
	// What is behind the checksum ends a line at most: it does not matter.
	guarded := f.Sum
	if guarded == 0 {
		guarded = len(f.Data)
	}
	switch {
	case fault == Cut && guarded > 1:
		return f.Data[:1+at(guarded-1)], Cut
	case fault == Flip && guarded > 0:
		data := slices.Clone(f.Data)
		data[at(guarded)] ^= 1 << at(8)
		return data, Flip
	case fault == Sum && f.Sum > 0:
		data := slices.Clone(f.Data)
		data[f.Sum] ^= 1
		return data, Sum
	}
	return f.Data, Whole
}

// middle is always the place in the middle.
func middle(n int) int { return n / 2 }
