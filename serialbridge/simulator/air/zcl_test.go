package air

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

func TestDefaultResponse(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: lamp, Kind: Bulb})
		for _, c := range []struct {
			name    string
			cluster uint16
			frame   zcl.Frame
			answer  string // of the default response; empty: none
		}{
			{"a command", clusterOnOff, zcl.Frame{Type: zcl.Specific, Command: 1}, "\x01\x00"},
			{"one that asks for none", clusterOnOff, zcl.Frame{Type: zcl.Specific, Command: 1, DisableDefaultResponse: true}, ""},
			{"an unknown command", clusterOnOff, zcl.Frame{Type: zcl.Specific, Command: 0x77, DisableDefaultResponse: true}, "\x77\x81"},
			{"an unknown cluster", 0x0777, zcl.Frame{Type: zcl.Specific, Command: 1}, "\x01\xc3"},
			{"a manufacturer's command", clusterOnOff, zcl.Frame{Type: zcl.Specific, Command: 1, ManufacturerCode: 0x1234}, "\x01\x81"},
			{"a short write", clusterLevel, zcl.Frame{Command: zcl.WriteAttributes, Payload: []byte{1}}, "\x02\x80"},
			{"an unknown global command", clusterOnOff, zcl.Frame{Command: 0x30}, "\x30\x82"},
			{"a default response", clusterOnOff, zcl.Frame{Command: zcl.DefaultResponse, Payload: []byte{1, 1}}, ""},
		} {
			_, answers := w.tell(address, 11, c.cluster, c.frame)
			switch {
			case c.answer == "" && len(answers) != 0:
				t.Errorf("%s is answered by %+v", c.name, answers)
			case c.answer != "" && (len(answers) != 1 || answers[0].Command != zcl.DefaultResponse || string(answers[0].Payload) != c.answer || answers[0].Sequence != 77 || !answers[0].ServerToClient):
				t.Errorf("%s is answered by %+v", c.name, answers)
			}
		}
	})
}

func TestWrite(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: lamp, Kind: Bulb})
		write := func(command uint8, attributes ...zcl.Attribute) string {
			t.Helper()
			payload, err := zcl.AppendAttributes(nil, zcl.WriteAttributes, attributes)
			if err != nil {
				t.Fatal(err)
			}
			_, answers := w.tell(address, 11, clusterLevel, zcl.Frame{Command: command, Payload: payload})
			if len(answers) == 0 {
				return "nothing"
			}
			return string(answers[0].Payload)
		}
		transition := func(v int) zcl.Attribute { return zcl.Attribute{ID: 0x0010, Type: zcl.Uint16, Value: v} }
		level := zcl.Attribute{ID: 0x0000, Type: zcl.Uint8, Value: 7}
		check := func(want uint64) {
			t.Helper()
			if v, _ := w.Attribute(lamp, 11, clusterLevel, 0x0010); v != want {
				t.Errorf("the attribute is %v, not %d", v, want)
			}
		}
		if got := write(zcl.WriteAttributes, transition(9), level); got != "\x88\x00\x00" {
			t.Errorf("answer %x", got)
		}
		check(9)
		if got := write(zcl.WriteAttributesUndivided, transition(10), level); got != "\x88\x00\x00" {
			t.Errorf("answer %x", got)
		}
		check(9)
		if got := write(zcl.WriteAttributesNoResponse, transition(11)); got != "nothing" {
			t.Errorf("answer %x", got)
		}
		check(11)
	})
}

func TestGroupsAndScenes(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: lamp, Kind: Bulb})
		command := func(cluster uint16, command uint8, payload ...byte) string {
			t.Helper()
			_, answers := w.tell(address, 11, cluster, zcl.Frame{Type: zcl.Specific, Command: command, Payload: payload})
			if len(answers) != 1 {
				return "nothing"
			}
			return string(answers[0].Payload)
		}
		for _, c := range []struct {
			name    string
			cluster uint16
			command uint8
			payload string
			answer  string
		}{
			{"add to group 5", clusterGroups, 0, "\x05\x00\x00", "\x00\x05\x00"},
			{"add to group 9", clusterGroups, 0, "\x09\x00\x00", "\x00\x09\x00"},
			{"view", clusterGroups, 1, "\x05\x00", "\x00\x05\x00\x00"},
			{"view none", clusterGroups, 1, "\x06\x00", "\x8b\x06\x00\x00"},
			{"membership", clusterGroups, 2, "\x00", "\x0e\x02\x05\x00\x09\x00"},
			{"remove", clusterGroups, 3, "\x09\x00", "\x00\x09\x00"},
			{"remove none", clusterGroups, 3, "\x09\x00", "\x8b\x09\x00"},
			{"store", clusterScenes, 4, "\x05\x00\x02", "\x00\x05\x00\x02"},
			{"store in no group", clusterScenes, 4, "\x09\x00\x02", "\x85\x09\x00\x02"},
			{"switch off", clusterOnOff, 0, "", "\x00\x00"},
			{"recall", clusterScenes, 5, "\x05\x00\x02", "\x05\x00"},
			{"recall none", clusterScenes, 5, "\x05\x00\x03", "\x05\x8b"},
			{"scenes", clusterScenes, 6, "\x05\x00", "\x00\x0f\x05\x00\x01\x02"},
			{"add scene: off, color", clusterScenes, 0, "\x05\x00\x07\x00\x00\x00\x06\x00\x01\x00\x00\x03\x04\x01\x02\x03\x04", "\x00\x05\x00\x07"},
			{"remove scene", clusterScenes, 2, "\x05\x00\x02", "\x00\x05\x00\x02"},
		} {
			if got := command(c.cluster, c.command, []byte(c.payload)...); got != c.answer {
				t.Errorf("%s: %x, not %x", c.name, got, c.answer)
			}
			if c.name == "recall" {
				if on, _ := w.Attribute(lamp, 11, clusterOnOff, 0); on != true {
					t.Error("the scene did not switch it on")
				}
			}
		}
		recall := zcl.Frame{Type: zcl.Specific, Command: 5, Payload: []byte{5, 0, 7}}
		if status, frames := w.ask(Frame{Group: 5, Profile: 0x0104, Cluster: clusterScenes, Data: recall.Append(nil)}); status != Delivered || len(frames) != 0 {
			t.Errorf("a groupcast is %s and answered by %x", status, frames)
		}
		if x, _ := w.Attribute(lamp, 11, clusterColor, 3); x != uint64(0x0201) {
			t.Errorf("the scene did not set the color: %v", x)
		}
		w.ask(Frame{Group: 9, Profile: 0x0104, Cluster: clusterOnOff, Data: []byte{1, 1, 1}})
		if on, _ := w.Attribute(lamp, 11, clusterOnOff, 0); on != false {
			t.Error("a frame for another group switched it on")
		}
	})
}

func TestCommands(t *testing.T) {
	play(t, Options{}, func(w *world) {
		for _, c := range []struct {
			name     string
			kind     Kind
			endpoint uint8
			cluster  uint16
			command  uint8
			payload  string
			after    time.Duration
			of, id   uint16
			want     any
		}{
			{"level", Bulb, 11, clusterLevel, 4, "\x64\x0a\x00", 0, clusterLevel, 0, uint64(100)},
			{"level 0", Bulb, 11, clusterLevel, 4, "\x00\x00\x00", 0, clusterOnOff, 0, false},
			{"step down", Bulb, 11, clusterLevel, 2, "\x01\x32\x00\x00", 0, clusterLevel, 0, uint64(204)},
			{"color", Bulb, 11, clusterColor, 7, "\x01\x02\x03\x04\x00\x00", 0, clusterColor, 4, uint64(0x0403)},
			{"color temperature", Bulb, 11, clusterColor, 10, "\xe8\x03\x00\x00", 0, clusterColor, 7, uint64(500)},
			{"color mode", Bulb, 11, clusterColor, 6, "\x10\x20\x00\x00", 0, clusterColor, 8, uint64(0)},
			{"on for a while", Plug, 1, clusterOnOff, 0x42, "\x00\x0a\x00\x00\x00", 2 * time.Second, clusterOnOff, 0, false},
			{"second gang", WallSwitch, 2, clusterOnOff, 1, "", 0, clusterOnOff, 0, true},
			{"cover half way", Cover, 1, clusterCover, 5, "\x32", 2 * time.Second, clusterCover, 8, uint64(50)},
			{"cover closed", Cover, 1, clusterCover, 1, "", 5 * time.Second, clusterCover, 8, uint64(100)},
			{"unlock", Lock, 1, clusterDoorLock, 1, "", time.Second, clusterDoorLock, 0, uint64(2)},
			{"setpoint raise", TRV, 1, clusterThermostat, 0, "\x00\x05", 0, clusterThermostat, 0x12, int64(2150)},
		} {
			t.Run(c.name, func(t *testing.T) {
				d := zigbee.IEEEAddress(0x0011000000000000 | uint64(len(w.Devices())))
				address := w.add(Device{IEEEAddress: d, Kind: c.kind})
				w.tell(address, c.endpoint, c.cluster, zcl.Frame{Type: zcl.Specific, Command: c.command, Payload: []byte(c.payload)})
				w.wait(c.after)
				if v, ok := w.Attribute(d, c.endpoint, c.of, c.id); !ok || v != c.want {
					t.Errorf("it is %v (%T), not %v (%T)", v, v, c.want, c.want)
				}
			})
		}
	})
}

func TestEnrollment(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: sensor, Kind: Contact})
		if err := w.Trigger(sensor, "open"); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if n := len(w.ear.frames); n != 1 {
			t.Errorf("one that nobody enrolled sends %d frames more than its announcement", n-1)
		}
		cie, _ := zcl.AppendAttributes(nil, zcl.WriteAttributes, []zcl.Attribute{{ID: 0x10, Type: zcl.IEEE, Value: uint64(home.Coordinator)}})
		_, answers := w.tell(address, 1, clusterIASZone, zcl.Frame{Command: zcl.WriteAttributes, Payload: cie})
		if len(answers) != 2 || answers[0].Command != zoneEnrollRequest || string(answers[0].Payload) != "\x15\x00\x86\x12" {
			t.Fatalf("it answers %+v, not with a request to enroll it", answers)
		}
		w.tell(address, 1, clusterIASZone, zcl.Frame{Type: zcl.Specific, Command: zoneEnrollResponse, Payload: []byte{0, 23}})
		w.forget()
		if err := w.Trigger(sensor, "open"); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if len(w.ear.frames) != 1 || string(w.ear.frames[0].Data[3:]) != "\x01\x00\x00\x17\x00\x00" {
			t.Errorf("opened, it says %+v", w.ear.frames)
		}
		if err := w.Trigger(sensor, "explode"); err == nil {
			t.Error("it can explode")
		}
	})
}

func TestRemote(t *testing.T) {
	play(t, Options{}, func(w *world) {
		bulb := w.add(Device{IEEEAddress: lamp, Kind: Bulb})
		address := w.add(Device{IEEEAddress: 0x000d6ffffe770009, Kind: Remote})
		w.bind(0x000d6ffffe770009, address, 1, clusterOnOff)
		// And one to the lamp itself.
		request := binary.LittleEndian.AppendUint64([]byte{2}, 0x000d6ffffe770009)
		request = append(request, 1, 6, 0, 3)
		request = binary.LittleEndian.AppendUint64(request, uint64(lamp))
		w.ask(Frame{Destination: address, Cluster: zdoBind, Data: append(request, 11)})
		w.forget()
		if err := w.Trigger(0x000d6ffffe770009, "toggle"); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if len(w.ear.frames) != 1 || w.ear.frames[0].Cluster != clusterOnOff || w.ear.frames[0].Data[2] != 2 {
			t.Errorf("heard %+v", w.ear.frames)
		}
		if on, _ := w.Attribute(lamp, 11, clusterOnOff, 0); on != false {
			t.Errorf("the lamp at %d did not hear it", bulb)
		}
	})
}

func TestTuya(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: sensor, Kind: TuyaClimate})
		w.wait(5 * time.Second)
		said := len(w.ear.frames)
		w.tell(address, 1, clusterBasic, zcl.Frame{Command: zcl.ReadAttributes, Payload: zcl.AppendIDs(nil, 4, 0, 1, 5, 7, 0xfffe)})
		w.forget()
		if err := w.Set(sensor, 1, clusterTuya, 1, -15); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if said != 2 || len(w.ear.frames) != 1 || string(w.ear.frames[0].Data[5:]) != "\x01\x02\x00\x04\xff\xff\xff\xf1" {
			t.Errorf("%d frames before the spell, after it %+v", said, w.ear.frames)
		}

		const valve = 0xa4c138d2f000000e
		address = w.add(Device{IEEEAddress: valve, Kind: TuyaTRV})
		w.tell(address, 1, clusterTuya, zcl.Frame{Type: zcl.Specific, Command: tuyaSet, Payload: []byte("\x00\x01\x02\x02\x00\x04\x00\x00\x00\xe6\x07\x01\x00\x01\x01")})
		if v, _ := w.Attribute(valve, 1, clusterTuya, 2); v != int64(230) {
			t.Errorf("the setpoint is %v", v)
		}
		if v, _ := w.Attribute(valve, 1, clusterTuya, 7); v != true {
			t.Errorf("the child lock is %v", v)
		}
		w.tell(address, 1, clusterTuya, zcl.Frame{Type: zcl.Specific, Command: tuyaTime, Payload: []byte("\x00\x08\x65\x00\x00\x00\x65\x00\x0e\x10")})
		if s := w.Devices()[1]; s.Clock.Unix() != 0x65000000 || s.Told.IsZero() {
			t.Errorf("its clock is %v", s.Clock)
		}
	})
}

func TestAqara(t *testing.T) {
	play(t, Options{}, func(w *world) {
		w.add(Device{IEEEAddress: sensor, Kind: AqaraWeather})
		w.wait(5 * time.Second)
		want := "\x01\xff\x42\x25\x01\x21\xbd\x0b\x04\x21\xa8\x13\x05\x21\x06\x00\x06\x24\x01\x00\x00\x00\x00\x64\x29\x59\x08\x65\x21\xab\x11\x66\x2b\xb4\x8b\x01\x00\x0a\x21\x00\x00"
		if n := len(w.ear.frames); n != 3 || string(w.ear.frames[2].Data[5:]) != want {
			t.Errorf("%d frames, the last %x", n, w.ear.frames[n-1].Data)
		}
		w.forget()
		if err := w.Set(sensor, 1, clusterTemperature, 0, 1999); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if got := w.reports(); !slices.Equal(got, []any{int64(1999)}) {
			t.Errorf("it reports %v", got)
		}
	})
}

func TestTimeAndCheckIn(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: sensor, Kind: TRV})
		w.wait(10 * time.Second)
		if n := len(w.ear.frames); n != 2 || w.ear.frames[1].Cluster != clusterTime {
			t.Fatalf("heard %+v, not that it asks for the time", w.ear.frames)
		}
		answer, _ := zcl.AppendAttributes(nil, zcl.ReadAttributesResponse, []zcl.Attribute{{ID: 0, Type: zcl.UTCTime, Value: 1000}})
		w.tell(address, 1, clusterTime, zcl.Frame{Command: zcl.ReadAttributesResponse, ServerToClient: true, Payload: answer})
		if c := w.Devices()[0].Clock; !c.Equal(zigbeeEpoch.Add(1000 * time.Second)) {
			t.Errorf("its clock is %v", c)
		}
		w.bind(sensor, address, 1, clusterPollControl)
		w.forget()
		w.wait(time.Hour)
		if n := len(w.ear.frames); n != 1 || w.ear.frames[0].Cluster != clusterPollControl {
			t.Fatalf("in an hour it checks in %d times", n)
		}
	})
}

// Every kind can be made, its descriptors and values be read.
func TestKinds(t *testing.T) {
	play(t, Options{}, func(w *world) {
		for i, k := range Kinds() {
			d := zigbee.IEEEAddress(0x0022000000000000 + i)
			address := w.add(Device{IEEEAddress: d, Kind: k, Poll: time.Second})
			for _, e := range w.Network.devices[d].endpoints {
				for _, key := range e.keys {
					_, answers := w.tell(address, e.id, key.cluster, zcl.Frame{Command: zcl.ReadAttributes, ManufacturerCode: key.manufacturer, Payload: zcl.AppendIDs(nil, key.id)})
					found := false
					for _, a := range answers {
						if a.Command == zcl.ReadAttributesResponse {
							values, err := zcl.ParseAttributes(a.Command, a.Payload)
							found = err == nil && len(values) == 1 && values[0].Status == zcl.Success
						}
					}
					if !found && slices.Contains(e.in, key.cluster) {
						t.Errorf("%s: attribute 0x%04x of cluster 0x%04x is answered by %+v", k, key.id, key.cluster, answers)
					}
				}
			}
			for _, what := range Triggers(k) {
				if err := w.Trigger(d, what); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// FuzzHandle: no frame that reaches a device breaks it.
func FuzzHandle(f *testing.F) {
	f.Add(uint16(0x0104), uint16(6), uint8(11), []byte{1, 1, 2})
	f.Add(uint16(0), uint16(zdoBind), uint8(0), []byte{1, 2, 3})
	f.Add(uint16(0x0104), uint16(clusterTuya), uint8(1), []byte{1, 1, 0, 0, 1, 2, 2, 0, 4, 0, 0, 0, 1})
	f.Add(uint16(0x0104), uint16(clusterOTA), uint8(1), []byte{9, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add(uint16(0x0104), uint16(clusterScenes), uint8(11), []byte("\x01\x01\x00\x05\x00\x07\x00\x00\x00\x06\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, profile, cluster uint16, endpoint uint8, data []byte) {
		n := New(Options{})
		n.radio, n.security = &ear{joined: map[zigbee.IEEEAddress]zigbee.NetworkAddress{}, keys: map[zigbee.IEEEAddress]*[16]byte{}}, home
		for _, d := range Household() {
			if err := n.Add(d); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range n.sorted {
			n.welcome(d, nil)
			for range 2 {
				d.handle(Frame{Destination: d.address, DestinationEndpoint: endpoint, SourceEndpoint: 1, Profile: profile, Cluster: cluster, Data: data})
			}
			if len(d.bindings) > maxBindings || len(d.reportings) > maxReportings {
				t.Error("a table grows without end")
			}
			for _, e := range d.endpoints {
				for _, key := range e.keys {
					if v, ok := zcl.Float(e.attributes[key].value); ok && math.IsInf(v, 0) {
						t.Error("an attribute is infinite")
					}
				}
			}
		}
		if len(n.events) > 1000 {
			t.Error("one frame makes a thousand events")
		}
	})
}
