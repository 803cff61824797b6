package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"lintel/gateway/update"
)

const (
	// updatePoll is how often a box is asked how far it is, and updateSilence how long
	// it may say nothing: it restarts, perhaps twice.
	updatePoll    = time.Second
	updateSilence = 10 * time.Minute
	// updateStart is how long a box may take to begin.
	updateStart = 30 * time.Second
)

func updateCommand() command {
	return command{
		name:  "update",
		args:  "[status|check|install|upload FILE|cancel|restart]",
		short: "which version a box has, and a newer one for it",
		long: `Without an argument, or with status, it says what runs and what there is. check asks the release feed of
the box, install takes what there is, upload brings a bundle (FILE.lintel). The box verifies who signed
it, writes it beside what runs, restarts with it on trial, and keeps it only if the house comes back;
else it goes back by itself. install and upload follow that to its end; the status is 1 if the new version is
not kept. The token is of level admin.

	lintelctl update --box http://lintel.local upload lintel-1.2.3.lintel`,
		words:  []string{"status", "check", "install", "upload", "cancel", "restart"},
		define: runUpdate,
	}
}

func runUpdate(flags *flag.FlagSet) action {
	b := boxFlags(flags)
	asJSON := jsonFlag(flags)
	noWait := flags.Bool("no-wait", false, "do not wait until install or upload has come to its end")
	return func(c *call, args []string) error {
		if err := b.check(); err != nil {
			return err
		}
		what := "status"
		if len(args) > 0 {
			what, args = args[0], args[1:]
		}
		if wants := map[bool]int{true: 1}[what == "upload"]; len(args) != wants {
			return fmt.Errorf("update upload takes one file, the other actions none: %w", errUsage)
		}
		ctx, stop := interruptible()
		defer stop()
		f := &following{box: b, progress: newProgress(c.diagnostics), poll: updatePoll, silence: updateSilence, start: updateStart}
		defer f.progress.end()
		var status update.Status
		var err error
		switch what {
		case "status":
			err = b.call("GET", "/api/update", "", nil, &status)
		case "check", "cancel", "restart":
			err = b.ask(ctx, "POST", "/api/update/"+what, "application/json", strings.NewReader("{}"), &status)
		case "install", "upload":
			if err = b.call("GET", "/api/update", "", nil, &f.before); err != nil {
				break
			}
			if what == "upload" {
				err = f.upload(ctx, args[0], &status)
			} else {
				err = b.ask(ctx, "POST", "/api/update/install", "application/json", strings.NewReader("{}"), &status)
			}
			if err == nil && !*noWait {
				status, err = f.follow(ctx, status)
			}
		default:
			return fmt.Errorf("update has no action %q: %w", what, errUsage)
		}
		f.progress.end()
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(c.out, status)
		}
		return writeUpdate(c.out, &status)
	}
}

// following follows an update of a box to its end.
type following struct {
	box      *box
	progress *progress
	before   update.Status // of the box, before anything was asked

	poll, silence, start time.Duration
}

// upload sends a bundle.
func (f *following) upload(ctx context.Context, name string, status *update.Status) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	body := f.progress.reader("uploading", file, info.Size())
	return f.box.ask(ctx, "POST", "/api/update/upload", "application/octet-stream", body, status)
}

// errWentBack says that an update came to nothing.
var errWentBack = errors.New("the new version is not kept")

// follow waits until the version that is being installed is kept or left. It returns the
// last status.
func (f *following) follow(ctx context.Context, status update.Status) (update.Status, error) {
	target := cmp.Or(status.Installing, "the new version")
	heard, begun := time.Now(), false
	for {
		switch {
		case status.Phase != update.Idle:
			begun = true
			target = cmp.Or(status.Installing, target)
			f.say(&status)
		case status.Counter != f.before.Counter || status.Version != f.before.Version:
			return status, nil // it runs, and its trial is over
		case status.Returned != nil && (f.before.Returned == nil || *status.Returned != *f.before.Returned):
			return status, fmt.Errorf("%w: %s %s", errWentBack, target, status.Returned.Reason)
		case status.Failed != "" && (begun || status.Failed != f.before.Failed):
			return status, fmt.Errorf("%w: %s", errWentBack, status.Failed)
		case begun:
			return status, fmt.Errorf("%w: the box is as it was before", errWentBack)
		case time.Since(heard) > f.start:
			return status, errors.New("the box does not begin with it: look at its page Update")
		}
		next, err := f.ask(ctx)
		for err != nil && ctx.Err() == nil {
			if !begun || time.Since(heard) > f.silence {
				return status, fmt.Errorf("the box has not come back, look at it: %w", err)
			}
			f.progress.show("restarting", 0, 0)
			next, err = f.ask(ctx)
		}
		if ctx.Err() != nil {
			return status, errors.New("no longer followed; the box goes on by itself")
		}
		if status = next; begun {
			heard = time.Now()
		}
	}
}

// ask asks for the status, after a rest.
func (f *following) ask(ctx context.Context) (update.Status, error) {
	var status update.Status
	rest := time.NewTimer(f.poll)
	defer rest.Stop()
	select {
	case <-ctx.Done():
		return status, ctx.Err()
	case <-rest.C:
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err := f.box.ask(ctx, "GET", "/api/update", "", nil, &status)
	return status, err
}

// say shows how far the box is.
func (f *following) say(s *update.Status) {
	if s.Percentage >= 0 && s.Phase != update.OnTrial {
		f.progress.show(string(s.Phase), int64(s.Percentage*10), 1000)
		return
	}
	f.progress.show(string(s.Phase), 0, 0)
}

// writeUpdate says for people what there is.
func writeUpdate(w io.Writer, s *update.Status) error {
	var text strings.Builder
	line := func(format string, args ...any) {
		for i, a := range args {
			if words, ok := a.(string); ok {
				args[i] = printable(strings.ToValidUTF8(words, "\uFFFD"))
			}
		}
		fmt.Fprintf(&text, format+"\n", args...)
	}
	line("version %s runs on %s", s.Version, cmp.Or(s.Board, "a machine of its own"))
	if s.Unable != "" {
		line("%s", s.Unable)
	}
	if s.Phase != update.Idle && s.Installing != "" {
		line("%s: version %s", string(s.Phase), s.Installing)
	} else if s.Phase != update.Idle {
		line("%s", string(s.Phase))
	}
	if t := s.Trial; t != nil {
		line("on trial for %v yet", time.Duration(t.SecondsLeft)*time.Second)
		for _, missing := range t.Missing {
			line("  missing: %s", missing)
		}
		for _, waiting := range t.Waiting {
			line("  waited for: %s", waiting)
		}
	}
	switch a := s.Available; {
	case a != nil:
		line("version %s can be installed, %d bytes", a.Version, a.Size)
		if a.Summary != "" {
			line("  %s", a.Summary)
		}
		if a.URL != "" {
			line("  %s", a.URL)
		}
	case s.CheckErr != "":
		line("%s", s.CheckErr)
	case !s.Checked.IsZero():
		line("nothing newer in channel %s, asked %s", s.Channel, s.Checked.Local().Format(time.DateTime))
	}
	if s.Failed != "" {
		line("the last try failed: %s", s.Failed)
	}
	if r := s.Returned; r != nil {
		line("version %s was tried and left: %s", r.Version, r.Reason)
	}
	if s.RestartFirst {
		line("before the next update the box has to restart: lintelctl update restart")
	}
	_, err := io.WriteString(w, text.String())
	return err
}
