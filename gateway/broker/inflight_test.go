package broker

import (
	"math/rand/v2"
	"testing"
)

// The table of packet ids against a map, with ids given in turn, ids from the
// store, and acknowledgements in any order.
func TestInflight(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var table inflight
		known := make(map[uint16]*entry)
		var last uint16
		window := 1 + r.IntN(3000)
		for range 20_000 {
			switch {
			case len(known) < window && r.IntN(20) == 0:
				id := uint16(r.IntN(1 << 16)) // from the store
				if id == 0 || known[id] != nil {
					continue
				}
				e := &entry{packetID: id}
				table.put(e)
				known[id] = e
			case len(known) < window && r.IntN(2) == 0:
				last = table.next(last)
				if last == 0 || known[last] != nil {
					t.Fatalf("packet id %d is in use", last)
				}
				e := &entry{packetID: last}
				table.put(e)
				known[last] = e
			default:
				for id, e := range known { // any
					table.remove(e)
					delete(known, id)
					break
				}
			}
			if table.count != len(known) {
				t.Fatalf("%d entries of %d", table.count, len(known))
			}
		}
		for id := range 1 << 16 {
			if table.get(uint16(id)) != known[uint16(id)] {
				t.Fatalf("packet id %d: %v, want %v", id, table.get(uint16(id)), known[uint16(id)])
			}
		}
	}
}
