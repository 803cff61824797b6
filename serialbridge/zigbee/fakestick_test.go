package zigbee

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// stick is a coordinator with devices behind it that are functions.
type stick struct {
	event func(Event)
	info  Info
	done  chan struct{}

	mu       sync.Mutex
	network  *Parameters
	counter  uint32
	backup   []BackupDevice
	seed     [16]byte
	calls    []string
	restored *Backup
	sent     []Outgoing
	asked    []askedZDO
	devices  map[NetworkAddress]*thing
	energy   map[uint8]uint8
	damaged  map[string]uint64
	broken   error
	closed   bool
}

type askedZDO struct {
	to      NetworkAddress
	cluster uint16
	request []byte
}

const (
	stickIEEE IEEEAddress = 0x00124b0000000001
	plugIEEE  IEEEAddress = 0x00124b0000000002
	doorIEEE  IEEEAddress = 0x00124b0000000003
)

func newStick() *stick {
	return &stick{
		info:    Info{IEEEAddress: stickIEEE, Type: "ZStack3x0", CanRestore: true},
		done:    make(chan struct{}),
		devices: make(map[NetworkAddress]*thing),
		counter: 1000,
		seed:    [16]byte{1, 2, 3},
	}
}

func (s *stick) call(name string) {
	s.calls = append(s.calls, name)
}

// told returns what the stick was told to do.
func (s *stick) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// forget forgets what the stick was told.
func (s *stick) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

func (s *stick) Info() Info { return s.info }

func (s *stick) Events(func(Event)) {} // it has been told who listens

func (s *stick) Network(context.Context) (Parameters, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.network == nil {
		return Parameters{}, ErrNoNetwork
	}
	return *s.network, nil
}

func (s *stick) Resume(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("resume")
	return nil
}

func (s *stick) Form(_ context.Context, p Parameters) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("form")
	s.network = &p
	return nil
}

func (s *stick) Restore(_ context.Context, b *Backup) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("restore")
	p := b.Parameters
	s.network, s.restored, s.counter, s.backup = &p, b, b.FrameCounter, b.Devices
	s.info.IEEEAddress = b.Coordinator
	return nil
}

func (s *stick) Backup(context.Context) (*Backup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("backup")
	return &Backup{
		Parameters: *s.network, Coordinator: s.info.IEEEAddress, SecurityLevel: 5, FrameCounter: s.counter,
		ChannelMask: 1 << s.network.Channel, Devices: slices.Clone(s.backup), TCLinkKeySeed: s.seed, ZNPVersion: 1,
	}, nil
}

func (s *stick) PermitJoin(_ context.Context, via NetworkAddress, d time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("permit " + d.String())
	return nil
}

func (s *stick) AddInstallCode(_ context.Context, device IEEEAddress, key [16]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("install code of " + device.String())
	return nil
}

func (s *stick) EnergyScan(_ context.Context, channels uint32) (map[uint8]uint8, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("scan")
	return s.energy, nil
}

func (s *stick) ChangeChannel(_ context.Context, channel uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("channel")
	s.network.Channel = channel
	return nil
}

func (s *stick) Damaged() map[string]uint64 { return s.damaged }

func (s *stick) Done() <-chan struct{} { return s.done }

func (s *stick) Err() error { return s.broken }

func (s *stick) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *stick) pull(err error) {
	s.broken = err
	close(s.done)
}

func (s *stick) find(a NetworkAddress) *thing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.devices[a]
}

func (s *stick) Send(ctx context.Context, m Outgoing) error {
	s.mu.Lock()
	s.sent = append(s.sent, m)
	s.mu.Unlock()
	if m.Group != 0 || m.Destination.IsBroadcast() {
		return nil
	}
	d := s.find(m.Destination)
	if d == nil {
		return &DeliveryError{Reason: NoAck, Status: 0xe9}
	}
	if d.asleep.Load() {
		if err := pause(ctx, 7*time.Second); err != nil {
			return err
		}
		if d.asleep.Load() {
			return &DeliveryError{Reason: Expired, Status: 0xf0}
		}
	}
	f, err := zcl.ParseFrame(m.Data)
	if err != nil {
		return &DeliveryError{Reason: Refused}
	}
	d.mu.Lock()
	d.received = append(d.received, f)
	d.mu.Unlock()
	if d.takes != nil && d.takes(m, f) || d.silent.Load() {
		return nil
	}
	reply := zcl.Frame{Sequence: f.Sequence, ServerToClient: !f.ServerToClient, DisableDefaultResponse: true, ManufacturerCode: f.ManufacturerCode}
	switch {
	case f.Type == zcl.Global && f.Command == zcl.ReadAttributes:
		ids, _ := zcl.ParseIDs(f.Payload)
		var list []zcl.Attribute
		for _, id := range ids {
			a, ok := d.attributes[m.Cluster][id]
			if a.ID = id; !ok {
				a.Status = zcl.UnsupportedAttribute
			}
			list = append(list, a)
		}
		reply.Command = zcl.ReadAttributesResponse
		reply.Payload, _ = zcl.AppendAttributes(nil, reply.Command, list)
	case f.Type == zcl.Global && f.Command == zcl.WriteAttributes:
		list, _ := zcl.ParseAttributes(f.Command, f.Payload)
		s.mu.Lock()
		if d.attributes[m.Cluster] == nil {
			d.attributes[m.Cluster] = make(map[uint16]zcl.Attribute)
		}
		for _, a := range list {
			d.attributes[m.Cluster][a.ID] = a
		}
		s.mu.Unlock()
		reply.Command, reply.Payload = zcl.WriteAttributesResponse, []byte{0}
	case f.Type == zcl.Global && f.Command == zcl.ConfigureReporting:
		reply.Command, reply.Payload = zcl.ConfigureReportingResponse, []byte{0}
	case f.Type == zcl.Specific && m.Cluster == clusterGroups && f.Command < 4:
		reply.Type, reply.Command = zcl.Specific, f.Command
		reply.Payload = append([]byte{0}, f.Payload[:2]...)
	case f.Type == zcl.Specific && !f.DisableDefaultResponse:
		reply.Command, reply.Payload = zcl.DefaultResponse, []byte{f.Command, 0}
	default:
		return nil
	}
	s.say(d, m.DestinationEndpoint, m.Cluster, reply)
	return nil
}

func (s *stick) ZDO(ctx context.Context, to NetworkAddress, cluster uint16, request []byte) ([]byte, error) {
	s.mu.Lock()
	s.asked = append(s.asked, askedZDO{to, cluster, slices.Clone(request)})
	s.mu.Unlock()
	if to.IsBroadcast() {
		if cluster == zdoNetworkAddress {
			ieee := IEEEAddress(binary.LittleEndian.Uint64(request))
			s.mu.Lock()
			var found *thing
			for _, d := range s.devices {
				if d.ieee == ieee {
					found = d
				}
			}
			s.mu.Unlock()
			if found != nil {
				s.event(AddressChanged{ieee, found.address})
			}
		}
		return nil, nil
	}
	if to == ToCoordinator {
		return s.tables(to, cluster, request)
	}
	d := s.find(to)
	if d == nil {
		return nil, &DeliveryError{Reason: NoAck}
	}
	if d.asleep.Load() {
		if err := pause(ctx, 7*time.Second); err != nil {
			return nil, err
		}
		if d.asleep.Load() {
			return nil, &DeliveryError{Reason: Expired}
		}
	}
	if d.silent.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	head := binary.LittleEndian.AppendUint16([]byte{0}, uint16(to))
	switch cluster {
	case zdoIEEEAddress:
		return binary.LittleEndian.AppendUint16(appendIEEE([]byte{0}, d.ieee), uint16(to)), nil
	case zdoNodeDescriptor:
		data := append(head, d.type_, 0x40, d.capability)
		data = binary.LittleEndian.AppendUint16(data, d.code)
		return append(data, 82, 82, 0, 0, 0, 82, 0, 0), nil
	case zdoActiveEndpoints:
		data := append(head, byte(len(d.endpoints)))
		for _, e := range d.endpoints {
			data = append(data, e.ID)
		}
		return data, nil
	case zdoSimpleDescriptor:
		for _, e := range d.endpoints {
			if e.ID != request[2] {
				continue
			}
			data := append(head, byte(8+2*len(e.Input)+2*len(e.Output)), e.ID)
			data = binary.LittleEndian.AppendUint16(data, e.Profile)
			data = binary.LittleEndian.AppendUint16(data, e.DeviceID)
			data = append(data, 1, byte(len(e.Input)))
			for _, c := range e.Input {
				data = binary.LittleEndian.AppendUint16(data, c)
			}
			data = append(data, byte(len(e.Output)))
			for _, c := range e.Output {
				data = binary.LittleEndian.AppendUint16(data, c)
			}
			return data, nil
		}
		return []byte{0x82}, nil
	case zdoNeighbours, zdoRoutes:
		return s.tables(to, cluster, request)
	case zdoLeave:
		s.mu.Lock()
		delete(s.devices, to)
		s.mu.Unlock()
		s.event(Left{IEEEAddress: d.ieee, NetworkAddress: to})
	}
	return []byte{0}, nil
}

// tables are those of a router that hears every device, one entry to a page.
func (s *stick) tables(_ NetworkAddress, cluster uint16, request []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	addresses := slices.Sorted(maps.Keys(s.devices))
	start := int(request[0])
	if start >= len(addresses) {
		return []byte{0, byte(len(addresses)), byte(start), 0}, nil
	}
	d := s.devices[addresses[start]]
	data := []byte{0, byte(len(addresses)), byte(start), 1}
	if cluster == zdoRoutes {
		data = binary.LittleEndian.AppendUint16(data, uint16(d.address))
		return binary.LittleEndian.AppendUint16(append(data, 0x10), uint16(d.address)), nil
	}
	data = appendIEEE(append(data, make([]byte, 8)...), d.ieee)
	data = binary.LittleEndian.AppendUint16(data, uint16(d.address))
	return append(data, d.type_|1<<2|1<<4, 0, 1, 200), nil
}
