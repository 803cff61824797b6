package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"lintel/hardware"
	"lintel/persist"
)

const (
	wearInterval = time.Hour      // between two notes: each is itself written to the card
	wearWindow   = 24 * time.Hour // of running that bytes per day are reckoned from
	wearLeast    = time.Hour      // of it, before they are told
	wearSpans    = 64
	wearGoodbye  = 2 * time.Second
)

// wear counts what is written to the card over restarts: an SD card does not tell how
// worn it is. It goes by the time that the box runs, not by the clock, which may be wrong.
// What was written in the hour before the power failed is not counted.
type wear struct {
	root, data string
	bucket     *persist.Bucket[wearNote]
	log        *slog.Logger

	mu   sync.Mutex
	note wearNote
	from time.Time // since when bytes are not in note
}

// wearNote is what is kept.
type wearNote struct {
	Total uint64     `json:"total"` // bytes, up to Seen
	Seen  uint64     `json:"seen"`  // what the counter of the disk showed
	Boot  string     `json:"boot"`  // of this start of the machine
	Spans []wearSpan `json:"spans"` // of the last day, oldest first
}

type wearSpan struct {
	Bytes   uint64  `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// wearKey is the only key of the bucket.
const wearKey = "card"

func newWear(g *gateway) (*wear, error) {
	bucket, err := persist.NewBucket[wearNote](g.store, "wear")
	if err != nil {
		return nil, err
	}
	w := &wear{root: g.o.Root, data: g.o.Data, bucket: bucket, log: g.log, from: time.Now()}
	w.note, _ = bucket.Get(wearKey)
	return w, nil
}

// run notes what was written, every hour and at the end.
func (w *wear) run(ctx context.Context) error {
	tick := time.NewTicker(wearInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		disk, err := hardware.ReadDisk(w.root, w.data)
		if err != nil || disk.Written == 0 {
			continue // as on a computer whose folder is on no disk of its own
		}
		w.mu.Lock()
		w.note = w.note.with(disk.Written, hardware.BootID(w.root), time.Since(w.from))
		w.from = time.Now()
		note := w.note
		w.mu.Unlock()
		// The end of ctx is the end of the house, not of the store.
		write, cancel := context.WithTimeout(context.WithoutCancel(ctx), wearGoodbye)
		err = w.bucket.Put(write, wearKey, note)
		cancel()
		if err != nil {
			w.log.Warn("what was written to the card is not noted", "err", fmt.Errorf("%w: the next try is in an hour", err))
		}
	}
	return nil
}

// gigabytes tells what was written up to now, when the counter of the disk shows seen, and what is
// written in a day; negative: that is not known.
func (w *wear) gigabytes(seen uint64) (written, perDay float64) {
	if seen == 0 {
		return 0, -1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.note.with(seen, hardware.BootID(w.root), time.Since(w.from))
	perDay = -1
	if bytes, known := now.perDay(); known {
		perDay = math.Round(bytes/1e7) / 100
	}
	return math.Round(float64(now.Total)/1e8) / 10, perDay
}

// with returns the note after some more time, when the counter of the disk shows seen.
func (n wearNote) with(seen uint64, boot string, since time.Duration) wearNote {
	more := seen // since the machine was started
	if boot == n.Boot && seen >= n.Seen {
		more -= n.Seen
	}
	spans := append(make([]wearSpan, 0, len(n.Spans)+1), n.Spans...)
	spans = append(spans, wearSpan{more, since.Seconds()})
	seconds := 0.0
	for _, s := range spans {
		seconds += s.Seconds
	}
	for len(spans) > wearSpans || len(spans) > 1 && seconds-spans[0].Seconds >= wearWindow.Seconds() {
		seconds -= spans[0].Seconds
		spans = spans[1:]
	}
	return wearNote{Total: n.Total + more, Seen: seen, Boot: boot, Spans: spans}
}

// perDay returns the bytes that are written in a day.
func (n wearNote) perDay() (bytes float64, known bool) {
	seconds := 0.0
	for _, s := range n.Spans {
		bytes += float64(s.Bytes)
		seconds += s.Seconds
	}
	if seconds < wearLeast.Seconds() {
		return 0, false
	}
	return bytes / seconds * (24 * time.Hour).Seconds(), true
}
