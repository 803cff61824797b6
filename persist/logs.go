package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
)

// Badger drops without a word what comes after the first damage in a log, and
// deletes every table that its MANIFEST does not name. So a start looks into both
// before Badger does.

// logged is what the logs of a store show.
type logged struct {
	files int
	short bool   // the newest is not as long as the run made it: it was cut
	first uint64 // Badger's version of the oldest transaction; 0: there is none
	lsn   uint64 // of the newest transaction that was committed; 0: there is none
}

// logSector is the least that may be missing of a transaction when the power fails
// while it is written. What is missing is zero: logs are made as one hole.
const logSector = 512

// readLogs looks for the meta records of the store, which each transaction has, by
// their bytes and not by Badger's rules. A transaction begins when the one before is
// on the disk: what can be seen of one shows that those before it were committed. It
// was committed itself if nothing of it is missing.
//
// It does not find out that a log is damaged whose successor is in use already; both
// are there for the moment in which the first becomes a table.
func readLogs(dir string, r anchorRecord) (l logged, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return l, err
	}
	slices.Sort(names) // the numbers in them have five digits
	m := meta{Schema: schema, UUID: r.uuid}
	value := appendMeta([]byte{codecVersion}, &m)
	want := value[:len(value)-1] // without the lsn, which takes one byte here
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return l, fmt.Errorf("persist: data folder %s: %w", dir, cause(err))
		}
		l.files++
		l.short = r.memtable > 0 && len(b) < 2*int(r.memtable)*memtableUnit
		begin := 0 // of the transaction
		for at := 0; ; {
			i := bytes.Index(b[at:], want)
			if i < 0 {
				break
			}
			at += i
			lsn, version, end, ok := loggedMeta(b, at, len(want))
			at += len(want)
			if !ok {
				continue
			}
			if l.first == 0 || version < l.first {
				l.first = version
			}
			if last, whole := endOfTransaction(b, end, version); whole && !holey(b, begin, last) {
				l.lsn = max(l.lsn, lsn)
				begin = last
			} else {
				l.lsn = max(l.lsn, lsn-1)
				begin = end
			}
		}
	}
	return l, nil
}

// loggedMeta decodes the entry of a meta record whose value begins at start.
func loggedMeta(b []byte, start, fixed int) (lsn, version uint64, end int, ok bool) {
	key := start - 9 // one byte and Badger's version
	lsn, n := binary.Uvarint(b[start+fixed : min(start+fixed+binary.MaxVarintLen64, len(b))])
	end = start + fixed + n + 4
	if key < 0 || n <= 0 || end > len(b) || b[key] != prefixMeta || lsn == 0 {
		return 0, 0, 0, false
	}
	if _, err := fieldsOf([]byte{prefixMeta}, b[start:end]); err != nil {
		return 0, 0, 0, false
	}
	return lsn, math.MaxUint64 - binary.BigEndian.Uint64(b[key+1:]), end, true
}

// transactionMark is a part of the key of the entry that Badger writes behind the
// others of a transaction, which are in no order. Its version follows, the version
// once more in digits, and a checksum.
const transactionMark = "!badger!txn"

// endOfTransaction returns where a transaction ends, and false if it does not.
func endOfTransaction(b []byte, metaEnd int, version uint64) (end int, whole bool) {
	i := bytes.Index(b[metaEnd:], []byte(transactionMark))
	if i < 0 {
		return 0, false
	}
	end = metaEnd + i + len(transactionMark) + 8 + len(strconv.FormatUint(version, 10)) + 4
	return end, end <= len(b)
}

// holey reports whether a sector, or what of it is in b[begin:end], is all zeros.
func holey(b []byte, begin, end int) bool {
	for begin < end {
		next := min((begin/logSector+1)*logSector, end)
		if len(bytes.TrimLeft(b[begin:next], "\x00")) == 0 {
			return true
		}
		begin = next
	}
	return false
}

// checkManifest finds out whether the MANIFEST has lost its end, which Badger takes
// for what it is. There may be tables that it does not name: one that was just being
// made, or those that were just merged into others. But after an orderly end (clean)
// none of them is newer than those that it names, and after any other all that is
// older than the logs is in those.
func checkManifest(dir string, l logged, clean bool) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(names) == 0 {
		return err
	}
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return fmt.Errorf("persist: data folder %s: %w", dir, cause(err))
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, schema, badgerOptions(dir, defaultMemTableSize))
	if err != nil {
		return &damage{oneLine(err)}
	}
	var named []uint64
	var needed uint64 // a version that the tables must have got to
	more := 0
	for _, name := range names {
		id, ok := table.ParseFileID(name)
		if _, is := manifest.Tables[id]; ok && is {
			named = append(named, id)
			continue
		}
		more++
		if version, err := maxVersion(name, id); clean && err == nil {
			needed = max(needed, version)
		}
	}
	if !clean && l.first > 0 {
		needed = l.first - 1
	}
	if more == 0 || needed == 0 {
		return nil
	}
	slices.Sort(named)
	for _, id := range slices.Backward(named) { // the newest has it most often
		version, err := maxVersion(table.NewFilename(id, dir), id)
		if err != nil {
			return &damage{oneLine(err)}
		}
		if version >= needed {
			return nil
		}
	}
	return &damage{fmt.Sprintf("MANIFEST does not name %d tables, and opening would delete them", more)}
}

// openTable reads a table into memory, a few MB. What is damaged may make Badger's
// code panic.
func openTable(name string, id uint64, use func(*table.Table) error) (err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return errors.New("it is empty")
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading it fails: %v", p)
		}
	}()
	t, err := table.OpenInMemoryTable(data, id, &table.Options{ChkMode: options.NoVerification})
	if err != nil {
		return err
	}
	return use(t)
}

// maxVersion returns Badger's version of the newest record in a table.
func maxVersion(name string, id uint64) (version uint64, err error) {
	err = openTable(name, id, func(t *table.Table) error {
		version = t.MaxVersion()
		return nil
	})
	return version, err
}
