package air

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// ear is a radio that remembers what it heard.
type ear struct {
	frames []Frame
	joined map[zigbee.IEEEAddress]zigbee.NetworkAddress
	keys   map[zigbee.IEEEAddress]*[16]byte
	left   []zigbee.IEEEAddress
}

func (e *ear) Receive(f Frame) { e.frames = append(e.frames, f) }
func (e *ear) Joined(d zigbee.IEEEAddress, a, _ zigbee.NetworkAddress, key *[16]byte) {
	e.joined[d], e.keys[d] = a, key
}
func (e *ear) Left(d zigbee.IEEEAddress, _ zigbee.NetworkAddress, _ bool) {
	delete(e.joined, d)
	e.left = append(e.left, d)
}

// the network of the tests.
var home = Security{
	Parameters:  zigbee.Parameters{PANID: 0x1a62, ExtendedPANID: [8]byte{0xdd, 1, 2, 3, 4, 5, 6, 7}, Channel: 15, NetworkKey: [16]byte{1, 3, 5, 7, 9}},
	Coordinator: 0x00124b0009d80ba7,
	LinkKey: func(d zigbee.IEEEAddress) ([16]byte, bool) {
		var key [16]byte
		binary.LittleEndian.PutUint64(key[:], uint64(d))
		return key, true
	},
}

// world is a network with a coordinator, in a bubble of synctest.
type world struct {
	*testing.T
	*Network
	ear  *ear
	sent []Record
}

// play runs a test in a network whose coordinator lets devices join.
func play(t *testing.T, o Options, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, ear: &ear{joined: make(map[zigbee.IEEEAddress]zigbee.NetworkAddress), keys: make(map[zigbee.IEEEAddress]*[16]byte)}}
		o.Sent = func(r Record) { w.sent = append(w.sent, r) }
		w.Network = New(o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Network.Run(ctx) }()
		w.Attach(w.ear, home)
		w.PermitJoin(100 * time.Hour)
		defer func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Run returned %v", err)
			}
		}()
		test(w)
	})
}

// wait lets time pass.
func (w *world) wait(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// add adds a device and lets it join.
func (w *world) add(d Device) zigbee.NetworkAddress {
	w.Helper()
	if err := w.Add(d); err != nil {
		w.Fatal(err)
	}
	if err := w.Join(d.IEEEAddress); err != nil {
		w.Fatal(err)
	}
	w.wait(time.Second)
	address, ok := w.ear.joined[d.IEEEAddress]
	if !ok {
		w.Fatalf("%s has not joined", d.IEEEAddress)
	}
	return address
}

// ask sends a frame and returns what came back from the device in a second.
func (w *world) ask(f Frame) (Status, []Frame) {
	w.Helper()
	w.forget()
	status := Status(255)
	w.Send(f, func(s Status) { status = s })
	w.wait(10 * time.Second)
	if status == 255 {
		w.Error("the frame was not confirmed")
	}
	return status, w.ear.frames
}

// tell sends a ZCL frame to an endpoint and returns the answers.
func (w *world) tell(to zigbee.NetworkAddress, endpoint uint8, cluster uint16, z zcl.Frame) (Status, []zcl.Frame) {
	w.Helper()
	z.Sequence = 77
	status, frames := w.ask(Frame{Destination: to, DestinationEndpoint: endpoint, SourceEndpoint: 1, Profile: 0x0104, Cluster: cluster, Data: z.Append(nil)})
	var answers []zcl.Frame
	for _, f := range frames {
		if f.Cluster != cluster || f.Profile != 0x0104 {
			continue
		}
		a, err := zcl.ParseFrame(f.Data)
		if err != nil {
			w.Fatal(err)
		}
		answers = append(answers, a)
	}
	return status, answers
}

const lamp zigbee.IEEEAddress = 0x00178801061a2b3c

func TestJoinAndInterview(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: lamp, Kind: Bulb, NetworkAddress: 6673})
		if address != 6673 {
			t.Errorf("the address is %d", address)
		}
		if len(w.ear.frames) != 1 || w.ear.frames[0].Cluster != zdoAnnounce {
			t.Fatalf("heard %+v, not one announcement", w.ear.frames)
		}
		if want, _ := home.LinkKey(lamp); w.ear.keys[lamp] == nil || *w.ear.keys[lamp] != want {
			t.Errorf("the link key is %x", w.ear.keys[lamp])
		}
		nwk := binary.LittleEndian.AppendUint16([]byte{9}, uint16(address))
		for _, c := range []struct {
			name    string
			cluster uint16
			request []byte
			answer  string
		}{
			{"node descriptor", zdoNodeDescriptor, nwk, "\x09\x00\x11\x1a\x01\x40\x8e\x0b\x10\x52\x52\x00\x00\x2c\x52\x00\x00"},
			{"active endpoints", zdoActiveEndpoints, nwk, "\x09\x00\x11\x1a\x01\x0b"},
			{"simple descriptor", zdoSimple, append(nwk[:3:3], 11), "\x09\x00\x11\x1a\x1a\x0b\x04\x01\x0d\x01\x01\x08\x00\x00\x03\x00\x04\x00\x05\x00\x06\x00\x08\x00\x00\x03\x00\x10\x01\x19\x00"},
			{"simple descriptor of none", zdoSimple, append(nwk[:3:3], 1), "\x09\x83\x11\x1a\x00"},
		} {
			status, frames := w.ask(Frame{Destination: address, Cluster: c.cluster, Data: c.request})
			if status != Delivered || len(frames) != 1 || frames[0].Cluster != c.cluster|0x8000 || string(frames[0].Data) != c.answer {
				t.Errorf("%s: %s, %x, not %x", c.name, status, frames, c.answer)
			}
		}
		_, answers := w.tell(address, 11, clusterBasic, zcl.Frame{Command: zcl.ReadAttributes, Payload: zcl.AppendIDs(nil, 4, 5, 0x1234)})
		if len(answers) != 1 {
			t.Fatalf("answers %+v", answers)
		}
		values, err := zcl.ParseAttributes(zcl.ReadAttributesResponse, answers[0].Payload)
		if err != nil || values[0].Value != "Signify Netherlands B.V." || values[1].Value != "LCA001" || values[2].Status != zcl.UnsupportedAttribute {
			t.Errorf("values %+v, %v", values, err)
		}
	})
}

// forget forgets the frames that were heard and the records. The lock tells the race detector that
// those to come are later.
func (w *world) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ear.frames, w.sent = nil, nil
}

// TestHash has the vector of the Zigbee specification, annex C.5.1, and the link key of the
// example in the base device behavior specification, 10.1.
func TestHash(t *testing.T) {
	for message, want := range map[string]string{
		"c0":                                   "ae3a102a28d43ee0d4a09e22788b206c",
		"83fed3407a939723a5c639b26916d505c3b5": "66b6900981e1ee3ca4206b6b861c02bb",
	} {
		data, _ := hex.DecodeString(message)
		if got := Hash(data); hex.EncodeToString(got[:]) != want {
			t.Errorf("%s: %x", message, got)
		}
	}
}
