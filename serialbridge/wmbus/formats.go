package wmbus

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lintel/serialbridge"
)

// Compact frames leave out the headers of the records and name them by a CRC
// (EN 13757-3, 7.3). The headers are those of the last whole frame, or of a format
// frame. They are remembered: a meter may send only one whole frame in many.

// formats are the headers of records by the CRC over them.
type formats struct {
	sink  serialbridge.Sink
	known map[uint16][]byte
	order []uint16 // of known, oldest first
	kept  map[uint16]bool
}

const (
	maxFormats     = 256
	maxKeptFormats = 64
	maxFormat      = 255 // bytes of headers
	formatPrefix   = "format_"
)

func newFormats(sink serialbridge.Sink) *formats {
	f := &formats{sink: sink, known: make(map[uint16][]byte), kept: make(map[uint16]bool)}
	recalled := sink.Recall()
	for _, name := range slices.Sorted(maps.Keys(recalled)) {
		if !strings.HasPrefix(name, formatPrefix) || len(f.kept) >= maxKeptFormats {
			continue
		}
		if headers, err := hex.DecodeString(recalled[name]); err == nil {
			f.learn(headers)
			f.kept[crcEN13757(headers)] = true
		}
	}
	return f
}

// learn notes the headers of a whole frame.
func (f *formats) learn(headers []byte) {
	if len(headers) == 0 || len(headers) > maxFormat {
		return
	}
	signature := crcEN13757(headers)
	if _, ok := f.known[signature]; ok {
		return
	}
	if len(f.order) >= maxFormats {
		delete(f.known, f.order[0])
		f.order = slices.Delete(f.order, 0, 1)
	}
	f.known[signature] = headers
	f.order = append(f.order, signature)
}

// keep remembers headers that were of use.
func (f *formats) keep(signature uint16) {
	if f.kept[signature] || len(f.kept) >= maxKeptFormats {
		return
	}
	f.kept[signature] = true
	f.sink.Remember(fmt.Sprintf("%s%04x", formatPrefix, signature), hex.EncodeToString(f.known[signature]))
}

// expand reads a compact frame: which format, the CRC of the frame that it stands
// for, and the data.
func (f *formats) expand(t *telegram) (contents, *refusal) {
	if len(t.payload) < 4 {
		return contents{}, truncated
	}
	signature := binary.LittleEndian.Uint16(t.payload)
	headers, ok := f.known[signature]
	if !ok {
		return contents{}, ignored("meter %v leaves out what its readings are: that is known once it sends them in full", t.meter)
	}
	c, full, ok := parseCompact(headers, t.payload[4:])
	if !ok {
		return contents{}, &refusal{damaged: serialbridge.DamagedSyntax}
	}
	if crcEN13757(full) != binary.LittleEndian.Uint16(t.payload[2:]) {
		return contents{}, &refusal{damaged: serialbridge.DamagedChecksum}
	}
	f.keep(signature)
	t.vouched = true
	return c, nil
}

// format reads a format frame: how long the headers are, their CRC, and they.
func (f *formats) format(t *telegram) *refusal {
	if len(t.payload) < 3 {
		return truncated
	}
	n := int(t.payload[0])
	headers := t.payload[3:]
	// The length counts the CRC in (EN 13757-3, annex H).
	if n < 2 || n-2 > len(headers) {
		return truncated
	}
	headers = headers[:n-2]
	if crcEN13757(headers) != binary.LittleEndian.Uint16(t.payload[1:]) {
		return &refusal{damaged: serialbridge.DamagedChecksum}
	}
	t.format, t.vouched = headers, true
	return nothing
}
