package persist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/dgraph-io/badger/v4"
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
	want := value[:len(value)-3] // without lsn and stamp, which take a byte each here
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
	if key < 0 || b[key] != prefixMeta {
		return 0, 0, 0, false
	}
	at := start + fixed
	for i := range 3 { // the lsn, and two numbers of the stamp, which the first stores had not
		n, size := binary.Uvarint(b[at:min(at+binary.MaxVarintLen64, len(b))])
		if at += size; size <= 0 || at+4 > len(b) {
			break
		}
		if i == 0 {
			lsn = n
		}
		if _, err := fieldsOf([]byte{prefixMeta}, b[start:at+4]); err == nil && lsn > 0 {
			return lsn, math.MaxUint64 - binary.BigEndian.Uint64(b[key+1:]), at + 4, true
		}
	}
	return 0, 0, 0, false
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
// older than the logs is in those. It returns their numbers.
func checkManifest(dir string, l logged, clean bool) (named []uint64, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(names) == 0 {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return nil, fmt.Errorf("persist: data folder %s: %w", dir, cause(err))
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, schema, badgerOptions(dir, defaultMemTableSize))
	if err != nil {
		return nil, &damage{oneLine(err)}
	}
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
	slices.Sort(named)
	if more == 0 || needed == 0 {
		return named, nil
	}
	for _, id := range slices.Backward(named) { // the newest has it most often
		version, err := maxVersion(table.NewFilename(id, dir), id)
		if err != nil {
			return nil, &damage{oneLine(err)}
		}
		if version >= needed {
			return named, nil
		}
	}
	return nil, &damage{fmt.Sprintf("MANIFEST does not name %d tables, and opening would delete them", more)}
}

// maxVersion returns Badger's version of the newest record in a table.
func maxVersion(name string, id uint64) (version uint64, err error) {
	err = openTable(name, id, func(t *table.Table) error {
		version = t.MaxVersion()
		return nil
	})
	return version, err
}
