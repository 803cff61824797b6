package update

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// downloadTries is how often a download is tried without one byte more than before.
	downloadTries = 5
	// syncEvery is how many bytes a pulled plug may cost.
	syncEvery = 4 << 20
	// spareRoom is left on the disk for the rest of the box.
	spareRoom = 32 << 20

	partSuffix   = ".part"
	stateSuffix  = ".json"
	bundleSuffix = ".lintel"
)

// Download fetches the bundle of an entry into dir and returns the name of the file, whose
// size and hash are those of the index. What an earlier call left there is not fetched
// again, also after a restart; files of other entries are removed. It tries again, with
// rests, while that brings more bytes. progress, which may be nil, is told from this
// goroutine how many bytes there are, of how many. Two calls must not use one dir at once.
func (f *Feed) Download(ctx context.Context, e *Entry, dir string, progress func(done, total int64)) (string, error) {
	address, err := f.address(e)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	d := &download{
		feed: f, address: address, dir: dir, want: e.Bundle, progress: progress,
		name: filepath.Join(dir, e.Bundle.SHA256.String()),
	}
	if d.progress == nil {
		d.progress = func(int64, int64) {}
	}
	if err := d.removeOthers(); err != nil {
		return "", err
	}
	if d.complete() {
		d.progress(d.want.Size, d.want.Size)
		return d.name + bundleSuffix, nil
	}
	if err := d.open(); err != nil {
		return "", err
	}
	defer d.part.Close()
	if err := d.fetch(ctx); err != nil {
		return "", fmt.Errorf("fetch version %s: %w", e.Manifest.Version, err)
	}
	return d.finish()
}

// A download is one call of Download.
type download struct {
	feed     *Feed
	address  string
	dir      string
	name     string // of the files, without a suffix
	want     Blob
	progress func(done, total int64)

	part     *os.File
	done     int64     // bytes in part
	whole    bool      // they are of one answer
	sum      hash.Hash // of them
	state    partState
	unsynced int64
}

// partState is what is known of the file that a part is of. It says to the server which
// version of the file the rest is wanted of.
type partState struct {
	Address   string `json:"address"`
	Validator string `json:"validator"` // a strong ETag, or Last-Modified
}

// removeOthers removes files of other downloads.
func (d *download) removeOthers() error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		suffix := filepath.Ext(e.Name())
		if suffix != partSuffix && suffix != stateSuffix && suffix != bundleSuffix {
			continue
		}
		name := strings.TrimSuffix(e.Name(), suffix)
		if len(name) != 2*sha256.Size || name == filepath.Base(d.name) {
			continue
		}
		if err := os.Remove(filepath.Join(d.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// complete says whether an earlier call fetched everything.
func (d *download) complete() bool {
	f, err := os.Open(d.name + bundleSuffix)
	if err != nil {
		return false
	}
	defer f.Close()
	blob, err := blobOf(f)
	return err == nil && blob == d.want
}

// open opens the part and reads what is in it.
func (d *download) open() error {
	if b, err := os.ReadFile(d.name + stateSuffix); err == nil {
		// What it says is a hint: the hash decides in the end.
		_ = json.Unmarshal(b, &d.state)
	}
	var err error
	if d.part, err = os.OpenFile(d.name+partSuffix, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	d.sum = sha256.New()
	d.done, err = io.Copy(d.sum, io.LimitReader(d.part, d.want.Size+1))
	if err == nil && (d.done > d.want.Size || d.state.Address != d.address) {
		err = d.restart()
	}
	if err != nil {
		d.part.Close()
	}
	return err
}

// restart begins at the first byte.
func (d *download) restart() error {
	if err := d.part.Truncate(0); err != nil {
		return err
	}
	if _, err := d.part.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d.done = 0
	d.sum = sha256.New()
	d.whole = false
	d.state = partState{}
	return nil
}

// fetch fetches until all is there and right.
func (d *download) fetch(ctx context.Context) error {
	for tries, misfits := 0, 0; ; {
		d.progress(d.done, d.want.Size)
		if d.done == d.want.Size {
			if Hash(d.sum.Sum(nil)) == d.want.SHA256 {
				return nil
			}
			whole := d.whole
			if err := d.restart(); err != nil {
				return err
			}
			// Parts may be of two files, or a pulled plug has spoilt one: another time.
			if misfits++; whole || misfits == downloadTries {
				return refuse(Malformed, "The feed has another file than its index says: tell whoever runs it.")
			}
			continue
		}
		before := d.done
		err := d.try(ctx)
		if err == nil {
			continue
		}
		if !passes(err) || ctx.Err() != nil {
			return errors.Join(cause(ctx, err), d.sync())
		}
		if d.done > before {
			tries = 0
		}
		if tries++; tries == downloadTries {
			return errors.Join(err, d.sync())
		}
		if err := d.pause(ctx, tries); err != nil {
			return errors.Join(err, d.sync())
		}
	}
}

// passes says whether another try may bring more.
func passes(err error) bool {
	return !isType[*Refusal](err) && !isType[*os.PathError](err)
}

// pause waits before another try.
func (d *download) pause(ctx context.Context, tries int) error {
	rest := time.Second << tries
	if d.feed.rest != nil {
		rest = d.feed.rest(tries)
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// try asks for the rest once and stores what comes.
func (d *download) try(ctx context.Context) error {
	if err := d.checkRoom(); err != nil {
		return err
	}
	patience := d.feed.stall
	if patience == 0 {
		patience = time.Minute
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(patience+answerPatience, func() {
		cancel(errors.New("nothing came for a while"))
	})
	defer stalled.Stop()

	header := http.Header{}
	if d.done > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.done))
		if d.state.Validator != "" {
			header.Set("If-Range", d.state.Validator)
		}
	}
	resp, err := d.feed.get(ctx, d.address, header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := d.begin(resp); err != nil {
		return err
	}
	buffer := make([]byte, 64<<10)
	for d.done < d.want.Size {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		stalled.Reset(patience)
		n, err := resp.Body.Read(buffer[:min(int64(len(buffer)), d.want.Size-d.done)])
		if err := d.store(buffer[:n]); err != nil {
			return err
		}
		if d.done == d.want.Size {
			break
		}
		if errors.Is(err, io.EOF) {
			return errors.New("the connection ended too early")
		}
		if err != nil {
			return cause(ctx, err)
		}
	}
	return d.sync()
}

// begin looks at the beginning of an answer (RFC 9110, 14 and 15.3.7).
func (d *download) begin(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
		// All of it: there was nothing, the server has no ranges, or the file is another.
		if resp.ContentLength >= 0 && resp.ContentLength != d.want.Size {
			return refuse(Malformed, "The feed has a file of %d bytes where its index says %d: tell whoever runs it.", resp.ContentLength, d.want.Size)
		}
		if err := d.restart(); err != nil {
			return err
		}
		d.whole = true
		return d.remember(resp)
	case http.StatusPartialContent:
		first, total, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || first != d.done || total != d.want.Size {
			err := fmt.Errorf("the feed answers with another part (%.80q) than it was asked for", resp.Header.Get("Content-Range"))
			return errors.Join(err, d.restart())
		}
		d.whole = false
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		return errors.Join(errors.New("the feed has a shorter file than before"), d.restart())
	}
	return statusError(resp)
}

// remember records which version of the file is being fetched, before a byte of it is.
func (d *download) remember(resp *http.Response) error {
	d.state = partState{Address: d.address}
	if tag := resp.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") && len(tag) <= 256 {
		d.state.Validator = tag
	} else if modified := resp.Header.Get("Last-Modified"); tag == "" && len(modified) <= 64 {
		d.state.Validator = modified
	}
	b, err := json.Marshal(d.state)
	if err != nil {
		return err
	}
	temporary := d.name + stateSuffix + ".new"
	if err := os.WriteFile(temporary, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, d.name+stateSuffix)
}

// contentRange reads "bytes 5-9/10".
func contentRange(s string) (first, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	span, size, found := strings.Cut(s, "/")
	from, to, isSpan := strings.Cut(span, "-")
	if !ok || !found || !isSpan {
		return 0, 0, false
	}
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	total, err3 := strconv.ParseInt(size, 10, 64)
	return first, total, err1 == nil && err2 == nil && err3 == nil && 0 <= first && first <= last && last < total
}

// store adds bytes to the part.
func (d *download) store(b []byte) error {
	n, err := d.part.WriteAt(b, d.done)
	d.sum.Write(b[:n])
	d.done += int64(n)
	if err != nil {
		return err
	}
	if n > 0 {
		d.progress(d.done, d.want.Size)
	}
	if d.unsynced += int64(n); d.unsynced >= syncEvery {
		return d.sync()
	}
	return nil
}

func (d *download) sync() error {
	d.unsynced = 0
	return d.part.Sync()
}

// checkRoom says whether the rest has room on the disk.
func (d *download) checkRoom() error {
	look := d.feed.room
	if look == nil {
		look = freeSpace
	}
	free, err := look(d.dir)
	if err != nil {
		return err
	}
	if need := d.want.Size - d.done + spareRoom; free < need {
		return refuse(NoSpace, "The disk has %d MiB free, and the update needs %d: delete what is no longer needed, such as old captures.", free>>20, need>>20+1)
	}
	return nil
}

// finish gives the complete file its name.
func (d *download) finish() (string, error) {
	if err := d.part.Sync(); err != nil {
		return "", err
	}
	if err := os.Rename(d.name+partSuffix, d.name+bundleSuffix); err != nil {
		return "", err
	}
	if err := os.Remove(d.name + stateSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return d.name + bundleSuffix, syncFolder(d.dir)
}
