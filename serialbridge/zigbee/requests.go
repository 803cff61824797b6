package zigbee

import (
	"context"
	"errors"
	"time"

	"lintel/serialbridge/journey"
	"lintel/serialbridge/zigbee/zcl"
)

const (
	requestTimeout = 10 * time.Second
	zdoTimeout     = 15 * time.Second
)

// waiterKey is what an answer has in common with its request.
type waiterKey struct {
	device   IEEEAddress
	endpoint uint8
	cluster  uint16
	sequence uint8
}

// waiter waits for an answer.
type waiter struct {
	request zcl.Frame
	answer  chan zcl.Frame // room for one
}

// takes says whether a frame answers the request.
func (w *waiter) takes(f zcl.Frame) bool {
	if f.ServerToClient == w.request.ServerToClient {
		return false
	}
	if f.Type == zcl.Global && f.Command == zcl.DefaultResponse {
		return len(f.Payload) >= 2 && f.Payload[0] == w.request.Command
	}
	if f.Type != w.request.Type {
		return false
	}
	return f.Type == zcl.Specific || f.Command == responseTo(w.request.Command)
}

// responseTo is the global command that answers a global command; DefaultResponse
// if there is none of its own.
func responseTo(command uint8) uint8 {
	switch command {
	case zcl.WriteAttributesUndivided:
		return zcl.WriteAttributesResponse
	case zcl.ReadAttributes, zcl.ConfigureReporting, zcl.ReadReportingConfiguration,
		zcl.DiscoverAttributes, zcl.WriteAttributesStructured, zcl.DiscoverCommandsReceived,
		zcl.DiscoverCommandsGenerated, zcl.DiscoverAttributesExtended:
		return command + 1
	case zcl.WriteAttributes:
		return zcl.WriteAttributesResponse
	}
	return zcl.DefaultResponse
}

// Request sends a frame to a device and returns its answer. It fails with a
// *StatusError when the device refuses by a default response, with a *DeliveryError
// when the frame did not arrive, and with ErrNoAnswer when no answer came.
func (n *Network) Request(ctx context.Context, ieee IEEEAddress, r Request) (zcl.Frame, error) {
	if r.Timeout == 0 {
		r.Timeout = requestTimeout
	}
	if r.SourceEndpoint == 0 {
		r.SourceEndpoint = EndpointHome
	}
	if r.Profile == 0 {
		r.Profile = ProfileHomeAutomation
	}
	d, checkIn, err := n.find(ieee)
	if err != nil {
		return zcl.Frame{}, err
	}
	if r.Hold == 0 && checkIn > 0 {
		r.Hold = checkIn + time.Minute
	}
	var answer zcl.Frame
	repeats, tried, spent := r.repeats(), 0, time.Duration(0)
	err = n.exchange(ctx, d, r.Timeout, r.Hold, repeats, func(ctx context.Context, s *session, to NetworkAddress, sent func()) (err error) {
		r := r
		n.mu.Lock()
		awake := !d.sleepy()
		n.mu.Unlock()
		if tried++; repeats > 0 && awake {
			// All tries together take no longer than one would.
			share := time.Duration(tried) * repeatTime
			if tried > repeats {
				share = r.Timeout - spent
			}
			r.Timeout = min(r.Timeout, max(share, repeatTime))
			spent += r.Timeout
		}
		answer, err = n.attempt(ctx, s, d, to, r, sent)
		return err
	})
	if err != nil {
		return zcl.Frame{}, err
	}
	if answer.Type == zcl.Global && answer.Command == zcl.DefaultResponse && !r.NoResponse {
		if status := zcl.Status(answer.Payload[1]); status != zcl.Success {
			return answer, &StatusError{status}
		}
	}
	return answer, nil
}

// find returns a device, and how often it checks in.
func (n *Network) find(ieee IEEEAddress) (*node, time.Duration, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.nodes[ieee]
	if d == nil {
		return nil, 0, ErrNoDevice
	}
	return d, d.device.CheckInInterval, nil
}

// attempt sends a request once and waits for its answer. It calls sent when the
// device has it.
func (n *Network) attempt(ctx context.Context, s *session, d *node, to NetworkAddress, r Request, sent func()) (zcl.Frame, error) {
	w := &waiter{answer: make(chan zcl.Frame, 1)}
	n.mu.Lock()
	key := waiterKey{device: d.device.IEEEAddress, endpoint: r.Endpoint, cluster: r.Cluster}
	for range 256 { // a number that nobody waits for
		d.sequence++
		if key.sequence = d.sequence; n.waiters[key] == nil {
			break
		}
	}
	r.Frame.Sequence = key.sequence
	w.request = r.Frame
	if !r.NoResponse {
		n.waiters[key] = w
	}
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.waiters[key] == w {
			delete(n.waiters, key)
		}
	}()

	out := Outgoing{
		Destination: to, DestinationEndpoint: r.Endpoint, SourceEndpoint: r.SourceEndpoint,
		Profile: r.Profile, Cluster: r.Cluster, Data: r.Frame.Append(nil),
	}
	number := n.sends(ctx, &out)
	err := s.coordinator.Send(ctx, out)
	n.wasSent(number, err)
	if err != nil {
		// The answer may have come though the acknowledgement was lost.
		select {
		case f := <-w.answer:
			return f, nil
		default:
		}
		n.undelivered(err)
		return zcl.Frame{}, err
	}
	sent()
	if r.NoResponse {
		return zcl.Frame{}, nil
	}
	timer := time.NewTimer(r.Timeout)
	defer timer.Stop()
	select {
	case f := <-w.answer:
		n.wasAnswered(number, f)
		return f, nil
	case <-timer.C:
		n.options.Journeys.Tell(number, journey.Stage{Kind: journey.Failed, Detail: "the device has not answered"})
		n.mu.Lock()
		n.counters.Unanswered++
		n.mu.Unlock()
		return zcl.Frame{}, ErrNoAnswer
	case <-d.gone:
		return zcl.Frame{}, ErrNoDevice
	case <-ctx.Done():
		return zcl.Frame{}, context.Cause(ctx)
	}
}

func (n *Network) undelivered(err error) {
	if e, ok := errors.AsType[*DeliveryError](err); ok {
		n.mu.Lock()
		n.counters.Undelivered[e.Reason]++
		n.mu.Unlock()
	}
}

// answered gives an answer to who waits for it. The network is locked.
func (n *Network) answered(d *node, m *Message) {
	key := waiterKey{device: d.device.IEEEAddress, endpoint: m.Endpoint, cluster: m.Cluster, sequence: m.Frame.Sequence}
	if w := n.waiters[key]; w != nil && w.takes(m.Frame) {
		delete(n.waiters, key)
		w.answer <- m.Frame
	}
}

// zdo asks the Zigbee Device Object of a device something.
func (n *Network) zdo(ctx context.Context, d *node, hold time.Duration, cluster uint16, request func(NetworkAddress) []byte) (data []byte, err error) {
	repeats := maxRepeats
	if hold < 0 {
		repeats = 0
	}
	err = n.exchange(ctx, d, zdoTimeout, hold, repeats, func(ctx context.Context, s *session, to NetworkAddress, sent func()) error {
		limited, cancel := context.WithTimeout(ctx, zdoTimeout)
		defer cancel()
		data, err = s.coordinator.ZDO(limited, to, cluster, request(to))
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case limited.Err() != nil:
			return ErrNoAnswer
		}
		n.undelivered(err)
		return err
	})
	return data, err
}

// GroupRequest sends a frame to all members of a group. There is no answer.
func (n *Network) GroupRequest(ctx context.Context, group uint16, r Request) error {
	s, err := n.started()
	if err != nil {
		return err
	}
	if r.SourceEndpoint == 0 {
		r.SourceEndpoint = EndpointHome
	}
	if r.Profile == 0 {
		r.Profile = ProfileHomeAutomation
	}
	n.mu.Lock()
	n.sequence++
	r.Frame.Sequence = n.sequence
	n.mu.Unlock()
	r.Frame.DisableDefaultResponse = true // section 2.5.12.2: none is sent to a group's frame anyway
	ctx, cancel := s.within(ctx)
	defer cancel()
	return s.coordinator.Send(ctx, Outgoing{
		Group: group, DestinationEndpoint: 0xff, SourceEndpoint: r.SourceEndpoint,
		Profile: r.Profile, Cluster: r.Cluster, Data: r.Frame.Append(nil),
	})
}

// Respond answers a message with a frame of the message's sequence number and of
// the opposite direction.
func (n *Network) Respond(ctx context.Context, m Message, f zcl.Frame) error {
	d, _, err := n.find(m.Device)
	if err != nil {
		return err
	}
	s, err := n.started()
	if err != nil {
		return err
	}
	n.mu.Lock()
	to := d.device.NetworkAddress
	n.mu.Unlock()
	f.Sequence, f.ServerToClient = m.Frame.Sequence, !m.Frame.ServerToClient
	source := m.DestinationEndpoint
	if source == 0xff || m.Group != 0 {
		source = EndpointHome
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	return s.coordinator.Send(ctx, Outgoing{
		Destination: to, DestinationEndpoint: m.Endpoint, SourceEndpoint: source,
		Profile: ProfileHomeAutomation, Cluster: m.Cluster, Data: f.Append(nil),
	})
}
