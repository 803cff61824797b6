package persist

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// errUse says what to do about a backup that is of no use.
const errUse = "use another backup"

// backupReader reads a backup and checks all of it. Its memory is bounded by the
// largest record that there really is, whatever lengths the file claims.
type backupReader struct {
	r        *bufio.Reader
	manifest Manifest
	counts   [len(kinds)]uint64
	sum      uint32
	offset   int64 // where the next byte stands, before encryption
	start    int64 // where the record begins that is being read
	number   int   // of the record that is being read; the head is 0
	key      []byte
	last     []byte // the key before
	value    bytes.Buffer
}

// openBackup reads the beginning of a backup.
func openBackup(r io.Reader, passphrase string) (*backupReader, error) {
	plain, err := decryptBackup(bufio.NewReaderSize(r, 64<<10), passphrase)
	if err != nil {
		return nil, err
	}
	b := &backupReader{r: plain, number: -1}
	var first [len(backupMagic) + 2 + 4]byte
	n, err := io.ReadFull(plain, first[:])
	if string(first[:len(backupMagic)]) != backupMagic {
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, b.damaged(err)
		}
		return nil, fmt.Errorf("this is not a backup of lintel, or its first bytes are damaged: %s", errUse)
	}
	if err != nil {
		return nil, b.damaged(err)
	}
	b.offset = int64(n)
	text := first[:n-4]
	b.sum = crc32.Checksum(text, castagnoli)
	if b.sum != binary.LittleEndian.Uint32(first[n-4:]) {
		return nil, b.damaged(errChecksum)
	}
	if v := binary.BigEndian.Uint16(text[len(backupMagic):]); v != backupVersion {
		return nil, otherFormat("backup format", uint64(v), backupVersion)
	}
	return b, b.readHead()
}

func otherFormat(what string, found, known uint64) error {
	if found > known {
		return fmt.Errorf("this backup was made by a newer lintel (%s %d, this one knows %d): install the newer version and restore it with that", what, found, known)
	}
	return fmt.Errorf("this backup was made by an older lintel (%s %d, this one knows %d): install the older version and restore it with that", what, found, known)
}

func (b *backupReader) readHead() error {
	if err := b.read(); err != nil {
		return err
	}
	f := fields{b: b.value.Bytes()}
	flag := f.byte()
	store := f.uint(1<<64 - 1)
	copy(b.manifest.UUID[:], f.take(16))
	b.manifest.LSN = f.uint(1<<64 - 1)
	b.manifest.Time = time.UnixMilli(int64(f.uint(1 << 50)))
	b.manifest.Number = f.uint(1<<64 - 1)
	b.manifest.Small = flag == 1
	switch err := f.end(); {
	case err != nil:
		return b.damaged(err)
	case len(b.key) != 1 || b.key[0] != backupHead || flag > 1:
		return b.damaged(errFields)
	case store != schema:
		return otherFormat("store format", store, schema)
	}
	return nil
}

// next returns the next record of the store, valid until it is called again. It
// ends with io.EOF, after the whole file was found sound.
func (b *backupReader) next() (key, value []byte, err error) {
	if err := b.read(); err != nil {
		return nil, nil, err
	}
	value = b.value.Bytes()
	first := b.number == 1
	switch {
	case bytes.Compare(b.key, b.last) <= 0:
		return nil, nil, b.damaged(errors.New("it is out of order"))
	case first != (len(b.key) == 1 && b.key[0] == prefixMeta):
		return nil, nil, b.damaged(errors.New("meta is not where it belongs"))
	case len(b.key) == 1 && b.key[0] == backupEnd:
		if err := b.readEnd(value); err != nil {
			return nil, nil, err
		}
		return nil, nil, io.EOF
	case b.manifest.Small && kindOf(b.key) != "" && !kinds[b.key[0]].precious:
		return nil, nil, b.damaged(errors.New("it does not belong into a small backup"))
	}
	if err := checkRecord(b.key, value); err != nil {
		return nil, nil, b.damaged(err)
	}
	b.counts[b.key[0]]++
	return b.key, value, nil
}

// readEnd checks the counts, and that nothing follows.
func (b *backupReader) readEnd(value []byte) error {
	f := fields{b: value}
	for i := range b.counts {
		b.manifest.counts[i] = f.uint(1<<64 - 1)
	}
	if f.end() != nil || b.manifest.counts != b.counts {
		return b.damaged(errors.New("it counts other records than there are"))
	}
	if _, err := b.r.ReadByte(); err == nil {
		return b.damaged(errors.New("more follows"))
	} else if !errors.Is(err, io.EOF) {
		return b.damaged(err)
	}
	return nil
}

// read reads one record, of whatever kind, into key and value.
func (b *backupReader) read() error {
	b.number++
	b.start = b.offset
	b.key, b.last = b.last[:0], b.key
	b.value.Reset()
	keyLength, err := b.length(maxBackupKey)
	if err != nil {
		return b.damaged(err)
	}
	valueLength, err := b.length(maxBackupValue)
	if err != nil {
		return b.damaged(err)
	}
	// The key goes into the buffer first, which grows as bytes really come.
	n, err := io.CopyN(&b.value, b.r, int64(keyLength))
	b.offset += n
	b.key = append(b.key, b.value.Bytes()...)
	b.value.Reset()
	if err != nil {
		return b.damaged(err)
	}
	n, err = io.CopyN(&b.value, b.r, int64(valueLength))
	b.offset += n
	if err != nil {
		return b.damaged(err)
	}
	b.sum = crc32.Update(crc32.Update(b.sum, castagnoli, b.key), castagnoli, b.value.Bytes())
	var sum [4]byte
	m, err := io.ReadFull(b.r, sum[:])
	b.offset += int64(m)
	if err != nil {
		return b.damaged(err)
	}
	if b.sum != binary.LittleEndian.Uint32(sum[:]) {
		return b.damaged(errChecksum)
	}
	return nil
}

// length reads a length and adds its bytes to the checksum.
func (b *backupReader) length(limit uint64) (uint64, error) {
	var v uint64
	for shift := 0; ; shift += 7 {
		c, err := b.r.ReadByte()
		if err != nil {
			return 0, err
		}
		b.offset++
		b.sum = crc32.Update(b.sum, castagnoli, []byte{c})
		v |= uint64(c&0x7F) << shift
		if v > limit || shift > 28 {
			return 0, errors.New("it claims to be longer than a record can be")
		}
		if c < 0x80 {
			return v, nil
		}
	}
}

// damaged says which record is no good, and what its key says that it is.
func (b *backupReader) damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends here")
	}
	if b.number < 0 {
		return fmt.Errorf("this backup is damaged in its first bytes: %s: %s", oneLine(err), errUse)
	}
	kind := kindOf(b.key)
	if len(b.key) == 1 && b.key[0] == backupHead {
		kind = "head"
	} else if len(b.key) == 1 && b.key[0] == backupEnd {
		kind = "end"
	} else if kind == "" {
		kind = "unknown kind"
	}
	return fmt.Errorf("this backup is damaged in record %d at offset %d (%s): %s: %s", b.number, b.start, kind, oneLine(err), errUse)
}
