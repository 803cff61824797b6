package persist

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// # A backup, byte by byte
//
//	"lintel backup\n"
//	version of this format (2, big endian)
//	CRC-32C of all that (4, little endian)
//	records: the head, the records of the store in the order of their keys, the end
//
// This much any later version has in common. A record is
//
//	length of the key, length of the value (varints)
//	key, value
//	CRC-32C (4, little endian)
//
// The checksum is of all bytes of the file that come before it, other checksums
// left out: so a record that is missing, comes twice or stands in the wrong place
// is found like one that is damaged. Keys and values are those of the store: each
// value has its own codec version and checksum. The first one is meta.
//
//	key   value: its fields
//	00    head: flag (1: small), schema, store uuid (16), lsn, time, number
//	FF    end: for each kind of record from 00 on: how many
//
// Time is in milliseconds since 1970. Number counts a store's own backups, so that
// the newer one is known whatever the clock said; it is 0 for others. Nothing
// follows the end. A file with a passphrase is all this within the age format
// (age-encryption.org/v1) with a scrypt recipient.

const (
	backupMagic   = "lintel backup\n"
	backupVersion = 1

	backupHead = 0x00
	backupEnd  = 0xFF

	maxBackupKey   = 1024
	maxBackupValue = valueLogFileSize // as in writeTransaction
)

// Manifest tells what is in a backup.
type Manifest struct {
	UUID    [16]byte // of the store
	LSN     uint64   // of the last transaction in it
	Time    time.Time
	Small   bool     // without queued messages
	Number  uint64   // running number of a store's own backup, else 0
	Damaged []string // records that Backup found damaged and left out, and why

	counts [len(kinds)]uint64
}

// String tells what is in a backup, by kind.
func (m Manifest) String() string {
	var parts []string
	for prefix, n := range m.counts {
		if n > 0 && byte(prefix) != prefixMeta {
			parts = append(parts, fmt.Sprintf("%d %s", n, kinds[prefix].name))
		}
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// Backup writes the store as it is at this moment to w, while others go on
// changing it: of each transaction all or nothing. A small backup leaves queued
// messages out and keeps sessions, subscriptions, incoming packet ids, retained
// messages and buckets. It takes little memory, but holds up Close until it is
// done or ctx ends.
func (s *Store) Backup(ctx context.Context, w io.Writer, small bool) (Manifest, error) {
	m, err := s.backup(ctx, w, small, 0)
	if err != nil {
		return m, fmt.Errorf("backup: %w", err)
	}
	return m, nil
}

func (s *Store) backup(ctx context.Context, w io.Writer, small bool, number uint64) (Manifest, error) {
	m := Manifest{Small: small, Number: number, Time: time.Now()}
	if err := s.Err(); err != nil {
		return m, err // Badger may show what is not on the disk
	}
	if !s.reading.TryRLock() { // only Close takes it for itself
		return m, ErrClosed
	}
	defer s.reading.RUnlock()
	if s.shut {
		return m, ErrClosed
	}
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	if err := m.readMeta(txn); err != nil {
		return m, err
	}
	out, err := newBackupWriter(w, &m)
	if err != nil {
		return m, err
	}
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false // a hundred values may be large
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Rewind(); it.Valid(); {
		if err := ctx.Err(); err != nil {
			return m, context.Cause(ctx)
		}
		key := it.Item().Key()
		kind := kindOf(key)
		if small && kind != "" && !kinds[key[0]].precious {
			it.Seek([]byte{key[0] + 1})
			continue
		}
		var damage error
		err := it.Item().Value(func(value []byte) error {
			if damage = checkRecord(key, value); damage != nil {
				return nil
			}
			return out.record(key, value)
		})
		if err != nil {
			return m, err
		}
		if damage != nil {
			m.Damaged = append(m.Damaged, fmt.Sprintf("%s: %v", keyString(key), damage))
		} else {
			m.counts[key[0]]++
		}
		it.Next()
	}
	if len(m.Damaged) > 0 {
		s.log.Warn("backup lacks damaged records", "count", len(m.Damaged), "first", m.Damaged[0])
	}
	return m, out.end(&m)
}

// readMeta takes over what the store says of itself.
func (m *Manifest) readMeta(txn *badger.Txn) error {
	key := []byte{prefixMeta}
	item, err := txn.Get(key)
	if err != nil {
		return err
	}
	return item.Value(func(value []byte) error {
		b, err := fieldsOf(key, value)
		if err != nil {
			return fmt.Errorf("meta: %w", err)
		}
		stored, err := decodeMeta(b)
		m.UUID, m.LSN = stored.UUID, stored.LSN
		return err
	})
}

// checkRecord tells what is wrong with a record of the store.
func checkRecord(key, value []byte) error {
	switch {
	case kindOf(key) == "":
		return errors.New("unknown kind of record")
	case len(key) > maxBackupKey:
		return fmt.Errorf("key has %d bytes", len(key))
	case len(value) > maxBackupValue:
		return fmt.Errorf("value has %d bytes", len(value))
	}
	return checkSum(key, value)
}

// backupWriter writes records after each other, with their checksums.
type backupWriter struct {
	w   *bufio.Writer
	sum uint32
	buf []byte
}

func newBackupWriter(w io.Writer, m *Manifest) (*backupWriter, error) {
	b := &backupWriter{w: bufio.NewWriterSize(w, 64<<10)}
	b.buf = append(b.buf, backupMagic...)
	b.buf = binary.BigEndian.AppendUint16(b.buf, backupVersion)
	if err := b.write(nil, nil); err != nil {
		return nil, err
	}
	var flag byte
	if m.Small {
		flag = 1
	}
	f := binary.AppendUvarint([]byte{flag}, schema)
	f = append(f, m.UUID[:]...)
	f = binary.AppendUvarint(f, m.LSN)
	f = binary.AppendUvarint(f, uint64(max(m.Time.UnixMilli(), 0)))
	f = binary.AppendUvarint(f, m.Number)
	return b, b.record([]byte{backupHead}, f)
}

func (b *backupWriter) record(key, value []byte) error {
	b.buf = binary.AppendUvarint(b.buf[:0], uint64(len(key)))
	b.buf = binary.AppendUvarint(b.buf, uint64(len(value)))
	return b.write(key, value)
}

// write writes b.buf, key and value, and the checksum of all until here.
func (b *backupWriter) write(key, value []byte) error {
	for _, part := range [][]byte{b.buf, key, value} {
		b.sum = crc32.Update(b.sum, castagnoli, part)
		if _, err := b.w.Write(part); err != nil {
			return err
		}
	}
	_, err := b.w.Write(binary.LittleEndian.AppendUint32(b.buf[:0], b.sum))
	return err
}

// end writes how many records there are.
func (b *backupWriter) end(m *Manifest) error {
	var f []byte
	for _, n := range m.counts {
		f = binary.AppendUvarint(f, n)
	}
	if err := b.record([]byte{backupEnd}, f); err != nil {
		return err
	}
	return b.w.Flush()
}
