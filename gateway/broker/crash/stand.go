package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"lintel/gateway/broker/witness"
)

// lab is what everything here stands in: the disks and the program.
type lab struct {
	dir     string // all that is made
	program string
	config  string
	server  *fuse.Server
	stands  []*stand
}

// stand is a place where one broker runs on one disk.
type stand struct {
	lab    *lab
	disk   *disk
	device device
	mount  string // where its file system is mounted
}

// newLab makes n stands in dir.
func newLab(ctx context.Context, dir string, n int) (b *lab, err error) {
	b = &lab{dir: dir}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.program, err = build(ctx, b.dir); err != nil {
		return b, err
	}
	if b.config, err = writeConfig(b.dir); err != nil {
		return b, err
	}
	var disks []*disk
	for range n {
		disks = append(disks, &disk{image: newImage(nil)})
	}
	shelf := filepath.Join(b.dir, "disks")
	if err := os.Mkdir(shelf, 0o700); err != nil {
		return b, err
	}
	if b.server, err = mountShelf(shelf, disks); err != nil {
		return b, err
	}
	for i, d := range disks {
		s := &stand{lab: b, disk: d, mount: filepath.Join(b.dir, fmt.Sprint("mount-", i))}
		if err := os.Mkdir(s.mount, 0o700); err != nil {
			return b, err
		}
		if s.device, err = attach(ctx, filepath.Join(shelf, diskName(i))); err != nil {
			return b, err
		}
		b.stands = append(b.stands, s)
	}
	return b, nil
}

func (b *lab) close() {
	for _, s := range b.stands {
		s.device.detach()
	}
	if b.server != nil {
		b.server.Unmount()
	}
}

// recording is a load, as the disk and as the clients saw it.
type recording struct {
	start   *image
	records []record
	ledger  *witness.Ledger
	tables  int // that the store had at the end
	logs    int // that hold its large values
}

// record puts a broker under load on an empty disk for some time.
func (s *stand) record(ctx context.Context, seed uint64, length, pause time.Duration) (*recording, error) {
	if err := s.device.mkfs(ctx); err != nil {
		return nil, err
	}
	rec := &recording{start: s.disk.record()}
	rec.ledger = witness.NewLedger(fmt.Sprint("crash-", seed), s.disk.position)
	if err := s.device.mount(ctx, s.mount); err != nil {
		return nil, err
	}
	defer unmount(s.mount)
	v, err := start(ctx, s.lab.program, s.lab.config, filepath.Join(s.mount, "data"))
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, &v.log)
	}
	defer v.kill()
	load, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	report, err := witness.Load(load, v.addr, rec.ledger, seed, pause)
	rec.records = s.disk.stop()
	v.kill()
	tables, _ := filepath.Glob(filepath.Join(s.mount, "data", "store", "*.sst"))
	logs, _ := filepath.Glob(filepath.Join(s.mount, "data", "store", "*.vlog"))
	rec.tables, rec.logs = len(tables), len(logs)
	if err == nil && !report.OK() {
		err = fmt.Errorf("without any crash: %v: %q", report, report.Notes)
	}
	if err == nil && rec.ledger.At(len(rec.records)).Acknowledged() == 0 {
		err = errors.New("nothing was acknowledged: try again when the machine has less to do")
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, &v.log)
	}
	return rec, nil
}

// outcome is what became of one crash.
type outcome struct {
	witness.Report
	unopened error // why the file system or lintel did not start
	fsck     error
	alarm    error  // lintel says that it has lost something
	log      string // of lintel
}

func (o *outcome) ok() bool { return o.OK() && o.unopened == nil && o.fsck == nil && o.alarm == nil }

// check starts lintel on a disk as a crash left it, and compares it with what
// its clients knew.
func (s *stand) check(ctx context.Context, im *image, w *witness.World) (o outcome, err error) {
	s.disk.insert(newImage(im)) // what happens here is not for the next
	// The next disk is made in the same images: nobody may read them then.
	defer s.disk.insert(newImage(nil))
	if err := s.device.forget(ctx); err != nil {
		return o, err
	}
	if o.unopened = s.device.mount(ctx, s.mount); o.unopened != nil {
		return o, nil
	}
	v, err := start(ctx, s.lab.program, s.lab.config, filepath.Join(s.mount, "data"))
	switch {
	case v == nil:
		return o, errors.Join(err, unmount(s.mount))
	case err != nil:
		o.unopened = err
	default:
		losses, lossesErr := v.losses(ctx)
		if err = lossesErr; len(losses) > 0 {
			o.alarm = fmt.Errorf("lintel says: %q", losses)
		}
		o.Report = w.Check(ctx, v.addr)
		v.kill()
	}
	o.log = v.log.String()
	if o.unopened != nil {
		err = nil
	}
	if err := errors.Join(err, unmount(s.mount)); err != nil {
		return o, err
	}
	o.fsck = s.device.fsck(ctx)
	return o, context.Cause(ctx)
}

// point is one crash.
type point struct {
	number   int
	position int // in the records
	mode     mode
}

// choose chooses n points: after writes and after what clients did or were told,
// for these are the moments when something has changed.
func (rec *recording) choose(n int, r *rand.Rand) []point {
	var positions []int
	ready := rec.ledger.Ready()
	for i := ready; i < len(rec.records); i++ {
		if rec.records[i].data != nil {
			positions = append(positions, i+1)
		}
	}
	for _, p := range rec.ledger.Positions() {
		if p > ready && p <= len(rec.records) && p != positions[len(positions)-1] {
			positions = append(positions, p)
		}
	}
	points := make([]point, n)
	for i := range points {
		points[i] = point{position: positions[r.IntN(len(positions))], mode: mode(i % int(modes))}
	}
	return points
}
