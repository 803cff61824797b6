package air

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// bind binds a cluster of a device to the coordinator.
func (w *world) bind(d zigbee.IEEEAddress, to zigbee.NetworkAddress, endpoint uint8, cluster uint16) {
	w.Helper()
	request := binary.LittleEndian.AppendUint64([]byte{1}, uint64(d))
	request = append(request, endpoint)
	request = binary.LittleEndian.AppendUint16(request, cluster)
	request = binary.LittleEndian.AppendUint64(append(request, 3), uint64(home.Coordinator))
	_, frames := w.ask(Frame{Destination: to, Cluster: zdoBind, Data: append(request, 1)})
	if len(frames) != 1 || string(frames[0].Data) != "\x01\x00" {
		w.Errorf("the answer to Bind_req is %x", frames)
	}
}

// configure sets up the report of an attribute and returns the status.
func (w *world) configure(to zigbee.NetworkAddress, endpoint uint8, cluster, id uint16, kind zcl.Type, least, most uint16, change any) zcl.Status {
	w.Helper()
	payload := binary.LittleEndian.AppendUint16([]byte{0}, id)
	payload = append(payload, byte(kind))
	payload = binary.LittleEndian.AppendUint16(payload, least)
	payload = binary.LittleEndian.AppendUint16(payload, most)
	if change != nil {
		payload, _ = zcl.AppendValue(payload, kind, change)
	}
	_, answers := w.tell(to, endpoint, cluster, zcl.Frame{Command: zcl.ConfigureReporting, Payload: payload})
	if len(answers) != 1 || answers[0].Command != zcl.ConfigureReportingResponse || answers[0].Sequence != 77 {
		w.Fatalf("the answers are %+v", answers)
	}
	return zcl.Status(answers[0].Payload[0])
}

// reports returns the attributes that were reported since it was last called.
func (w *world) reports() (values []any) {
	w.Helper()
	for _, f := range w.ear.frames {
		z, err := zcl.ParseFrame(f.Data)
		if err != nil || f.Profile == 0 || z.Type != zcl.Global || z.Command != zcl.ReportAttributes {
			continue
		}
		attributes, err := zcl.ParseAttributes(zcl.ReportAttributes, z.Payload)
		if err != nil {
			w.Error(err)
		}
		for _, a := range attributes {
			values = append(values, a.Value)
		}
	}
	w.forget()
	return values
}

func TestReporting(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: sensor, Kind: Climate})
		w.bind(sensor, address, 1, clusterTemperature)
		if s := w.configure(address, 1, clusterTemperature, 0x7777, zcl.Int16, 1, 2, 3); s != zcl.UnsupportedAttribute {
			t.Errorf("of an attribute that is none: %s", s)
		}
		if s := w.configure(address, 1, clusterTemperature, 0, zcl.Uint8, 1, 2, 3); s != zcl.InvalidDataType {
			t.Errorf("of a wrong type: %s", s)
		}
		if s := w.configure(address, 1, clusterTemperature, 0, zcl.Int16, 30, 600, 20); s != zcl.Success {
			t.Fatalf("configuring says %s", s)
		}
		set := func(v int) {
			t.Helper()
			if err := w.Set(sensor, 1, clusterTemperature, 0, v); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(what string, want ...any) {
			t.Helper()
			if got := w.reports(); !slices.Equal(got, want) {
				t.Errorf("%s: %v, not %v", what, got, want)
			}
		}
		w.wait(60 * time.Second)
		expect("nothing has changed")
		set(2137 + 19)
		w.wait(time.Second)
		expect("too small a change")
		set(2137 + 20)
		w.wait(time.Second)
		expect("a change", int64(2157))
		set(2300)
		w.wait(time.Second)
		set(2400)
		w.wait(27 * time.Second)
		expect("before the least interval")
		w.wait(3 * time.Second)
		expect("after it", int64(2400))
		w.wait(590 * time.Second)
		expect("before the greatest interval")
		w.wait(20 * time.Second)
		expect("after that", int64(2400))
		if err := w.Report(sensor); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		expect("when told to", int64(2400))
		if s := w.configure(address, 1, clusterTemperature, 0, zcl.Int16, 0, 0xffff, 0); s != zcl.Success {
			t.Errorf("switching it off says %s", s)
		}
		set(1000)
		w.wait(time.Hour)
		expect("after it was switched off")
	})
}

func TestReadReportingConfiguration(t *testing.T) {
	play(t, Options{}, func(w *world) {
		address := w.add(Device{IEEEAddress: lamp, Kind: Bulb})
		w.configure(address, 11, clusterLevel, 0, zcl.Uint8, 1, 300, 5)
		_, answers := w.tell(address, 11, clusterLevel, zcl.Frame{Command: zcl.ReadReportingConfiguration, Payload: []byte{0, 0, 0, 0, 1, 0}})
		want := []byte{0, 0, 0, 0, 0x20, 1, 0, 0x2c, 1, 5, 0x8b, 0, 1, 0}
		if len(answers) != 1 || !bytes.Equal(answers[0].Payload, want) {
			t.Errorf("answers %+v", answers)
		}
	})
}
