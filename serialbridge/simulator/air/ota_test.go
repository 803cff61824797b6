package air

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

func TestUpgrade(t *testing.T) {
	image := bytes.Repeat([]byte("0123456789"), 20)
	binary.LittleEndian.PutUint32(image, 0x0beef11e)
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: lamp, Kind: Bulb})
		blocks := 0
		// serve answers what the device asked.
		serve := func() bool {
			asked := w.ear.frames
			w.forget()
			for _, f := range asked {
				z, err := zcl.ParseFrame(f.Data)
				if err != nil || f.Cluster != clusterOTA {
					continue
				}
				answer := zcl.Frame{Type: zcl.Specific, ServerToClient: true, DisableDefaultResponse: true, Sequence: z.Sequence}
				switch z.Command {
				case queryImage:
					answer.Command, answer.Payload = queryImageAnswer, []byte{0, 0x0b, 0x10, 1, 1, 9, 0, 0, 0, byte(len(image)), 0, 0, 0}
				case blockRequest:
					blocks++
					at := binary.LittleEndian.Uint32(z.Payload[9:])
					size := min(uint32(z.Payload[13]), 50, uint32(len(image))-at)
					answer.Command, answer.Payload = blockAnswer, append([]byte{0}, z.Payload[1:9]...)
					answer.Payload = binary.LittleEndian.AppendUint32(answer.Payload, at)
					answer.Payload = append(append(answer.Payload, byte(size)), image[at:at+size]...)
				case upgradeEnd:
					if z.Payload[0] != 0 {
						t.Errorf("it refuses the image: %x", z.Payload)
					}
					answer.Command, answer.Payload = upgradeEndAnswer, append(append([]byte(nil), z.Payload[1:9]...), make([]byte, 8)...)
				}
				w.Send(Frame{Destination: address, SourceEndpoint: 1, DestinationEndpoint: f.SourceEndpoint, Profile: 0x0104, Cluster: clusterOTA, Data: answer.Append(nil)}, nil)
				return true
			}
			return false
		}
		if err := w.QueryImage(lamp); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		for serve() {
			w.wait(time.Second)
		}
		got, version, err := w.Firmware(lamp)
		if err != nil || !bytes.Equal(got, image) || version != 9 || blocks != 4 {
			t.Errorf("%d bytes of version %d in %d blocks, %v", len(got), version, blocks, err)
		}
	})
}
