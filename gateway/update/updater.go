package update

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Roots is what an [Updater] does with a [Machine]; tests have one of their own.
type Roots interface {
	Start(Release) (Situation, *Record, error)
	Uptime() (seconds float64, err error)
	Room() (int64, error)
	Write(ctx context.Context, m *Manifest, root io.Reader, progress func(done int64)) error
	Arm(ctx context.Context, alive json.RawMessage, patience int, progress func(done int64)) error
	Abandon() error
	Commit(ctx context.Context, r Release, progress func(done int64)) error
	Return(r Release, reason string) error
	Reboot(ctx context.Context) error
}

// House is what lives on the box: it knows what there was before an update and judges what
// is there after it. Both are called from the goroutine of [Updater.Run].
type House interface {
	// Alive says what there is, as JSON of at most 256 KiB that only Judge reads.
	Alive() json.RawMessage
	// Judge compares that with what there is now. It takes a few seconds at most.
	Judge(ctx context.Context, alive json.RawMessage) Verdict
}

// Options are the options of [New].
type Options struct {
	Release Release
	Machine Roots  // nil: this Lintel cannot update itself
	Unable  string // why not, and how it is done instead
	House   House

	Keys    Keys   // that are trusted
	Feed    string // address of the index of a feed; empty: there is none
	Channel Channel
	Box     string // id of the box, which staged releases go by
	Folder  string // for what is fetched

	Automatic bool // install what the feed offers
	Hours     Daytime
	Trial     time.Duration // that a new version has to prove itself

	// Now is the time in the time zone of the house; zero: the clock is not right.
	Now func() time.Time

	Logger *slog.Logger // nil: silent

	client *http.Client // of tests; nil: that of a [Feed]
}

const (
	firstCheck = 2 * time.Minute // after the start: the network and the clock come first
	checkEvery = 24 * time.Hour
	retryFirst = 15 * time.Minute // after a feed that does not answer, then twice that, …
	retryMost  = 6 * time.Hour
	look       = time.Minute     // between two looks at whether something is due
	answerTime = 2 * time.Second // between the answer to whoever asked for an update and the restart
	judgeEvery = 2 * time.Second
	settleTime = 30 * time.Second // that a house is healthy without a break before it counts
)

// Updater finds, installs and tries new versions of the box.
type Updater struct {
	o       Options
	log     *slog.Logger
	jobs    chan *job
	changed chan struct{}

	mu     sync.Mutex
	status Status
	cancel context.CancelCauseFunc // of what is being installed; nil: it cannot be cancelled
	index  *Index                  // last fetched; nil: none
	tried  int64                   // counter of the version that did not hold
}

// job is something to do. It is done in the goroutine of Run, one at a time.
type job struct {
	do   func(context.Context) error
	done chan error // has room for the result
}

// New returns an Updater that does nothing until Run.
func New(o Options) *Updater {
	u := &Updater{o: o, log: o.Logger, jobs: make(chan *job), changed: make(chan struct{}, 1)}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	r := o.Release
	u.status = Status{Version: r.Version, Counter: r.Counter, Board: r.Board, Kernel: r.Kernel, Phase: Idle, Percentage: -1}
	if o.Machine == nil {
		u.status.Unable = o.Unable
		return u
	}
	u.status.Feed, u.status.Automatic = o.Feed, o.Automatic && o.Feed != ""
	if o.Feed != "" {
		u.status.Channel = string(o.Channel)
	}
	if u.status.Automatic {
		u.status.Hours = o.Hours.String()
	}
	return u
}

// Status says what there is and what is being done. It does not block.
func (u *Updater) Status() Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.status
}

// Changed has a value after Status has changed. There is one for all who ask.
func (u *Updater) Changed() <-chan struct{} { return u.changed }

// set changes the status.
func (u *Updater) set(change func(*Status)) {
	u.mu.Lock()
	change(&u.status)
	u.mu.Unlock()
	select {
	case u.changed <- struct{}{}:
	default:
	}
}

// enter begins a phase.
func (u *Updater) enter(p Phase) {
	u.set(func(s *Status) { s.Phase, s.Percentage = p, -1 })
}

// progress returns what takes note of how much of total is done, a percent at a time.
func (u *Updater) progress(total int64) func(int64) {
	last := int64(-1)
	return func(done int64) {
		if percent := 100 * done / max(total, 1); percent != last {
			last = percent
			u.set(func(s *Status) { s.Percentage = float64(percent) })
		}
	}
}

// Run decides on a trial, then looks for new versions and does what is asked, until ctx ends; it
// then returns nil.
func (u *Updater) Run(ctx context.Context) error {
	if u.o.Machine == nil {
		<-ctx.Done()
		return nil
	}
	if err := u.begin(ctx); err != nil {
		// The house goes on without updates.
		u.log.Error("no updates until the next start", "err", err)
		u.set(func(s *Status) { s.Unable = "Updates are off until the next start: " + err.Error() + "." })
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	c := checks{next: time.Now().Add(firstCheck)}
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-u.jobs:
			j.done <- j.do(ctx)
			u.afterwards(ctx)
		case <-tick.C:
			u.due(ctx, &c)
			u.afterwards(ctx)
		}
	}
}

// begin acts on where this start finds an update.
func (u *Updater) begin(ctx context.Context) error {
	situation, record, err := u.o.Machine.Start(u.o.Release)
	if err != nil {
		return fmt.Errorf("look at the last update: %w", err)
	}
	if situation != NormalStart {
		u.log.Info("update", "situation", situation.String())
	}
	if record != nil && record.State == StateReturned {
		u.tried = record.Counter
		u.set(func(s *Status) {
			s.Returned = &Returned{Version: record.Version, Reason: record.Reason, Time: record.Time}
		})
	}
	switch situation {
	case TrialStart:
		u.try(ctx, record)
	case CommittedStart:
		u.set(func(s *Status) { s.RestartFirst = true })
	case ForeignTrial:
		u.enter(Restarting)
		if err := u.o.Machine.Reboot(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	case WriteInterrupted:
		u.set(func(s *Status) {
			s.Failed = "The last update was interrupted while it was being written. Nothing has changed: start it again."
		})
	}
	return nil
}

// afterwards restarts the machine if a job has asked for it. Whoever asked for that job
// has been answered.
func (u *Updater) afterwards(ctx context.Context) {
	if u.Status().Phase != Restarting {
		return
	}
	if !sleep(ctx, answerTime) {
		return
	}
	if err := u.o.Machine.Reboot(ctx); err != nil && ctx.Err() == nil {
		u.log.Error("the box does not restart", "err", err)
		u.set(func(s *Status) {
			s.Phase, s.Failed = Idle, "The box could not be restarted ("+err.Error()+"): pull its plug and put it in again. That is safe."
		})
	}
}

// betweenJobs is how long Run may take from the end of a job to the next one.
const betweenJobs = time.Second

// begun hands a job to Run.
func (u *Updater) begun(j *job) error {
	if unable := u.Status().Unable; unable != "" {
		return refuse(Unable, "%s", unable)
	}
	select {
	case u.jobs <- j:
		return nil
	default:
	}
	if u.Status().Phase == Idle { // Run is on its way from one job to the next
		select {
		case u.jobs <- j:
			return nil
		case <-time.After(betweenJobs):
		}
	}
	switch u.Status().Phase {
	case OnTrial, Committing:
		return refuse(Busy, "This version is on trial: wait until it is kept.")
	case Restarting:
		return refuse(Busy, "The box is about to restart: try again in a few minutes.")
	case Checking:
		return refuse(Busy, "The box is asking for new versions just now: try again in a moment.")
	}
	return refuse(Busy, "An update is being installed already: wait for it or cancel it.")
}

// ask has something done and waits for it.
func (u *Updater) ask(do func(context.Context) error) error {
	j := &job{do: do, done: make(chan error, 1)}
	if err := u.begun(j); err != nil {
		return err
	}
	return <-j.done
}

// Check asks the feed for new versions, those of a staged release too.
func (u *Updater) Check(ctx context.Context) error {
	return u.ask(func(running context.Context) error {
		ctx, stop := both(running, ctx)
		defer stop()
		return u.check(ctx, true)
	})
}

// Start begins to install what [Status.Available] says and does not wait for it.
func (u *Updater) Start() error {
	if err := u.ready(); err != nil {
		return err
	}
	return u.begun(&job{do: u.installFromFeed, done: make(chan error, 1)})
}

// Install installs what [Status.Available] says, and returns when the box is about to
// restart, or has failed.
func (u *Updater) Install(context.Context) error {
	if err := u.ready(); err != nil {
		return err
	}
	return u.ask(u.installFromFeed)
}

// Upload installs the bundle that comes from r, and returns when the box is about to
// restart, or has failed, and reads r no more.
func (u *Updater) Upload(ctx context.Context, r io.Reader) error {
	if err := u.fresh(); err != nil {
		return err
	}
	return u.ask(func(running context.Context) error {
		ctx, stop := both(running, ctx)
		defer stop()
		return u.installing(ctx, func(ctx context.Context) error { return u.install(ctx, r) })
	})
}

// Restart restarts the box.
func (u *Updater) Restart() error {
	return u.ask(func(context.Context) error {
		u.enter(Restarting)
		return nil
	})
}

// Cancel ends an installation. It reports whether there was one that could be ended.
func (u *Updater) Cancel() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.cancel == nil {
		return false
	}
	u.cancel(refuse(Canceled, "The update was cancelled. Nothing has changed."))
	return true
}

// fresh says whether the box can take an update now.
func (u *Updater) fresh() error {
	if u.Status().RestartFirst {
		return errRestartFirst
	}
	return nil
}

// ready says whether there is something to install.
func (u *Updater) ready() error {
	if unable := u.Status().Unable; unable != "" {
		return refuse(Unable, "%s", unable)
	}
	if u.Status().Available == nil && u.Status().Phase == Idle {
		return refuse(Nothing, "There is nothing newer to install: check for updates first.")
	}
	return u.fresh()
}

// both is done when one of the two is.
func both(a, b context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx, func() { stop(); cancel(nil) }
}

// sleep reports whether d has passed before ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
