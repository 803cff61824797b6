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

func TestReadInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		d.attributes[0x0b04] = make(map[uint16]zcl.Attribute)
		var ids []uint16
		for i := range uint16(40) {
			ids = append(ids, i)
			if i != 3 {
				d.attributes[0x0b04][i] = zcl.Attribute{Type: zcl.Uint16, Value: uint64(i)}
			}
		}
		got, err := w.Read(context.Background(), plugIEEE, 1, 0x0b04, 0, ids...)
		if err != nil || len(got) != 40 || got[3].Status != zcl.UnsupportedAttribute || got[39].Value != uint64(39) {
			t.Errorf("read %d attributes, %v", len(got), err)
		}
		if len(d.got()) != 3 {
			t.Errorf("%d requests", len(d.got()))
		}
		device, _ := w.Device(plugIEEE)
		if v := device.Endpoint(1).Attributes[0x0b04][39]; v != uint64(39) {
			t.Errorf("kept %v", v)
		}
		// A device that answers less than was asked for is asked for the rest, one that
		// answers something else is not asked for ever.
		d.takes = func(m Outgoing, f zcl.Frame) bool {
			asked, _ := zcl.ParseIDs(f.Payload)
			payload, _ := zcl.AppendAttributes(nil, zcl.ReadAttributesResponse, []zcl.Attribute{{ID: asked[0], Type: zcl.Uint8, Value: 7}})
			w.stick.say(d, 1, m.Cluster, zcl.Frame{Sequence: f.Sequence, ServerToClient: true, DisableDefaultResponse: true, Command: zcl.ReadAttributesResponse, Payload: payload})
			return true
		}
		if got, err := w.Read(context.Background(), plugIEEE, 1, 0x0b04, 0, 1, 2, 3); err != nil || len(got) != 3 {
			t.Errorf("in crumbs: %v, %v", got, err)
		}
		d.takes = func(m Outgoing, f zcl.Frame) bool {
			payload, _ := zcl.AppendAttributes(nil, zcl.ReadAttributesResponse, []zcl.Attribute{{ID: 99, Type: zcl.Uint8, Value: 7}})
			w.stick.say(d, 1, m.Cluster, zcl.Frame{Sequence: f.Sequence, ServerToClient: true, DisableDefaultResponse: true, Command: zcl.ReadAttributesResponse, Payload: payload})
			return true
		}
		if _, err := w.Read(context.Background(), plugIEEE, 1, 0x0b04, 0, 1, 2); err == nil {
			t.Error("an answer to another question was taken")
		}
	})
}

func TestWriteConfigureBindGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		ctx := context.Background()
		long := make([]zcl.Attribute, 20)
		for i := range long {
			long[i] = zcl.Attribute{ID: uint16(i), Type: zcl.Uint32, Value: i}
		}
		if err := w.Write(ctx, plugIEEE, 1, 0x0b04, 0x1037, long...); err != nil {
			t.Errorf("write: %v", err)
		}
		for _, f := range d.got() {
			if len(f.Payload) > maxPayload || f.ManufacturerCode != 0x1037 {
				t.Errorf("a write of %d bytes for 0x%04x", len(f.Payload), f.ManufacturerCode)
			}
		}
		if got := d.attributes[0x0b04][19].Value; got != uint64(19) {
			t.Errorf("the device has %v", got)
		}
		reportings := []Reporting{
			{Cluster: 6, Attribute: 0, Type: uint8(zcl.Boolean), Max: time.Hour},
			{Cluster: 0x0402, Attribute: 0, Type: uint8(zcl.Int16), Min: 10 * time.Second, Max: time.Hour, Change: 25},
			{Cluster: 0x0402, Attribute: 7, Type: uint8(zcl.Int16), Min: 10 * time.Second, Max: time.Hour, Change: 25},
		}
		d.clear()
		d.takes = func(m Outgoing, f zcl.Frame) bool {
			if m.Cluster != 0x0402 || f.Command != zcl.ConfigureReporting {
				return false
			}
			w.stick.say(d, 1, m.Cluster, zcl.Frame{Sequence: f.Sequence, ServerToClient: true, DisableDefaultResponse: true, Command: zcl.ConfigureReportingResponse, Payload: []byte{0x86, 0, 7, 0}})
			return true
		}
		var refused *StatusError
		if err := w.ConfigureReporting(ctx, plugIEEE, 1, reportings...); !errors.As(err, &refused) || refused.Status != zcl.UnsupportedAttribute {
			t.Errorf("configure: %v", err)
		}
		device, _ := w.Device(plugIEEE)
		if got := device.Endpoint(1).Reportings; !slices.Equal(got, reportings[:2]) {
			t.Errorf("kept %+v", got)
		}
		if len(d.got()) != 2 || !slices.Equal(d.got()[1].Payload[:10], []byte{0, 0, 0, byte(zcl.Int16), 10, 0, 0x10, 0x0e, 25, 0}) {
			t.Errorf("sent %+v", d.got())
		}
		d.takes = nil
		if err := w.ConfigureReporting(ctx, plugIEEE, 1, Reporting{Cluster: 6, Type: uint8(zcl.Boolean), Max: 0xffff * time.Second}); err != nil {
			t.Errorf("end of reporting: %v", err)
		}
		b := Binding{Cluster: 6, Device: stickIEEE, Endpoint: EndpointHome}
		toGroup := Binding{Cluster: 6, Group: 901}
		for _, b := range []Binding{b, b, toGroup} {
			if err := w.Bind(ctx, plugIEEE, 1, b); err != nil {
				t.Errorf("bind: %v", err)
			}
		}
		w.stick.mu.Lock()
		last := w.stick.asked[len(w.stick.asked)-1]
		w.stick.mu.Unlock()
		if want := append(appendIEEE(nil, plugIEEE), 1, 6, 0, 1, 0x85, 3); last.cluster != zdoBind || !slices.Equal(last.request, want) {
			t.Errorf("bind to a group is %x, want %x", last.request, want)
		}
		if err := errors.Join(w.AddToGroup(ctx, plugIEEE, 1, 5), w.AddToGroup(ctx, plugIEEE, 1, 6), w.RemoveFromGroup(ctx, plugIEEE, 1, 5),
			w.Unbind(ctx, plugIEEE, 1, toGroup), w.SetScenes(plugIEEE, 1, []Scene{{ID: 1, Group: 6, Name: "Evening"}}), w.SetConfigured(plugIEEE, "k")); err != nil {
			t.Error(err)
		}
		device, _ = w.Device(plugIEEE)
		e := device.Endpoint(1)
		if !slices.Equal(e.Groups, []uint16{6}) || !slices.Equal(e.Bindings, []Binding{b}) || len(e.Reportings) != 1 || len(e.Scenes) != 1 || device.Configured != "k" {
			t.Errorf("endpoint %+v", e)
		}
		if err := errors.Join(w.RemoveFromAllGroups(ctx, plugIEEE, 1), w.ClearBindings(ctx, plugIEEE)); err != nil {
			t.Error(err)
		}
		device, _ = w.Device(plugIEEE)
		if e := device.Endpoint(1); len(e.Groups)+len(e.Bindings) != 0 {
			t.Errorf("endpoint %+v", e)
		}
		if err := w.GroupRequest(ctx, 6, on); err != nil {
			t.Errorf("to a group: %v", err)
		}
		w.stick.mu.Lock()
		defer w.stick.mu.Unlock()
		if last := w.stick.sent[len(w.stick.sent)-1]; last.Group != 6 || last.Cluster != 6 || last.SourceEndpoint != 1 {
			t.Errorf("to a group: %+v", last)
		}
	})
}

func TestReadReporting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		d.takes = func(m Outgoing, f zcl.Frame) bool {
			w.stick.say(d, 1, m.Cluster, zcl.Frame{Sequence: f.Sequence, ServerToClient: true, DisableDefaultResponse: true, Command: zcl.ReadReportingConfigurationResponse,
				Payload: []byte{0, 0, 0, 0, byte(zcl.Int16), 10, 0, 0x10, 0x0e, 25, 0, 0x86, 0, 9, 0, 0, 1, 2, 0, 30, 0}})
			return true
		}
		got, err := w.ReadReporting(context.Background(), plugIEEE, 1, 0x0402, 0, 0, 9, 2)
		want := []ReportingRecord{
			{Attribute: 0, Type: uint8(zcl.Int16), Min: 10 * time.Second, Max: time.Hour, Change: int64(25)},
			{Status: zcl.UnsupportedAttribute, Attribute: 9},
			{Direction: 1, Attribute: 2, Timeout: 30 * time.Second},
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
