package air

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
)

func TestGreenPower(t *testing.T) {
	const source = 0x01718c2f
	play(t, Options{}, func(w *world) {
		w.add(Device{IEEEAddress: lamp, Kind: Bulb, NetworkAddress: 0x1a11})
		key := [16]byte(bytes.Repeat([]byte{0xab}, 16))
		if err := w.AddGreenPower(source, key); err != nil {
			t.Fatal(err)
		}
		if err := w.Teach(source); !errors.Is(err, ErrClosed) {
			t.Errorf("taught though nobody listens: %v", err)
		}
		tell := func(text string) {
			t.Helper()
			data, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			w.ask(Frame{Destination: zigbee.BroadcastAwake, SourceEndpoint: 242, DestinationEndpoint: 242, Profile: zigbee.ProfileGreenPower, Cluster: clusterGreenPower, Data: data})
			w.forget()
		}
		said := func() string {
			t.Helper()
			w.wait(time.Second)
			if len(w.ear.frames) != 1 {
				t.Fatalf("heard %+v", w.ear.frames)
			}
			defer w.forget()
			return hex.EncodeToString(w.ear.frames[0].Data[2:])
		}
		tell("1901020bb400") // commissioning mode for 180 s
		if err := w.Teach(source); err != nil {
			t.Fatal(err)
		}
		if got, want := said(), "0400082f8c710102000000e01b0281f2"+sealed+"d0d1d2d3"+"02000000"+"111ac5"; got != want {
			t.Errorf("taught, it says %s, not %s", got, want)
		}
		if err := w.PressGreenPower(source, 0x22); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if len(w.ear.frames) != 0 {
			t.Errorf("not paired, it says %x", w.ear.frames)
		}
		// A pairing with the key as the switch has told it, and as zigbee-herdsman tells it the routers.
		for _, c := range []struct {
			key  string
			pass bool
		}{
			{sealed, false},
			{"abababababababababababababababab", true},
		} {
			tell("190201" + "48e500" + "2f8c7101" + "840b" + "02" + "02000000" + c.key)
			if err := w.PressGreenPower(source, 0x22); err != nil {
				t.Fatal(err)
			}
			if !c.pass {
				w.wait(time.Second)
				if len(w.ear.frames) != 0 {
					t.Error("the proxy reads a switch whose key it does not have")
				}
				continue
			}
			if got, want := said(), "0080442f8c7101050000002200111ac5"; got != want {
				t.Errorf("pressed, it says %s, not %s", got, want)
			}
		}
	})
}

// sealed is the key of the test as encryptSecurityKey of zigbee-herdsman 10.9.2
// encrypts it for that source ID.
const sealed = "393df170ce35adefd7619c87e4785b4c"
