package zigbee

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// hears returns what the device is sent after it has said something.
func hears(w *world, d *thing, cluster uint16, f zcl.Frame) []zcl.Frame {
	d.clear()
	w.stick.say(d, 1, cluster, f)
	synctest.Wait()
	return d.got()
}

func TestDefaultResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		report := zcl.Frame{ServerToClient: true, Sequence: 9, Command: zcl.ReportAttributes, Payload: []byte{0, 0, 0x10, 1}, ManufacturerCode: 0x1037}
		got := hears(w, d, 6, report)
		if len(got) != 1 || got[0].Command != zcl.DefaultResponse || got[0].ServerToClient || !got[0].DisableDefaultResponse ||
			got[0].Sequence != 9 || got[0].ManufacturerCode != 0x1037 || !slices.Equal(got[0].Payload, []byte{0x0a, 0}) {
			t.Errorf("a report is answered by %+v", got)
		}
		if got := hears(w, d, 6, report); len(got) != 0 {
			t.Errorf("the copy of it by %+v", got)
		}
		report.Sequence, report.DisableDefaultResponse = 10, true
		if got := hears(w, d, 6, report); len(got) != 0 {
			t.Errorf("one that wants no answer by %+v", got)
		}
		if got := hears(w, d, 6, zcl.Frame{ServerToClient: true, Sequence: 11, Command: zcl.DefaultResponse, Payload: []byte{1, 0}}); len(got) != 0 {
			t.Errorf("a default response by %+v", got)
		}
		if got := hears(w, d, 6, zcl.Frame{Type: zcl.Specific, Sequence: 12, Command: 2}); len(got) != 1 || !got[0].ServerToClient || !slices.Equal(got[0].Payload, []byte{2, 0}) {
			t.Errorf("a command by %+v", got)
		}
		if got := hears(w, d, 6, zcl.Frame{Sequence: 13, Command: zcl.DiscoverAttributes, Payload: []byte{0, 0, 9}}); len(got) != 1 || !slices.Equal(got[0].Payload, []byte{0x0c, 0x82}) {
			t.Errorf("a discovery by %+v", got)
		}
		if got := hears(w, d, 6, zcl.Frame{Sequence: 14, Command: zcl.WriteAttributes, Payload: []byte{0, 0, 0x20, 1}}); len(got) != 1 || got[0].Command != zcl.WriteAttributesResponse || !slices.Equal(got[0].Payload, []byte{0}) {
			t.Errorf("a write by %+v", got)
		}
		d.clear()
		for _, m := range []Incoming{{Broadcast: true}, {Group: 901}} {
			m.Source, m.SourceEndpoint, m.DestinationEndpoint, m.Cluster = d.address, 1, 1, 6
			m.Data = zcl.Frame{Type: zcl.Specific, Sequence: 20 + uint8(m.Group), Command: 2}.Append(nil)
			w.stick.event(m)
		}
		synctest.Wait()
		if len(d.got()) != 0 {
			t.Errorf("what went to many is answered by %+v", d.got())
		}
	})
}

func TestTimeServer(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Skip("no time zones here")
	}
	synctest.Test(t, func(t *testing.T) {
		now, right := time.Date(2026, 7, 1, 12, 0, 0, 0, zone), true
		w, d := joined(t, plug, func(w *world) {
			w.options.Clock = func() (time.Time, bool) { return now, right }
		})
		defer w.end()
		sequence := uint8(40)
		ask := func() map[uint16]zcl.Attribute {
			sequence++
			got := hears(w, d, clusterTime, zcl.Frame{Sequence: sequence, Command: zcl.ReadAttributes, Payload: zcl.AppendIDs(nil, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x4000)})
			if len(got) != 1 || !got[0].ServerToClient || got[0].Sequence != sequence {
				t.Fatalf("the time is %+v", got)
			}
			list, err := zcl.ParseAttributes(got[0].Command, got[0].Payload)
			if err != nil || len(list) != 11 || list[10].Status != zcl.UnsupportedAttribute {
				t.Fatalf("the time is %+v, %v", list, err)
			}
			attributes := make(map[uint16]zcl.Attribute)
			for _, a := range list {
				attributes[a.ID] = a
			}
			return attributes
		}
		since := func(t time.Time) uint64 { return uint64(t.Unix() - 946684800) }
		want := map[uint16]any{
			0: since(now), 1: uint64(0b1101), 2: int64(3600),
			3: since(time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)), 4: since(time.Date(2026, 10, 25, 0, 59, 59, 0, time.UTC)),
			5: int64(3600), 6: since(now) + 3600, 7: since(now) + 7200,
		}
		check := func(season string) {
			t.Helper()
			got := ask()
			for id, value := range want {
				if got[id].Value != value {
					t.Errorf("%s: attribute %d is %v, want %v", season, id, got[id].Value, value)
				}
			}
		}
		check("summer")
		now = time.Date(2026, 1, 5, 12, 0, 0, 0, zone)
		want[0], want[6], want[7] = since(now), since(now)+3600, since(now)+3600
		check("winter")
		right = false
		want = map[uint16]any{0: uint64(noTime), 1: uint64(0), 7: uint64(noTime)}
		check("a wrong clock")
		got := hears(w, d, ClusterTuya, zcl.Frame{Type: zcl.Specific, ServerToClient: true, DisableDefaultResponse: true, Sequence: 90, Command: TuyaSyncTime, Payload: []byte{0, 1}})
		if len(got) != 0 {
			t.Errorf("a wrong clock tells Tuya %+v", got)
		}
		right = true
		got = hears(w, d, ClusterTuya, zcl.Frame{Type: zcl.Specific, ServerToClient: true, Sequence: 91, Command: TuyaSyncTime, Payload: []byte{0, 1}})
		if len(got) != 1 || got[0].Command != TuyaSyncTime || got[0].ServerToClient || !slices.Equal(got[0].Payload, TuyaTime(now, TuyaSince1970)) {
			t.Errorf("Tuya's time is %+v", got)
		}
	})
}

func TestServedClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken []Message
		w, d := joined(t, plug, func(w *world) {
			w.options.Answer = func(_ Device, m Message) bool {
				taken = append(taken, m)
				return m.Cluster == clusterOTA && m.Frame.Command == 0x08
			}
		})
		defer w.end()
		for _, c := range []struct {
			name    string
			cluster uint16
			frame   zcl.Frame
			command uint8
			payload []byte
		}{
			{"the coordinator's name", clusterBasic, zcl.Frame{Command: zcl.ReadAttributes, Payload: []byte{4, 0}}, zcl.ReadAttributesResponse, []byte("\x04\x00\x00\x42\x06Lintel")},
			{"another maker's name", clusterBasic, zcl.Frame{Command: zcl.ReadAttributes, ManufacturerCode: 0x115f, Payload: []byte{4, 0}}, zcl.ReadAttributesResponse, []byte{4, 0, 0x86}},
			{"half an identifier", clusterBasic, zcl.Frame{Command: zcl.ReadAttributes, Payload: []byte{4}}, zcl.DefaultResponse, []byte{0, 0x80}},
			{"enrolment", clusterIASZone, zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: 1, Payload: []byte{0x15, 0, 0, 0}}, 0, []byte{0, 23}},
			{"a new image", clusterOTA, zcl.Frame{Type: zcl.Specific, Command: 1, Payload: make([]byte, 9)}, 2, []byte{0x98}},
			{"the rest of an old image", clusterOTA, zcl.Frame{Type: zcl.Specific, Command: 3, Payload: make([]byte, 14)}, 5, []byte{0x95}},
			{"the internet", ClusterTuya, zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: TuyaConnectionStatus, Payload: []byte{0, 1}}, TuyaConnectionStatus, []byte{1, 0, 1}},
		} {
			c.frame.Sequence = uint8(len(c.name)) + 100
			got := hears(w, d, c.cluster, c.frame)
			if len(got) != 1 || got[0].Command != c.command || !slices.Equal(got[0].Payload, c.payload) || got[0].ServerToClient == c.frame.ServerToClient || got[0].Sequence != c.frame.Sequence {
				t.Errorf("who asks for %s is told %+v, want command 0x%02x, %x", c.name, got, c.command, c.payload)
			}
		}
		taken = nil
		if got := hears(w, d, clusterOTA, zcl.Frame{Type: zcl.Specific, Sequence: 1, Command: 8}); len(got) != 0 || len(taken) != 1 {
			t.Errorf("what Answer sees to is answered by %+v", got)
		}
	})
}
