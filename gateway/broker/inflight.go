package broker

// inflight holds the messages on their way to one client by packet id. Ids are given
// in turn, so that a table with one slot for each of a stretch of ids does: it is
// faster than a map, and empty it takes no room.
type inflight struct {
	slots []*entry // by packet id modulo their number, which is a power of two
	count int
}

// get returns the entry with this packet id, or nil.
func (t *inflight) get(id uint16) *entry {
	if len(t.slots) == 0 {
		return nil
	}
	if e := t.slots[int(id)&(len(t.slots)-1)]; e != nil && e.packetID == id {
		return e
	}
	return nil
}

// next returns the packet id to give after last: the first whose slot is free, so
// that an id in use is skipped [v5 MQTT-2.2.1-4]. There is one, as half of the slots
// are free, or each id has its own and a window holds fewer than 65,535.
func (t *inflight) next(last uint16) uint16 {
	t.grow(t.count + 1)
	for {
		last++
		if last != 0 && t.slots[int(last)&(len(t.slots)-1)] == nil {
			return last
		}
	}
}

// put adds an entry under its packet id, which is not in use.
func (t *inflight) put(e *entry) {
	t.grow(t.count + 1)
	for len(t.slots) < 1<<16 && t.slots[int(e.packetID)&(len(t.slots)-1)] != nil {
		t.resize(2 * len(t.slots)) // ids from the store may lie anywhere
	}
	t.slots[int(e.packetID)&(len(t.slots)-1)] = e
	t.count++
}

// remove takes an entry out.
func (t *inflight) remove(e *entry) {
	if t.get(e.packetID) == e {
		t.slots[int(e.packetID)&(len(t.slots)-1)] = nil
		t.count--
	}
}

// grow makes room for n entries.
func (t *inflight) grow(n int) {
	size := max(len(t.slots), 8)
	for size < 2*n && size < 1<<16 {
		size *= 2
	}
	if size > len(t.slots) {
		t.resize(size)
	}
}

func (t *inflight) resize(size int) {
	old := t.slots
	for ; ; size *= 2 {
		t.slots = make([]*entry, size)
		if t.fill(old) {
			return
		}
	}
}

// fill reports whether each entry got a slot of its own.
func (t *inflight) fill(entries []*entry) bool {
	for _, e := range entries {
		if e == nil {
			continue
		}
		slot := &t.slots[int(e.packetID)&(len(t.slots)-1)]
		if *slot != nil {
			return false
		}
		*slot = e
	}
	return true
}
