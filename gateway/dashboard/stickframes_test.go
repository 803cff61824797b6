package dashboard

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFramesOfAStick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := house()
		var running atomic.Int64
		o.Capture = func(ctx context.Context, stick string, w io.Writer, flush func() error) error {
			running.Add(1)
			defer running.Add(-1)
			fmt.Fprintf(w, "# lintel capture 1\n# stick %s\n0.000000 = 115200 8N1\n", stick)
			for i := range 200 {
				fmt.Fprintf(w, "%d.000000 < 2f4953%04x\n", i, i)
			}
			fmt.Fprintf(w, "9.000000 > %s\n9.100000 ! unplugged\n", strings.Repeat("ff", 5000))
			<-ctx.Done()
			return nil
		}
		s := New(o)
		s.frames("a")
		synctest.Wait()
		lines, full := s.frames("a")
		if full || len(lines) != maxFrames || running.Load() != 1 {
			t.Fatalf("%d lines of %d captures", len(lines), running.Load())
		}
		last := lines[maxFrames-1]
		if last.What != "unplugged" || last.Text != "" {
			t.Errorf("the last line: %+v", last)
		}
		if sent := lines[maxFrames-2]; !sent.Sent || len(sent.What) > maxFrameText+len("…") || sent.Text != "" {
			t.Errorf("what was sent: %+v", sent)
		}
		if heard := lines[maxFrames-3]; heard.Sent || heard.Text != "/IS··" || heard.What != "2f495300c7" {
			t.Errorf("what was heard: %+v", heard)
		}
		for i := range 10 {
			_, full = s.frames(fmt.Sprint(i))
		}
		if synctest.Wait(); !full || running.Load() != maxWatched {
			t.Errorf("%d sticks are watched", running.Load())
		}
		// When nobody looks any more nothing is taken.
		time.Sleep(2 * framesForgot)
		if synctest.Wait(); running.Load() != 0 {
			t.Errorf("%d captures go on", running.Load())
		}
	})
}
