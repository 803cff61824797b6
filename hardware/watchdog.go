package hardware

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// watchdogFed is how often. That of a Raspberry Pi waits for 15 seconds at most.
const watchdogFed = time.Second

// FeedWatchdog feeds the machine's watchdog until ctx ends, unless another program does:
// then, and where there is none, it returns nil at once. At the end it stops the watchdog.
//
// The init of the appliance feeds it at every start but that of a trial: there it opens
// the watchdog while it still mounts /dev, does not find it, and lets it be. The
// watchdog has run since the start and would reset the machine in the middle of the trial.
func FeedWatchdog(ctx context.Context, root string) error {
	// Linux lets one program at a time open it (Documentation/watchdog/watchdog-api).
	w, err := os.OpenFile(filepath.Join(root, "dev/watchdog"), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the watchdog: %w", err)
	}
	defer w.Close()
	tick := time.NewTicker(watchdogFed)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte{0}); err != nil {
			return fmt.Errorf("feed the watchdog: %w", err)
		}
		select {
		case <-ctx.Done():
			// The magic character: whoever ends without it is taken to have hung.
			if _, err := w.Write([]byte("V")); err != nil {
				return fmt.Errorf("stop the watchdog: %w", err)
			}
			return nil
		case <-tick.C:
		}
	}
}
