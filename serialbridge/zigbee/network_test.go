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
