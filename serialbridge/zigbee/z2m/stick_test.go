package z2m

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// stick is a coordinator without a protocol of its own: what it is told goes to virtual
// devices, and what they say to the network.
type stick struct {
	air        *air.Network
	event      func(zigbee.Event)
	parameters zigbee.Parameters
	done       chan struct{}

	mu       sync.Mutex
	sequence byte
	answers  map[answerKey]chan []byte
	counter  uint32
}

type answerKey struct {
	from     zigbee.NetworkAddress
	sequence byte
}

// The coordinator of the observed contract.
const stickAddress zigbee.IEEEAddress = 0x00124b0009d80ba7

func newStick(n *air.Network) *stick {
	return &stick{air: n, done: make(chan struct{}), answers: make(map[answerKey]chan []byte), counter: 1,
		parameters: zigbee.Parameters{
			PANID: 6754, Channel: 15, ExtendedPANID: [8]byte{0, 0x12, 0x4b, 0, 9, 0xd8, 0x0b, 0xa7}, NetworkKey: [16]byte{1, 2, 3},
		}}
}

func (s *stick) Info() zigbee.Info {
	return zigbee.Info{IEEEAddress: stickAddress, Type: "ZStack3x0", Revision: "20221226", CanRestore: true,
		Meta: map[string]any{"maintrel": 1, "majorrel": 2, "minorrel": 7, "product": 1, "revision": 20221226, "transportrev": 2}}
}

func (s *stick) Network(context.Context) (zigbee.Parameters, error) { return s.parameters, nil }

func (s *stick) Resume(context.Context) error {
	s.air.Attach(s, air.Security{Parameters: s.parameters, Coordinator: stickAddress, FrameCounter: s.counter})
	return nil
}

func (s *stick) Form(ctx context.Context, p zigbee.Parameters) error {
	s.parameters = p
	return s.Resume(ctx)
}

func (s *stick) Restore(ctx context.Context, b *zigbee.Backup) error {
	s.parameters, s.counter = b.Parameters, b.FrameCounter
	return s.Resume(ctx)
}

func (s *stick) Backup(context.Context) (*zigbee.Backup, error) {
	return &zigbee.Backup{Parameters: s.parameters, Coordinator: stickAddress, SecurityLevel: 5, FrameCounter: s.air.FrameCounter()}, nil
}

func (s *stick) Send(ctx context.Context, m zigbee.Outgoing) error {
	return s.transmit(ctx, air.Frame{
		Destination: m.Destination, Group: m.Group, SourceEndpoint: m.SourceEndpoint, DestinationEndpoint: m.DestinationEndpoint,
		Profile: m.Profile, Cluster: m.Cluster, Data: m.Data,
	})
}

func (s *stick) transmit(ctx context.Context, f air.Frame) error {
	status := make(chan air.Status, 1)
	s.air.Send(f, func(st air.Status) { status <- st })
	select {
	case <-ctx.Done():
		return ctx.Err()
	case st := <-status:
		switch st {
		case air.NoAck:
			return &zigbee.DeliveryError{Reason: zigbee.NoAck}
		case air.NoRoute:
			return &zigbee.DeliveryError{Reason: zigbee.NoRoute}
		case air.Expired:
			return &zigbee.DeliveryError{Reason: zigbee.Expired}
		}
		return nil
	}
}

func (s *stick) ZDO(ctx context.Context, to zigbee.NetworkAddress, cluster uint16, request []byte) ([]byte, error) {
	if to == zigbee.ToCoordinator {
		switch cluster {
		case 0x0031:
			return s.air.Neighbors(request[0]), nil
		case 0x0032:
			return []byte{0, 0, request[0], 0}, nil
		}
		return []byte{0}, nil
	}
	s.mu.Lock()
	s.sequence++
	key := answerKey{to, s.sequence}
	answer := make(chan []byte, 1)
	s.answers[key] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.answers, key)
	}()
	f := air.Frame{Destination: to, Cluster: cluster, Data: append([]byte{key.sequence}, request...)}
	if err := s.transmit(ctx, f); err != nil || to >= zigbee.BroadcastRouters {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case data := <-answer:
		return data, nil
	case <-time.After(5 * time.Second):
		return nil, zigbee.ErrNoAnswer
	}
}

func (s *stick) PermitJoin(ctx context.Context, via zigbee.NetworkAddress, d time.Duration) error {
	if via == zigbee.ToCoordinator || via == zigbee.BroadcastRouters {
		s.air.PermitJoin(d)
	}
	if via == zigbee.ToCoordinator {
		return nil
	}
	return s.transmit(ctx, air.Frame{Destination: via, Cluster: 0x0036, Data: []byte{0, byte(d / time.Second), 1}})
}

func (s *stick) AddInstallCode(context.Context, zigbee.IEEEAddress, [16]byte) error { return nil }
func (s *stick) EnergyScan(context.Context, uint32) (map[uint8]uint8, error)        { return nil, nil }
func (s *stick) ChangeChannel(_ context.Context, channel uint8) error {
	s.parameters.Channel = channel
	return nil
}
func (s *stick) Events(f func(zigbee.Event)) { s.event = f }
func (s *stick) Damaged() map[string]uint64  { return nil }
func (s *stick) Done() <-chan struct{}       { return s.done }
func (s *stick) Err() error                  { return nil }

func (s *stick) Close() error {
	s.air.Detach(s)
	return nil
}

// Receive implements air.Radio.
func (s *stick) Receive(f air.Frame) {
	if f.Profile == zigbee.ProfileZDO && len(f.Data) > 0 {
		if f.Cluster == 0x0013 && len(f.Data) >= 12 {
			s.event(zigbee.Announced{
				IEEEAddress:    zigbee.IEEEAddress(binary.LittleEndian.Uint64(f.Data[3:])),
				NetworkAddress: zigbee.NetworkAddress(binary.LittleEndian.Uint16(f.Data[1:])), Capability: f.Data[11],
			})
		}
		s.mu.Lock()
		answer := s.answers[answerKey{f.Source, f.Data[0]}]
		s.mu.Unlock()
		if f.Cluster&0x8000 != 0 && answer != nil {
			select {
			case answer <- f.Data[1:]:
			default:
			}
		}
		return
	}
	s.event(zigbee.Incoming{
		Source: f.Source, SourceEndpoint: f.SourceEndpoint, DestinationEndpoint: f.DestinationEndpoint, Group: f.Group,
		Broadcast: f.Destination.IsBroadcast(), Profile: f.Profile, Cluster: f.Cluster, LinkQuality: f.LinkQuality, Data: f.Data,
	})
}

// Joined implements air.Radio.
func (s *stick) Joined(device zigbee.IEEEAddress, address, parent zigbee.NetworkAddress, _ *[16]byte) {
	s.event(zigbee.Joined{IEEEAddress: device, NetworkAddress: address, Parent: parent})
}

// Left implements air.Radio.
func (s *stick) Left(device zigbee.IEEEAddress, address zigbee.NetworkAddress, rejoin bool) {
	s.event(zigbee.Left{IEEEAddress: device, NetworkAddress: address, Rejoin: rejoin})
}
