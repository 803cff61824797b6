package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Badger writes through mapped files: on a full disk the kernel kills the process
// in the middle of it, and the next one while it opens (notes on the full disk:
// 11 of 11 stores did not open). So there is a reserve that only deletes may use,
// and a ballast file beside the folder that is given up when the reserve is gone
// all the same.
const (
	ballastSuffix = "-ballast"

	// Below this much nothing new is kept; disks of less than twice as much keep a
	// half. Badger merges tables without asking, and has taken 20 MB for it on a disk
	// where only deletes went on.
	maxFloor = 64 << 20

	// lookInterval and lookBytes are how old what is known of the free space may
	// get, in time and in bytes that were committed.
	lookInterval = 100 * time.Millisecond
	lookBytes    = 1 << 20
	// mergeTime is how long a commit waits on an exhausted disk for a merge to give
	// back what it took: tables of 30 MB, at the speed of a card.
	mergeTime = 5 * time.Second
	// sizeInterval is how old the size of the store may get: it takes a call per file.
	sizeInterval = 10 * time.Second
)

// spaceLevel tells how much room the disk has.
type spaceLevel int

const (
	enough    spaceLevel = iota
	low                  // below the reserve: nothing new is kept, deletes go on
	exhausted            // below half of it: nothing is written any more
)

// space watches the disk of a store.
type space struct {
	dir     string
	ballast int64 // size of the ballast file; 0: there is none
	tables  int64 // what Badger may have to write down of its memory
	log     *slog.Logger
	statfs  func(dir string) (free, total int64, err error)
	wait    time.Duration // mergeTime

	mu      sync.Mutex
	looked  time.Time
	written int64 // since then
	level   spaceLevel
	free    int64
	reserve int64
	size    int64 // of the store
	sized   time.Time
}

func newSpace(dir string, memTableSize, ballast int64, log *slog.Logger) *space {
	return &space{dir: filepath.Clean(dir), ballast: ballast, tables: 3 * memTableSize * numMemtables, log: log, statfs: statfs, wait: mergeTime}
}

// statfs returns the bytes that are free and those that there are; a file system
// that does not know says 0 of both.
func statfs(dir string) (free, total int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// now returns the level; written is how many bytes are about to be.
func (p *space) now(written int64) spaceLevel {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written += written
	if p.written < lookBytes && time.Since(p.looked) < lookInterval {
		return p.level
	}
	before := p.level
	if err := p.look(); err != nil {
		return p.level // as it was: Badger will find out
	}
	switch {
	case before == enough && p.level != enough:
		p.log.Warn("disk is nearly full, new messages that have to be kept are refused", "free", p.free, "reserve", p.reserve)
	case before != enough && p.level == enough:
		p.log.Info("disk has room again", "free", p.free, "reserve", p.reserve)
	}
	return p.level
}

// hasRoom reports whether so many bytes may be written. On an exhausted disk it waits:
// Badger may be in the middle of a merge and give back what that took.
func (p *space) hasRoom(bytes int64) bool {
	if p.now(bytes) != exhausted {
		return true
	}
	for begun := time.Now(); time.Since(begun) < p.wait; {
		time.Sleep(lookInterval)
		if p.now(lookBytes) != exhausted {
			return true
		}
	}
	return false
}

// look asks the file system. Called with mu held.
func (p *space) look() error {
	now := time.Now()
	if p.sized.IsZero() || now.Sub(p.sized) >= sizeInterval {
		p.size, p.sized = folderSize(p.dir), now
	}
	free, total, err := p.statfs(p.dir)
	if err != nil {
		return err
	}
	p.looked, p.written = now, 0
	// A quarter of the store is room for compaction.
	p.free, p.reserve = free, max(min(maxFloor, total/2), p.tables+p.size/4)
	switch {
	case total == 0 || free >= p.reserve:
		p.level = enough
	case free >= p.reserve/2:
		p.level = low
	default:
		p.level = exhausted
	}
	return nil
}

// makeRoom gives the ballast up if Badger may need it to open.
func (p *space) makeRoom() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.look(); err != nil {
		return fmt.Errorf("persist: data folder %s: %w", p.dir, err)
	}
	if p.level == enough {
		return nil
	}
	switch err := os.Remove(p.dir + ballastSuffix); {
	case err == nil:
		// The blocks are free when the removal is on the disk.
		if err := SyncFolder(filepath.Dir(p.dir)); err != nil {
			return fmt.Errorf("persist: data folder %s: %w", p.dir, err)
		}
		p.log.Warn("disk is nearly full, the space that was set aside is used", "free", p.free, "reserve", p.reserve)
		if err := p.look(); err != nil {
			return fmt.Errorf("persist: data folder %s: %w", p.dir, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("persist: data folder %s: %w", p.dir, cause(err))
	}
	if p.level == exhausted {
		return p.full()
	}
	return nil
}

// full is the error of a disk that nothing is written to any more. Called with mu
// held.
func (p *space) full() error {
	return fmt.Errorf("data folder %s: the disk is full, %d MB are free and %d MB are needed: remove something from it or use a larger one",
		p.dir, p.free>>20, (p.reserve/2+1<<20-1)>>20)
}

// errFull is full for a committer that found the level exhausted.
func (p *space) errFull() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.full()
}

// keepBallast writes the ballast file, if it is missing and there is more than
// enough room for it. It stops when stop is closed.
func (p *space) keepBallast(stop <-chan struct{}) error {
	name := p.dir + ballastSuffix
	if info, err := os.Stat(name); p.ballast == 0 || err == nil && info.Size() == p.ballast {
		return nil
	}
	free, total, err := p.statfs(p.dir)
	if err != nil {
		return err
	}
	p.mu.Lock()
	roomy := p.level == enough && (total == 0 || free >= p.reserve+3*p.ballast/2)
	p.mu.Unlock()
	if !roomy {
		return nil
	}
	if err := p.writeBallast(name, stop); err != nil {
		os.Remove(name)
		return err
	}
	return nil
}

// writeBallast writes zeros: space that is only promised may not be there.
func (p *space) writeBallast(name string, stop <-chan struct{}) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	zeros := make([]byte, 64<<10)
	for left := p.ballast; left > 0; {
		select {
		case <-stop:
			return errors.New("ballast not written: the store is closed")
		default:
		}
		n, err := f.Write(zeros[:min(left, int64(len(zeros)))])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	return f.Sync()
}

// folderSize is what the files of a folder take on the disk. They are sparse.
func folderSize(dir string) int64 {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	var size int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				size += st.Blocks * 512
			}
		}
	}
	return size
}

// DiskLow reports whether the disk has so little room left that nothing new may be
// kept: who feeds the store refuses it. Deletes and acknowledgements go on. It may be
// asked for each batch of messages: it takes a lock and looks at the clock.
func (s *Store) DiskLow() bool { return s.space.now(0) != enough }
