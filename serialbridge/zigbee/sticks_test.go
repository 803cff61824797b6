package zigbee_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

func TestHouseholdOnSticks(t *testing.T) {
	for name, family := range families {
		t.Run(name, func(t *testing.T) {
			inHouse(t, air.Options{Seed: 3}, func(h *house) {
				stick := h.stick(family, 0x00124b00aa000001)
				h.plugIn(stick)
				household := air.Household()
				h.populate(household)
				if got := h.network.Devices(); len(got) != len(household) {
					h.Errorf("%d of %d devices have joined", len(got), len(household))
				}
				if names := h.unfinished(); len(names) > 0 {
					h.Errorf("not interviewed: %q", names)
				}
				h.check()

				// Set up a sensor; it reports.
				ctx := context.Background()
				sensor := household[0].IEEEAddress
				info, _, _ := h.network.Info()
				err := errors.Join(
					h.network.Bind(ctx, sensor, 1, zigbee.Binding{Cluster: 0x0402, Device: info.IEEEAddress, Endpoint: zigbee.EndpointHome}),
					h.network.ConfigureReporting(ctx, sensor, 1, zigbee.Reporting{Cluster: 0x0402, Type: uint8(zcl.Int16), Min: time.Second, Max: time.Hour, Change: 10}),
					h.air.Set(sensor, 1, 0x0402, 0, 2345),
				)
				if err != nil {
					h.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				if d, _ := h.network.Device(sensor); d.Endpoint(1).Attributes[0x0402][0] != int64(2345) {
					h.Errorf("the sensor has told %v", d.Endpoint(1).Attributes[0x0402])
				}

				// The program ends and begins again: the devices do not notice, and are not
				// asked who they are.
				before := h.network.Devices()
				h.shutDown()
				h.boot()
				start := time.Now()
				h.plugIn(stick)
				if d := time.Since(start); d > 5*time.Second {
					h.Errorf("the network is back after %s", d)
				}
				time.Sleep(time.Second)
				if got := h.network.Devices(); len(got) != len(before) || len(h.unfinished()) > 0 {
					h.Errorf("after a restart there are %d devices instead of %d, not interviewed are %q", len(got), len(before), h.unfinished())
				}
				h.check()
				messages := h.listener.count(sensor)
				if err := h.air.Set(sensor, 1, 0x0402, 0, 1000); err != nil {
					h.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				if h.listener.count(sensor) == messages {
					h.Error("the sensor does not report after a restart")
				}
			})
		})
	}
}

// TestNetworkMovesToAnotherStick gives the network to a blank stick of each other family: no
// device has to join again.
func TestNetworkMovesToAnotherStick(t *testing.T) {
	for from := range families {
		for to := range families {
			if from == to {
				continue
			}
			t.Run(from+" to "+to, func(t *testing.T) {
				inHouse(t, air.Options{Seed: 3}, func(h *house) {
					h.plugIn(h.stick(families[from], 0x00124b00aa000001))
					h.populate(air.Household()[:6])
					if _, err := h.network.Backup(context.Background()); err != nil {
						h.Fatal(err)
					}
					h.unplug()
					h.plugIn(h.stick(families[to], 0x00124b00aa000002))
					time.Sleep(time.Minute)
					if info, _, _ := h.network.Info(); info.IEEEAddress != 0x00124b00aa000001 {
						h.Errorf("the coordinator is %s", info.IEEEAddress)
					}
					h.check()
				})
			})
		}
	}
}

// TestTown lets 150 devices report for ten minutes, with one of twenty frames lost in the
// air, and sends commands meanwhile: what the radio has heard is told, once.
func TestTown(t *testing.T) {
	for _, name := range []string{"ZStack3x0", "EmberZNet 13"} {
		t.Run(name, func(t *testing.T) {
			heard := make(map[zigbee.IEEEAddress]int)
			counting := false
			var mu sync.Mutex
			o := air.Options{Seed: 7, Loss: 0.05, Drift: 10 * time.Second, Sent: func(r air.Record) {
				mu.Lock()
				defer mu.Unlock()
				if counting && r.FromDevice && r.Heard && r.Frame.Profile != zigbee.ProfileZDO && r.Frame.DestinationEndpoint != 0 {
					heard[r.Device]++
				}
			}}
			inHouse(t, o, func(h *house) {
				h.plugIn(h.stick(families[name], 0x00124b00aa000001))
				h.populate(air.Town(150, 40))
				if got := len(h.network.Devices()); got < 145 {
					h.Errorf("%d devices have joined", got)
				}
				h.setUp()

				mu.Lock()
				counting = true
				mu.Unlock()
				before := h.network.Counters()
				start := time.Now()
				var slowest []time.Duration
				var failed int
				for time.Since(start) < 10*time.Minute {
					for _, d := range h.network.Devices() {
						if d.Type != zigbee.Router || len(d.Endpoints) == 0 {
							continue
						}
						sent := time.Now()
						_, err := h.network.Request(context.Background(), d.IEEEAddress, zigbee.Request{
							Endpoint: d.Endpoints[0].ID, Cluster: 6, Frame: zcl.Frame{Type: zcl.Specific, Command: 2},
						})
						if err != nil {
							failed++
						}
						slowest = append(slowest, time.Since(sent))
					}
					time.Sleep(time.Second)
				}
				mu.Lock()
				counting = false
				want := 0
				for _, n := range heard {
					want += n
				}
				mu.Unlock()
				time.Sleep(time.Second)
				after := h.network.Counters()
				got := after.Received + after.Duplicates - before.Received - before.Duplicates
				slices.Sort(slowest)
				h.Logf("%d messages heard, %d taken, %d commands (%d failed), median %s, 99 %% within %s", want, got, len(slowest), failed, slowest[len(slowest)/2], slowest[len(slowest)*99/100])
				// What was on the line at the begin and came in the second after the end is more.
				if want < 1000 || got < uint64(want) || got > uint64(want)+100 {
					h.Errorf("of %d messages that the radio has heard %d were taken: %+v", want, got, after)
				}
				if after.Overflows != 0 || len(after.Damaged) != 0 {
					h.Errorf("counters %+v", after)
				}
			})
		})
	}
}

// setUp binds what measures and sets it up to report.
func (h *house) setUp() {
	h.Helper()
	info, _, _ := h.network.Info()
	var all sync.WaitGroup
	for _, d := range h.network.Devices() {
		all.Go(func() {
			for _, e := range d.Endpoints {
				for _, cluster := range e.Input {
					r := zigbee.Reporting{Cluster: cluster, Min: time.Second, Max: 30 * time.Second, Change: 1}
					switch cluster {
					case 0x0006:
						r.Type = uint8(zcl.Boolean)
					case 0x0402:
						r.Type = uint8(zcl.Int16)
					case 0x0405:
						r.Type = uint8(zcl.Uint16)
					default:
						continue
					}
					for range 10 {
						ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
						err := h.network.Bind(ctx, d.IEEEAddress, e.ID, zigbee.Binding{Cluster: cluster, Device: info.IEEEAddress, Endpoint: zigbee.EndpointHome})
						if err == nil {
							err = h.network.ConfigureReporting(ctx, d.IEEEAddress, e.ID, r)
						}
						cancel()
						if err == nil {
							break
						}
					}
				}
			}
		})
	}
	all.Wait()
}
