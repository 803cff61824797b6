package znp_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"lintel/serialbridge/drivertest"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// nobody is a handler that is told nothing.
type nobody struct{}

func (nobody) Started(zigbee.Info, zigbee.Parameters) {}
func (nobody) Stopped(error)                          {}
func (nobody) Joined(zigbee.Device)                   {}
func (nobody) Announced(zigbee.Device)                {}
func (nobody) Interviewing(zigbee.Device)             {}
func (nobody) Left(zigbee.Device)                     {}
func (nobody) Changed(zigbee.Device)                  {}
func (nobody) Message(zigbee.Device, zigbee.Message)  {}
func (nobody) Available(zigbee.IEEEAddress, bool)     {}

// TestWholeNetwork runs the network of package zigbee over the stick: one device of
// every kind joins and is interviewed, and the stick loses its power in between.
func TestWholeNetwork(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		n, err := zigbee.New(zigbee.Options{Store: &drivertest.Bucket[zigbee.Device]{}, Memory: &drivertest.Bucket[string]{}, Handler: nobody{}, Form: home})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.ctx)
		var running sync.WaitGroup
		running.Go(func() { n.Run(ctx) })
		running.Go(func() {
			for ctx.Err() == nil {
				c, err := b.openFor(nil)
				if err != nil {
					t.Error(err)
					return
				}
				n.Serve(ctx, c)
				b.close(c)
			}
		})
		defer running.Wait()
		defer cancel()
		for range 1000 {
			if _, _, ok := n.Info(); ok {
				break
			}
			wait(100 * time.Millisecond)
		}
		kinds := air.Kinds()
		for i, kind := range kinds {
			if i == len(kinds)/2 {
				b.stick.Reset()
				wait(10 * time.Second)
			}
			if err := n.PermitJoin(ctx, time.Minute, nil); err != nil {
				t.Fatal(err)
			}
			d := air.Device{IEEEAddress: lamp + zigbee.IEEEAddress(i), Kind: kind}
			if err := b.air.Add(d); err != nil {
				t.Fatal(err)
			}
			wait(time.Second)
			if err := b.air.Join(d.IEEEAddress); err != nil {
				t.Fatal(kind, err)
			}
			wait(20 * time.Second)
		}
		wait(2 * time.Minute)
		for i, kind := range kinds {
			ieee := lamp + zigbee.IEEEAddress(i)
			d, ok := n.Device(ieee)
			if !ok || d.Interview != zigbee.Successful || len(d.Endpoints) == 0 {
				t.Errorf("%s: interview %s, model %q", kind, d.Interview, d.ModelID)
			}
			if err := b.air.Doubts(ieee); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	})
}
