package znpstick

import "sync"

const (
	startOfFrame = 0xfe
	longest      = 250 // bytes of data
)

// A request is what the stick was sent.
type request struct {
	kind, subsystem, id byte
	data                []byte
}

// Kinds of frames.
const (
	kindSREQ = 1
	kindAREQ = 2
	kindSRSP = 3
)

// An unframer finds frames as the firmware does, byte by byte: of one whose sum is
// wrong everything is thrown away.
type unframer struct {
	frame []byte // from the length on
	began bool
}

func (u *unframer) next(b byte) (r request, ok bool) {
	if !u.began {
		u.began = b == startOfFrame
		u.frame = u.frame[:0]
		return r, false
	}
	u.frame = append(u.frame, b)
	if u.frame[0] > longest {
		u.began = false
		return r, false
	}
	if len(u.frame) < int(u.frame[0])+4 {
		return r, false
	}
	u.began = false
	last := len(u.frame) - 1
	if xor(u.frame[:last]) != u.frame[last] {
		return r, false
	}
	return request{u.frame[1] >> 5, u.frame[1] & 0x1f, u.frame[2], u.frame[3:last]}, true
}

func xor(b []byte) (sum byte) {
	for _, x := range b {
		sum ^= x
	}
	return sum
}

// send queues a frame for who is served.
func (s *Stick) send(kind, subsystem, id byte, data []byte) {
	if s.out == nil || len(data) > longest {
		return
	}
	f := append([]byte{startOfFrame, byte(len(data)), kind<<5 | subsystem, id}, data...)
	s.out.put(append(f, xor(f[1:])))
}

// areq says something by itself.
func (s *Stick) areq(subsystem, id byte, data ...byte) { s.send(kindAREQ, subsystem, id, data) }

// answer responds to a request.
func (s *Stick) answer(r request, data ...byte) { s.send(kindSRSP, r.subsystem, r.id, data) }

// maxQueued frames may wait for who is served to read them.
const maxQueued = 4096

// A queue is what is to be written.
type queue struct {
	mu      sync.Mutex
	changed sync.Cond
	frames  [][]byte
	closed  bool
}

func newQueue() *queue {
	q := &queue{}
	q.changed.L = &q.mu
	return q
}

func (q *queue) put(f []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) < maxQueued && !q.closed {
		q.frames = append(q.frames, f)
		q.changed.Signal()
	}
}

func (q *queue) get() (f []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.frames) == 0 && !q.closed {
		q.changed.Wait()
	}
	if q.closed {
		return nil, false
	}
	f = q.frames[0]
	q.frames = q.frames[1:]
	return f, true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}
