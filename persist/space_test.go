package persist

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

// disk is a file system that the test fills as it likes.
type disk struct{ free, total int64 }

func (d *disk) statfs(string) (int64, int64, error) { return d.free, d.total, nil }

func TestReserve(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		name               string
		total, size, table int64
		reserve            int64
	}{
		{"a card", 32 << 30, 0, 4 * mb, 64 * mb},
		{"a full card", 32 << 30, 1 << 30, 4 * mb, (24 + 256) * mb},
		{"a small disk", 100 * mb, 0, 4 * mb, 50 * mb},
		{"a small disk with a store", 100 * mb, 120 * mb, 4 * mb, 54 * mb},
		{"large memtables", 1 << 30, 0, 16 * mb, 96 * mb},
	} {
		p := newSpace(t.TempDir(), c.table, 0, slog.New(slog.DiscardHandler))
		d := &disk{total: c.total}
		p.statfs = d.statfs
		p.size, p.sized = c.size, time.Now()
		for _, l := range []struct {
			free  int64
			level spaceLevel
		}{{c.reserve, enough}, {c.reserve - 1, low}, {c.reserve / 2, low}, {c.reserve/2 - 1, exhausted}} {
			d.free = l.free
			if got := p.now(lookBytes); got != l.level {
				t.Errorf("%s: %d bytes free: level %d, want %d", c.name, l.free, got, l.level)
			}
		}
		if p.reserve != c.reserve {
			t.Errorf("%s: reserve %d, want %d", c.name, p.reserve, c.reserve)
		}
	}
}

// The file system is not asked for each message.
func TestSpaceIsRemembered(t *testing.T) {
	p := newSpace(t.TempDir(), defaultMemTableSize, 0, slog.New(slog.DiscardHandler))
	asked := 0
	p.statfs = func(string) (int64, int64, error) {
		asked++
		return 1 << 30, 32 << 30, nil
	}
	p.now(0)
	p.looked = time.Now().Add(time.Hour) // time is not what this is about
	for range 1000 {
		p.now(lookBytes / 500)
	}
	if asked < 2 || asked > 4 {
		t.Errorf("asked %d times", asked)
	}
}

func TestBallast(t *testing.T) {
	dir := storeDir(t)
	s := open(t, dir, Options{Ballast: 1 << 20})
	d := &disk{free: 32 << 30, total: 64 << 30}
	s.space.statfs = d.statfs
	ballast := func() int64 {
		info, err := os.Stat(dir + ballastSuffix)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	s.keepBallast()
	if n := ballast(); n != 1<<20 {
		t.Fatalf("ballast of %d bytes", n)
	}
	if n := folderSize(t.TempDir()); n != 0 {
		t.Errorf("an empty folder takes %d", n)
	}

	// A start on a full disk gives it up, and tells what to do if that is not enough.
	d.free = s.space.reserve / 4
	err := s.space.makeRoom()
	if err == nil || !strings.Contains(err.Error(), "the disk is full") || strings.Contains(err.Error(), "\n") {
		t.Errorf("on a full disk: %v", err)
	}
	if n := ballast(); n != 0 {
		t.Errorf("ballast of %d bytes is still there", n)
	}
	s.keepBallast()
	if n := ballast(); n != 0 {
		t.Errorf("ballast of %d bytes on a full disk", n)
	}

	// One that was cut short is written anew.
	d.free = 32 << 30
	s.space.now(lookBytes)
	if err := os.WriteFile(dir+ballastSuffix, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.keepBallast()
	if n := ballast(); n != 1<<20 {
		t.Errorf("ballast of %d bytes", n)
	}
}

// Below half of the reserve nothing is written and nothing acknowledged any more.
func TestExhausted(t *testing.T) {
	dir := storeDir(t)
	s := open(t, dir, Options{})
	d := &disk{free: 32 << 30, total: 64 << 30}
	s.space.statfs = d.statfs
	commit(t, s, putRetained("before"))
	d.free = s.space.reserve - 1
	s.space.now(lookBytes)
	if !s.DiskLow() {
		t.Error("below the reserve there is room")
	}
	commit(t, s, putRetained("low")) // who may not has to ask
	d.free = s.space.reserve/2 - 1
	s.space.now(lookBytes)
	s.space.wait = lookInterval
	s.Append(putRetained("after"), func() { t.Error("acknowledged") })
	await(t, s.Failed(), "failure")
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "the disk is full") || strings.Contains(err.Error(), "\n") {
		t.Errorf("closed with %v", err)
	}
}

// A merge of Badger takes room for a moment: a commit waits until it has given it back.
func TestExhaustedForAMoment(t *testing.T) {
	s := open(t, storeDir(t), Options{})
	defer closeStore(t, s)
	var asked atomic.Int32
	s.space.mu.Lock()
	s.space.statfs = func(string) (free, total int64, err error) {
		if asked.Add(1) <= 3 {
			return 1 << 20, 64 << 30, nil
		}
		return 32 << 30, 64 << 30, nil
	}
	s.space.mu.Unlock()
	s.space.now(lookBytes)
	commit(t, s, putRetained("after"))
	if n := asked.Load(); n < 3 {
		t.Errorf("committed when the disk was asked %d times", n)
	}
}

const diskGroup = 25

// publishUntilFull is the process that fills a disk. It says "p N" when group N of
// messages is stored, "low" when the store says that nothing more may be kept, and
// then deletes a group for each line that it reads, saying "d N". With a second argument it
// does not ask whether there is room, as nobody else on the disk would.
func publishUntilFull(args []string) error {
	s, err := Open(args[0], Options{Ballast: 40 << 20, Check: checker()})
	if err != nil {
		return err
	}
	state, err := s.Load()
	if err != nil {
		return err
	}
	s.keepBallast()
	done := make(chan struct{}, 1)
	commit := func(b *Batch) error {
		s.Append(b, func() { done <- struct{}{} })
		select {
		case <-done:
			return nil
		case <-s.Failed():
			return s.Err()
		}
	}
	n := len(state.Retained) / diskGroup
	for ; len(args) > 1 || !s.DiskLow(); n++ {
		var b Batch
		for i := range diskGroup {
			b.PutRetained(diskMessage(n*diskGroup + i))
		}
		if err := commit(&b); err != nil {
			return err
		}
		fmt.Println("p", n)
	}
	fmt.Println("low")
	in := bufio.NewScanner(os.Stdin)
	for i := 0; in.Scan(); i++ {
		var b Batch
		for j := range diskGroup {
			b.DeleteRetained(diskMessage(i*diskGroup + j).Topic)
		}
		if err := commit(&b); err != nil {
			return err
		}
		fmt.Println("d", i)
	}
	return s.Close()
}

func diskMessage(i int) *mqtt.Message {
	return &mqtt.Message{Topic: fmt.Sprintf("r/%06d", i), QoS: 1, Retain: true, Payload: []byte(strings.Repeat(fmt.Sprintf("%09d,", i), 400))}
}

// Want of room may look like damage: nothing is put aside for it.
func TestNothingIsPutAsideOnAFullDisk(t *testing.T) {
	dir := storeDir(t)
	s := open(t, dir, Options{})
	commit(t, s, putRetained("r"))
	closeStore(t, s)
	spoil(t, dir)
	d := &disk{free: 50 << 20, total: 1 << 30}
	full := Options{Logger: slog.New(slog.DiscardHandler), MemTableSize: defaultMemTableSize, statfs: d.statfs}
	refused := func() error {
		s, err := Open(dir, full)
		if err == nil {
			s.Close()
		}
		return err
	}
	if err := refused(); err == nil || !strings.Contains(err.Error(), "make room") || strings.Contains(err.Error(), "\n") {
		t.Errorf("on a full disk: %v", err)
	}
	d.free = 100 << 20
	if err := refused(); err != nil {
		t.Errorf("with room: %v", err)
	}
	if len(quarantines(dir)) != 1 {
		t.Error("not put aside")
	}
}
