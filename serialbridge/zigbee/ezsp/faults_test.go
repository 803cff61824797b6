package ezsp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/ezspstick"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/ezsp"
)

// quietAir is an air in which only the test speaks.
type quietAir struct {
	mu       sync.Mutex
	radio    air.Radio
	security air.Security
	sent     []air.Frame
	status   func(air.Frame) air.Status // nil: all is delivered
	counter  uint32
}

func (a *quietAir) Attach(r air.Radio, s air.Security) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.radio, a.security, a.counter = r, s, s.FrameCounter
}

func (a *quietAir) Detach(air.Radio)         {}
func (a *quietAir) PermitJoin(time.Duration) {}
func (a *quietAir) Energy(channel uint8) uint8 {
	return channel * 9
}

func (a *quietAir) FrameCounter() uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counter
}

func (a *quietAir) Send(f air.Frame, confirm func(air.Status)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counter++
	a.sent = append(a.sent, f)
	status := air.Delivered
	if a.status != nil {
		status = a.status(f)
	}
	if confirm != nil {
		time.AfterFunc(20*time.Millisecond, func() { confirm(status) })
	}
}

func (a *quietAir) frames() []air.Frame {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]air.Frame(nil), a.sent...)
}

// report is a frame of a device that carries a number.
func report(from zigbee.NetworkAddress, number uint32) air.Frame {
	data := []byte{0x18, byte(number), 0x0a, 0, 0, 0x23}
	return air.Frame{
		Source: from, SourceEndpoint: 1, DestinationEndpoint: 1, Profile: zigbee.ProfileHomeAutomation,
		Cluster: 0x0402, LinkQuality: 120, Data: binary.LittleEndian.AppendUint32(data, number),
	}
}

// openQuiet opens a stick in an air where only the test speaks.
func openQuiet(t *testing.T, o ezspstick.Options, events func(zigbee.Event)) (*ezsp.Coordinator, *ezspstick.Stick, *quietAir) {
	t.Helper()
	a := &quietAir{}
	if o.IEEEAddress == 0 {
		o.IEEEAddress = stickAddress
	}
	stick := ezspstick.New(a, o)
	host, far := newLine()
	served := make(chan struct{})
	go func() {
		defer close(served)
		stick.Serve(context.Background(), far)
	}()
	t.Cleanup(func() {
		far.unplug()
		<-served
	})
	c, err := ezsp.Open(t.Context(), host, ezsp.Options{})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	c.Events(events)
	t.Cleanup(func() { c.Close() })
	if err := c.Form(t.Context(), parameters); err != nil {
		t.Fatalf("form: %v", err)
	}
	return c, stick, a
}

// TestFaults: on a line that loses, doubles and garbles bytes every report arrives
// once, in order, and nothing is invented; every message is sent once.
func TestFaults(t *testing.T) {
	for _, version := range versions {
		for _, fault := range []ezspstick.Faults{
			{Lose: 0.002},
			{Double: 0.002},
			{Garble: 0.002},
			{Reject: 0.2},
			{Lose: 0.001, Double: 0.001, Garble: 0.001, Reject: 0.05, Full: 0.1, Queue: 0.1, Slow: 3 * time.Millisecond},
		} {
			t.Run(fmt.Sprintf("EZSP%d/%+v", version, fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { faults(t, version, fault) })
			})
		}
	}
}

func faults(t *testing.T, version uint8, fault ezspstick.Faults) {
	const reports, messages = 400, 100
	var mu sync.Mutex
	var heard []uint32
	c, stick, a := openQuiet(t, ezspstick.Options{Version: version}, func(e zigbee.Event) {
		m, ok := e.(zigbee.Incoming)
		if !ok {
			t.Errorf("there is %+v", e)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		number := binary.LittleEndian.Uint32(m.Data[6:])
		want := report(0x1000, number)
		if m.Source != want.Source || m.Cluster != want.Cluster || m.LinkQuality != 120 || string(m.Data) != string(want.Data) {
			t.Errorf("heard %+v", m)
		}
		heard = append(heard, number)
	})
	fault.Seed = uint64(version)
	stick.SetFaults(fault)

	var all sync.WaitGroup
	all.Go(func() {
		for i := range uint32(reports) {
			a.radio.Receive(report(0x1000, i))
			time.Sleep(100 * time.Millisecond) // of made-up time
		}
	})
	for worker := range 5 {
		all.Go(func() {
			for i := range messages / 5 {
				data := binary.LittleEndian.AppendUint32([]byte{1, 0, 2}, uint32(worker*1000+i))
				if err := c.Send(t.Context(), zigbee.Outgoing{
					Destination: 0x2000, DestinationEndpoint: 1, SourceEndpoint: 1, Profile: 0x0104, Cluster: 6, Data: data,
				}); err != nil {
					t.Errorf("send %d of %d: %v", i, worker, err)
				}
			}
		})
	}
	all.Wait()
	time.Sleep(20 * time.Second)

	mu.Lock()
	defer mu.Unlock()
	if n := c.Counters(); n.Malformed == 1 && n.BadChecksums > 0 && len(heard) == reports-1 {
		t.Skipf("of %d damaged frames one had the right checksum, as one of 65,536 has", n.BadChecksums+1)
	}
	if n := stick.Counters().LostCallbacks; n > 0 {
		t.Errorf("the stick has lost %d callbacks", n)
	}
	if len(heard) != reports {
		t.Errorf("heard %d of %d reports", len(heard), reports)
	}
	for i, number := range heard {
		if number != uint32(i) {
			t.Fatalf("report %d is number %d; counters: %+v, of the stick %+v", i, number, c.Counters(), stick.Counters())
		}
	}
	seen := make(map[string]int)
	for _, f := range a.frames() {
		seen[string(f.Data)]++
	}
	if len(seen) != messages {
		t.Errorf("%d of %d messages were sent", len(seen), messages)
	}
	for data, n := range seen {
		if n != 1 {
			t.Errorf("%x was sent %d times", data, n)
		}
	}
	n, s := c.Counters(), stick.Counters()
	if got := c.Damaged(); got["line check"] != n.BadChecksums || got["line length"] != n.BadLengths || got["line"] != n.LineErrors {
		t.Errorf("damaged %v of %+v", got, n)
	}
	if n.Malformed > 0 || n.Strays > 0 {
		t.Errorf("counters: %+v", n)
	}
	if n.Retransmitted+n.RejectsSent+n.Duplicates+n.Busy+uint64(s.Refused) == 0 {
		t.Error("nothing went wrong")
	}
}

// TestDead: a stick that falls silent is given up, in words.
func TestDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stick, _ := openQuiet(t, ezspstick.Options{}, nil)
		stick.SetFaults(ezspstick.Faults{Lose: 1})
		begun := time.Now()
		err := c.Send(t.Context(), zigbee.Outgoing{Destination: 1, Data: []byte{1, 2, 3}})
		if err == nil {
			t.Fatal("it was sent")
		}
		<-c.Done()
		if took := time.Since(begun); took < 5*time.Second || took > 25*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestReasons: what became of a message is told in the words of the house.
func TestReasons(t *testing.T) {
	for _, test := range []struct {
		status air.Status
		reason zigbee.DeliveryReason
		sent   int
	}{
		{air.Delivered, "", 1},
		{air.NoAck, zigbee.NoAck, 1},
		{air.NoRoute, zigbee.NoRoute, 2}, // once more, with a search
		{air.Expired, zigbee.Expired, 1},
	} {
		t.Run(test.status.String(), func(t *testing.T) {
			each(t, func(t *testing.T, version uint8) {
				c, _, a := openQuiet(t, ezspstick.Options{Version: version}, nil)
				a.status = func(air.Frame) air.Status { return test.status }
				err := c.Send(t.Context(), zigbee.Outgoing{Destination: 0x2000, DestinationEndpoint: 1, SourceEndpoint: 1, Profile: 0x0104, Cluster: 6, Data: []byte{1, 2, 3}})
				var failed *zigbee.DeliveryError
				switch {
				case test.reason == "" && err != nil:
					t.Errorf("send: %v", err)
				case test.reason != "" && (!errors.As(err, &failed) || failed.Reason != test.reason):
					t.Errorf("send: %v", err)
				}
				if n := len(a.frames()); n != test.sent {
					t.Errorf("sent %d times", n)
				}
			})
		})
	}
}

// TestFull: a stick without room is waited for, and given up in the end.
func TestFull(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		c, stick, a := openQuiet(t, ezspstick.Options{Version: version, Messages: 2}, nil)
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				if err := c.Send(t.Context(), zigbee.Outgoing{Destination: 0x2000, DestinationEndpoint: 1, SourceEndpoint: 1, Profile: 0x0104, Cluster: 6, Data: []byte{1, byte(i), 3}}); err != nil {
					t.Errorf("send %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if n := len(a.frames()); n != 40 || c.Counters().Busy == 0 {
			t.Errorf("sent %d, busy %d times", n, c.Counters().Busy)
		}
		for _, f := range []ezspstick.Faults{{Full: 1}, {Queue: 1}} {
			stick.SetFaults(f)
			var failed *zigbee.DeliveryError
			if err := c.Send(t.Context(), zigbee.Outgoing{Destination: 0x2000, Data: []byte{1, 2, 3}}); !errors.As(err, &failed) || failed.Reason != zigbee.NoBuffers {
				t.Errorf("send to a full stick: %v", err)
			}
		}
		select {
		case <-c.Done():
			t.Errorf("it ended: %v", c.Err())
		default:
		}
	})
}

// TestCancelled: who gives up waiting does not disturb others.
func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stick, a := openQuiet(t, ezspstick.Options{}, nil)
		stick.SetFaults(ezspstick.Faults{Slow: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := c.Send(ctx, zigbee.Outgoing{Destination: 0x2000, Data: []byte{1, 2, 3}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("send: %v", err)
		}
		if err := c.Send(t.Context(), zigbee.Outgoing{Destination: 0x2000, Data: []byte{4, 5, 6}}); err != nil {
			t.Errorf("send: %v", err)
		}
		if n := len(a.frames()); n != 2 {
			t.Errorf("sent %d", n)
		}
		if n := c.Counters(); n.Strays > 0 {
			t.Errorf("counters: %+v", n)
		}
	})
}
