package serialbridge

import (
	"math"
	"time"
)

const (
	// forgetting is the least time in which half of what was learned is
	// forgotten: a device that speaks at odd times keeps its habit over a quick burst.
	forgetting = time.Hour
	// proof is for how many times its length a pause is a habit until enough was
	// heard to tell that it was the only one.
	proof = 8

	longestPause = 7 * 24 * time.Hour // that is learned
	longestProof = proof * longestPause

	// patience has this end for what speaks each few hours: a day, and an hour for
	// clocks that are not good.
	longPatience = 25 * time.Hour
)

// habit is how a device speaks by itself, learned from the pauses between its
// readings: the second longest of late. The longest may have been a bad hour of the
// radio or an empty battery, and the short ones of a burst say nothing.
type habit struct {
	longest, second time.Duration // pauses, of late
	listened        time.Duration // in which they were learned
}

// pause learns from the time between two readings.
func (h *habit) pause(gap time.Duration) {
	gap = min(max(gap, 0), longestPause)
	usual := h.usual()
	// A pause that was unusual takes no more away than a usual one.
	fade := math.Exp2(-float64(min(gap, usual)) / float64(max(proof*usual, forgetting)))
	h.longest = time.Duration(float64(h.longest) * fade)
	h.second = time.Duration(float64(h.second) * fade)
	if gap >= h.longest {
		h.longest, h.second = gap, h.longest
	} else if gap > h.second {
		h.second = gap
	}
	h.listened = min(h.listened+gap, longestProof)
}

// usual is the longest pause that is nothing special.
func (h *habit) usual() time.Duration {
	if h.listened < proof*h.longest {
		return h.longest
	}
	return h.second
}

// patience is how long the device may be silent before it must be thought to be gone:
// five of its pauses, but not for days. Of what was not listened to for long nothing
// is known: many repeat each message a few times at once.
func (h *habit) patience(t timing) time.Duration {
	usual := h.usual()
	patience := max(t.quiet, min(5*usual, max(longPatience, 3*usual)))
	if h.listened < t.quietOnce {
		patience = max(patience, t.quietOnce)
	}
	return patience
}
