package ezsp

import "maps"

// Counters count what has happened since the stick was opened.
type Counters struct {
	LineCounters
	Malformed uint64 // frames that make no sense
	Strays    uint64 // answers that nobody waits for, messages that nobody is told
	Overflows uint64 // the stick had no memory for callbacks: it has lost some
	Busy      uint64 // messages that the stick had no room for at first
}

// LineCounters are those of ASH (UG101, section 5.9).
type LineCounters struct {
	FramesSent, FramesReceived uint64 // with data
	Retransmitted              uint64
	Timeouts                   uint64 // of acknowledgements
	RejectsSent                uint64 // NAK
	RejectsReceived            uint64
	Duplicates                 uint64
	OutOfSequence              uint64
	BadChecksums               uint64
	BadLengths                 uint64
	BadControls                uint64
	BadAcks                    uint64
	LineErrors                 uint64 // substitute bytes
	Cancelled                  uint64
}

// Counters returns what has happened so far.
func (c *Coordinator) Counters() Counters {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counters
}

// Damaged implements [zigbee.Coordinator].
func (c *Coordinator) Damaged() map[string]uint64 {
	n := c.Counters()
	reasons := map[string]uint64{
		"line":        n.LineErrors,
		"line check":  n.BadChecksums,
		"line length": n.BadLengths,
		"line syntax": n.BadControls + n.BadAcks + n.Malformed,
	}
	maps.DeleteFunc(reasons, func(_ string, count uint64) bool { return count == 0 })
	return reasons
}

// publish lets others see the counters of the line, which belong to the goroutine of
// run.
func (c *Coordinator) publish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counters.LineCounters = c.link.counters
}

func (c *Coordinator) count(n *uint64) {
	c.mu.Lock()
	*n++
	c.mu.Unlock()
}
