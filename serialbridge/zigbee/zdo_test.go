package zigbee

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"lintel/serialbridge/zigbee/zcl"
)

func unhex(t testing.TB, text string) []byte {
	data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The answers are composed from the layouts of the Zigbee specification, R23, section 2.4.4.
func TestZDOAnswers(t *testing.T) {
	n, err := parseNodeDescriptor(unhex(t, "00 3412 01 40 8e 5f11 52 5200 002c 5200 00"))
	if err != nil || n != (nodeDescriptor{1, 0x8e, 0x115f}) {
		t.Errorf("node descriptor %+v, %v", n, err)
	}
	ids, err := parseActiveEndpoints(unhex(t, "00 3412 03 f2 01 02"))
	if err != nil || !slices.Equal(ids, []uint8{0xf2, 1, 2}) {
		t.Errorf("active endpoints %v, %v", ids, err)
	}
	e, err := parseSimpleDescriptor(unhex(t, "00 3412 10 01 0401 5100 01 02 0000 0600 01 1900"))
	if err != nil || e.ID != 1 || e.Profile != 0x0104 || e.DeviceID != 0x51 || !slices.Equal(e.Input, []uint16{0, 6}) || !slices.Equal(e.Output, []uint16{0x19}) {
		t.Errorf("simple descriptor %+v, %v", e, err)
	}
	a, err := parseAddress(unhex(t, "00 0200000000 4b1200 3412"))
	if err != nil || a != (AddressChanged{plugIEEE, 0x1234}) {
		t.Errorf("address %+v, %v", a, err)
	}
	p, neighbours, err := parseNeighbours(unhex(t, "00 05 02 01 0807060504030201 0200000000 4b1200 3412 25 02 0f ff"))
	if err != nil || p != (page{5, 2, 1}) || neighbours[0] != (neighbour{plugIEEE, 0x1234, 1, 1, 2, 2, 15, 255}) {
		t.Errorf("neighbours %+v, %+v, %v", p, neighbours, err)
	}
	p, routes, err := parseRoutes(unhex(t, "00 01 00 01 3412 1b 7856"))
	if err != nil || p != (page{1, 0, 1}) || routes[0] != (Route{0x1234, 0x5678, "INACTIVE", true, true, false}) {
		t.Errorf("routes %+v, %+v, %v", p, routes, err)
	}
	if _, err := parseNodeDescriptor(unhex(t, "80 3412")); !errors.As(err, new(*zdoError)) || !strings.Contains(err.Error(), "INV_REQUESTTYPE") {
		t.Errorf("a refusal is %v", err)
	}
	if _, _, err := parseNeighbours(unhex(t, "00 05 00 03 0807060504030201")); !errors.Is(err, errZDOShort) {
		t.Errorf("a short answer is %v", err)
	}
}

func FuzzZDO(f *testing.F) {
	for _, seed := range []string{"0034120140 8e5f1152520000002c520000", "00341203f20102", "003412100104015100010200000600011900", "0005020108070605040302010200000000 4b1200341225020fff", "000100013412 1b7856"} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		parseNodeDescriptor(data)
		parseActiveEndpoints(data)
		parseSimpleDescriptor(data)
		parseAddress(data)
		if p, list, err := parseNeighbours(data); err == nil && len(list) != p.count {
			t.Errorf("%d neighbours of %d", len(list), p.count)
		}
		if p, list, err := parseRoutes(data); err == nil && len(list) != p.count {
			t.Errorf("%d routes of %d", len(list), p.count)
		}
		parseReportingRecords(data)
	})
}

// FuzzEvent has a device say anything.
func FuzzEvent(f *testing.F) {
	f.Add(uint8(1), uint16(6), []byte{0x18, 1, 0x0a, 0, 0, 0x10, 1})
	f.Add(uint8(1), uint16(0), []byte{0x08, 1, 0x01, 5, 0, 0, 0x42, 2, 'h', 'i'})
	f.Add(uint8(1), uint16(0x0a), []byte{0x00, 1, 0x00, 0, 0, 7, 0})
	f.Add(uint8(1), uint16(0x500), []byte{0x09, 1, 0x01, 0, 0, 0, 0})
	f.Add(uint8(9), uint16(0x20), []byte{0x09, 1, 0x00})
	f.Add(uint8(1), uint16(0xef00), []byte{0x09, 1, 0x24, 0, 1})
	f.Fuzz(func(t *testing.T, endpoint uint8, cluster uint16, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			w, d := joined(t, plug)
			defer w.end()
			before := w.Counters()
			w.stick.event(Incoming{Source: d.address, SourceEndpoint: endpoint, DestinationEndpoint: 1, Cluster: cluster, Data: data})
			synctest.Wait()
			after := w.Counters()
			_, err := zcl.ParseFrame(data)
			heard := err == nil && endpoint != EndpointZDO
			if got := after.Received - before.Received; heard != (got == 1) {
				t.Errorf("%d messages received", got)
			}
			if device, _ := w.Device(plugIEEE); len(device.Endpoints) > 2 || (w.nodes[plugIEEE].attributes() > maxAttributes) {
				t.Errorf("device %+v", device)
			}
		})
	})
}

func TestInstallCodes(t *testing.T) {
	const device, code = "00124B0000000002", "83FED3407A939723A5C639B26916D505C3B5"
	want := unhex(t, "66b6900981e1ee3ca4206b6b861c02bb") // Zigbee Base Device Behavior, section 10.1, example
	for name, text := range map[string]string{
		"Ubisys":           "ubisys2/R0/5501/I:83FE;Z:" + device + "$I:" + code + "%M:",
		"innr":             device + "|" + code,
		"frient":           "|" + device + "|" + code + "|",
		"Aqara":            "G$M:69775$S:680S$D:0$A:" + device + "$I:" + code,
		"Hue":              "HUE:Z:" + code + " M:" + device + " D:L3B 1",
		"without checksum": device + "|" + code[:32],
		"a wrong checksum": device + "|" + code[:32] + "0000",
		"95 characters":    strings.Repeat("x", 95-36-19) + device + "xxx" + code,
		"91 characters":    strings.Repeat("x", 91-32-19) + device + "xxx" + code[:32],
		"small letters":    strings.ToLower(device + "|" + code),
	} {
		got, full, err := parseInstallCode(text)
		if err != nil || got != plugIEEE {
			t.Errorf("%s: %s, %v", name, got, err)
			continue
		}
		if key := hashMMO(full); !slices.Equal(key[:], want) {
			t.Errorf("%s: key %x", name, key)
		}
	}
	for _, text := range []string{"", code, device + "|", device + "|12345", device[:15] + "|" + code, "Z:GGGGGGGGGGGGGGGG$I:" + code, device + "|" + code[:30]} {
		if _, _, err := parseInstallCode(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		if got, err := w.AddInstallCode(context.Background(), device+"|"+code); err != nil || got != plugIEEE {
			t.Errorf("%s, %v", got, err)
		}
		if got := w.stick.told()[len(w.stick.told())-1]; got != "install code of "+plugIEEE.String() {
			t.Errorf("the stick was told %s", got)
		}
	})
}

func FuzzInstallCode(f *testing.F) {
	f.Add("Z:00124B0000000002$I:83FED3407A939723A5C639B26916D505C3B5")
	f.Add("|00124B0000000002|83FED3407A939723A5C639B26916D505|")
	f.Fuzz(func(t *testing.T, text string) {
		if _, code, err := parseInstallCode(text); err == nil && (len(code) < 8 || len(code) > 18) {
			t.Errorf("a code of %d bytes", len(code))
		}
	})
}

func TestMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := joined(t, plug)
		defer w.end()
		d := door(w.stick)
		d.attributes[clusterIASZone][0] = zcl.Attribute{Type: zcl.Enum8, Value: uint64(1)}
		d.attributes[clusterIASZone][0x10] = zcl.Attribute{Type: zcl.IEEE, Value: uint64(stickIEEE)}
		w.join(d)
		m, err := w.Map(context.Background(), true, nil)
		if err != nil || len(m.Nodes) != 3 || len(m.Links) != 4 {
			t.Fatalf("%+v, %v", m, err)
		}
		if n := m.Nodes[0]; n.Type != "Coordinator" || n.IEEEAddress != stickIEEE || !n.Asked || m.Nodes[2].Asked {
			t.Errorf("nodes %+v", m.Nodes)
		}
		if l := m.Links[1]; l.Source != (MapEnd{doorIEEE, 0x2222}) || l.Target != (MapEnd{stickIEEE, 0}) || l.LinkQuality != 200 || len(l.Routes) != 1 || l.Routes[0].Destination != 0x2222 || !l.Routes[0].ManyToOne {
			t.Errorf("link %+v", l)
		}
		// A router that is gone costs time and nothing else.
		w.stick.mu.Lock()
		delete(w.stick.devices, 0x1111)
		w.stick.mu.Unlock()
		m, err = w.Map(context.Background(), true, nil)
		if err != nil || !slices.Equal(m.Nodes[1].Failed, []string{"lqi", "routingTable"}) || len(m.Links) != 1 {
			t.Errorf("%+v, %v", m, err)
		}
	})
}
