package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// checks is when the feed is asked next.
type checks struct {
	next  time.Time
	wait  time.Duration // after a failure; 0: there was none
	again time.Time     // before which an automatic update is not tried again
}

// due does what is due by itself.
func (u *Updater) due(ctx context.Context, c *checks) {
	if u.o.Feed == "" {
		return
	}
	now := u.o.Now()
	if !time.Now().Before(c.next) {
		if err := u.check(ctx, false); err != nil {
			c.wait = min(max(2*c.wait, retryFirst), retryMost)
			c.next = time.Now().Add(c.wait)
		} else {
			// Not all boxes at the same time, nor each at the same time of the day.
			c.wait, c.next = 0, time.Now().Add(checkEvery-checkEvery/4+time.Duration(Share(u.o.Box, time.Now().String())/100*float64(checkEvery)/2))
		}
	}
	if !u.o.Automatic || now.IsZero() || !u.o.Hours.Holds(now) || time.Now().Before(c.again) {
		return
	}
	e := u.offer(false).Entry
	if e == nil || e.Manifest.Counter == u.tried {
		return // what did not hold once is for a person to try again
	}
	c.again = time.Now().Add(time.Hour)
	if u.fresh() != nil {
		u.log.Info("restart before an update")
		u.enter(Restarting)
		return
	}
	u.log.Info("update by itself", "version", e.Manifest.Version)
	u.installing(ctx, func(ctx context.Context) error { return u.fetch(ctx, e) })
}

// check asks the feed.
func (u *Updater) check(ctx context.Context, asked bool) error {
	if u.o.Feed == "" {
		return refuse(Nothing, "This box has no release feed: name one as feed in the section [update] of its configuration, or upload a bundle here.")
	}
	u.enter(Checking)
	index, err := u.feed().Index(ctx)
	if err != nil && u.o.Now().IsZero() && !isType[*Refusal](err) {
		err = fmt.Errorf("%w; the clock of the box is not set yet, and without it no certificate can be checked", err)
	}
	if err != nil {
		u.set(func(s *Status) { s.Phase, s.CheckErr = Idle, inSentence(err) })
		return err
	}
	u.mu.Lock()
	u.index = index
	u.mu.Unlock()
	offer := u.offer(asked)
	u.set(func(s *Status) {
		s.Phase, s.Checked, s.CheckErr, s.Available = Idle, u.o.Now(), "", available(offer.Entry)
		if offer.Entry == nil && offer.Refused != nil {
			s.CheckErr = offer.Refused.Error()
		}
	})
	return nil
}

func (u *Updater) feed() *Feed { return &Feed{URL: u.o.Feed, Keys: u.o.Keys, Client: u.o.client} }

// offer says what the feed has for this box.
func (u *Updater) offer(asked bool) Offer {
	u.mu.Lock()
	index := u.index
	u.mu.Unlock()
	if index == nil {
		return Offer{}
	}
	room, err := u.o.Machine.Room()
	if err != nil {
		room = 0 // who writes the root will find out
	}
	return index.Offer(u.o.Release, u.o.Channel, u.o.Box, asked, u.o.Now(), room)
}

func available(e *Entry) *Available {
	if e == nil {
		return nil
	}
	m := &e.Manifest
	return &Available{Version: m.Version, Counter: m.Counter, Released: m.Released, Size: e.Bundle.Size, Summary: m.Notes.Summary, URL: m.Notes.URL}
}

// installFromFeed installs what is shown as available.
func (u *Updater) installFromFeed(ctx context.Context) error {
	e := u.offer(true).Entry
	if e == nil {
		return refuse(Nothing, "There is nothing newer to install: check for updates first.")
	}
	return u.installing(ctx, func(ctx context.Context) error { return u.fetch(ctx, e) })
}

// installing does one installation and tells how it went.
func (u *Updater) installing(ctx context.Context, do func(context.Context) error) error {
	if err := u.fresh(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	u.mu.Lock()
	u.cancel = cancel
	u.mu.Unlock()
	u.set(func(s *Status) { s.Failed, s.CanCancel = "", true })
	err := do(ctx)
	u.mu.Lock()
	u.cancel = nil // from now on nothing changes the result
	u.mu.Unlock()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		u.log.Info("update written, and tried at the next start", "version", u.Status().Installing)
		u.set(func(s *Status) { s.Phase, s.Percentage, s.CanCancel = Restarting, -1, false })
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !isType[*Refusal](err) {
		err = cause
	}
	if undo := u.o.Machine.Abandon(); undo != nil {
		u.log.Error("update not taken back", "err", undo)
	}
	u.log.Error("update failed", "version", u.Status().Installing, "err", err)
	u.set(func(s *Status) {
		s.Phase, s.Percentage, s.CanCancel, s.Installing, s.Failed = Idle, -1, false, "", inSentence(err)
	})
	return err
}

// fetch installs a release of the feed.
func (u *Updater) fetch(ctx context.Context, e *Entry) error {
	m := &e.Manifest
	u.set(func(s *Status) { s.Phase, s.Percentage, s.Installing = Downloading, 0, m.Version })
	progress := u.progress(e.Bundle.Size)
	name, err := u.feed().Download(ctx, e, u.o.Folder, func(done, _ int64) { progress(done) })
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := u.install(ctx, f); err != nil {
		return err
	}
	if err := os.RemoveAll(u.o.Folder); err != nil {
		u.log.Warn("download not removed", "err", err)
	}
	return nil
}

// install writes the root of a bundle and has the next start try it.
func (u *Updater) install(ctx context.Context, r io.Reader) error {
	u.enter(Writing)
	b, err := Open(r, u.o.Keys)
	if err != nil {
		return err
	}
	m := &b.Manifest
	u.set(func(s *Status) { s.Installing = m.Version })
	if err := u.o.Release.Judge(m, u.o.Now(), 0); err != nil { // Write knows how much room there is
		return err
	}
	if err := u.o.Machine.Write(ctx, m, b.Root(), u.progress(m.Root.Size)); err != nil {
		return err
	}
	u.enter(Arming)
	alive := u.o.House.Alive()
	patience := int((u.o.Trial + guardMargin) / time.Second)
	return u.o.Machine.Arm(ctx, alive, patience, u.progress(m.Root.Size))
}

// Explain makes a sentence for people of an error of an [Updater]. The reason is that of
// a [Refusal]; empty: it is none.
func Explain(err error) (sentence string, reason Reason) {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.Text, refusal.Reason
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "The update was broken off. Nothing has changed.", ""
	}
	return "It could not be done: " + err.Error() + ".", ""
}

func inSentence(err error) string {
	sentence, _ := Explain(err)
	return sentence
}
