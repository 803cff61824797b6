package gateway

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"lintel/gateway/homeassistant"
	"lintel/gateway/update"
)

// noBox says on a machine that is no appliance how Lintel is updated there.
const noBox = "This Lintel runs on a computer that is not its own: put the new program in the place of the old one, in the way it was installed, and start it again. " +
	"What it knows stays in the data folder. A box with the image of Lintel on its card updates itself."

// unable says why this Lintel cannot update itself and how it is done instead.
func (g *gateway) unable() string {
	if g.o.NoMachine == nil {
		return noBox
	}
	return fmt.Sprintf("This box cannot update itself: %v. Make a backup, write the image of the version that you want to the card, and restore the backup there.", g.o.NoMachine)
}

// downloadFolder, in the data folder, holds what is fetched from a feed.
const downloadFolder = "update/download"

// buildUpdates makes what installs new versions.
func (g *gateway) buildUpdates() error {
	health, err := newHouseHealth(g)
	if err != nil {
		return err
	}
	g.health = health
	c := g.config.Update
	keys := g.o.Release.Keys
	for _, text := range c.Keys {
		more, err := update.ParseKeys(text)
		if err != nil {
			return fmt.Errorf("update.keys: %w", err)
		}
		keys = keys.With(more)
	}
	release := g.o.Release
	release.Version = g.o.Version
	g.updater = update.New(update.Options{
		Release: release, Machine: g.o.Machine, Unable: g.unable(), House: health,
		Keys: keys, Feed: c.FeedOf(release), Channel: c.Channel, Box: g.box.ID,
		Folder:    filepath.Join(g.o.Data, downloadFolder),
		Automatic: c.Automatic, Hours: c.Hours, Trial: c.Trial(), Now: g.now,
		Logger: g.log,
	})
	return nil
}

// now is the time; zero: the clock is not known to be right.
func (g *gateway) now() time.Time {
	if !g.store.ClockKnown() {
		return time.Time{}
	}
	return time.Now()
}

// boxUpdates is the updater in the words of Home Assistant's update entity.
type boxUpdates struct{ *update.Updater }

func (b boxUpdates) State() homeassistant.UpdateState {
	s := b.Status()
	state := homeassistant.UpdateState{Installed: s.Version, Title: "Lintel", Percentage: -1}
	if s.Available != nil {
		state.Latest, state.Summary, state.URL = s.Available.Version, s.Available.Summary, s.Available.URL
	} else if !s.Checked.IsZero() {
		state.Latest = s.Version
	}
	if s.Returned != nil && s.Returned.Version == state.Latest {
		state.Summary = "It was tried and did not hold: " + s.Returned.Reason + " " + state.Summary
	}
	// All of it in one bar.
	switch part := max(s.Percentage, 0) / 100; s.Phase {
	case update.Downloading:
		state.InProgress, state.Percentage = true, 50*part
	case update.Writing:
		state.InProgress, state.Percentage = true, 50+30*part
	case update.Arming:
		state.InProgress, state.Percentage = true, 80+20*part
	case update.Restarting, update.OnTrial, update.Committing:
		state.InProgress = true
	}
	return state
}

// Install installs what there is. After a refusal its sentence follows "The last try failed: ".
func (b boxUpdates) Install(ctx context.Context) error {
	err := b.Updater.Install(ctx)
	if refusal, ok := errors.AsType[*update.Refusal](err); ok {
		return errors.New(trimDot(refusal.Text))
	}
	return err
}

func trimDot(s string) string {
	if n := len(s); n > 0 && s[n-1] == '.' {
		return s[:n-1]
	}
	return s
}
