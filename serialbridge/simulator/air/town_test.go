package air

import (
	"runtime"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
)

// A hundred and fifty devices that report for ten minutes with five percent loss:
// what the radio was told is what the records say, and it costs next to nothing.
func TestTown(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	play(t, Options{Seed: 1, Loss: 0.05, Duplicate: 0.02, Drift: 10 * time.Second}, func(w *world) {
		for _, d := range Town(150, 40) {
			if err := w.Add(d); err != nil {
				t.Fatal(err)
			}
			if err := w.Join(d.IEEEAddress); err != nil {
				t.Fatal(err)
			}
		}
		w.wait(time.Second)
		if len(w.ear.joined) != 150 {
			t.Fatalf("%d devices have joined", len(w.ear.joined))
		}
		w.forget()
		w.wait(10 * time.Minute)
		heard, lost := 0, 0
		for _, r := range w.sent {
			switch {
			case r.FromDevice && r.Heard:
				heard++
			case r.FromDevice:
				lost++
			}
		}
		if heard != len(w.ear.frames) {
			t.Errorf("the records say %d frames, the radio heard %d", heard, len(w.ear.frames))
		}
		if heard < 1000 || lost*100/(heard+lost) < 3 || lost*100/(heard+lost) > 7 {
			t.Errorf("%d frames were heard and %d lost in ten minutes", heard, lost)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		t.Logf("%d frames heard, %d lost", heard, lost)
	})
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 20<<20 {
		t.Errorf("the town takes %d bytes", used)
	}
}

// A network that is full says so.
func TestFull(t *testing.T) {
	n := New(Options{})
	for _, d := range Town(maxDevices, 0) {
		if err := n.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Add(Device{IEEEAddress: 1, Kind: Bulb}); err == nil {
		t.Error("there was room for one more")
	}
	if err := n.Add(Device{IEEEAddress: 2, Kind: "toaster"}); err == nil {
		t.Error("there is a toaster")
	}
	if err := n.Leave(zigbee.IEEEAddress(99)); err == nil {
		t.Error("nobody has left")
	}
}
