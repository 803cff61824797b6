package devices

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// tuyaReport is a message with that payload of the command dataReport.
func tuyaReport(payload []byte) zigbee.Message {
	return zigbee.Message{Endpoint: 1, Cluster: zigbee.ClusterTuya, Received: time.Unix(1800000000, 0),
		Frame: zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: tuyaDataReport, Payload: payload}}
}

func TestTuyaTime(t *testing.T) {
	now := time.Date(2026, 11, 22, 16, 0, 0, 0, time.FixedZone("CET", 3600))
	for since, want := range map[zigbee.TuyaEpoch]string{
		zigbee.TuyaSince1970: "08006a21b8706a21c680",
		zigbee.TuyaSince2000: "0800" + "32943af0" + "32944900",
	} {
		got := zigbee.TuyaTime(now, since)
		utc := int64(got[2])<<24 | int64(got[3])<<16 | int64(got[4])<<8 | int64(got[5])
		epoch := time.Date(int(since), 1, 1, 0, 0, 0, 0, time.UTC)
		if !epoch.Add(time.Duration(utc)*time.Second).Equal(now) || len(got) != 10 || got[0] != 8 || len(want) != 20 {
			t.Errorf("since %d: %x", since, got)
		}
		local := int64(got[6])<<24 | int64(got[7])<<16 | int64(got[8])<<8 | int64(got[9])
		if local-utc != 3600 {
			t.Errorf("since %d: local time is %d s ahead, want 3600", since, local-utc)
		}
	}
}

func TestSyncTime(t *testing.T) {
	now := time.Unix(1800000000, 0).UTC()
	for _, c := range []struct {
		quirks  map[string]any
		options Values
		want    []byte
	}{
		{nil, nil, nil},
		{map[string]any{"tuya": map[string]any{"timeStart": "1970"}}, nil, zigbee.TuyaTime(now, zigbee.TuyaSince1970)},
		{map[string]any{"tuya": map[string]any{"timeStart": "2000"}}, nil, zigbee.TuyaTime(now, zigbee.TuyaSince2000)},
		{map[string]any{"tuya": map[string]any{"timeStart": "2000"}}, Values{"time_start": "off"}, nil},
	} {
		d := &Definition{Quirks: c.quirks}
		got, ok := d.SyncTime(&Context{Options: c.options, Now: now})
		if ok != (c.want != nil) || !bytes.Equal(got.Payload, c.want) {
			t.Errorf("%v with %v: %x, %v, want %x", c.quirks, c.options, got.Payload, ok, c.want)
		}
	}
}

// TestNamedConversions checks what takes code, both ways where there are two. The
// values were worked out with zigbee-herdsman-converters 26.105.0, tuya.valueConverter.
func TestNamedConversions(t *testing.T) {
	octets := func(s string) []byte { b, _ := hex.DecodeString(s); return b }
	state := Values{"over_current_breaker": "ON", "over_voltage_breaker": "ON", "overload_threshold": 20.0}
	for _, c := range []struct {
		kind     string
		raw      any
		value    any
		argument any
		message  Values // of a set; nil: none
		wire     any
	}{
		{kind: "power", raw: int64(0x19999990), value: -12.0},
		{kind: "power", raw: int64(230), value: 230.0},
		{kind: "plus1", raw: int64(2), value: 3.0, wire: 2.0},
		{kind: "localTemperatureCalibration", raw: int64(4090), value: -6.0, wire: 4090.0},
		{kind: "localTemperatureCalibration_256", raw: int64(250), value: -6.0, wire: 250.0},
		{kind: "phaseVariant2", raw: octets("08fc000bb80002bc"), value: Values{"voltage": 230.0, "current": 3.0, "power": 700.0}},
		{kind: "phaseVariant2", raw: "CPwAC7gAArw=", value: Values{"voltage": 230.0, "current": 3.0, "power": 700.0}},
		{kind: "phaseVariant2WithPhase", raw: octets("08fc000bb8009990"), argument: "a", value: Values{"voltage_a": 230.0, "current_a": 3.0, "power_a": -10.0}},
		{kind: "phaseVariant3", raw: octets("08fc000bb80002bc"), value: Values{"voltage": 230.0, "current": 3.0, "power": 700.0}},
		{kind: "phaseVariant2", raw: octets("08fc"), value: nil},
		{kind: "waterConsumption", raw: octets("0000000000001388"), value: 5.0},
		{kind: "circuitBreakerFaults", raw: int64(0x4005), value: []any{"short_circuit", "overload", "magnetism"}},
		{kind: "circuitBreakerFaults1", raw: int64(0x4000), value: []any{"negative_power"}},
		{kind: "utf16BEHexString", raw: "004800e4", value: "Hä", wire: "004800e4"},
		{kind: "thermostatScheduleDayMultiDP", raw: octets("00060000d2080000a0110000d2160000a0"), value: "06:00/21.0 08:00/16.0 17:00/21.0 22:00/16.0", wire: octets("00060000d2080000a0110000d2160000a0")},
		{kind: "thermostatScheduleDayMultiDP_TRV603WZ", raw: octets("07043f2aa122"), value: "06:30/21.0 16:10/17.0", wire: octets("07043f2aa122")},
		{kind: "thermostatScheduleDaySingleDP", raw: octets("2400d29000a0"), value: "06:00/21 24:00/16"},
		{kind: "thermostatHolidayStartStop", raw: "202612201800202701031200", value: "2026/12/20 18:00 | 2027/01/03 12:00", wire: "202612201800202701031200"},
		{kind: "inchingSwitch2", raw: "AQA8", value: map[string]any{"state": "ON", "minutes": 1.0, "seconds": 0.0}, wire: "AQA8"},
		{kind: "threshold_3", raw: octets("0100000a030100fa"), value: Values{"over_current_breaker": "OFF", "over_current_threshold": 10.0, "over_voltage_breaker": "ON", "over_voltage_threshold": 250.0},
			message: Values{"over_voltage_threshold": 250.0}, wire: []point{{id: 18, typ: pointRaw, data: octets("00000000030100fa")}}},
		{kind: "threshold_2", raw: octets("03010014"), value: Values{"overload_breaker": "ON", "overload_threshold": 20.0},
			message: Values{"overload_breaker": "ON"}, wire: []point{{id: 17, typ: pointRaw, data: octets("03010014")}}},
		{kind: "coverPosition", raw: int64(0), value: Values{"": 0.0, "state": "CLOSE"}},
		{kind: "coverPositionInverted", raw: int64(30), value: Values{"": 70.0, "state": "OPEN"}},
		{kind: "errorOrBatteryLow", raw: int64(1), value: Values{"": true, "error": 1.0}},
		{kind: "voltageCurve", raw: int64(2925), argument: map[string]any{"min": 2850.0, "max": 3000.0}, value: 50.0},
		{kind: "voltageCurve", raw: int64(2900), argument: "3V_2100", value: 42.0},
		{kind: "plus", raw: int64(6), argument: -1.0, value: 5.0},
	} {
		v := Conversion{Kind: c.kind, Argument: c.argument}
		ctx := &Context{Definition: &Definition{}, State: state, Message: c.message}
		got, ok := v.decode(ctx, c.raw)
		if ok != (c.value != nil) || ok && !near(asJSON(got), asJSON(c.value)) {
			t.Errorf("%s of %v is %v, %t, want %v", c.kind, c.raw, got, ok, c.value)
		}
		if c.wire == nil {
			continue
		}
		wire, err := v.encode(ctx, c.value)
		if points, several := c.wire.([]point); several {
			sent, _ := wire.([]point)
			if err != nil || len(sent) != 1 || sent[0].id != points[0].id || !bytes.Equal(sent[0].data, points[0].data) {
				t.Errorf("%s of %v sends %+v, %v, want %+v", c.kind, c.message, wire, err, c.wire)
			}
		} else if err != nil || !near(asJSON(wire), asJSON(c.wire)) {
			t.Errorf("%s of %v sends %v, %v, want %v", c.kind, c.value, wire, err, c.wire)
		}
	}
}

func TestLearner(t *testing.T) {
	var l Learner
	for _, payload := range []string{
		"000101020004000000d7" + "02020004" + "00000030", "000201020004000000d9" + "02020004" + "00000037", "0003" + "0f02000400000060",
		"0004" + "6504000102", "0005" + "6504000100", "0006" + "0701000101",
	} {
		data, err := hex.DecodeString(payload)
		if err != nil {
			t.Fatal(err)
		}
		if !l.Learn(tuyaReport(data)) {
			t.Errorf("%s teaches nothing", payload)
		}
	}
	points := l.Points()
	if len(points) != 5 {
		t.Fatalf("%d datapoints: %+v", len(points), points)
	}
	guesses := make(map[uint8]string)
	for _, p := range points {
		guesses[p.ID] = p.Type + " " + p.Guess.Property
	}
	for id, want := range map[uint8]string{7: "bool child_lock", 15: "number battery", 2: "number humidity", 101: "enum mode"} {
		if guesses[id] != want {
			t.Errorf("%d is taken for %q, want %q", id, guesses[id], want)
		}
	}
	if p := points[0]; p.Min != 215 || p.Max != 217 || p.Count != 2 || p.Value != 217.0 {
		t.Errorf("datapoint 1 is %+v", p)
	}
	if err := l.Name([]Meaning{
		{ID: 1, Property: "temperature", Kind: "scale", Divisor: 10},
		{ID: 101, Property: "mode", Kind: "enum", Values: map[int64]any{0: "low", 2: "high"}, Settable: true},
	}); err != nil {
		t.Error(err)
	}
	d := l.Definition("TS0601_mine", "Me", "A thing")
	data, _ := hex.DecodeString("000701020004000000d76504000102")
	values, _ := d.Decode(&Context{Device: &zigbee.Device{}}, tuyaReport(data))
	if values["temperature"] != 21.5 || values["mode"] != "high" || len(values) != 2 {
		t.Errorf("the new definition reads %v", values)
	}
	outcomes := d.Set(&Context{Device: &zigbee.Device{}, Message: Values{"mode": "LOW"}})
	if len(outcomes) != 1 || outcomes[0].Err != nil || hex.EncodeToString(outcomes[0].Requests[0].Frame.Payload) != "01006504000100" {
		t.Errorf("the new definition sends %+v", outcomes)
	}
}

// everyConversion is a definition in which every named conversion has a datapoint.
func everyConversion() *Definition {
	d := &Definition{Clusters: []uint16{zigbee.ClusterTuya}}
	for kind := range namedConversions {
		for id := range 256 {
			if id%8 == len(d.Datapoints)%8 {
				d.Datapoints = append(d.Datapoints, Datapoint{ID: uint8(id), Property: kind, Also: true, Conversion: Conversion{Kind: kind, Argument: "3V_2100"}})
			}
		}
	}
	return d
}

func FuzzTuya(f *testing.F) {
	for _, seed := range []string{"2102020004000000d2", "0001120000080100000a030100fa", "00010600000808fc000bb80002bc", "000165030004414243", "0001ff00ffff00"} {
		data, _ := hex.DecodeString(seed)
		f.Add(data)
	}
	d := everyConversion()
	d.Bind()
	f.Fuzz(func(t *testing.T, data []byte) {
		m := tuyaReport(data)
		c := &Context{Definition: d, Device: &zigbee.Device{}, State: Values{}, Options: Values{}}
		d.Decode(c, m)
		var again []byte
		for _, p := range pointsOf(m) {
			for kind, v := range namedConversions {
				if v.decode == nil {
					continue
				}
				value, ok := v.decode(c, p.value(), float64(p.id%12))
				if ok && v.encode != nil {
					v.encode(&Context{Definition: d, State: Values{}, Message: Values{kind: value}}, value, nil)
				}
			}
			again = appendPoint(again, p)
		}
		if len(data) > 2 && !bytes.HasPrefix(data[2:], again) {
			t.Errorf("%x is read as %x", data, again)
		}
		var l Learner
		if l.Learn(m) && len(l.Points()) > 256 {
			t.Error("it learns too much")
		}
	})
}

func FuzzXiaomi(f *testing.F) {
	for _, seed := range []string{"0121e50b0421a81305210a0006240100000000642959086521ab11662bc88b01000a210000", "0121c60b03281b0521080008212d010a2100000c2014641000", "014c0000", "0148"} {
		data, _ := hex.DecodeString(seed)
		f.Add(data)
	}
	tag := uint8(100)
	d := &Definition{Clusters: []uint16{clusterLumi}, Attributes: []Attribute{{Cluster: clusterLumi, ID: lumiStructure, Tag: &tag,
		Property: "temperature", Conversion: Conversion{Kind: "scale", Divisor: 100}}}}
	d.Bind()
	f.Fuzz(func(t *testing.T, data []byte) {
		if members := parseStructure(data); len(members) > len(data)/2 {
			t.Errorf("%d members in %d bytes", len(members), len(data))
		}
		m := zigbee.Message{Endpoint: 1, Cluster: clusterLumi, Frame: zcl.Frame{Command: zcl.ReportAttributes},
			Attributes: []zcl.Attribute{{ID: lumiStructure, Type: zcl.OctetString, Value: data}}}
		values, _ := d.Decode(&Context{Device: &zigbee.Device{}}, m)
		if n, ok := values["temperature"].(float64); ok && (n <= -65 || n >= 65) {
			t.Errorf("a temperature of %v", n)
		}
	})
}
