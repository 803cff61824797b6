package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// tally adds outcomes up.
type tally struct {
	seed uint64
	keep string

	mu       sync.Mutex
	points   int
	sum      outcome // Report alone
	unopened int
	unclean  int
	alarms   int
	failed   int
}

// maxKept is how many failed points are told of and kept.
const maxKept = 5

// add counts an outcome and tells of it if it is a bad one.
func (t *tally) add(p point, unflushed int, o outcome, im *image) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.points++
	t.sum.Report.Add(o.Report)
	if o.unopened != nil {
		t.unopened++
	}
	if o.fsck != nil {
		t.unclean++
	}
	if o.alarm != nil {
		t.alarms++
	}
	if !o.ok() {
		t.failed++
		if t.failed <= maxKept {
			fmt.Println(t.describe(p, unflushed, o, im))
		}
	}
	if t.points%50 == 0 {
		fmt.Printf("crash: %s\n", t)
	}
}

// describe tells of a point that failed, and keeps its disk.
func (t *tally) describe(p point, unflushed int, o outcome, im *image) string {
	var b strings.Builder
	fmt.Fprintf(&b, "crash: point %d, after record %d, with %v of %d unflushed writes: %v", p.number, p.position, p.mode, unflushed, o.Report)
	for _, note := range o.Notes {
		fmt.Fprintf(&b, "\n\t%s", note)
	}
	for _, err := range []error{o.unopened, o.fsck, o.alarm} {
		if err != nil {
			fmt.Fprintf(&b, "\n\t%v", err)
		}
	}
	name := filepath.Join(t.keep, fmt.Sprintf("seed-%d-point-%d", t.seed, p.number))
	err := os.MkdirAll(t.keep, 0o777)
	if err == nil {
		err = im.save(name + ".img")
	}
	if err == nil {
		err = os.WriteFile(name+".log", []byte(o.log), 0o666)
	}
	if err != nil {
		fmt.Fprintf(&b, "\n\tnot kept: %v", err)
	} else {
		fmt.Fprintf(&b, "\n\tkept as %s.img and .log", name)
	}
	return b.String()
}

func (t *tally) String() string {
	opened, clean := "every one opened", "fsck clean"
	if t.unopened > 0 {
		opened = fmt.Sprintf("%d not opened", t.unopened)
	}
	if t.unclean > 0 {
		clean = fmt.Sprintf("fsck unclean for %d", t.unclean)
	}
	alarms := "no false alarm"
	if t.alarms > 0 {
		alarms = fmt.Sprintf("%d false alarms", t.alarms)
	}
	return fmt.Sprintf("%d points, seed %d: %v, %s, %s, %s", t.points, t.seed, t.sum.Report, opened, clean, alarms)
}

// matrix crashes at all points, on all stands at a time.
func (b *lab) matrix(ctx context.Context, rec *recording, points []point, s settings) error {
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.position, b.position) })
	for i := range points {
		points[i].number = i + 1
	}
	t := &tally{seed: s.seed, keep: s.keep}
	workers, inner := errgroup.WithContext(ctx)
	for i, stand := range b.stands {
		workers.Go(func() error {
			rp := newReplay(rec.start, rec.records)
			for n := i; n < len(points); n += len(b.stands) {
				p := points[n]
				im, unflushed := rp.at(p.position, p.mode, rand.New(rand.NewPCG(s.seed, uint64(p.number))))
				o, err := stand.check(inner, im, rec.ledger.At(p.position))
				if err != nil {
					return fmt.Errorf("point %d: %w", p.number, err)
				}
				t.add(p, unflushed, o, im)
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	fmt.Printf("crash: %s\n", t)
	if t.failed > 0 {
		return fmt.Errorf("%d of %d points failed", t.failed, t.points)
	}
	return nil
}

// control crashes with a disk that has flushed nothing for a while. Lintel cannot
// help losing messages there, and that has to be noticed.
func (b *lab) control(ctx context.Context, rec *recording, n int, r *rand.Rand) error {
	failed := 0
	for range n {
		ready, end := rec.ledger.Ready(), len(rec.records)
		p := ready + (end-ready)/2 + r.IntN((end-ready)/2)
		lie := ready + r.IntN((p-ready)/2)
		im, _ := newReplay(rec.start, rec.records).at(lie, none, r)
		o, err := b.stands[0].check(ctx, im, rec.ledger.At(p))
		if err != nil {
			return fmt.Errorf("control: %w", err)
		}
		if o.Lost > 0 {
			failed++
		}
	}
	fmt.Printf("control: %d of %d points lost acknowledged messages (as they must)\n", failed, n)
	if failed < n {
		return errors.New("a disk that lied was not noticed: the matrix proves nothing")
	}
	return nil
}
