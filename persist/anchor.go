package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The anchor is a file of two records in the folder of the store. It tells the
// next start how this run ended and what the store must hold at least. The
// records are written in turn, each into a sector of its own and in place: a full
// disk does not keep that from working, and a write that is cut short leaves the
// other record. The valid one with the higher sequence counts.
//
//	0   "LNTLanch"
//	8   sequence(8)
//	16  store uuid (16 bytes)
//	32  lsn(8)         a transaction that was committed
//	40  first(8)       when the first of the attempts began, milliseconds since 1970
//	48  boot(8)        of the machine, at the attempts: see bootID
//	56  state          0 running, 1 closing, 2 closed
//	57  attempts       starts, this one included, since one came to its end
//	58  memtable(2)    MemTableSize of the run, in units of 64 KiB
//	60  CRC-32C(4)     of all before
//
// Numbers are little endian.
const (
	anchorName   = "anchor"
	anchorMagic  = "LNTLanch"
	anchorSize   = 64
	anchorSector = 512
)

// The states of the run that wrote an anchor.
const (
	running byte = iota
	closing      // everything is committed, and Badger is being closed
	closed       // Badger is closed as well
)

// anchorRecord is what an anchor tells.
type anchorRecord struct {
	sequence uint64
	uuid     [16]byte
	lsn      uint64
	first    time.Time
	boot     uint64
	state    byte
	attempts byte
	memtable uint16
}

func (r *anchorRecord) append(b []byte) []byte {
	start := len(b)
	b = append(b, anchorMagic...)
	b = binary.LittleEndian.AppendUint64(b, r.sequence)
	b = append(b, r.uuid[:]...)
	b = binary.LittleEndian.AppendUint64(b, r.lsn)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.first.UnixMilli()))
	b = binary.LittleEndian.AppendUint64(b, r.boot)
	b = append(b, r.state, r.attempts)
	b = binary.LittleEndian.AppendUint16(b, r.memtable)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// decodeAnchor returns false for what is no record.
func decodeAnchor(b []byte) (r anchorRecord, ok bool) {
	if len(b) < anchorSize || string(b[:8]) != anchorMagic || b[56] > closed ||
		crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) {
		return r, false
	}
	r.sequence = binary.LittleEndian.Uint64(b[8:])
	copy(r.uuid[:], b[16:])
	r.lsn = binary.LittleEndian.Uint64(b[32:])
	r.first = time.UnixMilli(int64(binary.LittleEndian.Uint64(b[40:])))
	r.boot = binary.LittleEndian.Uint64(b[48:])
	r.state, r.attempts = b[56], b[57]
	r.memtable = binary.LittleEndian.Uint16(b[58:])
	return r, true
}

// anchor is the open file. Its methods may be called from any goroutine.
type anchor struct {
	mu     sync.Mutex
	file   *os.File
	record anchorRecord
}

// openAnchor opens the anchor of a store, or makes one. It reports false if there
// was none, or none that can be read.
func openAnchor(dir string) (a *anchor, found bool, err error) {
	f, err := os.OpenFile(filepath.Join(dir, anchorName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("persist: data folder %s: %w", dir, err)
	}
	b := make([]byte, anchorSector+anchorSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Close()
		return nil, false, fmt.Errorf("persist: data folder %s: %w", dir, err)
	}
	a = &anchor{file: f}
	for _, at := range []int{0, anchorSector} {
		if r, ok := decodeAnchor(b[min(at, n):n]); ok && (!found || r.sequence > a.record.sequence) {
			a.record, found = r, true
		}
	}
	if n < len(b) {
		// Both sectors are allocated now: a full disk must not be in the way later.
		if _, err = f.WriteAt(make([]byte, len(b)-n), int64(n)); err == nil {
			if err = f.Sync(); err == nil {
				err = SyncFolder(dir)
			}
		}
		if err != nil {
			f.Close()
			return nil, false, fmt.Errorf("persist: data folder %s: %w", dir, err)
		}
	}
	return a, found, nil
}

// firstAnchor puts an anchor into a folder that was made anew, by an orderly end.
func firstAnchor(dir string) error {
	a, found, err := openAnchor(dir)
	if err != nil {
		return err
	}
	defer a.file.Close()
	if found {
		return nil
	}
	return a.update(func(r *anchorRecord) { r.state = closed })
}

// update changes the record and writes it down.
func (a *anchor) update(change func(*anchorRecord)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.record)
	a.record.sequence++
	at := int64(a.record.sequence % 2 * anchorSector)
	_, err := a.file.WriteAt(a.record.append(nil), at)
	if err == nil {
		err = a.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("persist: anchor: %s", oneLine(err))
	}
	return nil
}

func (a *anchor) read() anchorRecord {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.record
}

// memtableUnit is the unit of anchorRecord.memtable.
const memtableUnit = 64 << 10

const (
	maxAttempts  = 3
	attemptsTime = 10 * time.Minute
)

// attempt counts one more start. Only starts since the machine booted count, and
// only those of the last minutes: a person who pulls the plug again and again does
// not make a store bad.
func (r *anchorRecord) attempt(now time.Time, boot uint64) {
	if passed := now.Sub(r.first); r.attempts == 0 || r.boot != boot || passed < 0 || passed > attemptsTime {
		r.attempts, r.first, r.boot = 0, now, boot
	}
	r.attempts = min(r.attempts, 254) + 1
	r.state = running
}

// bootID tells one boot of the machine from another; 0 where nothing does.
func bootID() uint64 {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return 0
	}
	sum := crc32.Checksum([]byte(strings.TrimSpace(string(text))), castagnoli)
	return uint64(sum) + 1
}
