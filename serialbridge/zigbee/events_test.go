package zigbee

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

func TestReportsReachHandlerAndState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		start := time.Now()
		w.stick.report(d, 1, 0x0402, zcl.Attribute{ID: 0, Type: zcl.Int16, Value: -525})
		synctest.Wait()
		m := w.diary.said()[len(w.diary.said())-1]
		if m.Device != plugIEEE || m.Endpoint != 1 || m.Cluster != 0x0402 || m.LinkQuality != 120 || !m.Received.Equal(start) ||
			len(m.Attributes) != 1 || m.Attributes[0].Value != int64(-525) {
			t.Errorf("message %+v", m)
		}
		device, _ := w.Device(plugIEEE)
		if device.Endpoint(1).Attributes[0x0402][0] != int64(-525) || *device.LinkQuality != 120 || !device.LastSeen.Equal(start) {
			t.Errorf("device %+v", device)
		}
		// Who changes a copy changes nothing else.
		device.Endpoints[0].Attributes[0x0402][0] = "changed"
		device.Endpoints[0].Input[0] = 99
		if again, _ := w.Device(plugIEEE); again.Endpoints[0].Attributes[0x0402][0] != int64(-525) || again.Endpoints[0].Input[0] != 0 {
			t.Errorf("device %+v", again)
		}
	})
}

func TestDamageChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		synctest.Wait()
		before, _ := w.Device(plugIEEE)
		messages := len(w.diary.said())
		for i, data := range [][]byte{nil, {0}, {0x18}, {0x18, 1}, {0x1c, 1, 2, 3}, {0x1b, 1, 2, 3}} {
			w.stick.event(Incoming{Source: d.address, SourceEndpoint: 1, DestinationEndpoint: 1, Cluster: 6, Data: data})
			if c := w.Counters(); c.Damaged["frame"] != uint64(i+1) {
				t.Errorf("after %x: %v", data, c.Damaged)
			}
		}
		synctest.Wait()
		if after, _ := w.Device(plugIEEE); after.Messages != before.Messages || !after.LastSeen.Equal(before.LastSeen) || len(w.diary.said()) != messages {
			t.Errorf("a damaged frame has changed %+v to %+v", before, after)
		}
		// A list that ends badly: what comes before the end counts.
		payload := []byte{0, 0, 0x10, 1, 1, 0, 0x42, 200, 'x'}
		w.stick.say(d, 1, 6, zcl.Frame{ServerToClient: true, DisableDefaultResponse: true, Sequence: 1, Command: zcl.ReportAttributes, Payload: payload})
		synctest.Wait()
		after, _ := w.Device(plugIEEE)
		if got := after.Endpoint(1).Attributes[6]; got[0] != true || len(got) != 1 || w.Counters().Damaged["attributes"] != 1 {
			t.Errorf("kept %v, counted %v", got, w.Counters().Damaged)
		}
	})
}

func TestDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		synctest.Wait()
		before := w.diary.count("message")
		say := func() {
			w.stick.report(d, 9, 6, zcl.Attribute{ID: 0, Type: zcl.Boolean, Value: true})
			synctest.Wait()
		}
		say()
		time.Sleep(duplicateWindow / 2)
		say()
		if got := w.diary.count("message") - before; got != 1 {
			t.Errorf("a frame and its copy are %d messages", got)
		}
		time.Sleep(10 * time.Second)
		say() // a device that does not count, or has counted round
		if got := w.diary.count("message") - before; got != 2 || w.Counters().Duplicates != 1 {
			t.Errorf("%d messages, counters %+v", got, w.Counters())
		}
	})
}

func TestNoReportIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		const devices, reports = 150, 100
		var things []*thing
		for i := range devices {
			d := plug(w.stick)
			w.stick.move(d, IEEEAddress(0x1000+i), NetworkAddress(0x1000+i))
			things = append(things, d)
			w.stick.event(Joined{d.ieee, d.address, 0})
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		before := w.diary.count("message")
		// The handler stops for a moment: as long as it takes to receive 15,000 reports.
		w.diary.hold = make(chan struct{})
		for i := range reports {
			for _, d := range things {
				w.stick.report(d, uint8(i), 0x0402, zcl.Attribute{ID: 0, Type: zcl.Int16, Value: i})
			}
		}
		close(w.diary.hold)
		synctest.Wait()
		if got := w.diary.count("message") - before; got != devices*reports || w.Counters().Overflows != 0 {
			t.Errorf("%d of %d reports were told, counters %+v", got, devices*reports, w.Counters())
		}
		var last = make(map[IEEEAddress]int64)
		for _, m := range w.diary.said()[len(w.diary.said())-devices*reports:] {
			if v := m.Attributes[0].Value.(int64); v < last[m.Device] {
				t.Fatalf("%s was told %d after %d", m.Device, v, last[m.Device])
			} else {
				last[m.Device] = v
			}
		}
	})
}

func TestOverflowIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		w.diary.hold = make(chan struct{})
		synctest.Wait()
		for i := range maxNotices + 500 {
			time.Sleep(duplicateWindow / 100)
			w.stick.report(d, uint8(i), 0x0402, zcl.Attribute{ID: 0, Type: zcl.Int16, Value: i % 30000})
		}
		if c := w.Counters(); c.Overflows < 400 || c.Overflows > 500 {
			t.Errorf("%d overflows", c.Overflows)
		}
		close(w.diary.hold)
	})
}

func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		w.stick.event(Left{IEEEAddress: plugIEEE, Rejoin: true})
		synctest.Wait()
		if got, ok := w.Device(plugIEEE); !ok || got.Leaves != 1 {
			t.Errorf("who means to come back is %+v", got)
		}
		w.stick.event(Left{NetworkAddress: d.address})
		synctest.Wait()
		if _, ok := w.Device(plugIEEE); ok || w.diary.count("left") != 1 {
			t.Error("who has left is still there")
		}
		if _, ok := w.store.get(plugIEEE.String()); ok {
			t.Error("who has left is still in the store")
		}
		w.join(d)
		if got, ok := w.Device(plugIEEE); !ok || got.Leaves != 2 || got.Interview != Successful {
			t.Errorf("who is back is %+v", got)
		}
		if _, ok := w.store.get(plugIEEE.String()); !ok {
			t.Error("who is back is not in the store")
		}
	})
}

func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		ctx := context.Background()
		if err := w.Remove(ctx, plugIEEE, RemoveOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.diary.count("left") != 1 || len(w.Devices()) != 0 {
			t.Error("the device is still there")
		}
		w.stick.add(d)
		w.join(d)
		w.stick.mu.Lock()
		delete(w.stick.devices, d.address)
		w.stick.mu.Unlock()
		if err := w.Remove(ctx, plugIEEE, RemoveOptions{}); !errors.As(err, new(*DeliveryError)) {
			t.Errorf("of a device that is not there: %v", err)
		}
		if err := w.Remove(ctx, plugIEEE, RemoveOptions{Force: true, Block: true}); err != nil {
			t.Error(err)
		}
		if got := w.Blocked(); !slices.Equal(got, []IEEEAddress{plugIEEE}) {
			t.Errorf("blocked are %v", got)
		}
		w.stick.add(d)
		w.join(d)
		if len(w.Devices()) != 0 || w.stick.find(d.address) != nil {
			t.Error("a blocked device has joined")
		}
		w.stick.add(d)
		if err := w.SetBlocked(ctx, plugIEEE, false); err != nil {
			t.Error(err)
		}
		w.join(d)
		if len(w.Devices()) != 1 {
			t.Error("a device that is blocked no more cannot join")
		}
	})
}

func TestStrangersAreNotLetInByAnnouncing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		d := plug(w.stick)
		w.stick.event(Announced{d.ieee, d.address, d.capability})
		for i := range 20 {
			w.stick.report(d, uint8(i), 6, zcl.Attribute{ID: 0, Type: zcl.Boolean, Value: true})
		}
		synctest.Wait()
		if len(w.Devices()) != 0 || w.Counters().Strangers == 0 {
			t.Errorf("devices %v, counters %+v", w.Devices(), w.Counters())
		}
		asked := 0
		for _, a := range w.stick.asked {
			if a.cluster == zdoIEEEAddress {
				asked++
			}
		}
		if asked != 1 {
			t.Errorf("a stranger was asked %d times", asked)
		}
		if err := w.PermitJoin(context.Background(), time.Minute, nil); err != nil {
			t.Fatal(err)
		}
		w.stick.event(Announced{d.ieee, d.address, d.capability})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, _ := w.Device(plugIEEE); got.Interview != Successful {
			t.Errorf("who announces itself while the network is open is %+v", got)
		}
	})
}

func TestPermitJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := joined(t, plug)
		defer w.end()
		ctx := context.Background()
		if err := w.PermitJoin(ctx, 255*time.Second, nil); err == nil {
			t.Error("the network is open for ever")
		}
		via := plugIEEE
		if err := w.PermitJoin(ctx, 100*time.Second, &via); err != nil {
			t.Error(err)
		}
		if got := time.Until(w.PermitJoinEnd()); got != 100*time.Second {
			t.Errorf("open for %s", got)
		}
		time.Sleep(100 * time.Second)
		if !w.PermitJoinEnd().IsZero() {
			t.Error("it does not close")
		}
		via = doorIEEE
		if err := w.PermitJoin(ctx, time.Second, &via); !errors.Is(err, ErrNoDevice) {
			t.Errorf("through a stranger: %v", err)
		}
	})
}
