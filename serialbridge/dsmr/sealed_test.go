package dsmr

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge/drivertest"
)

// A sealedFrame is one of testdata/sealed.json.
type sealedFrame struct {
	Name, Telegram, Title, Key, Hex string
	Counter                         uint32
	AuthenticationKey               string `json:"authentication_key"`

	frame []byte
}

// options are those with which its owner reads the meter.
func (f sealedFrame) options() Options {
	o := Options{Keys: map[string]string{"": f.Key}}
	if f.AuthenticationKey != hex.EncodeToString(publicAuthenticationKey) {
		o.AuthenticationKeys = map[string]string{"": f.AuthenticationKey}
	}
	return o
}

type cipherVector struct {
	Name, Key, Nonce, Plain, Sealed, Tag string
	AuthenticationKey                    string `json:"authentication_key"`
}

func readSealed(t testing.TB) ([]sealedFrame, []cipherVector) {
	t.Helper()
	data, err := os.ReadFile("testdata/sealed.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Frames  []sealedFrame
		Ciphers []cipherVector
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for i, f := range file.Frames {
		file.Frames[i].frame = unhex(t, f.Hex)
	}
	return file.Frames, file.Ciphers
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decodeWith feeds pieces to a new decoder that has o.
func decodeWith(t testing.TB, o Options, pieces ...[]byte) *recorder {
	t.Helper()
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	drivertest.Decode(t, r, Driver(o).NewDecoder(r), received, pieces)
	return r
}

// seal encrypts a telegram as a meter does.
func seal(t testing.TB, f sealedFrame, counter uint32, plain []byte) []byte {
	t.Helper()
	k := Options{Keys: map[string]string{"": f.Key}}.keyring()[0]
	frame := slices.Concat([]byte{0xDB, titleSize}, unhex(t, f.Title), []byte{0x82})
	frame = binary.BigEndian.AppendUint16(frame, uint16(1+counterSize+len(plain)+tagSize))
	frame = append(frame, security)
	frame = binary.BigEndian.AppendUint32(frame, counter)
	nonce := slices.Concat(frame[2:2+titleSize], frame[headSize:preambleSize])
	// On amd64 Seal of Go 1.26 writes whole blocks: with a tag of 12 bytes as many as
	// three zeros behind the end, into what does not belong to it.
	frame = slices.Grow(frame, len(plain)+aes.BlockSize)
	return k.gcm.Seal(frame, nonce, plain, append([]byte{security}, unhex(t, f.AuthenticationKey)...))
}

// The published vectors: one that has a tag opens with it and without, and
// what is not a telegram does not count as one.
func TestCiphers(t *testing.T) {
	_, ciphers := readSealed(t)
	for _, c := range ciphers {
		k := Options{Keys: map[string]string{"": c.Key}}.keyring()[0]
		if got := k.withoutTag(unhex(t, c.Nonce), unhex(t, c.Sealed)); !bytes.Equal(got, unhex(t, c.Plain)) {
			t.Errorf("%s: %X", c.Name, got)
		}
		if c.Tag == "" {
			continue
		}
		nonce := unhex(t, c.Nonce)
		frame := slices.Concat([]byte{0xDB, titleSize}, nonce[:titleSize], []byte{0x82, 0, 0, security}, nonce[titleSize:],
			unhex(t, c.Sealed), unhex(t, c.Tag))
		if _, f := k.open(frame); f != wrongKey {
			t.Errorf("%s: without the authentication key: %d", c.Name, f)
		}
		k.authentication = unhex(t, c.AuthenticationKey)
		if plain, f := k.open(frame); f != vouchedByTag || !bytes.Equal(plain, unhex(t, c.Plain)) {
			t.Errorf("%s: %X, %d", c.Name, plain, f)
		}
	}
}

func TestSealed(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	frames, _ := readSealed(t)
	for _, f := range frames {
		clear := decode(t, telegrams[f.Telegram])
		want := clear.Readings
		if len(want) == 0 {
			t.Fatalf("%s: %s is not read: damaged %q", f.Name, f.Telegram, clear.Damage)
		}
		if again := seal(t, f, f.Counter, telegrams[f.Telegram]); !bytes.Equal(again, f.frame) {
			t.Errorf("%s: sealed here it is another frame", f.Name)
		}
		for _, test := range []struct {
			name string
			o    Options
		}{
			{"with the authentication key", f.options()},
			{"without it", Options{Keys: map[string]string{"": f.Key}}},
			{"by title", Options{Keys: map[string]string{f.Title: f.Key, "": strings.Repeat("CC", 16)}}},
			{"by title in small letters", Options{Keys: map[string]string{strings.ToLower(f.Title): f.Key}}},
			{"among others", Options{Keys: map[string]string{"a": strings.Repeat("CC", 16), "b": f.Key, "c": strings.Repeat("DD", 16)}}},
		} {
			r := decodeWith(t, test.o, f.frame)
			if len(r.Damage)+len(r.Overheard) > 0 || len(r.Readings) != len(want) {
				t.Errorf("%s, %s: %d readings, want %d, damaged %q, ignored %q",
					f.Name, test.name, len(r.Readings), len(want), r.Damage, r.Overheard)
				continue
			}
			for i, reading := range r.Readings {
				if !reflect.DeepEqual(reading.Values, want[i].Values) {
					t.Errorf("%s, %s: %v, want %v", f.Name, test.name, reading.Values, want[i].Values)
				}
			}
		}
	}
}

// A meter whose telegram has no number of its own is known by its title, not
// by the header that it shares with all of its model.
func TestSealedIdentity(t *testing.T) {
	frames, _ := readSealed(t)
	for _, f := range frames {
		want := "dsmr_" + f.Title
		if f.Telegram == "TELEGRAM_LUXEMBOURG_SMARTY" {
			want = "dsmr_SAG1030700012701"
		}
		r := decodeWith(t, f.options(), f.frame, telegramWith("1-0:1.8.0(1*kWh)"))
		if r.Readings[0].Device != want {
			t.Errorf("%s: %s, want %s", f.Name, r.Readings[0].Device, want)
		}
		if last := r.Readings[len(r.Readings)-1].Device; last != "dsmr_ABC5NAME" {
			t.Errorf("%s: a plain telegram behind is of %s", f.Name, last)
		}
	}
}

func TestKeyByMeterNumber(t *testing.T) {
	frames, _ := readSealed(t)
	lux := frames[0]
	wrong := strings.Repeat("CC", 16)
	for _, test := range []struct {
		name string
		fits bool
	}{
		{"SAG1030700012701", true},
		{"sag 103 07 00012701", true},
		{"1SAG0700012701", true},
		{"SAG1030700012702", false},
		{"KFM1030700012701", false},
	} {
		// Where the number is the meter's, no other key is tried.
		r := decodeWith(t, Options{Keys: map[string]string{test.name: wrong, "": lux.Key}}, lux.frame)
		if opened := len(r.Readings) > 0; opened == test.fits {
			t.Errorf("%s: opened: %v", test.name, opened)
		}
	}
	// A key of another meter is not tried at this one.
	r := decodeWith(t, Options{Keys: map[string]string{"5341473500043DDB": lux.Key}}, lux.frame)
	if len(r.Readings) > 0 || !slices.Equal(r.Overheard, []string{needsKey}) {
		t.Errorf("%d readings, ignored %q", len(r.Readings), r.Overheard)
	}
	kaifa := systemTitle(unhex(t, "4B464D1010000023"))
	if !kaifa.hasNumber("1KFM0100000035") || kaifa.hasNumber("1KFM0100000036") {
		t.Errorf("the number of %s ends with %s", kaifa, kaifa.serial())
	}
}

const needsKey = "meter SAG…00012701 (system title 534147677000319D) is encrypted: ask the network operator for its key, and set it"

func TestSealedRefused(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	frames, _ := readSealed(t)
	lux := frames[0]
	plain := telegrams[lux.Telegram]
	wrong := strings.Repeat("CC", 16)
	key := Options{Keys: map[string]string{"": lux.Key}}
	wrongKey := "the key does not fit meter SAG…00012701 (system title 534147677000319D): compare it with what the network operator sent"
	wrongAuthentication := "the authentication key does not fit meter SAG…00012701 (system title 534147677000319D): correct it or leave it out"
	flip := func(frame []byte, i int) []byte {
		frame = bytes.Clone(frame)
		frame[i] ^= 1
		return frame
	}
	next := seal(t, lux, lux.Counter+1, plain)
	other := frames[1] // the same meter with an authentication key that is not known
	for _, test := range []struct {
		name    string
		o       Options
		stream  [][]byte
		read    int // telegrams
		ignored []string
		damage  []string
	}{
		{"no key", Options{}, [][]byte{lux.frame}, 0, []string{needsKey}, nil},
		{"no key, twice", Options{}, [][]byte{lux.frame, next}, 0, []string{needsKey, needsKey}, nil},
		{"wrong key", Options{Keys: map[string]string{"": wrong}}, [][]byte{lux.frame}, 0, []string{wrongKey}, nil},
		{"wrong keys", Options{Keys: map[string]string{"a": wrong, "b": wrong[:31] + "0"}}, [][]byte{lux.frame}, 0, []string{wrongKey}, nil},
		{"wrong authentication key", Options{Keys: key.Keys, AuthenticationKeys: map[string]string{"": wrong}},
			[][]byte{lux.frame}, 0, []string{wrongAuthentication}, nil},
		{"same again", key, [][]byte{lux.frame, lux.frame}, 1, nil, []string{"replayed"}},
		{"an older one", key, [][]byte{next, lux.frame}, 1, nil, []string{"replayed"}},
		{"the next", key, [][]byte{lux.frame, next}, 2, nil, nil},
		{"counter changed", key, [][]byte{lux.frame, flip(next, 17)}, 1, nil, []string{"checksum"}},
		{"first one damaged", key, [][]byte{flip(lux.frame, 200), next}, 1, nil, []string{"checksum"}},
		{"tag damaged", key, [][]byte{lux.frame, flip(next, len(next)-1)}, 1, nil, []string{"checksum"}},
		{"beginning damaged", key, [][]byte{lux.frame, flip(next, 18)}, 1, nil, []string{"checksum"}},
		{"without tag, damaged", key, [][]byte{other.frame, flip(seal(t, other, other.Counter+1, plain), 200)}, 1, nil, []string{"checksum"}},
		{"without tag, the tag does not matter", key, [][]byte{flip(other.frame, len(other.frame)-1)}, 1, nil, nil},
		{"without tag, replayed", key, [][]byte{other.frame, other.frame}, 1, nil, []string{"replayed"}},
		{"without tag and without CRC", key, [][]byte{seal(t, other, 1, telegrams["TELEGRAM_V2_2"])}, 0, nil, []string{"checksum"}},
		{"no telegram inside", key, [][]byte{seal(t, lux, 1, []byte("\x0f\x00\x29\xb2\xdc\x0c\x07\xe5"))}, 0,
			[]string{"meter SAG…00012701 (system title 534147677000319D) encrypts something else than a P1 telegram, which is not known here"}, nil},
		{"wrong CRC inside", key, [][]byte{seal(t, lux, 1, bytes.Replace(plain, []byte("273.764"), []byte("273.765"), 1))}, 0, nil, []string{"checksum"}},
		{"half a telegram inside", key, [][]byte{seal(t, lux, 1, plain[:500]), next}, 1, nil, []string{"truncated"}},
		{"half a plain one before", key, [][]byte{plain[:500], lux.frame}, 1, nil, []string{"truncated"}},
		{"half a sealed one before", key, [][]byte{lux.frame[:500], next}, 1, nil, []string{"truncated"}},
		{"noise before", key, [][]byte{{0xDB, 0x08, 'S', 'A', 'G', 0xDB}, lux.frame}, 1, nil, nil},
		{"no authentication", Options{}, [][]byte{{0xDB, 0x08}, unhex(t, lux.Title), {0x82, 0x01, 0x00, 0x20}, plain}, 1, nil, nil},
		{"too long", Options{}, [][]byte{{0xDB, 0x08}, unhex(t, lux.Title), {0x82, 0xFF, 0xFF, 0x30}, plain}, 1, nil, nil},
		{"too short", Options{}, [][]byte{{0xDB, 0x08}, unhex(t, lux.Title), {0x82, 0x00, 0x11, 0x30}, plain}, 1, nil, nil},
	} {
		r := decodeWith(t, test.o, test.stream...)
		if read := len(r.Readings) / 2; len(r.Readings)%2 != 0 || read != test.read { // electricity and gas
			t.Errorf("%s: %d readings, want %d", test.name, len(r.Readings), 2*test.read)
		}
		if !slices.Equal(r.Damage, test.damage) || !slices.Equal(r.Overheard, test.ignored) {
			t.Errorf("%s: damaged %q, ignored %q", test.name, r.Damage, r.Overheard)
		}
	}
}

// A meter that begins to count anew is heard again after a while.
func TestCounterBeginsAnew(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	frames, _ := readSealed(t)
	lux := frames[0]
	r := &recorder{}
	d := Driver(lux.options()).NewDecoder(r)
	for i, test := range []struct {
		counter uint32
		after   time.Duration
		taken   bool
	}{
		{1000, 0, true},
		{1001, 10 * time.Second, true},
		{0, 20 * time.Second, false},
		{1, 9 * time.Minute, false},
		{2, 11 * time.Minute, true},
		{1, 12 * time.Minute, false},
		{3, 13 * time.Minute, true},
	} {
		before := len(r.Readings)
		d.Decode(seal(t, lux, test.counter, telegrams[lux.Telegram]), received.Add(test.after))
		if taken := len(r.Readings) > before; taken != test.taken {
			t.Errorf("%d: counter %d after %v: taken: %v", i, test.counter, test.after, taken)
		}
	}
	if len(r.Damage) != 3 || len(r.Memory) != 0 {
		t.Errorf("damaged %q, remembers %v", r.Damage, r.Memory)
	}
}

// Wherever a sealed telegram is cut, the one behind it is found, and whatever
// the pieces are, the readings are the same.
func TestSealedTruncated(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	frames, _ := readSealed(t)
	for _, f := range frames[1:3] {
		next := seal(t, f, f.Counter+1, telegrams[f.Telegram])
		whole := decodeWith(t, f.options(), f.frame, next)
		want := decodeWith(t, f.options(), next).Readings
		for cut := range f.frame {
			if cut > 2*preambleSize && cut < len(f.frame)-2*tagSize && cut%7 != 0 {
				continue // one byte of what is encrypted is like the next
			}
			if r := decodeWith(t, f.options(), f.frame[:cut], slices.Concat(f.frame[cut:], next)); !reflect.DeepEqual(r, whole) {
				t.Fatalf("%s: split at %d: %d readings, damaged %q", f.Name, cut, len(r.Readings), r.Damage)
			}
			if r := decodeWith(t, f.options(), f.frame[:cut], next); !reflect.DeepEqual(r.Readings, want) {
				t.Fatalf("%s: cut at %d: the next telegram is not found: damaged %q", f.Name, cut, r.Damage)
			}
			if r := decodeWith(t, f.options(), f.frame[cut:], next); cut > 0 && !reflect.DeepEqual(r.Readings, want) {
				t.Fatalf("%s: from %d: the next telegram is not found: damaged %q", f.Name, cut, r.Damage)
			}
		}
	}
}

// One wrong bit publishes nothing; where nobody knows the authentication key it
// may be in the tag.
func TestSealedBitFlips(t *testing.T) {
	frames, _ := readSealed(t)
	for _, f := range frames[:2] {
		o := Options{Keys: map[string]string{"": f.Key}}
		whole := decodeWith(t, o, f.frame)
		for i := range f.frame {
			flipped := bytes.Clone(f.frame)
			flipped[i] ^= 1 << (i % 8)
			r := decodeWith(t, o, flipped)
			if len(r.Readings) > 0 && !reflect.DeepEqual(r.Readings, whole.Readings) {
				t.Fatalf("%s: bit %d of byte %d published something else", f.Name, i%8, i)
			}
			inTag := i >= len(f.frame)-tagSize
			inLineEnd := i >= len(f.frame)-tagSize-2 // the line end of the telegram has no CRC
			if len(r.Readings) > 0 && !inTag && !inLineEnd && !isHexCase(f.frame, i) {
				t.Fatalf("%s: bit %d of byte %d published", f.Name, i%8, i)
			}
		}
	}
}

// isHexCase reports whether byte i is a digit of the CRC of a telegram whose
// last four bytes in front of the line end are digits: their case is free.
func isHexCase(frame []byte, i int) bool {
	end := len(frame) - tagSize - 2
	return i < end && i >= end-4 && i%8 == 5
}

// Meters are remembered only once their telegrams were opened, and only so many.
func TestRemembersBoundedMeters(t *testing.T) {
	frames, _ := readSealed(t)
	f := frames[0]
	d := newDecoder(&recorder{}, objects(), f.options().keyring())
	plain := telegramWith("1-0:1.8.0(1*kWh)")
	for i := range 3 * maxMeters {
		f.Title = hex.EncodeToString(binary.BigEndian.AppendUint32([]byte("SAGx"), uint32(i)))
		d.Decode(seal(t, f, 1, plain), received)
		if len(d.meters) > maxMeters {
			t.Fatalf("%d meters remembered", len(d.meters))
		}
	}
	before := len(d.meters)
	wrong := f
	wrong.Key = strings.Repeat("CC", 16)
	wrong.Title = hex.EncodeToString([]byte("SAGyyyyy"))
	if d.Decode(seal(t, wrong, 1, plain), received); len(d.meters) != before {
		t.Error("remembers a meter that was not opened")
	}
}
