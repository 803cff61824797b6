package broker

// DisconnectIf ends the connections of the clients for which leave returns a reason, as
// [Broker.Disconnect] does. It is asked about network clients alone, must be quick,
// must not change the request or call the broker.
func (b *Broker) DisconnectIf(leave func(r *ConnectRequest) *Refusal) {
	type dismissed struct {
		c      *connection
		reason *Refusal
	}
	var all []dismissed
	b.eachSession(func(s *session) {
		r := s.request.Load()
		if c, ok := s.peer.(*connection); ok && r != nil {
			if reason := leave(r); reason != nil {
				all = append(all, dismissed{c, reason})
			}
		}
	})
	for _, d := range all {
		d.c.dismiss(d.reason)
	}
}
