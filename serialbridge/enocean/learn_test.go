package enocean

import (
	"maps"
	"slices"
	"testing"

	"lintel/serialbridge"
)

func TestTeachIn(t *testing.T) {
	const id = "enocean_01020304"
	data := sent(bs4, 0, 0, 0, 85, 8)
	// 4BS with profile A5-02-05 of Eltako.
	teach := sent(bs4, 0, 0x08, 0x28, 0x0D, 0x80)

	r := decode(t, data, teach, data)
	d := r.Devices[id]
	if len(r.Readings) != 1 || d.Model != "A5-02-05 temperature sensor" || d.Vendor != "Eltako" || d.Name != "EnOcean temperature sensor 01020304" || d.WhenUsed {
		t.Errorf("%+v, %d readings", d, len(r.Readings))
	}
	if len(r.Overheard) != 1 || len(r.Damage) != 0 {
		t.Errorf("ignored %q, damaged %q", r.Overheard, r.Damage)
	}

	// Without profile, or with one that is not known, there is no device.
	for _, teach := range [][]byte{sent(bs4, 0, 0x08, 0x28, 0x0D, 0x00), taught(parseID(t, "A5-10-03"), testSender), taught(parseID(t, "D2-06-01"), testSender)} {
		r := decode(t, teach, data)
		if len(r.Readings) > 0 || len(r.Devices) > 0 || len(r.Overheard) != 2 {
			t.Errorf("%x: %+v %q", teach, r.Devices, r.Overheard)
		}
	}

	// Another profile takes the place of the first one; a deletion makes it unknown.
	r = decode(t, taught(parseID(t, "A5-04-01"), testSender), teach, data)
	if len(r.Readings) != 1 || len(r.Devices[id].Properties) != 1 {
		t.Errorf("%+v", r.Devices[id])
	}
	r = decode(t, teach, sent(ute, 0, 0x90, 1, 0x0D, 0, 5, 2, 0xA5), data)
	if len(r.Readings) > 0 || len(r.Memory) > 0 || len(r.Devices[id].Properties) > 0 {
		t.Errorf("deleted: %v %v", r.Readings, r.Memory)
	}
	// One that is taught something that is not known has no properties left.
	r = decode(t, teach, data, taught(parseID(t, "A5-10-03"), testSender), data)
	if len(r.Readings) != 1 || len(r.Devices[id].Properties) > 0 || r.Memory["01020304"] != "A5-10-03 00D" {
		t.Errorf("taught anew: %v %v %v", r.Readings, r.Devices, r.Memory)
	}
	// An actuator that speaks as a rocker too remains an actuator.
	r = decode(t, taught(parseID(t, "D2-01-01"), testSender), sent(rps, 0x30, 0x10))
	if d := r.Devices[id]; d.Model != "D2-01-01 actuator" || len(r.Readings) != 1 || len(d.Properties) != 2 {
		t.Errorf("%+v", d)
	}
	// A contact that teaches in has no reading yet.
	r = decode(t, sent(bs1, 0, 0))
	if d := r.Devices[id]; d.Model != formModels[contactForm] || len(r.Readings) > 0 || !d.WhenUsed {
		t.Errorf("%+v", d)
	}
	// A handle may look like a rocker first. UTE may name the type.
	r = decode(t, sent(rps, 0x20, 0), sent(rps, 0x20, 0xE0), sent(rps, 0x20, 0))
	if d := r.Devices[id]; d.Model != formModels[handleForm] || r.Memory["01020304"] != "F6-10-00 000" {
		t.Errorf("%+v %v", d, r.Memory)
	}
	r = decode(t, taught(parseID(t, "F6-02-01"), testSender), sent(rps, 0x30, 0x10))
	if d := r.Devices[id]; d.Model != formModels[rockerForm] || len(r.Readings) != 1 {
		t.Errorf("%+v", d)
	}
}

// A decoder knows what an earlier one has learned.
func TestRemember(t *testing.T) {
	taughtMeter := taught(parseID(t, "A5-12-01"), testSender)
	for _, test := range []struct {
		name   string
		pieces [][]byte
		again  []byte // what can be read afterwards
		memory string
	}{
		{"sensor", [][]byte{sent(bs4, 0, 0x08, 0x28, 0x0D, 0x80)}, sent(bs4, 0, 0, 0, 85, 8), "A5-02-05 00D"},
		{"rocker", [][]byte{sent(rps, 0x30, 0x10)}, sent(rps, 0x30, 0x30), "F6-02-00 000"},
		{"handle", [][]byte{sent(rps, 0x20, 0xF0)}, sent(rps, 0x20, 0xE0), "F6-10-00 000"},
		{"contact", [][]byte{sent(bs1, 0, 9)}, sent(bs1, 0, 8), "D5-00-01 000"},
		{"actuator", [][]byte{taught(parseID(t, "D2-01-12"), testSender)}, sent(vld, 0, 4, 1, 100), "D2-01-12 00D"},
		{"meter", [][]byte{taughtMeter, sent(bs4, 0, 0, 0, 1, 0x19), sent(bs4, 0, 0, 0, 1, 0x2A), sent(bs4, 0, 0, 0, 1, 0x2B), sent(bs4, 0, 0, 0, 7, 0x0C)},
			sent(bs4, 0, 0, 0, 1, 0x19), "A5-12-01 00D 192B0C"},
	} {
		before := decode(t, test.pieces...)
		if want := map[string]string{"01020304": test.memory}; !maps.Equal(before.Memory, want) {
			t.Errorf("%s: remembers %q, want %q", test.name, before.Memory, want)
		}
		r := &recorder{Memory: before.Memory}
		d := newDecoder(r, known, false)
		if len(r.Announcements) != 1 || len(r.Readings) != 0 {
			t.Errorf("%s: %v, readings %v", test.name, r.Announcements, r.Readings)
			continue
		}
		was, is := before.Devices["enocean_01020304"], r.Announcements[0]
		keys := func(d serialbridge.Device) (keys []string) {
			for _, p := range d.Properties {
				keys = append(keys, p.Key)
			}
			return keys
		}
		if is.Name != was.Name || is.Model != was.Model || is.Vendor != was.Vendor || is.WhenUsed != was.WhenUsed || !slices.Equal(keys(is), keys(was)) {
			t.Errorf("%s: %+v, was %+v", test.name, is, was)
		}
		d.learn = &window{}
		d.Decode(test.again, received)
		if len(r.Readings) != 1 || r.Disorder != "" || len(r.Overheard) > 0 {
			t.Errorf("%s: readings %v, ignored %q %s", test.name, r.Readings, r.Overheard, r.Disorder)
		}
	}
}

// What is not of our hand in the memory is passed over.
func TestRecallDamaged(t *testing.T) {
	r := &recorder{Memory: map[string]string{
		"":         "A5-02-05 00D",
		"0102030":  "A5-02-05 00D",
		"0102030X": "A5-02-05 00D",
		"01020305": "A5-02-0 00D",
		"01020306": "A5-02-05",
		"01020307": "A5-02-05 XYZ",
		"01020308": "A5-02-05 00D 08 08",
		"01020309": "A5-3F-3F 00D",
		"0102030A": "A5-12-01 00D 0",
		"0102030B": "A5-02-05 00D 08",
		"0102030C": "A5-12-01 00D " + string(make([]byte, 900)),
	}}
	newDecoder(r, known, false)
	if got := slices.Sorted(maps.Keys(r.Devices)); !slices.Equal(got, []string{"enocean_0102030A", "enocean_0102030B", "enocean_0102030C"}) {
		t.Errorf("devices %q", got)
	}
}

// Outside the window nothing of a stranger is taken, and what is known does not
// change.
func TestLearnWindow(t *testing.T) {
	r := &recorder{Memory: map[string]string{"01020304": "A5-02-05 00D"}}
	d := newDecoder(r, known, false)
	d.learn = &window{until: received}
	for _, data := range [][]byte{
		sent(bs4, 0, 0x10, 0x08, 0x0D, 0x80),       // the known one as A5-04-01
		sent(ute, 0, 0x90, 1, 0x0D, 0, 5, 2, 0xA5), // is to be deleted
		taught(parseID(t, "D2-01-01"), 0x0A0B0C0D), // strangers
		taught(parseID(t, "A5-02-05"), 0x0A0B0C0D), //
		telegram{rorg: bs1, payload: []byte{9}, sender: 5}.packet(broadcast).bytes(),
		telegram{rorg: rps, payload: []byte{0x10}, sender: 6, status: 0x30}.packet(broadcast).bytes(),
	} {
		d.Decode(data, received)
	}
	if len(r.Announcements) != 1 || len(r.Memory) != 1 || len(r.Readings) != 0 || len(r.Overheard) != 5 {
		t.Errorf("%v %v %v %q", r.Announcements, r.Memory, r.Readings, r.Overheard)
	}
	d.Decode(sent(bs4, 0, 0x08, 0x28, 0x0D, 0x80), received) // says again what it is
	d.Decode(sent(bs4, 0, 0, 0, 85, 8), received)
	if len(r.Readings) != 1 || len(r.Overheard) != 5 {
		t.Errorf("%v %q", r.Readings, r.Overheard)
	}
}
