package zigbee

import "context"

// notice is something that Handler is told. The device in it shares its endpoints
// with the network, which never changes them in place: see node.edit.
type notice struct {
	kind       noticeKind
	device     Device
	message    Message
	info       Info
	parameters Parameters
	err        error
	available  bool
}

type noticeKind uint8

const (
	noticeStarted noticeKind = iota
	noticeStopped
	noticeJoined
	noticeAnnounced
	noticeInterviewing
	noticeLeft
	noticeChanged
	noticeMessage
	noticeAvailable
)

// tell has Handler be told. The network is locked.
func (n *Network) tell(what notice) {
	if len(n.notices) >= maxNotices {
		n.counters.Overflows++
		return
	}
	n.notices = append(n.notices, what)
	signal(n.told)
}

// signal says that there is something to do, without waiting.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// deliver tells Handler one notice after the other; when ctx ends, those that are
// left too.
func (n *Network) deliver(ctx context.Context) {
	var batch []notice
	for {
		n.mu.Lock()
		batch, n.notices = n.notices, batch[:0]
		n.mu.Unlock()
		if len(batch) == 0 {
			select {
			case <-n.told:
			case <-ctx.Done():
				return
			}
		}
		for i := range batch {
			batch[i].deliver(n.options.Handler)
			batch[i] = notice{} // what it holds may go
		}
		if cap(batch) > 1024 { // after a flood
			batch = nil
		}
	}
}

func (w *notice) deliver(h Handler) {
	switch w.kind {
	case noticeStarted:
		h.Started(w.info, w.parameters)
	case noticeStopped:
		h.Stopped(w.err)
	case noticeJoined:
		h.Joined(w.device)
	case noticeAnnounced:
		h.Announced(w.device)
	case noticeInterviewing:
		h.Interviewing(w.device)
	case noticeLeft:
		h.Left(w.device)
	case noticeChanged:
		h.Changed(w.device)
	case noticeMessage:
		h.Message(w.device, w.message)
	case noticeAvailable:
		h.Available(w.device.IEEEAddress, w.available)
	}
}
