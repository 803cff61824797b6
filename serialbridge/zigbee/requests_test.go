package zigbee

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// joined is a world with a device that has been interviewed.
func joined(t *testing.T, device func(*stick) *thing, change ...func(*world)) (*world, *thing) {
	w := newWorld(t, change...)
	synctest.Wait()
	d := device(w.stick)
	d.attributes[clusterIASZone] = map[uint16]zcl.Attribute{
		0: {Type: zcl.Enum8, Value: uint64(1)}, 0x10: {Type: zcl.IEEE, Value: uint64(stickIEEE)},
	}
	w.join(d)
	if got, _ := w.Device(d.ieee); got.Interview != Successful {
		t.Fatalf("interview %s", got.Interview)
	}
	d.clear()
	return w, d
}

var on = Request{Endpoint: 1, Cluster: 6, Frame: zcl.Frame{Type: zcl.Specific, Command: 1}}

func TestRequestIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		f, err := w.Request(context.Background(), plugIEEE, on)
		if err != nil || f.Command != zcl.DefaultResponse || f.Payload[0] != 1 {
			t.Errorf("answer %+v, %v", f, err)
		}
		d.takes = func(m Outgoing, f zcl.Frame) bool {
			// First something that has the number and answers nothing, then the refusal.
			w.stick.say(d, 1, 6, zcl.Frame{Sequence: f.Sequence, Command: zcl.DefaultResponse, ServerToClient: true, DisableDefaultResponse: true, Payload: []byte{9, 0}})
			w.stick.say(d, 1, 6, zcl.Frame{Sequence: f.Sequence, Command: zcl.DefaultResponse, DisableDefaultResponse: true, Payload: []byte{1, 0}})
			w.stick.say(d, 1, 6, zcl.Frame{Sequence: f.Sequence, Command: zcl.DefaultResponse, ServerToClient: true, DisableDefaultResponse: true, Payload: []byte{1, 0x93}})
			return true
		}
		var refused *StatusError
		if _, err := w.Request(context.Background(), plugIEEE, on); !errors.As(err, &refused) || refused.Status != zcl.ActionDenied {
			t.Errorf("a refusal is %v", err)
		}
		d.takes = nil
		d.silent.Store(true)
		start := time.Now()
		if _, err := w.Request(context.Background(), plugIEEE, on); !errors.Is(err, ErrNoAnswer) || time.Since(start) != requestTimeout {
			t.Errorf("silence is %v after %s", err, time.Since(start))
		}
		quiet := on
		quiet.NoResponse = true
		if _, err := w.Request(context.Background(), plugIEEE, quiet); err != nil {
			t.Errorf("without an answer: %v", err)
		}
		if _, err := w.Request(context.Background(), doorIEEE, on); !errors.Is(err, ErrNoDevice) {
			t.Errorf("of a stranger: %v", err)
		}
		if c := w.Counters(); c.Unanswered != 1+maxRepeats { // it was sent again
			t.Errorf("counters %+v", c)
		}
	})
}

func TestAnswersFindTheirRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		// The device answers in the wrong order: each answer goes to who asked for it.
		var held []zcl.Frame
		d.takes = func(m Outgoing, f zcl.Frame) bool {
			held = append(held, f)
			if len(held) == 20 {
				for _, f := range slices.Backward(held) {
					w.stick.say(d, 1, 6, zcl.Frame{Sequence: f.Sequence, Command: zcl.DefaultResponse, ServerToClient: true, DisableDefaultResponse: true, Payload: []byte{f.Command, byte(f.Command)}})
				}
			}
			return true
		}
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				r := on
				r.Frame.Command = uint8(0x80 + i)
				_, err := w.Request(context.Background(), plugIEEE, r)
				if e, ok := errors.AsType[*StatusError](err); !ok || e.Status != zcl.Status(0x80+i) {
					t.Errorf("request %d: %v", i, err)
				}
			})
		}
		all.Wait()
	})
}

func TestSleepingDeviceIsToldWhenItWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, door)
		defer w.end()
		d.asleep.Store(true)
		if _, err := w.Request(context.Background(), doorIEEE, on); !errors.As(err, new(*DeliveryError)) {
			t.Errorf("a sleeping device: %v", err)
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		var order []int
		for i := range 3 {
			all.Go(func() {
				r := on
				r.Hold = time.Hour
				r.Frame.Payload = []byte{byte(i)}
				if _, err := w.Request(context.Background(), doorIEEE, r); err != nil {
					t.Errorf("held request %d: %v", i, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			synctest.Wait()
		}
		time.Sleep(20 * time.Minute)
		if len(d.got()) != 0 {
			t.Errorf("a sleeping device has got %v", d.got())
		}
		d.asleep.Store(false)
		w.stick.report(d, 1, 1, zcl.Attribute{ID: 0x21, Type: zcl.Uint8, Value: uint64(100)})
		all.Wait()
		if !slices.Equal(order, []int{0, 1, 2}) {
			t.Errorf("held requests were done in the order %v", order)
		}
	})
}

func TestHeldRequestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, door)
		defer w.end()
		d.asleep.Store(true)
		r := on
		r.Hold = time.Hour
		start := time.Now()
		if _, err := w.Request(context.Background(), doorIEEE, r); !errors.As(err, new(*DeliveryError)) || time.Since(start) != time.Hour {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := w.Request(ctx, doorIEEE, r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a deadline: %v", err)
		}
	})
}

func TestCheckIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, func(s *stick) *thing {
			d := door(s)
			d.endpoints[0].Input = append(d.endpoints[0].Input, clusterPollControl)
			d.attributes[clusterPollControl] = map[uint16]zcl.Attribute{0: {Type: zcl.Uint32, Value: uint64(4 * 3600)}}
			return d
		})
		defer w.end()
		device, _ := w.Device(doorIEEE)
		if device.CheckInInterval != time.Hour || !slices.Contains(device.Endpoint(1).Bindings, Binding{Cluster: clusterPollControl, Device: stickIEEE, Endpoint: 1}) {
			t.Errorf("device %+v", device)
		}
		checkIn := zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: 0, Sequence: 77}
		w.stick.say(d, 1, clusterPollControl, checkIn)
		synctest.Wait()
		if len(d.got()) != 1 || d.got()[0].Sequence != 77 || !slices.Equal(d.got()[0].Payload, []byte{0, 0, 0}) || d.got()[0].ServerToClient {
			t.Errorf("nothing to do is %+v", d.got())
		}
		// A device that checks in has requests held for it without being asked.
		d.asleep.Store(true)
		d.clear()
		done := make(chan error, 1)
		go func() {
			_, err := w.Request(context.Background(), doorIEEE, on)
			done <- err
		}()
		time.Sleep(30 * time.Minute)
		d.asleep.Store(false)
		checkIn.Sequence = 78
		w.stick.say(d, 1, clusterPollControl, checkIn)
		if err := <-done; err != nil {
			t.Errorf("held until the check-in: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		var commands []string
		for _, f := range d.got() {
			commands = append(commands, fmt.Sprintf("%d/%d:%x", f.Type, f.Command, f.Payload))
		}
		if want := []string{"1/0:010000", "1/1:", "1/1:"}; !slices.Equal(commands, want) {
			t.Errorf("the device was told %q, want to poll fast, the request, to stop: %q", commands, want)
		}
	})
}

func TestMovedDeviceIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		w.stick.move(d, plugIEEE, 0x3333)
		if _, err := w.Request(context.Background(), plugIEEE, on); err != nil {
			t.Errorf("a device that has moved: %v", err)
		}
		if got, _ := w.Device(plugIEEE); got.NetworkAddress != 0x3333 || got.AddressChanges != 1 {
			t.Errorf("device %+v", got)
		}
		// It moves again, and speaks first: who has the address is asked for, and what
		// it has said is not lost.
		w.stick.move(d, plugIEEE, 0x4444)
		synctest.Wait()
		before := w.diary.count("message")
		for i := range 5 {
			w.stick.report(d, uint8(100+i), 6, zcl.Attribute{ID: 0, Type: zcl.Boolean, Value: i%2 == 0})
		}
		synctest.Wait()
		if got := w.at(0x4444); got != plugIEEE {
			t.Errorf("device %+v", got)
		}
		if got := w.diary.count("message") - before; got != 5 {
			t.Errorf("%d of 5 messages from the new address were told", got)
		}
		if w.at(0x3333) != 0 {
			t.Error("the old address is still a device's")
		}
	})
}

func TestTakenAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		w.stick.event(Announced{doorIEEE, d.address, 0x80}) // a stranger while the network is closed
		synctest.Wait()
		if got := w.at(d.address); got != plugIEEE {
			t.Errorf("the address belongs to %s", got)
		}
		w.stick.event(Joined{doorIEEE, d.address, 0})
		synctest.Wait()
		if got, _ := w.Device(plugIEEE); got.NetworkAddress != UnknownAddress {
			t.Errorf("the device before is at 0x%04x", got.NetworkAddress)
		}
	})
}
