package wmbus

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge/drivertest"

	"lintel/serialbridge/crc"
)

type recorder = drivertest.Recorder

var received = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// vector is a telegram with what is published of it.
type vector struct {
	Hex    string
	Key    string
	Expect map[string]any
}

func (v vector) meter() string { return v.Expect["meter"].(string) }

// telegram is the telegram from the C field on.
func (v vector) telegram(t testing.TB) []byte {
	b := unhex(t, v.Hex)
	if int(b[0]) != len(b)-1 {
		t.Fatalf("%s: L field", v.meter())
	}
	return b[1:]
}

func (v vector) options() Options {
	if v.Key == "" {
		return Options{}
	}
	return Options{Keys: map[string]string{v.Expect["id"].(string): v.Key}}
}

func vectors(t testing.TB) []vector {
	t.Helper()
	var all []vector
	for _, name := range []string{"telegrams.json", "more.json"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Vectors []vector }
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		all = append(all, file.Vectors...)
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newTestDecoder is a decoder that lets telegrams pass which were decrypted before.
func newTestDecoder(r *recorder, o Options) *decoder {
	d := newDecoder(r, o)
	d.opener.clear = true
	return d
}

// framings are the ways in which receivers hand on a telegram.
var framings = map[string]func(telegram []byte) []byte{
	"iM871A with CRC": func(b []byte) []byte { return hciFrame(b, hciTimestamp|hciRSSI|hciCRC) },
	"iM871A":          func(b []byte) []byte { return append(hciFrame(b, 0), hciFrame(b, 0)...) }, // heard twice
	"AMB8465":         func(b []byte) []byte { return amberFrame(b, false) },
	"AMB8465, RSSI":   func(b []byte) []byte { return amberFrame(b, true) },
	"CUL":             func(b []byte) []byte { return culLine(b, false, true) },
	"CUL, no RSSI":    func(b []byte) []byte { return culLine(b, false, false) },
	"CUL, format B":   func(b []byte) []byte { return culLine(b, true, true) },
}

func hciFrame(telegram []byte, control byte) []byte {
	b := []byte{startHCI, control | hciRadioLink, hciTelegramHere, byte(len(telegram))}
	b = append(b, telegram...)
	if control&hciTimestamp != 0 {
		b = append(b, 1, 2, 3, 4)
	}
	if control&hciRSSI != 0 {
		b = append(b, 85)
	}
	if control&hciCRC != 0 {
		b = binary.LittleEndian.AppendUint16(b, crc.X25(b[1:]))
	}
	return b
}

func amberFrame(telegram []byte, rssi bool) []byte {
	b := []byte{startAmber, amberDataInd | amberResponse, byte(len(telegram))}
	b = append(b, telegram...)
	if rssi {
		b = append(b, 0xCE)
	}
	return append(b, xorOf(b))
}

func culLine(telegram []byte, formatB, rssi bool) []byte {
	var radio []byte
	head := "b"
	if formatB {
		head = "bY"
		b := append([]byte{0}, telegram...)
		blocks := (len(b) + 125) / 126
		b[0] = byte(len(telegram) + 2*blocks)
		for part := range slices.Chunk(b, 126) {
			radio = binary.BigEndian.AppendUint16(append(radio, part...), crcEN13757(part))
		}
	} else {
		b := append([]byte{byte(len(telegram))}, telegram...)
		radio = binary.BigEndian.AppendUint16(append(radio, b[:10]...), crcEN13757(b[:10]))
		for part := range slices.Chunk(b[10:], 16) {
			radio = binary.BigEndian.AppendUint16(append(radio, part...), crcEN13757(part))
		}
	}
	if rssi {
		radio = append(radio, 0x80, 0xCE)
	}
	return []byte(head + strings.ToUpper(hex.EncodeToString(radio)) + "\r\n")
}

func TestTelegrams(t *testing.T) {
	meters := make(map[string]bool)
	checked := 0
	for i, v := range vectors(t) {
		meters[v.meter()] = true
		t.Run(fmt.Sprintf("%d %s", i, v.meter()), func(t *testing.T) {
			var first *recorder
			for name, framing := range framings {
				telegram := v.telegram(t)
				if strings.Contains(name, "format B") && len(telegram) > maxTelegram-4 {
					continue
				}
				r := &recorder{}
				newTestDecoder(r, v.options()).Decode(framing(telegram), received)
				if len(r.Damage) > 0 || len(r.Overheard) > 0 || len(r.Readings) != 1 || len(r.Announcements) != 1 || r.Disorder != "" {
					t.Fatalf("%s: damaged %q, ignored %q, %d readings, %s", name, r.Damage, r.Overheard, len(r.Readings), r.Disorder)
				}
				delete(r.Readings[0].Values, "signal_strength")
				if first == nil {
					first = r
				} else if !reflect.DeepEqual(r.Readings, first.Readings) {
					t.Errorf("%s: %v, elsewhere %v", name, r.Readings, first.Readings)
				}
			}
			reading := first.Readings[0]
			if !reading.Time.Equal(received) {
				t.Errorf("time %v", reading.Time)
			}
			id := strings.ToUpper(v.Expect["id"].(string))
			if !strings.HasSuffix(reading.Device, "_"+id) || first.Announcements[0].SerialNumber != id {
				t.Errorf("device %s, want that of %s", reading.Device, id)
			}
			for field, published := range v.Expect {
				switch field {
				case "_", "id", "media", "meter", "name", "timestamp":
					continue
				}
				c, ok := claims[v.meter()][field]
				switch {
				case !ok:
					t.Errorf("%s = %v is published and not checked", field, published)
				case c.never != "":
				case !c.agrees(reading.Values, published):
					t.Errorf("%s = %v is published, %q is %v", field, published, c.key, reading.Values[c.key])
				default:
					checked++
				}
			}
		})
	}
	for meter := range claims {
		if !meters[meter] {
			t.Errorf("no telegram of %s", meter)
		}
	}
	t.Logf("%d published values", checked)
}

// example is a telegram of oms.json.
type example struct {
	Name, Format, Key, Device, Hex string
	Values                         map[string]any
}

func examples(t testing.TB) (radio []example, kamstrup map[string]example) {
	t.Helper()
	data, err := os.ReadFile("testdata/oms.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Radio    []example
		Kamstrup map[string]example
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Radio, file.Kamstrup
}

func (e example) options() Options {
	if e.Key == "" {
		return Options{}
	}
	return Options{Keys: map[string]string{strings.ReplaceAll(strings.TrimPrefix(e.Device, "wmbus_"), "_", ""): e.Key}}
}

// line is the telegram as a CUL has it.
func (e example) line() []byte {
	head := map[string]string{"A": "b", "B": "bY"}[e.Format]
	return []byte(head + e.Hex + "\r\n")
}

func (e example) check(t *testing.T, r *recorder) {
	t.Helper()
	if len(r.Damage) > 0 || len(r.Overheard) > 0 || len(r.Readings) == 0 || r.Disorder != "" {
		t.Fatalf("damaged %q, ignored %q, %d readings, %s", r.Damage, r.Overheard, len(r.Readings), r.Disorder)
	}
	last := r.Readings[len(r.Readings)-1]
	if last.Device != e.Device {
		t.Errorf("device %s, want %s", last.Device, e.Device)
	}
	for key, want := range e.Values {
		if last.Values[key] != want {
			t.Errorf("%s = %v, want %v", key, last.Values[key], want)
		}
	}
}

// TestExamples decodes the examples of the standards, with their CRCs.
func TestExamples(t *testing.T) {
	radio, _ := examples(t)
	for _, e := range radio {
		t.Run(e.Name, func(t *testing.T) {
			r := &recorder{}
			newDecoder(r, e.options()).Decode(e.line(), received)
			e.check(t, r)

			// Each digit that is another one is noticed.
			for i := 2; i < len(e.line())-2; i++ {
				line := e.line()
				if line[i] == 'Y' {
					continue
				}
				line[i] ^= 1 // from one hex digit to another, or to none
				bad := &recorder{}
				newDecoder(bad, e.options()).Decode(line, received)
				if len(bad.Readings) > 0 {
					t.Fatalf("digit %d changed: a reading all the same", i)
				}
			}
		})
	}
}

// TestExtendedLinkLayer decrypts a telegram with a session number.
func TestExtendedLinkLayer(t *testing.T) {
	_, kamstrup := examples(t)
	e := kamstrup["encrypted"]
	r := &recorder{}
	// The CRC in it vouches for it: it need not be heard twice.
	newDecoder(r, e.options()).Decode(hciFrame(unhex(t, e.Hex)[1:], 0), received)
	e.check(t, r)

	// Another key makes nothing of it, and that is told once it was heard twice.
	e.Key = strings.Repeat("5a", 16)
	r = &recorder{}
	d := newDecoder(r, e.options())
	for range 2 {
		d.Decode(hciFrame(unhex(t, e.Hex)[1:], 0), received)
	}
	if len(r.Readings) > 0 || len(r.Overheard) != 1 || !strings.Contains(r.Overheard[0], "not the right one") {
		t.Errorf("with another key: %v, ignored %q", r.Readings, r.Overheard)
	}
}

// TestCompactFrames reads a frame without headers once a whole one was heard, in
// this run or in one before.
func TestCompactFrames(t *testing.T) {
	_, kamstrup := examples(t)
	full, compact := kamstrup["full"], kamstrup["compact"]
	r := &recorder{}
	d := newTestDecoder(r, Options{})
	d.Decode(amberFrame(unhex(t, compact.Hex)[1:], false), received)
	want := []string{"meter 32666857 (KAM) leaves out what its readings are: that is known once it sends them in full"}
	if !slices.Equal(r.Overheard, want) || len(r.Readings) > 0 {
		t.Fatalf("ignored %q, %d readings", r.Overheard, len(r.Readings))
	}
	r.Overheard = nil
	d.Decode(amberFrame(unhex(t, full.Hex)[1:], false), received)
	full.check(t, r)
	if len(r.Memory) > 0 {
		t.Errorf("remembers %v without use", r.Memory)
	}
	d.Decode(amberFrame(unhex(t, compact.Hex)[1:], false), received)
	compact.check(t, r)

	again := &recorder{Memory: r.Memory}
	newTestDecoder(again, Options{}).Decode(amberFrame(unhex(t, compact.Hex)[1:], false), received)
	compact.check(t, again)
}
