package znp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"lintel/serialbridge/zigbee"
)

// zdoTime is how long a device may take to answer.
const zdoTime = 10 * time.Second

// Clusters of the Zigbee Device Profile (Zigbee specification, section 2.4.3).
const (
	zdpNetworkAddress = 0x0000
	zdpIEEEAddress    = 0x0001
	zdpAnnounce       = 0x0013
	zdpServers        = 0x0015
	zdpBind           = 0x0021
	zdpUnbind         = 0x0022
	zdpPermitJoin     = 0x0036
	zdpUpdate         = 0x0038
)

// Most requests are the same for the stick, behind the address of who is asked. answered
// says that their answers are those of the specification behind the address of who
// answers; without it there is no answer.
var zdpCommands = map[uint16]struct {
	request, answer uint8
	answered        bool
}{
	zdpNetworkAddress: {0x00, 0x80, true},
	zdpIEEEAddress:    {0x01, 0x81, true},
	0x0002:            {0x02, 0x82, true}, // node descriptor
	0x0003:            {0x03, 0x83, true}, // power descriptor
	0x0004:            {0x04, 0x84, true}, // simple descriptor
	0x0005:            {0x05, 0x85, true}, // active endpoints
	0x0006:            {0x06, 0x86, true}, // endpoints that match
	zdpAnnounce:       {0x0a, 0, false},
	zdpServers:        {0x0c, 0x8a, true},
	zdpBind:           {0x21, 0xa1, true},
	zdpUnbind:         {0x22, 0xa2, true},
	0x0031:            {0x31, 0xb1, true}, // neighbors
	0x0032:            {0x32, 0xb2, true}, // routes
	0x0033:            {0x33, 0xb3, true}, // bindings
	0x0034:            {0x34, 0xb4, true}, // leave
	zdpPermitJoin:     {0x36, 0xb6, true},
	zdpUpdate:         {0x37, 0xb8, true},
}

// ZDO implements [zigbee.Coordinator].
func (c *Coordinator) ZDO(ctx context.Context, to zigbee.NetworkAddress, cluster uint16, request []byte) ([]byte, error) {
	if err := c.running(); err != nil {
		return nil, err
	}
	return c.zdo(ctx, to, cluster, request)
}

func (c *Coordinator) zdo(ctx context.Context, to zigbee.NetworkAddress, cluster uint16, request []byte) ([]byte, error) {
	commands, ok := zdpCommands[cluster]
	if !ok {
		return nil, fmt.Errorf("sticks with Z-Stack cannot send the ZDO request 0x%04x", cluster)
	}
	data, err := zdoRequest(to, cluster, request)
	if err != nil {
		return nil, err
	}
	cmd := zdoRequestBase | command(commands.request)
	if to.IsBroadcast() && cluster != zdpNetworkAddress || !commands.answered {
		if err := c.paceBroadcast(ctx); err != nil {
			return nil, err
		}
		return nil, c.ask(ctx, to, cmd, data)
	}
	end, err := c.converse(ctx, to)
	if err != nil {
		return nil, err
	}
	defer end()
	answer, err := c.link.expect(asynchronous|0x0500|command(commands.answer), answers(to, cluster, request))
	if err != nil {
		return nil, err
	}
	defer answer.cancel()
	if err := c.ask(ctx, to, cmd, data); err != nil {
		return nil, err
	}
	reply, err := answer.get(ctx, c.zdoPatience(cluster, request))
	if errors.Is(err, errTimeout) {
		return nil, &zigbee.DeliveryError{Reason: zigbee.NoAck}
	}
	if err != nil {
		return nil, err
	}
	c.heardFrom(to)
	return zdoAnswer(cluster, reply), nil
}

// zdoPatience is how long the answer may take: a scan lasts as long as was asked for.
func (c *Coordinator) zdoPatience(cluster uint16, request []byte) time.Duration {
	if cluster != zdpUpdate || len(request) < 6 || request[4] > maxScanDuration {
		return zdoTime
	}
	return zdoTime + scanTime(binary.LittleEndian.Uint32(request), request[4])*time.Duration(max(request[5], 1))
}

// ask sends a request of the ZDO. A stick that cannot send it says so at once.
func (c *Coordinator) ask(ctx context.Context, to zigbee.NetworkAddress, cmd command, data []byte) error {
	for attempt := 1; ; attempt++ {
		err := c.link.do(ctx, cmd, data)
		refused := (*statusError)(nil)
		if !errors.As(err, &refused) {
			return err
		}
		reason := reasonOf(refused.status)
		if attempt == attempts || reason == zigbee.Refused && refused.status != statusFailure {
			return &zigbee.DeliveryError{Reason: reason, Status: refused.status}
		}
		if !to.IsBroadcast() && (reason == zigbee.NoRoute || reason == zigbee.NoAck) {
			if err := c.discoverRoute(ctx, to); err != nil {
				return err
			}
		}
		if err := c.link.sleep(ctx, busyPause); err != nil {
			return err
		}
	}
}

// zdoRequest makes what the stick wants out of a request as it is in the air.
func zdoRequest(to zigbee.NetworkAddress, cluster uint16, request []byte) ([]byte, error) {
	destination := binary.LittleEndian.AppendUint16(nil, uint16(to))
	mode := uint8(modeAddress)
	if to.IsBroadcast() {
		mode = modeBroadcast
	}
	switch cluster {
	case zdpNetworkAddress, zdpIEEEAddress, zdpAnnounce:
		return request, nil // sent to all, or to the device that it is about
	case zdpServers:
		return request, nil
	case zdpBind, zdpUnbind:
		// Source, endpoint, cluster, mode, and a device with endpoint, or a
		// group: then the rest is filled up.
		const length = 8 + 1 + 2 + 1 + 8 + 1
		if len(request) > length || len(request) < 14 {
			return nil, fmt.Errorf("a request to bind has 14 or %d bytes, not %d", length, len(request))
		}
		b := append(destination, request...)
		return append(b, make([]byte, length-len(request))...), nil
	case zdpPermitJoin:
		if len(request) < 2 {
			return nil, errors.New("a request to permit joining has 2 bytes")
		}
		if to == zigbee.ToCoordinator {
			// A single device that is all routers is the coordinator alone.
			destination = binary.LittleEndian.AppendUint16(nil, uint16(zigbee.BroadcastRouters))
		}
		return append(append([]byte{mode}, destination...), request[:2]...), nil
	case zdpUpdate:
		// Mask, duration, count or update identifier, network manager. The
		// stick counts the update identifier by itself.
		const length = 4 + 1 + 1 + 2
		if len(request) > length || len(request) < 5 {
			return nil, fmt.Errorf("a request to update the network has 5 to %d bytes, not %d", length, len(request))
		}
		b := append(append(destination, mode), request...)
		return append(b, make([]byte, length-len(request))...), nil
	}
	return append(destination, request...), nil
}

// answers tells the answer to a request from others of the same kind.
func answers(to zigbee.NetworkAddress, cluster uint16, request []byte) func([]byte) bool {
	switch cluster {
	case zdpNetworkAddress:
		return func(b []byte) bool {
			return len(b) >= 9 && len(request) >= 8 && string(b[1:9]) == string(request[:8])
		}
	case zdpIEEEAddress:
		return func(b []byte) bool {
			return len(b) >= 11 && len(request) >= 2 && string(b[9:11]) == string(request[:2])
		}
	}
	return func(b []byte) bool { return len(b) >= 3 && address(b) == to }
}

// zdoAnswer makes an answer as it is in the air out of what the stick says.
func zdoAnswer(cluster uint16, b []byte) []byte {
	switch cluster {
	case zdpNetworkAddress, zdpIEEEAddress:
		// Status, IEEE address, address; then first index and number of
		// children, which are the other way round in the air, and not there
		// if children were not asked for.
		if len(b) <= 13 {
			return b[:min(len(b), 11)]
		}
		b[11], b[12] = b[12], b[11]
		return b
	}
	return b[2:]
}
