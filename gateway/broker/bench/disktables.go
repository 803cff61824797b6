package main

import (
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

// tables counts the bytes of Badger's tables in a folder: each has a name and a
// size of its own and is written once.
type tables struct {
	mu    sync.Mutex
	seen  map[string]int64
	sum   int64
	stop  chan struct{}
	ended chan struct{}
}

// tableTurn is shorter than tables live.
const tableTurn = 50 * time.Millisecond

func watchTables(folder string) *tables {
	t := &tables{seen: make(map[string]int64), stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(t.ended)
		tick := time.NewTicker(tableTurn)
		defer tick.Stop()
		for {
			t.look(folder)
			select {
			case <-tick.C:
			case <-t.stop:
				return
			}
		}
	}()
	return t
}

func (t *tables) look(folder string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Files come and go while one looks.
	filepath.WalkDir(folder, func(path string, f fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".sst" || t.seen[path] > 0 {
			return nil
		}
		if info, err := f.Info(); err == nil {
			t.seen[path] = info.Size()
			t.sum += info.Size()
		}
		return nil
	})
}

func (t *tables) bytes() float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return float64(t.sum)
}

func (t *tables) end() {
	close(t.stop)
	<-t.ended
}
