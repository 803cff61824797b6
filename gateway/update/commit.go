package update

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// errNoTrial says that there is nothing to decide about.
var errNoTrial = errors.New("no trial is running")

// Commit makes the version on trial the one that is started from now on. It reads its
// root from the medium once more first. r is what this program is. An error
// leaves the trial as it was: call it again, or [Machine.Return].
func (m *Machine) Commit(ctx context.Context, r Release, progress func(done int64)) error {
	s, record, err := m.Look(r)
	if err != nil {
		return err
	}
	if s != TrialStart {
		return errNoTrial
	}
	d, err := m.open(m.devices[m.Running], false)
	if err != nil {
		return fmt.Errorf("open the root on trial: %w", err)
	}
	err = verify(ctx, d, record.Root, true, progress)
	d.Close()
	if err != nil {
		return err
	}
	b, err := m.openBoot(true)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.point(m.Running); err != nil {
		return err
	}
	record.State, record.Reason, record.Left = StateCommitted, "", nil
	return m.save(record)
}

// Return notes why the version on trial is left. After it, call [Machine.Reboot]: the
// loader still starts the version before.
func (m *Machine) Return(r Release, reason string) error {
	s, record, err := m.Look(r)
	if err != nil {
		return err
	}
	if s != TrialStart {
		return errNoTrial
	}
	record.Reason = cut(strings.ToValidUTF8(reason, "?"), maxReason)
	return m.save(record)
}

// cut shortens a text to so many bytes, at the end of a character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := most - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
