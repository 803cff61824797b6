package air

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

const (
	sensor zigbee.IEEEAddress = 0x00124b0022e10001
	plug   zigbee.IEEEAddress = 0xb43522fffe77a001
)

func TestJoinOnlyWhenOpen(t *testing.T) {
	play(t, Options{}, func(w *world) {
		w.PermitJoin(0)
		if err := w.Add(Device{IEEEAddress: lamp, Kind: Bulb}); err != nil {
			t.Fatal(err)
		}
		if err := w.Join(lamp); !errors.Is(err, ErrClosed) {
			t.Errorf("Join says %v", err)
		}
	})
}

func TestJoinThroughRouter(t *testing.T) {
	play(t, Options{}, func(w *world) {
		router := w.add(Device{IEEEAddress: plug, Kind: Plug})
		w.PermitJoin(0)
		status, _ := w.ask(Frame{Destination: router, Cluster: zdoPermitJoin, Data: []byte{1, 60, 1}})
		if status != Delivered {
			t.Fatal(status)
		}
		w.add(Device{IEEEAddress: sensor, Kind: Climate})
		_, frames := w.ask(Frame{Destination: router, Cluster: zdoLQI, Data: []byte{5, 0}})
		if len(frames) != 1 || frames[0].Data[2] != 2 || binary.LittleEndian.Uint64(frames[0].Data[5+22+8:]) != uint64(sensor) {
			t.Errorf("the neighbors are %x", frames)
		}
		// Without its parent a child is out of reach, and finds another one.
		if err := w.Power(plug, false); err != nil {
			t.Fatal(err)
		}
		if status, _ := w.ask(Frame{Destination: w.ear.joined[sensor], Cluster: zdoActiveEndpoints, Data: []byte{1, 0, 0}}); status != NoRoute {
			t.Errorf("to a child without parent: %s", status)
		}
		w.forget()
		w.wait(20 * time.Second)
		if len(w.ear.frames) != 1 || w.ear.frames[0].Cluster != zdoAnnounce {
			t.Errorf("heard %+v, not that the child is back", w.ear.frames)
		}
	})
}

func TestInstallCode(t *testing.T) {
	key := [16]byte{42}
	play(t, Options{}, func(w *world) {
		s := home
		known := false
		s.JoinKey = func(zigbee.IEEEAddress) ([16]byte, bool) {
			if known {
				return key, true
			}
			return WellKnownKey, true
		}
		w.Attach(w.ear, s)
		w.PermitJoin(time.Hour)
		if err := w.Add(Device{IEEEAddress: lamp, Kind: Bulb, InstallCode: &key}); err != nil {
			t.Fatal(err)
		}
		if err := w.Join(lamp); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if len(w.ear.joined) != 0 {
			t.Error("it joined with the key that all know")
		}
		known = true
		if err := w.Join(lamp); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if len(w.ear.joined) != 1 {
			t.Error("it did not join with the key of its install code")
		}
	})
}

func TestSleeping(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: sensor, Kind: Climate})
		read := zcl.Frame{Command: zcl.ReadAttributes, Payload: zcl.AppendIDs(nil, 5)}
		w.wait(time.Minute)
		begin := time.Now()
		var taken time.Duration
		w.Send(Frame{Destination: address, DestinationEndpoint: 1, Profile: 0x0104, Data: read.Append(nil)}, func(s Status) {
			if s != Delivered {
				t.Error(s)
			}
			taken = time.Since(begin)
		})
		w.wait(10 * time.Second)
		if taken < time.Second || taken > 5*time.Second+100*time.Millisecond {
			t.Errorf("a device that polls every 5 s had it after %s", taken)
		}
		if err := w.Sleep(sensor, true); err != nil {
			t.Fatal(err)
		}
		if status, _ := w.tell(address, 1, 0, read); status != Expired {
			t.Errorf("to one that does not poll: %s", status)
		}
		// It has what waits for it as soon as it says something.
		status := Status(255)
		w.Send(Frame{Destination: address, DestinationEndpoint: 1, Profile: 0x0104, Data: read.Append(nil)}, func(s Status) { status = s })
		w.wait(time.Second)
		if err := w.Move(sensor); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if status != Delivered {
			t.Errorf("after it has woken up: %s", status)
		}
	})
}

func TestDropMoveAndPower(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: lamp, Kind: Bulb})
		ask := func(a zigbee.NetworkAddress) Status {
			status, _ := w.tell(a, 11, clusterOnOff, zcl.Frame{Type: zcl.Specific, Command: 1})
			return status
		}
		if err := w.Drop(lamp, true); err != nil {
			t.Fatal(err)
		}
		if s := ask(address); s != NoAck {
			t.Errorf("to one that fell silent: %s", s)
		}
		if err := w.Drop(lamp, false); err != nil {
			t.Fatal(err)
		}
		if s := ask(address); s != Delivered {
			t.Errorf("to one that speaks again: %s", s)
		}
		if err := w.Move(lamp); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if s := ask(address); s != NoRoute {
			t.Errorf("to where it was: %s", s)
		}
		moved := w.Devices()[0].Address
		if s := ask(moved); s != Delivered {
			t.Errorf("to where it is: %s", s)
		}
		if err := w.Leave(lamp); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if len(w.ear.left) != 1 || w.ear.left[0] != lamp {
			t.Errorf("left: %v", w.ear.left)
		}
		if s := ask(moved); s != NoRoute {
			t.Errorf("to one that left: %s", s)
		}
	})
}

func TestAskedToLeave(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: lamp, Kind: Bulb})
		_, frames := w.ask(Frame{Destination: address, Cluster: zdoLeave, Data: append(binary.LittleEndian.AppendUint64([]byte{1}, uint64(lamp)), 0)})
		if len(frames) != 1 || string(frames[0].Data) != "\x01\x00" {
			t.Errorf("answers %x", frames)
		}
		if len(w.ear.left) != 1 || w.Devices()[0].Joined {
			t.Error("it is still there")
		}
	})
}

// Devices believe a coordinator that has the keys and counters of theirs, and no other.
func TestBelief(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Security)
		heard  bool
		doubt  string // a part of it; empty: none
	}{
		{"the same", func(s *Security) {}, true, ""},
		{"another network key", func(s *Security) { s.NetworkKey[0]++ }, false, "network key"},
		{"another channel", func(s *Security) { s.Channel = 20 }, false, "channel"},
		{"another network", func(s *Security) { s.PANID++ }, false, "another network"},
		{"frame counter went back", func(s *Security) { s.FrameCounter = 0 }, false, "frame counter"},
		{"another address", func(s *Security) { s.Coordinator++ }, true, "trust center"},
		{"link keys lost", func(s *Security) { s.LinkKey = func(zigbee.IEEEAddress) ([16]byte, bool) { return [16]byte{9}, true } }, true, "link key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, Options{}, func(w *world) {
				address := w.add(Device{IEEEAddress: lamp, Kind: Bulb})
				for range 5 {
					w.tell(address, 11, clusterOnOff, zcl.Frame{Type: zcl.Specific, Command: 2})
				}
				s := home
				s.FrameCounter = w.FrameCounter() + 1000
				c.change(&s)
				w.Detach(w.ear)
				w.Attach(w.ear, s)
				err := w.Doubts(lamp)
				if c.doubt == "" && err != nil || c.doubt != "" && (err == nil || !strings.Contains(err.Error(), c.doubt)) {
					t.Errorf("doubts: %v", err)
				}
				status, _ := w.tell(address, 11, clusterOnOff, zcl.Frame{Type: zcl.Specific, Command: 2})
				if (status == Delivered) != c.heard {
					t.Errorf("a frame is %s", status)
				}
			})
		})
	}
}

// Frames that are sent in one moment all arrive.
func TestBurst(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: lamp, Kind: Bulb})
		delivered := 0
		for range 16 {
			w.Send(Frame{Destination: address, DestinationEndpoint: 11, Profile: 0x0104, Cluster: clusterOnOff, Data: []byte{0x11, 1, 1}}, func(s Status) {
				if s == Delivered {
					delivered++
				}
			})
		}
		w.wait(5 * time.Second)
		if delivered != 16 {
			t.Errorf("%d of 16 frames arrived", delivered)
		}
	})
}

func TestTrustCenterRejoin(t *testing.T) {
	play(t, Options{}, func(w *world) {
		w.add(Device{IEEEAddress: lamp, Kind: Bulb})
		s := home
		s.FrameCounter = 5000
		s.Channel, s.NetworkKey = 25, [16]byte{7, 7}
		w.Attach(w.ear, s)
		if err := w.Rejoin(lamp); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if err := w.Doubts(lamp); err != nil {
			t.Errorf("after it came back: %v", err)
		}
		s.NetworkKey = [16]byte{8}
		s.LinkKey = nil
		w.Attach(w.ear, s)
		if err := w.Rejoin(lamp); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if err := w.Doubts(lamp); err == nil {
			t.Error("it took a network key under the link key that all know")
		}
	})
}

func TestChannelChange(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: lamp, Kind: Bulb})
		request := binary.LittleEndian.AppendUint32([]byte{1}, 1<<20)
		w.ask(Frame{Destination: zigbee.BroadcastAwake, Cluster: zdoNetworkUpdate, Data: append(request, 0xfe, 1, 0, 0)})
		s := home
		s.Channel, s.FrameCounter = 20, w.FrameCounter()
		w.Attach(w.ear, s)
		if status, _ := w.tell(address, 11, clusterOnOff, zcl.Frame{Type: zcl.Specific, Command: 2}); status != Delivered {
			t.Errorf("on the new channel: %s", status)
		}
	})
}

func TestLossAndDuplicates(t *testing.T) {
	play(t, Options{Seed: 5, Loss: 0.2, Duplicate: 0.1}, func(w *world) {
		if err := w.Add(Device{IEEEAddress: lamp, Kind: Bulb}); err != nil {
			t.Fatal(err)
		}
		if err := w.Join(lamp); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		var delivered, heard, lost int
		toggle := zcl.Frame{Type: zcl.Specific, Command: 2, DisableDefaultResponse: true}
		for range 500 {
			w.Send(Frame{Destination: w.ear.joined[lamp], DestinationEndpoint: 11, Profile: 0x0104, Cluster: clusterOnOff, Data: toggle.Append(nil)}, func(s Status) {
				if s == Delivered {
					delivered++
				}
			})
			w.wait(time.Second)
			if err := w.Move(lamp); err != nil {
				t.Fatal(err)
			}
			w.ear.joined[lamp] = w.Devices()[0].Address
			w.wait(5 * time.Second)
		}
		for _, r := range w.sent {
			if r.FromDevice && r.Heard {
				heard++
			} else if r.FromDevice {
				lost++
			}
		}
		if delivered < 360 || delivered > 440 {
			t.Errorf("%d of 500 frames to the device arrived with 20 %% loss", delivered)
		}
		if all := heard + lost; all < 520 || all > 580 || lost*100/all < 15 || lost*100/all > 25 {
			t.Errorf("of the device's frames %d were heard, %d lost", heard, lost)
		}
		if heard != len(w.ear.frames) {
			t.Errorf("%d frames heard by the record, %d by the radio", heard, len(w.ear.frames))
		}
	})
}

// The same seed makes the same world.
func TestDeterministic(t *testing.T) {
	run := func() (log []string) {
		synctest.Test(t, func(t *testing.T) {
			play := func(r Record) { log = append(log, r.Device.String()+string(r.Frame.Data)+r.Status.String()) }
			n := New(Options{Seed: 3, Loss: 0.1, Drift: time.Minute, Sent: play})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- n.Run(ctx) }()
			e := &ear{joined: make(map[zigbee.IEEEAddress]zigbee.NetworkAddress), keys: make(map[zigbee.IEEEAddress]*[16]byte)}
			n.Attach(e, home)
			n.PermitJoin(time.Hour)
			for _, d := range Household() {
				if err := n.Add(d); err != nil {
					t.Fatal(err)
				}
				if err := n.Join(d.IEEEAddress); err != nil {
					t.Fatal(err)
				}
			}
			timer := time.NewTimer(2 * time.Hour)
			<-timer.C
			synctest.Wait()
			cancel()
			<-done
		})
		return log
	}
	first, second := run(), run()
	if len(first) < 50 || strings.Join(first, "\n") != strings.Join(second, "\n") {
		t.Errorf("two runs of %d and %d records differ", len(first), len(second))
	}
}
