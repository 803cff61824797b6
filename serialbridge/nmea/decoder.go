package nmea

import (
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge"
)

const (
	// maxSentence bounds a sentence, from '$' to before the line end.
	maxSentence = 128
	// maxDevices bounds what is remembered of announced devices.
	maxDevices = 64
	// addressLength is that of "$GPRMC,".
	addressLength = 7
)

// moving are the properties that are not known any more when the fix is lost.
var moving = []string{"speed", "course", "magnetic_course"}

// A decoder finds sentences in a stream of bytes.
type decoder struct {
	sink     serialbridge.Sink
	sentence []byte // from '$' on; empty: outside of one

	receivers map[string]*receiver // by device ID
}

// A receiver is what is remembered of a device.
type receiver struct {
	valid    bool    // whether the last sentence that tells says that there is a fix
	dilution float64 // of horizontal precision, as it was said last; 0: not known
	device   serialbridge.Device
}

func newDecoder(sink serialbridge.Sink) *decoder {
	return &decoder{sink: sink, receivers: make(map[string]*receiver)}
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		d.next(b, received)
	}
}

func (d *decoder) next(b byte, received time.Time) {
	switch {
	case b == '$':
		if len(d.sentence) > 0 {
			d.drop(serialbridge.DamagedTruncated)
		}
		d.sentence = append(d.sentence, b)
	case len(d.sentence) == 0:
	case b == '\r' || b == '\n':
		d.end(received)
	case b < ' ' || b > '~':
		d.drop(serialbridge.DamagedSyntax)
	case len(d.sentence) == maxSentence:
		d.drop(serialbridge.DamagedTooLong)
	default:
		d.sentence = append(d.sentence, b)
		if n := len(d.sentence); n <= addressLength && !addressByte(n, b) {
			d.sentence = d.sentence[:0]
		}
	}
}

// addressByte reports whether b may be the n-th byte of "$GPRMC,". Proprietary
// addresses, which begin with P, may be shorter or longer; none is read.
func addressByte(n int, b byte) bool {
	if n == addressLength {
		return b == ','
	}
	return 'A' <= b && b <= 'Z' || n > 2 && '0' <= b && b <= '9'
}

// drop throws the sentence away.
func (d *decoder) drop(reason string) {
	if len(d.sentence) >= addressLength {
		d.sink.Damaged(reason)
	}
	d.sentence = d.sentence[:0]
}

// end judges the sentence, which is complete.
func (d *decoder) end(received time.Time) {
	text := string(d.sentence)
	if !checked(text) {
		d.drop(serialbridge.DamagedChecksum)
		return
	}
	talker, formatter := text[1:3], text[3:6]
	fields := strings.Split(text[addressLength:len(text)-len("*00")], ",")
	parse, known := formatters[formatter]
	if !known || talker[0] == 'P' {
		d.sentence = d.sentence[:0]
		return
	}
	id := deviceID(talker)
	was := d.receivers[id]
	r := report{valid: was != nil && was.valid, values: make(map[string]any)}
	if !parse(&r, fields) {
		d.drop(serialbridge.DamagedSyntax)
		return
	}
	d.sentence = d.sentence[:0]
	if was == nil {
		if len(d.receivers) >= maxDevices {
			clear(d.receivers) // a boat has a handful; this is noise
		}
		d.receivers[id] = &receiver{valid: r.valid, device: serialbridge.Device{ID: id, Name: name(id), Model: "NMEA 0183", Anonymous: true}}
		return
	}
	if was.valid && !r.valid {
		for _, key := range moving {
			if slices.ContainsFunc(was.device.Properties, func(p serialbridge.Property) bool { return p.Key == key }) {
				r.values[key] = nil
			}
		}
	}
	was.valid = r.valid
	if len(r.values) == 0 {
		return
	}
	if hdop, ok := r.values["hdop"].(float64); ok {
		was.dilution = hdop
	}
	if at, ok := was.position(r.values); ok {
		r.values[positionKey] = at
	}
	d.announce(was, r.values)
	d.sink.Reading(serialbridge.Reading{Device: id, Time: received, Values: r.values})
}

// checked reports whether a sentence ends with its checksum. It is in upper
// case in the standard, but not everywhere.
func checked(sentence string) bool {
	star := len(sentence) - len("*00")
	if star < addressLength || sentence[star] != '*' {
		return false
	}
	sum := byte(0)
	for _, b := range []byte(sentence[1:star]) {
		sum ^= b
	}
	want, err := hex.DecodeString(sentence[star+1:])
	return err == nil && want[0] == sum
}

// announce passes on a device whose properties have become more: each kind of
// sentence has its own, and some come only with a fix.
func (d *decoder) announce(r *receiver, values map[string]any) {
	device := r.device
	device.Properties = nil
	for _, p := range properties {
		_, now := values[p.Key]
		if now || slices.ContainsFunc(r.device.Properties, func(q serialbridge.Property) bool { return q.Key == p.Key }) {
			device.Properties = append(device.Properties, p)
		}
	}
	if reflect.DeepEqual(device, r.device) {
		return
	}
	r.device = device
	d.sink.Device(device)
}

// deviceID returns the ID of the device behind a talker.
func deviceID(talker string) string {
	switch talker {
	case "GP", // GPS
		"GL",       // GLONASS
		"GA",       // Galileo
		"GB", "BD", // BeiDou
		"GQ", "QZ", // QZSS
		"GI", // NavIC
		"GN": // several
		return "nmea_gnss"
	}
	return "nmea_" + strings.ToLower(talker)
}

func name(id string) string {
	if id == "nmea_gnss" {
		return "Satellite receiver"
	}
	return "Navigation instrument " + strings.ToUpper(strings.TrimPrefix(id, "nmea_"))
}
