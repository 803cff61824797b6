package clock

import (
	"cmp"
	"slices"
	"time"
)

// sample is by how much the clock is off, by the account of one server: by offset, give or
// take distance.
type sample struct {
	offset   time.Duration
	distance time.Duration
}

// agree returns where most of the samples overlap, the middle of it, and how many do: by Marzullo's
// algorithm.
func agree(samples []sample) (offset time.Duration, distance time.Duration, count int) {
	type edge struct {
		at   time.Duration
		open bool
	}
	var edges []edge
	for _, s := range samples {
		edges = append(edges, edge{s.offset - s.distance, true}, edge{s.offset + s.distance, false})
	}
	slices.SortFunc(edges, func(a, b edge) int {
		if c := cmp.Compare(a.at, b.at); c != 0 || a.open == b.open {
			return c
		}
		if a.open { // intervals that touch overlap
			return -1
		}
		return 1
	})
	var low, high time.Duration
	open := 0
	for i, e := range edges {
		if !e.open {
			open--
			continue
		}
		if open++; open > count {
			count, low, high = open, e.at, edges[i+1].at
		}
	}
	return low + (high-low)/2, (high - low) / 2, count
}
