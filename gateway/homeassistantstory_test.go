package gateway

import (
	"syscall"
	"testing"
)

// TestHomeAssistantStory goes with a house and its Home Assistant through what happens to
// both in a year.
func TestHomeAssistantStory(t *testing.T) {
	s := newHomeStage(t)
	if err := s.home.Try(t.Context(), s.entry); err != nil {
		t.Fatal(err)
	}
	s.home.Configure(s.entry)
	s.everyEntityRight("connecting")
	t.Logf("%d entities of %d devices", len(s.home.Entities()), len(s.home.Devices()))

	s.home.Restart()
	s.everyEntityRight("a restart of Home Assistant")

	s.stop(syscall.SIGTERM)
	s.start()
	s.everyEntityRight("a restart of the box")

	s.stop(syscall.SIGKILL)
	s.start()
	s.everyEntityRight("a power cut")
}
