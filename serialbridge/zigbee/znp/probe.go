package znp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	// probeTime is how long the first ping may take: a stick that runs
	// answers at once.
	probeTime = 500 * time.Millisecond
	// bootTime is how long a stick takes to leave its boot loader.
	bootTime = time.Second
	// leaveBootLoader makes the serial boot loader of CC2530 and CC2531 start
	// the firmware instead of waiting for a new one.
	leaveBootLoader = 0xef
)

// The products that SYS_VERSION tells.
const (
	zStack12  = 0 // Home Assistant 1.2: CC2530 and CC2531 of old
	zStack3x0 = 1 // 3.x.0: CC1352, CC2652 and what came after
	zStack30x = 2 // 3.0.x: CC2530, CC2531, CC2538
)

// A version is what SYS_VERSION tells.
type version struct {
	transport, product, major, minor, maintenance uint8
	revision                                      uint32
}

// name is how zigbee2mqtt calls the product.
func (v version) name() string {
	switch v.product {
	case zStack3x0:
		return "ZStack3x0"
	case zStack30x:
		return "ZStack30x"
	}
	return "ZStack12"
}

// text is the revision for people: the date of the build where there is one.
func (v version) text() string {
	if v.revision != 0 {
		return strconv.FormatUint(uint64(v.revision), 10)
	}
	return fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.maintenance)
}

// meta is what zigbee2mqtt tells of the coordinator in bridge/info.
func (v version) meta() map[string]any {
	return map[string]any{
		"transportrev": v.transport,
		"product":      v.product,
		"majorrel":     v.major,
		"minorrel":     v.minor,
		"maintrel":     v.maintenance,
		"revision":     v.revision,
	}
}

// concurrency is how many data requests the stick takes at once.
func (v version) concurrency() int {
	if v.product == zStack3x0 {
		return 16
	}
	return 2
}

// Revisions of Z-Stack 3.x.0 from which on the table of children can be changed.
const (
	assocRemoveSince = 20200805
	assocAddSince    = 20201026
)

// repairsChildren says that children can be taken out of the stick's table and be
// put back.
func (v version) repairsChildren() bool {
	return v.product == zStack3x0 && v.revision >= max(assocRemoveSince, assocAddSince)
}

// probe finds out whether this is Z-Stack, and which.
func (c *Coordinator) probe(ctx context.Context) error {
	if err := c.awaken(ctx); err != nil {
		return err
	}
	answer, err := c.link.request(ctx, sysVersion, nil)
	switch unknown := (*unknownError)(nil); {
	case errors.As(err, &unknown), errors.Is(err, errTimeout):
		// Builds of Z-Stack 1.2 from before 2018 do not have the command.
		c.version = version{transport: 2, product: zStack12, major: 2}
	case err != nil:
		return fmt.Errorf("read the version of the stick: %w", err)
	default:
		c.version = version{answer[0], answer[1], answer[2], answer[3], answer[4], 0}
		if len(answer) >= 9 {
			c.version.revision = binary.LittleEndian.Uint32(answer[5:])
		}
	}
	if c.version.product > zStack30x {
		return fmt.Errorf("the stick has Z-Stack firmware of kind %d, which is not known here: "+
			"flash Z-Stack 3.x.0 coordinator firmware (for CC2530 and CC2531: Z-Stack 3.0.x)", c.version.product)
	}
	c.link.mu.Lock()
	c.link.known, c.link.first = true, nil
	c.link.mu.Unlock()
	return nil
}

// awaken pings the stick until it answers.
func (c *Coordinator) awaken(ctx context.Context) error {
	_, err := c.link.once(ctx, sysPing, nil, probeTime)
	if !errors.Is(err, errTimeout) {
		return pingResult(err)
	}
	if err := c.sendRaw(ctx, []byte{leaveBootLoader}, bootTime); err != nil {
		return err
	}
	for range attempts {
		// What the first ping has left behind does no harm: it could only be
		// another response to a ping.
		if _, err = c.ping(ctx); !errors.Is(err, errTimeout) {
			return pingResult(err)
		}
	}
	return c.diagnose(ctx)
}

// pingResult takes it as an answer that a stick does not know the ping: it speaks.
func pingResult(err error) error {
	if unknown := (*unknownError)(nil); errors.As(err, &unknown) {
		return nil
	}
	return err
}

// ping asks without making sure first.
func (c *Coordinator) ping(ctx context.Context) ([]byte, error) {
	if err := c.link.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer c.link.passTurn()
	c.link.unsure = false
	return c.link.exchange(ctx, sysPing, nil, pingTime)
}

// sendRaw sends bytes that are no frame and gives the stick time.
func (c *Coordinator) sendRaw(ctx context.Context, data []byte, pause time.Duration) error {
	if err := c.link.takeTurn(ctx); err != nil {
		return err
	}
	defer c.link.passTurn()
	if _, err := c.link.port.Write(data); err != nil {
		return err
	}
	return c.link.sleep(ctx, pause)
}
