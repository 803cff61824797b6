package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress shows on a terminal how far something is. Elsewhere it shows nothing.
type progress struct {
	w     io.Writer // nil: nothing is shown
	what  string
	from  time.Time
	shown time.Time
}

// newProgress shows on w if that is a terminal.
func newProgress(w io.Writer) *progress {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull {
			return &progress{w: w}
		}
	}
	return &progress{}
}

// show shows that done of all is done; all is 0 if it is not known. It does so a few times
// a second.
func (p *progress) show(what string, done, all int64) {
	now := time.Now()
	if p.w == nil || what == p.what && now.Sub(p.shown) < 200*time.Millisecond && done < all {
		return
	}
	if what != p.what {
		p.what, p.from = what, now
	}
	p.shown = now
	line := fmt.Sprintf("%s  %s", what, formatSize(done))
	if all > 0 {
		const width = 30
		full := int(min(done, all) * width / all)
		line = fmt.Sprintf("%-12s [%-*s] %3d %%  %s of %s", what, width, bar[:full], min(done, all)*100/all, formatSize(done), formatSize(all))
		if spent := now.Sub(p.from); done > 0 && done < all && spent > 2*time.Second {
			line += fmt.Sprintf("  %v left", (time.Duration(float64(spent) * float64(all-done) / float64(done))).Round(time.Second))
		}
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", line)
}

const bar = "=============================="

// end ends the line.
func (p *progress) end() {
	if p.w != nil && p.what != "" {
		fmt.Fprintln(p.w)
	}
	p.what = ""
}

// reader shows how far r is read.
func (p *progress) reader(what string, r io.Reader, all int64) io.Reader {
	var done int64
	return readerFunc(func(b []byte) (int, error) {
		n, err := r.Read(b)
		done += int64(n)
		p.show(what, done, all)
		return n, err
	})
}
