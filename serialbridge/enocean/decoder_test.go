package enocean

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

type recorder = drivertest.Recorder

// last returns the values of the last reading.
func last(r *recorder) map[string]any {
	if len(r.Readings) == 0 {
		return nil
	}
	return r.Readings[len(r.Readings)-1].Values
}

var received = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var known = profiles()

func decode(t testing.TB, pieces ...[]byte) *recorder {
	t.Helper()
	r := &recorder{}
	drivertest.Decode(t, r, newDecoder(r, known, false), received, pieces)
	return r
}

const testSender senderID = 0x01020304

// sent returns the bytes of a telegram of a sender, without signal strength.
func sent(r rorg, status byte, payload ...byte) []byte {
	return telegram{rorg: r, payload: payload, sender: testSender, status: status}.packet(broadcast).bytes()
}

// taught returns a UTE query that teaches a profile, without waiting for an answer.
func taught(id profileID, from senderID) []byte {
	return telegram{rorg: ute, payload: []byte{0xE0, 0xFF, 0x0D, 0, id.typ, id.fn, byte(id.rorg)}, sender: from}.packet(broadcast).bytes()
}

func parseID(t testing.TB, s string) profileID {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 3 {
		t.Fatalf("bad profile %q", s)
	}
	return profileID{rorg(b[0]), b[1], b[2]}
}

// A vector is a packet that was received, and what it says.
type vector struct {
	Name, Taught, Hex string
	Devices           map[string]string // model by ID
	Readings          []struct {
		Device string
		Values map[string]any
	}
	Damaged, Ignored []string

	data []byte
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	file, err := os.ReadFile("testdata/packets.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	for i := range vectors {
		if vectors[i].data, err = hex.DecodeString(vectors[i].Hex); err != nil {
			t.Fatal(err)
		}
	}
	return vectors
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			r := &recorder{}
			d := newDecoder(r, known, false)
			if v.Taught != "" {
				d.Decode(taught(parseID(t, v.Taught), 0x0181B744), received)
				d.Decode(taught(parseID(t, v.Taught), 0x0194E3B9), received)
			}
			d.Decode(v.data, received)
			if r.Disorder != "" {
				t.Fatal(r.Disorder)
			}
			for id, model := range v.Devices {
				if got, ok := r.Devices[id]; !ok || got.Model != model {
					t.Errorf("%s: %+v, want model %q", id, got, model)
				}
			}
			if len(r.Readings) != len(v.Readings) {
				t.Fatalf("%d readings, want %d", len(r.Readings), len(v.Readings))
			}
			for i, want := range v.Readings {
				text, err := json.Marshal(r.Readings[i].Values)
				if err != nil {
					t.Fatal(err)
				}
				var values map[string]any
				if err := json.Unmarshal(text, &values); err != nil {
					t.Fatal(err)
				}
				if r.Readings[i].Device != want.Device || !maps.Equal(values, want.Values) {
					t.Errorf("%s %v, want %s %v", r.Readings[i].Device, values, want.Device, want.Values)
				}
				if !r.Readings[i].Time.Equal(received) {
					t.Errorf("time %v", r.Readings[i].Time)
				}
			}
			if !slices.Equal(r.Damage, v.Damaged) {
				t.Errorf("damaged %q, want %q", r.Damage, v.Damaged)
			}
			if !slices.Equal(r.Overheard, v.Ignored) {
				t.Errorf("ignored %q, want %q", r.Overheard, v.Ignored)
			}
		})
	}
}

func TestCRC(t *testing.T) {
	// The check value of CRC-8 with polynomial 07.
	if got := crc8([]byte("123456789")); got != 0xF4 {
		t.Errorf("%02X, want F4", got)
	}
}

// Packets are built as they are read.
func TestPacketBytes(t *testing.T) {
	for _, v := range readVectors(t) {
		if v.Damaged != nil && v.Damaged[0] == damagedData {
			continue
		}
		var got []byte
		f := deframer{damaged: func(reason string) { t.Errorf("%s: %s", v.Name, reason) }}
		f.take = func(p packet) { got = p.bytes() }
		for _, b := range v.data {
			f.next(b, received)
		}
		if !slices.Equal(got, v.data) {
			t.Errorf("%s: %x", v.Name, got)
		}
	}
}

// stream is all good vectors in a row.
func stream(t testing.TB) []byte {
	t.Helper()
	all := taught(parseID(t, "A5-02-05"), 0x0181B744)
	for _, v := range readVectors(t) {
		if v.Damaged == nil && v.Ignored == nil {
			all = append(all, v.data...)
		}
	}
	return all
}

func TestPieces(t *testing.T) {
	all := stream(t)
	want := decode(t, all)
	if len(want.Damage) > 0 || len(want.Readings) != 7 {
		t.Fatalf("%d readings, damaged %q", len(want.Readings), want.Damage)
	}
	for pieces := range drivertest.Splits(all, 1) {
		if got := decode(t, pieces...); !reflect.DeepEqual(got, want) {
			t.Fatalf("in %d pieces, %d bytes first: %+v", len(pieces), len(pieces[0]), got)
		}
	}
}

func TestDamage(t *testing.T) {
	good := readVectors(t)[3].data
	again := slices.Concat(good, good)
	header := slices.Clone(good)
	header[4] ^= 0x10
	data := slices.Clone(good)
	data[8] ^= 0x01
	long := []byte{syncByte, 0x02, 0x01, 0, 1}
	long = append(long, crc8(long[1:]))
	half := good[:10]
	for _, test := range []struct {
		name     string
		input    []byte
		readings int
		damaged  []string
	}{
		{"header", slices.Concat(good, header, good), 2, []string{damagedHeader}},
		{"data", slices.Concat(good, data, good), 2, []string{damagedData}},
		{"too long", slices.Concat(long, good), 1, []string{serialbridge.DamagedTooLong}},
		{"half, then whole", slices.Concat(half, again, again), 4, []string{damagedData}},
		{"text", slices.Concat([]byte("20;00;Nodo RadioFrequencyLink;\r\n"), good), 1, nil},
		{"syncs", slices.Concat([]byte{syncByte, syncByte, syncByte}, good), 1, []string{damagedHeader}},
		{"SML", slices.Concat([]byte{0x1b, 0x1b, 0x1b, 0x1b, 1, 1, 1, 1, 0x76, 5}, good), 1, nil},
		{"short telegram", slices.Concat(packet{radioERP1, []byte{0xA5, 1, 2, 3, 4, 5, 6}, nil}.bytes(), good), 1, []string{serialbridge.DamagedSyntax}},
		{"no telegram", packet{radioERP1, nil, nil}.bytes(), 0, []string{serialbridge.DamagedSyntax}},
		{"unknown RORG", packet{radioERP1, []byte{0x11, 1, 2, 3, 4, 5, 6}, nil}.bytes(), 0, nil},
		{"ERP2", packet{radioERP2, []byte{1, 2, 3}, nil}.bytes(), 0, nil},
		{"long VLD", packet{radioERP1, append([]byte{0xD2}, make([]byte, 20)...), nil}.bytes(), 0, []string{serialbridge.DamagedSyntax}},
	} {
		r := decode(t, test.input)
		if len(r.Readings) != test.readings || !slices.Equal(r.Damage, test.damaged) {
			t.Errorf("%s: %d readings, damaged %q; want %d, %q", test.name, len(r.Readings), r.Damage, test.readings, test.damaged)
		}
	}
}

// What stands still within a packet is not going on.
func TestPause(t *testing.T) {
	good := readVectors(t)[3].data
	r := &recorder{}
	d := newDecoder(r, known, false)
	d.Decode(good[:12], received)
	d.Decode(good, received.Add(time.Second))
	if len(r.Readings) != 1 || !slices.Equal(r.Damage, []string{serialbridge.DamagedTruncated}) {
		t.Errorf("%d readings, damaged %q", len(r.Readings), r.Damage)
	}
	d.Decode(good[:12], received.Add(2*time.Second))
	d.Decode(good[12:], received.Add(2*time.Second+pause))
	if len(r.Readings) != 2 {
		t.Errorf("%d readings, want 2", len(r.Readings))
	}
}

// Every single byte that is changed is noticed.
func TestChangedBytes(t *testing.T) {
	good := readVectors(t)[5].data
	for i := range good {
		for _, bit := range []byte{0x01, 0x80, 0xFF} {
			bad := slices.Clone(good)
			bad[i] ^= bit
			if r := decode(t, bad); len(r.Announcements) > 0 || len(r.Readings) > 0 {
				t.Errorf("byte %d changed: %v", i, r.Readings)
			}
		}
	}
}

func TestManySenders(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, known, false)
	for i := range 2 * maxSenders {
		d.Decode(telegram{rorg: bs1, payload: []byte{9}, sender: senderID(i + 1)}.packet(broadcast).bytes(), received)
	}
	if len(d.senders) != maxSenders || len(r.Devices) != maxSenders || len(r.Memory) != maxSenders || len(r.Overheard) != maxSenders {
		t.Errorf("%d senders, %d devices, %d remembered, %d ignored", len(d.senders), len(r.Devices), len(r.Memory), len(r.Overheard))
	}
}

// What is whole but says nothing that could be passed on is told in words.
func TestIgnored(t *testing.T) {
	for _, test := range []struct {
		name  string
		input []byte
		want  string
	}{
		{"encrypted", sent(sec, 0, 1, 2, 3, 4, 5), "01020304 is encrypted: teach it in without encryption, if it can send so"},
		{"teach-in of keys", sent(secTeach, 0, 1, 2, 3), "01020304 is encrypted: teach it in without encryption, if it can send so"},
		{"unknown RORG", sent(0x11, 0, 1), "telegrams of the kind 11 are not read"},
		{"ERP2", packet{radioERP2, []byte{1, 2, 3}, nil}.bytes(), "the transceiver passes on telegrams of ERP2: only those of ERP1 are read"},
		{"4BS", sent(bs4, 0, 0, 0, 0, 8), "01020304 has not said its profile: turn on Learn at the transceiver and press the teach-in button on the device"},
		{"VLD", sent(vld, 0, 4, 0, 100), "01020304 has not said its profile: turn on Learn at the transceiver and press the teach-in button on the device"},
		{"4BS teach-in without profile", sent(bs4, 0, 0x08, 0x28, 0x0D, 0), "01020304 does not say its profile when it teaches in: it cannot be learned"},
		{"unknown profile", taught(profileID{bs4, 0x3F, 0x7F}, testSender), "01020304 has the profile A5-3F-7F, which is none of this gateway"},
	} {
		r := decode(t, test.input)
		if len(r.Devices) > 0 || len(r.Damage) > 0 || !slices.Equal(r.Overheard, []string{test.want}) {
			t.Errorf("%s: devices %v, damaged %q, ignored %q", test.name, r.Devices, r.Damage, r.Overheard)
		}
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string]string{
		"temperature": "°C", "humidity": "%", "illuminance": "lx", "voltage": "V", "energy": "kWh", "power": "W",
		"gas": "m³", "water": "m³", "volume_flow_rate": "L/s", "signal_strength": "dBm", "current": "mA",
	}
	conditions := []string{"motion", "occupancy", "battery", "opening", "problem", "window", ""}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	all := []serialbridge.Property{action(), handle(), contact(), signal(), hardwareState()}
	for _, p := range known {
		if p.meter != nil {
			all = append(all, p.meter.total, p.meter.current)
		}
		all = append(all, p.properties()...)
	}
	for _, a := range actuators {
		all = append(all, a.properties()...)
		for unit := range byte(5) {
			ps, _ := a.read([]byte{cmdMeasurement, unit << 5, 0, 0, 0, 1}, make(map[string]any))
			all = append(all, ps...)
		}
		ps, _ := a.read([]byte{0x80 | cmdStatus, 0, 1}, make(map[string]any))
		all = append(all, ps...)
	}
	all = append(all, blind{}.properties()...)
	all = append(all, serialbridge.ForgetButton())
	all = append(all, (&transceiver{base: 0xFF800000}).device().Properties...)
	for _, p := range all {
		if !key.MatchString(p.Key) || p.Name == "" {
			t.Errorf("bad key or name: %+v", p)
		}
		switch p.Kind {
		case serialbridge.Measurement:
			if unit, ok := units[p.Class]; p.Class != "" && (!ok || p.Unit != unit) {
				t.Errorf("%s: unit %q of class %q", p.Key, p.Unit, p.Class)
			}
			if isTotal := slices.Contains([]string{"energy", "gas", "water"}, p.Class); isTotal != (p.StateClass == "total_increasing") && p.Key != "count" && p.Key != "charge" {
				t.Errorf("%s: state class %q of class %q", p.Key, p.StateClass, p.Class)
			}
		case serialbridge.Binary:
			if !slices.Contains(conditions, p.Class) {
				t.Errorf("%s: class %q", p.Key, p.Class)
			}
		case serialbridge.State, serialbridge.Event:
			if len(p.Options) == 0 {
				t.Errorf("%s: no options", p.Key)
			}
		case serialbridge.Switch, serialbridge.Button, serialbridge.Light, serialbridge.Cover:
		default:
			t.Errorf("%s: kind %q", p.Key, p.Kind)
		}
	}
}
