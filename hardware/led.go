package hardware

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LED is a light of the board that may be made to blink.
type LED struct{ folder string }

const (
	blink       = 250 * time.Millisecond // the light is on, and then off
	maxTriggers = 16 << 10               // bytes of their names: there is one for each processor
)

// FindLED returns the light that shows what the card does, if this program may use it.
// Device trees call it ACT, older ones led0; where there is none the power light will do.
func FindLED(root string) (LED, bool) {
	for _, name := range []string{"ACT", "led0", "default-on", "PWR", "led1"} {
		l := LED{filepath.Join("/", root, "sys/class/leds", name)}
		if unix.Access(l.name("trigger"), unix.W_OK) == nil && unix.Access(l.name("brightness"), unix.W_OK) == nil {
			return l, true
		}
	}
	return LED{}, false
}

func (l LED) name(file string) string { return filepath.Join(l.folder, file) }

// Blink makes the light blink for a while, or until ctx ends, and then has it show again
// what it showed before. Two at a time would get into each other's way.
func (l LED) Blink(ctx context.Context, d time.Duration) (err error) {
	before, brightness := chosen(readText(maxTriggers, l.folder, "trigger")), readString(l.folder, "brightness")
	on := readString(l.folder, "max_brightness")
	if on == "" || on == "0" {
		on = "1"
	}
	if err := l.write("trigger", "none"); err != nil {
		return err
	}
	defer func() {
		rerr := l.write("trigger", before)
		if before == "none" && rerr == nil {
			rerr = l.write("brightness", brightness)
		}
		if err == nil {
			err = rerr
		}
	}()
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(blink)
	defer tick.Stop()
	for lit := true; ; lit = !lit {
		value := "0"
		if lit {
			value = on
		}
		if err := l.write("brightness", value); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-end.C:
			return nil
		case <-tick.C:
		}
	}
}

// chosen returns the trigger in brackets: the file lists all that there are.
func chosen(triggers string) string {
	_, after, _ := strings.Cut(triggers, "[")
	name, _, ok := strings.Cut(after, "]")
	if !ok || name == "" {
		return "none"
	}
	return name
}

func (l LED) write(file, value string) error {
	if err := os.WriteFile(l.name(file), []byte(value+"\n"), 0); err != nil {
		return fmt.Errorf("hardware: light: %w", err)
	}
	return nil
}
