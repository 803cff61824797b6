package zigbee

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// join has a device join and lets its interview end.
func (w *world) join(d *thing) {
	w.stick.event(Joined{d.ieee, d.address, 0})
	w.stick.event(Announced{d.ieee, d.address, d.capability})
	synctest.Wait()
	time.Sleep(time.Minute)
	synctest.Wait()
}

func TestJoinAndInterview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		w.join(plug(w.stick))
		got := w.diary.without("changed", "message")
		want := []string{"started", "joined", "interview IN_PROGRESS", "announced", "interview SUCCESSFUL"}
		if !slices.Equal(got, want) {
			t.Errorf("handler was told %q, want %q", got, want)
		}
		d, ok := w.Device(plugIEEE)
		if !ok || d.ModelID != "Plug" || d.ManufacturerName != "Maker" || d.Type != Router || d.PowerSource != "Mains (single phase)" ||
			d.SoftwareBuildID != "1.0.1" || d.ManufacturerCode != 0x1037 || d.Interview != Successful || *d.ZCLVersion != 3 || d.StackVersion != nil {
			t.Errorf("device %+v", d)
		}
		if e := d.Endpoint(1); e == nil || !slices.Equal(e.Input, []uint16{0, 3, 4, 6}) || !slices.Equal(e.Output, []uint16{25}) {
			t.Errorf("endpoints %+v", d.Endpoints)
		}
		if kept, ok := w.store.get(plugIEEE.String()); !ok || kept.Interview != Successful || kept.ModelID != "Plug" {
			t.Errorf("the store holds %+v", kept)
		}
	})
}

func TestSecuritySensorEnrols(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		d := door(w.stick)
		d.takes = func(m Outgoing, f zcl.Frame) bool {
			if m.Cluster == clusterIASZone && f.Type == zcl.Specific && f.Command == 0 && !f.ServerToClient {
				d.attributes[clusterIASZone][0] = zcl.Attribute{Type: zcl.Enum8, Value: uint64(1)}
			}
			return false
		}
		w.join(d)
		if got, _ := w.Device(doorIEEE); got.Interview != Successful {
			t.Errorf("interview %s", got.Interview)
		}
		if cie := d.attributes[clusterIASZone][0x10].Value; cie != uint64(stickIEEE) {
			t.Errorf("the sensor reports to %v", cie)
		}
	})
}

func TestTuyaIsReadAsItsGatewayDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		d := plug(w.stick)
		d.attributes = basicAttributesOf("TS0601", "_TZE200_abc", 1)
		w.join(d)
		magic := 0
		for _, f := range d.got() {
			if slices.Equal(f.Payload, []byte{4, 0, 0, 0, 1, 0, 5, 0, 7, 0, 0xfe, 0xff}) {
				magic++
			}
		}
		if magic == 0 {
			t.Errorf("it was asked %+v", d.got())
		}
	})
}

func TestInterviewFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		d := plug(w.stick)
		d.endpoints[0].ID = 0 // it lists an endpoint that it does not describe
		d.endpoints = append(d.endpoints, Endpoint{ID: 7})
		d.silent.Store(true)
		w.join(d)
		time.Sleep(interviewTimeout)
		synctest.Wait()
		if failed := w.diary.count("interview FAILED"); failed < 2 {
			t.Errorf("failed %d times, and is not asked again by itself: %q", failed, w.diary.without("message"))
		}
		// It speaks, and is asked again: a few times, not for ever.
		for i := range 20 {
			w.stick.report(d, uint8(i), 6, zcl.Attribute{ID: 0, Type: zcl.Boolean, Value: true})
			time.Sleep(10 * time.Minute)
		}
		synctest.Wait()
		if got := w.diary.count("interview IN_PROGRESS"); got != 1+interviewRetries {
			t.Errorf("%d interviews", got)
		}
		d.silent.Store(false)
		d.endpoints = d.endpoints[:0:0]
		d.endpoints = append(d.endpoints, Endpoint{ID: 1, Profile: ProfileHomeAutomation, Input: []uint16{0}})
		w.stick.event(Announced{d.ieee, d.address, d.capability})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, _ := w.Device(plugIEEE); got.Interview != Successful || got.ModelID != "Plug" {
			t.Errorf("after it has come back: %+v", got)
		}
	})
}

// Devices of Aqara tell their model, and answer nothing that they are asked.
func TestWellKnownDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		d := door(w.stick)
		d.silent.Store(true)
		w.stick.event(Joined{d.ieee, d.address, 0})
		w.stick.event(Announced{d.ieee, d.address, d.capability})
		time.Sleep(time.Second)
		w.stick.report(d, 1, clusterBasic, zcl.Attribute{ID: basicModel, Type: zcl.CharString, Value: "lumi.sensor_magnet.aq2"})
		time.Sleep(interviewTimeout)
		synctest.Wait()
		got, _ := w.Device(doorIEEE)
		if got.Interview != Successful || got.ManufacturerName != "LUMI" || got.Type != EndDevice || got.PowerSource != "Battery" || got.Endpoint(1) == nil {
			t.Errorf("device %+v", got)
		}
	})
}

func TestTooManyDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		for i := range maxDevices + 10 {
			w.stick.event(Joined{IEEEAddress(1 + i), NetworkAddress(1 + i), 0})
		}
		if got := len(w.Devices()); got != maxDevices || w.Counters().Refused != 10 {
			t.Errorf("%d devices, counters %+v", got, w.Counters())
		}
	})
}
