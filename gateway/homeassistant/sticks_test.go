package homeassistant

import (
	"testing"
	"time"
)

// A stick tells no more than once a minute, and only what is new.
func TestSticksAreCalm(t *testing.T) {
	t.Parallel()
	start := time.Now()
	k := &knownStick{}
	for i, step := range []struct {
		after  time.Duration
		state  string
		frames uint64
		again  bool
		want   string
	}{
		{0, "online", 0, false, `{"state":"online"}`},
		{20 * time.Second, "failed", 10, false, ""},
		{30 * time.Second, "online", 15, true, `{"state":"online"}`}, // Home Assistant has started
		{60 * time.Second, "online", 30, false, `{"frames_per_minute":30,"state":"online"}`},
		{100 * time.Second, "failed", 40, false, ""},
		{120 * time.Second, "failed", 60, false, `{"frames_per_minute":30,"state":"failed"}`},
		{180 * time.Second, "failed", 90, false, ""}, // nothing new
		{190 * time.Second, "online", 95, false, `{"frames_per_minute":30,"state":"online"}`},
		{310 * time.Second, "online", 95, false, `{"frames_per_minute":0,"state":"online"}`},
	} {
		if got := string(k.due(map[string]any{"state": step.state}, step.frames, start.Add(step.after), step.again)); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}
