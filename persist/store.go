package persist

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// MaxMessageSize is how many bytes topic, properties and payload of a message
// may have together. More would make a value log file far larger than it is
// meant to be; a value of more than a whole one is an error that ends the store.
const MaxMessageSize = valueLogFileSize / 4

const (
	defaultMemTableSize = 4 << 20
	minMemTableSize     = 1 << 20
	numMemtables        = 2
	defaultBudget       = 4 << 20

	valueThreshold   = 32 << 10
	valueLogFileSize = 16 << 20
)

// Options are the choices of a Store. The zero value is ready for use.
type Options struct {
	// MemTableSize is the memory of one of Badger's two memtables. Larger ones
	// write less to the card. 0 is 4 MiB, the choice for a board of 512 MB;
	// boards with 1 GB and more take 8 MiB. At least 1 MiB.
	MemTableSize int64

	// Budget is how many bytes may wait to be written before Wait blocks;
	// 0 is 4 MiB.
	Budget int64

	// Patience is how long a batch of AppendPatient waits to become superfluous;
	// 0 is 50 ms.
	Patience time.Duration

	// Sparing is how long a batch of AppendSparing waits for others; 0 is 200 ms.
	Sparing time.Duration

	// Ballast is the size of a file of zeros beside the folder, which is given up
	// when a store on a full disk has to be opened, and written again when there
	// is room; 0: there is none. It should be more than half of the reserve: see the
	// package comment.
	Ballast int64

	// Check is the program, and its first arguments, that Open runs after a run
	// that did not end with Close, before it opens the store itself. It calls
	// the function Check with the arguments that come behind and prints an error as
	// one line to standard error. nil: Open does without.
	Check []string

	// Restore makes the folder dir, which does not exist, with what the last backup
	// holds of a store, and says what that is and how old. It is called when a store
	// cannot be used any more. With an empty text or an error, which is logged, the
	// new store is empty. nil: it always is.
	Restore func(dir string) (what string, err error)

	// GroupDone is called after the done functions of a group, on the same
	// goroutine; may be nil.
	GroupDone func()

	// Clock reads the clocks of the machine; nil: it does, what tests replace.
	Clock func() Reading

	Logger *slog.Logger // nil: discard

	statfs func(dir string) (free, total int64, err error) // of tests; nil: of the system

	garbage garbageRules // zero values take the defaults
}

// Stats counts since Open, except for what is pending and what is in the store.
// Bytes are those of keys and values.
type Stats struct {
	Groups         uint64 // transactions committed
	Operations     uint64 // operations of batches dealt with, elided ones included
	Elided         uint64 // operations whose record needed not be written
	BytesWritten   uint64 // handed to Badger
	BytesElided    uint64 // of entries that were gone before their turn: about what they would have written
	BytesCoalesced uint64 // of changes that a later one of the same record replaced in time
	BackupBytes    uint64 // written to own backups

	Commits    Latencies     // of the transactions
	CommitTime time.Duration // of all of them

	PendingOperations int   // appended and not yet committed
	PendingBytes      int64 // upper bound of what they write

	Entries          int64  // in the store
	Tombstones       int64  // deletes since Badger's tables were last flattened, about
	Flattened        uint64 // times
	BytesValueLog    uint64 // written of values that are too large for tables
	Rotations        uint64 // memtables that were filled up to become tables, see garbage.go
	ValueLogsRemoved uint64 // files whose values were mostly gone
}

// Store is an open store. Its methods may be called from any goroutine.
type Store struct {
	db      *badger.DB
	dir     *os.File // holds the lock
	log     *slog.Logger
	badger  *badgerLog
	budget  int64
	limits  limits
	patient time.Duration // Options.Patience
	sparing time.Duration // Options.Sparing
	done    func()        // GroupDone
	damaged []string
	clock   *clock
	space   *space
	anchor  *anchor

	// committed is the lsn of the last transaction that is on the disk.
	committed atomic.Uint64
	// answered is when done functions were last called, as a Duration after opened.
	answered atomic.Int64

	wake    chan struct{} // capacity 1: there is something to commit
	groups  chan []func() // from the committer to the caller of done functions
	failed  chan struct{} // closed after a commit error
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed by Close later: no done function is called any more
	wait    sync.WaitGroup
	opened  time.Time

	reading sync.RWMutex // held for reading while ReadQueue or a backup is at work
	shut    bool         // Badger is closed: nothing may be read

	ownBackups sync.Mutex // held while one of them is made
	compactors sync.Mutex // held while Badger's are stopped or started

	logs       logReserve    // of the committer
	anchorDue  chan struct{} // capacity 1: much was committed since the anchor was written
	compactDue chan struct{} // capacity 1: much was committed while the compactors rest

	closeOnce sync.Once
	closeErr  error

	mu       sync.Mutex
	queue    []item
	closed   bool
	err      error
	room     chan struct{} // closed when pending falls to budget; nil if nobody waits
	due      bool          // the queue is not to wait any longer
	timer    *time.Timer   // makes it due
	timerAt  time.Duration // when it does, after opened; 0: it is stopped
	spared   int           // items of AppendSparing that wait
	passed   int           // items at the front of queue that are to be written and that nobody waits for
	resting  bool          // Badger's compactors are stopped
	restedAt uint64        // bytes written until then
	stats    Stats
	report   Report

	tx transaction // of the committer alone
}

// Open opens the store in the folder dir, which it creates if need be, and locks
// it for this process. Its errors are single lines that say what to do.
func Open(dir string, o Options) (*Store, error) {
	if o.MemTableSize == 0 {
		o.MemTableSize = defaultMemTableSize
	}
	if o.MemTableSize < minMemTableSize {
		return nil, fmt.Errorf("persist: MemTableSize %d is below %d", o.MemTableSize, minMemTableSize)
	}
	if o.Budget == 0 {
		o.Budget = defaultBudget
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Sparing == 0 {
		o.Sparing = defaultSparing
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = systemClock()
	}

	s := &Store{
		log:        o.Logger,
		badger:     &badgerLog{log: o.Logger},
		budget:     o.Budget,
		patient:    o.Patience,
		sparing:    o.Sparing,
		done:       o.GroupDone,
		wake:       make(chan struct{}, 1),
		groups:     make(chan []func(), 1),
		failed:     make(chan struct{}),
		closing:    make(chan struct{}),
		opened:     time.Now(),
		anchorDue:  make(chan struct{}, 1),
		compactDue: make(chan struct{}, 1),
		ended:      make(chan struct{}),
	}
	if err := s.start(dir, &o); err != nil {
		return nil, err
	}
	s.tx.bodies = make(map[uint64]int)
	s.timer = time.AfterFunc(time.Hour, s.makeDue)
	s.timer.Stop()
	s.wait.Go(s.commitGroups)
	s.wait.Go(s.callDone)
	s.wait.Go(func() { s.collectGarbage(o.garbage.withDefaults()) })
	s.wait.Go(s.keepHouse)
	return s, nil
}

// badgerOptions are the settings for a small board with a card: nothing is
// compressed, so that no cache is needed and blocks are read from mapped files.
func badgerOptions(dir string, memTableSize int64) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(memTableSize).
		WithNumMemtables(numMemtables).
		WithBaseTableSize(1 << 20).
		WithBaseLevelSize(4 << 20).
		// Most messages of a queue are gone before six tables are full: what is
		// merged later is written less often.
		WithNumLevelZeroTables(6).
		WithNumLevelZeroTablesStall(12).
		WithNumCompactors(2).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(valueLogFileSize).
		// Any other mode panics or loses keys on a damaged table; the checksum
		// in every value does the work instead.
		WithChecksumVerificationMode(options.NoVerification).
		WithMetricsEnabled(false).
		WithDetectConflicts(false).
		WithCompactL0OnClose(false).
		WithNumVersionsToKeep(1).
		WithNumGoroutines(2).
		WithExternalMagic(schema).
		WithBypassLockGuard(true) // lockFolder holds the lock
}

// openMeta reads what the store knows of itself and of time, and writes it again,
// which in a new store is the first transaction.
func (s *Store) openMeta(dir string, read func() Reading) error {
	m := meta{Schema: schema}
	b, err := s.get([]byte{prefixMeta})
	if err == nil {
		m, err = decodeMeta(b)
	}
	known := err == nil
	switch {
	case known:
		if err := checkSchema(dir, m.Schema); err != nil {
			return err
		}
		// The anchor of another store says nothing about this one.
		if r := s.anchor.read(); r.uuid == m.UUID && m.LSN < r.lsn {
			s.report.MissingTransactions = r.lsn - m.LSN
			m.LSN = r.lsn
		}
	case errors.Is(err, badger.ErrKeyNotFound) && s.db.MaxVersion() == 0:
		if r := s.anchor.read(); r.lsn > 0 {
			s.report.MissingTransactions = r.lsn
			m.LSN = r.lsn
		}
		rand.Read(m.UUID[:])
	default:
		// The rest of the store may well be sound. MaxVersion is Badger's own
		// count of transactions, so it is not far from the lsn, and no less
		// than the number of the boots.
		s.damaged = append(s.damaged, fmt.Sprintf("%s: %v", keyString([]byte{prefixMeta}), err))
		m = meta{Schema: schema, LSN: max(s.db.MaxVersion(), s.anchor.read().lsn), Boot: s.db.MaxVersion()}
		rand.Read(m.UUID[:])
	}
	var id string
	var boots []boot
	if known && m.Boot > 0 {
		if b, err = s.get(bootsKey); err == nil {
			id, boots, err = decodeBoots(b)
		}
		if err != nil {
			s.damaged = append(s.damaged, fmt.Sprintf("%s: %v", keyString(bootsKey), err))
		}
	}
	s.clock = newClock(read, id, boots, m.Up, m.Boot)
	s.tx.meta, s.tx.clock = m, s.clock
	s.tx.begin()
	s.tx.apply(&op{prefix: prefixMeta})
	if err := s.writeTransaction(); err != nil {
		return fmt.Errorf("persist: data folder %s: %s", dir, oneLine(err))
	}
	return s.anchor.update(func(r *anchorRecord) { r.uuid, r.lsn = s.tx.meta.UUID, s.tx.meta.LSN })
}

// get returns the fields of a record.
func (s *Store) get(key []byte) (fields []byte, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		value, err := item.ValueCopy(nil)
		if err == nil {
			fields, err = fieldsOf(key, value)
		}
		return err
	})
	return fields, err
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// SetGroupDone replaces Options.GroupDone; it must come before the first Append.
func (s *Store) SetGroupDone(f func()) { s.done = f }

// Failed is closed after the first commit error. No done function is called any
// more then, and the process must exit.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err returns the error that closed Failed, or nil.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Close commits all that was appended, calls its done functions and closes the
// store. It returns the error of the store if it failed.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.closing)
		s.wakeUp()
		s.wait.Wait()
		close(s.ended)
		s.timer.Stop()
		if s.closeErr = s.Err(); s.closeErr != nil {
			// Badger stays as it is until the process ends, and so does the
			// lock: closing would write down what the disk may have refused.
			return
		}
		s.reading.Lock()
		s.shut = true
		s.reading.Unlock()
		s.closeErr = s.close()
		s.dir.Close()
	})
	return s.closeErr
}

// badgerLog hands Badger's complaints on and drops its chatter.
type badgerLog struct {
	log *slog.Logger

	// syncFailed is set when Badger could not sync its value log: it logs that
	// and acknowledges the transaction all the same.
	syncFailed atomic.Bool
}

func (l *badgerLog) Errorf(format string, args ...any) {
	if strings.Contains(format, "curlf sync") {
		l.syncFailed.Store(true)
	}
	l.log.Error("badger", "err", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (l *badgerLog) Warningf(format string, args ...any) {
	l.log.Warn("badger", "err", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (l *badgerLog) Infof(string, ...any)  {}
func (l *badgerLog) Debugf(string, ...any) {}
