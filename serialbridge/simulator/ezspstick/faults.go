package ezspstick

import (
	"math/rand/v2"
	"time"
)

// Faults are what goes wrong, on purpose and in the same way for the same seed.
type Faults struct {
	Seed uint64

	// Shares of the bytes on the line, in both directions.
	Lose, Double, Garble float64

	Reject float64       // share of the frames of the host that are asked for again
	Full   float64       // share of the messages that there is no room for
	Queue  float64       // share of the messages that the queue of EZSP has no room for
	Slow   time.Duration // before each answer

	// OldVersion makes it answer the command version with this; 0: as it is.
	OldVersion uint8
}

type faultSource struct {
	faults Faults
	random *rand.Rand
}

func newFaultSource(f Faults) faultSource {
	return faultSource{faults: f, random: rand.New(rand.NewPCG(f.Seed, 0x657a7370))}
}

func (f *faultSource) chance(share float64) bool {
	return share > 0 && f.random.Float64() < share
}

// damage does to bytes what a bad line does.
func (f *faultSource) damage(data []byte) []byte {
	if f.faults.Lose == 0 && f.faults.Double == 0 && f.faults.Garble == 0 {
		return data
	}
	out := make([]byte, 0, len(data)+8)
	for _, b := range data {
		switch {
		case f.chance(f.faults.Lose):
		case f.chance(f.faults.Double):
			out = append(out, b, b)
		case f.chance(f.faults.Garble):
			out = append(out, b^1<<f.random.IntN(8))
		default:
			out = append(out, b)
		}
	}
	return out
}
