package wmbus

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"time"

	"lintel/serialbridge"
)

const (
	// maxMeters bounds the devices of one receiver: one in a city hears
	// hundreds.
	maxMeters = 200
	// maxHeardOnce bounds the meters that wait to be heard again.
	maxHeardOnce = 256
	// maxRecent bounds the telegrams that are compared with new ones.
	maxRecent = 64
	// repeatTime is how long after a telegram a repeater may send it again.
	repeatTime = 5 * time.Second
	// gap is how long the bytes of a frame may be apart: receivers send frames
	// at one go.
	gap = time.Second
)

// A decoder finds the frames of all three kinds of receivers in a stream of bytes
// and publishes the telegrams in them.
type decoder struct {
	sink    serialbridge.Sink
	opener  opener
	only    wanted
	formats *formats

	buf  []byte // from where a frame may begin
	last time.Time
	text []byte // the line that is no frame so far

	announced map[string]serialbridge.Device
	heardOnce []address
	recent    []heardTelegram // oldest first

	frames int          // whole ones so far
	onLine func(string) // is told lines that are no frames

	// bare says that telegrams may come without a head: the receiver is an
	// AMB8465 from which no frame with one was heard.
	bare bool
}

// heardTelegram is a telegram that was published of late.
type heardTelegram struct {
	sum  [sha256.Size]byte
	when time.Time
}

func newDecoder(sink serialbridge.Sink, o Options) *decoder {
	return &decoder{
		sink:      sink,
		opener:    opener{keys: o.keyring()},
		only:      o.wanted(),
		formats:   newFormats(sink),
		announced: make(map[string]serialbridge.Device),
		bare:      o.Receiver == "amber",
	}
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	if len(d.buf) > 0 && received.Sub(d.last) > gap {
		d.flush(d.last)
	}
	d.last = received
	for _, b := range data {
		d.buf = append(d.buf, b)
		d.scan(received, false)
	}
}

// flush gives up the frame that is not whole; there may be one inside.
func (d *decoder) flush(received time.Time) {
	d.scan(received, true)
	d.buf = d.buf[:0]
	d.text = d.text[:0]
}

// scan takes the frames off the head of the buffer. If final, nothing more comes.
func (d *decoder) scan(received time.Time, final bool) {
	for len(d.buf) > 0 {
		var f frame
		var n int
		v := noFrame
		switch d.buf[0] {
		case startHCI:
			f, n, v = hci(d.buf)
		case startAmber:
			f, n, v = amber(d.buf)
		case startCUL:
			f, n, v = cul(d.buf)
		}
		if v == noFrame && d.bare {
			f, n, v = bare(d.buf)
		}
		switch v {
		case partial:
			if !final && len(d.buf) <= maxFrame {
				return
			}
			n = 1
			if d.promising() {
				d.sink.Damaged(serialbridge.DamagedTruncated)
				n = min(4, len(d.buf)) // what is inside is not a bare telegram
			}
		case broken:
			d.sink.Damaged(serialbridge.DamagedChecksum)
			n = max(n, 1) // the length may be what is wrong
		case malformed:
			d.sink.Damaged(serialbridge.DamagedSyntax)
		case noFrame:
			d.outside(d.buf[0])
			n = 1
		case whole:
			d.frames++
			d.text = d.text[:0]
			d.bare = d.bare && d.buf[0] != startAmber
			if f.telegram != nil {
				d.telegram(f, received)
			}
		}
		d.buf = append(d.buf[:0], d.buf[n:]...)
	}
}

// promising reports whether the partial frame at the head of the buffer got so far
// that it is a loss.
func (d *decoder) promising() bool {
	b := d.buf
	switch {
	case len(b) < 8:
		return false
	case b[0] == startHCI:
		return b[1]&0x0F == hciRadioLink && b[2] == hciTelegramHere && plausible(b[4:], int(b[3]))
	case b[0] == startAmber:
		return true
	}
	return len(b) >= 2*linkLayer
}

// outside takes a byte that is of no frame: a CUL answers with lines of text.
func (d *decoder) outside(b byte) {
	switch {
	case b == '\r' || b == '\n':
		if len(d.text) > 0 && d.onLine != nil {
			d.onLine(string(d.text))
		}
		d.text = d.text[:0]
	case b < ' ' || b > '~' || len(d.text) >= maxText:
		d.text = d.text[:0]
	default:
		d.text = append(d.text, b)
	}
}

// telegram publishes what a telegram says, or tells why not.
func (d *decoder) telegram(f frame, received time.Time) {
	t, r := d.opener.open(slices.Clone(f.telegram))
	if t != nil && !d.only.has(t.meter) && !d.only.has(t.link) {
		d.sink.Ignored("telegrams of meters that are not wanted")
		return
	}
	var said *reading
	if r == nil {
		said, r = d.read(t)
	}
	if !f.checked && (t == nil || !t.vouched) && !d.heardBefore(t) {
		return
	}
	if t != nil {
		d.formats.learn(t.format)
	}
	if r != nil {
		if r.damaged != "" {
			d.sink.Damaged(r.damaged)
		}
		if r.ignored != "" {
			d.sink.Ignored(r.ignored)
		}
		return
	}
	if d.repeated(t, received) {
		return
	}
	d.publish(t, said, f.rssi, received)
}

// read returns what a telegram says.
func (d *decoder) read(t *telegram) (*reading, *refusal) {
	if r, ok := fixed(t); ok {
		return r, nil
	}
	var c contents
	switch t.ci {
	case ciFormatNone, ciFormatShort, ciFormatLong:
		return nil, d.formats.format(t)
	case ciCompactNone, ciCompactShort, ciCompactLong:
		var r *refusal
		if c, r = d.formats.expand(t); r != nil {
			return nil, r
		}
	case ciNone, ciShort, ciLong:
		var ok bool
		if c, ok = parse(t.payload); !ok {
			return nil, &refusal{damaged: serialbridge.DamagedSyntax}
		}
		t.format = c.format
	default:
		return nil, ignored("telegrams of meter %v are in a form of its maker that is not known (CI %02X)", t.meter, t.ci)
	}
	r := new(reading)
	m := t.meter.medium()
	for i := range c.records {
		if !r.makersRecord(&c.records[i], t.meter) {
			r.add(&c.records[i], c.records, m)
		}
	}
	if t.meter.isOf("BMT") && m == water {
		r.hydrodigit(c.maker)
	}
	if t.hasStatus {
		r.addStatus(t.status)
	}
	if len(r.values) == 0 {
		return nil, ignored("telegrams of meter %v hold no readings that are known", t.meter)
	}
	return r, nil
}

// heardBefore reports whether a meter was heard before. Where no checksum vouches
// for a telegram, noise may look like one; it does not look like the same meter
// twice.
func (d *decoder) heardBefore(t *telegram) bool {
	if t == nil {
		return false
	}
	if _, ok := d.announced[t.meter.id()]; ok || slices.Contains(d.heardOnce, t.link) {
		return true
	}
	if len(d.heardOnce) >= maxHeardOnce {
		d.heardOnce = slices.Delete(d.heardOnce, 0, 1)
	}
	d.heardOnce = append(d.heardOnce, t.link)
	return false
}

// repeated reports whether the same telegram was published a moment ago: repeaters
// send each once more, with other hop bits in the headers.
func (d *decoder) repeated(t *telegram, received time.Time) bool {
	h := sha256.New()
	h.Write(t.link.bytes())
	h.Write(t.meter.bytes())
	h.Write([]byte{t.access, t.status, t.ci})
	h.Write(t.payload)
	if t.payload == nil {
		h.Write(t.raw)
	}
	now := heardTelegram{[sha256.Size]byte(h.Sum(nil)), received}
	for i := range d.recent {
		if d.recent[i].sum == now.sum && received.Sub(d.recent[i].when).Abs() <= repeatTime {
			return true
		}
	}
	if len(d.recent) >= maxRecent {
		d.recent = slices.Delete(d.recent, 0, 1)
	}
	d.recent = append(d.recent, now)
	return false
}

// publish announces the meter, if it is new or tells more than before, and passes
// the reading on.
func (d *decoder) publish(t *telegram, said *reading, rssi int, received time.Time) {
	if rssi != 0 {
		said.set(serialbridge.Measured("signal_strength", "Signal strength", "dBm", "signal_strength", 0).AsDiagnostic(), int64(rssi))
	}
	name := t.meter.kindName()
	if said.model != "" {
		name = said.model
	}
	device := serialbridge.Device{
		ID:           t.meter.id(),
		Name:         name + " " + t.meter.serial(),
		Vendor:       t.meter.vendor(),
		Model:        fmt.Sprintf("%s, version %02X", name, t.meter.version),
		SerialNumber: t.meter.serial(),
	}
	last, known := d.announced[device.ID]
	if !known && len(d.announced) >= maxMeters {
		d.sink.Ignored(fmt.Sprintf("more than %d meters are heard: name those that are wanted", maxMeters))
		return
	}
	device.Properties = slices.Clone(last.Properties)
	values := make(map[string]any, len(said.values))
	for _, p := range said.properties {
		i := slices.IndexFunc(device.Properties, func(q serialbridge.Property) bool { return q.Key == p.Key })
		switch {
		case i >= 0:
			device.Properties[i] = p
		case len(device.Properties) < maxProperties:
			device.Properties = append(device.Properties, p)
		default:
			continue
		}
		values[p.Key] = said.values[p.Key]
	}
	if !known || !reflect.DeepEqual(last, device) {
		d.announced[device.ID] = device
		d.sink.Device(device)
	}
	d.sink.Reading(serialbridge.Reading{Device: device.ID, Time: received, Values: values})
}
