package homeassistant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/mqtt"
	"lintel/serialbridge"
)

const (
	updateKey   = "update"
	installWord = "install"

	// progressLeast is the least time between two messages of progress.
	progressLeast = time.Second
	// maxSummary is what Home Assistant shows of release notes, in characters.
	maxSummary = 255
)

// UpdateState says which version there is and which there could be.
type UpdateState struct {
	Installed string
	Latest    string // empty: nobody knows
	Title     string
	Summary   string // of the release notes
	URL       string // of the release notes, http or https

	InProgress bool
	Percentage float64 // of what is in progress; negative: not known
}

// newer says whether there is something to install.
func (s *UpdateState) newer() bool {
	return s.Latest != "" && s.Latest != s.Installed && !s.InProgress
}

// Updates installs new versions of the box.
type Updates interface {
	// State says what there is. It does not block.
	State() UpdateState
	// Changed has a value after State has changed. Its capacity is 1 at least.
	Changed() <-chan struct{}
	// Install installs State().Latest and returns when that is done or has failed. The box
	// may end before it returns.
	Install(ctx context.Context) error
}

// BoxUpdateOptions are the options of [NewBoxUpdate].
type BoxUpdateOptions struct {
	Broker    serialbridge.Broker
	BaseTopic string // empty is "lintel"
	Updates   Updates

	// Refused is told of commands that were not done, and why; may be nil.
	Refused func(error)

	Logger *slog.Logger // nil: silent
}

// BoxUpdate is the update entity of the box: what there is, the button Install, progress.
type BoxUpdate struct {
	o       BoxUpdateOptions
	topic   string
	log     *slog.Logger
	install chan struct{}

	mu     sync.Mutex
	failed string // why the last try failed
	tried  string // the version that it was
}

// NewBoxUpdate returns a BoxUpdate that does nothing until Run.
func NewBoxUpdate(o BoxUpdateOptions) *BoxUpdate {
	u := &BoxUpdate{o: o, topic: Options{BaseTopic: o.BaseTopic}.topic(GatewayID, updateKey), log: o.Logger, install: make(chan struct{}, 1)}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	if u.o.Refused == nil {
		u.o.Refused = func(error) {}
	}
	return u
}

// Run tells of updates and installs them when somebody asks for it, until ctx ends; it
// then returns nil. It fails if the broker does not let it subscribe.
func (u *BoxUpdate) Run(ctx context.Context) error {
	set := u.topic + "/set"
	if err := u.o.Broker.Subscribe(ctx, set, mqtt.RetainAsPublished|1, u.take); err != nil {
		return fmt.Errorf("subscribe to %s: %w", set, err)
	}
	both, ctx := errgroup.WithContext(ctx)
	ended := make(chan struct{}, 1) // an installation has
	both.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-u.install:
				u.run(ctx)
				select {
				case ended <- struct{}{}:
				default:
				}
			}
		}
	})
	both.Go(func() error {
		for ctx.Err() == nil {
			if err := u.Republish(ctx); err != nil && ctx.Err() == nil {
				u.log.Warn("state of updates not published", "err", err)
			}
			rest := time.NewTimer(progressLeast)
			select {
			case <-rest.C:
			case <-ctx.Done():
				rest.Stop()
			}
			select {
			case <-ctx.Done():
			case <-u.o.Updates.Changed():
			case <-ended:
			}
		}
		return nil
	})
	return both.Wait()
}

// run installs what there is.
func (u *BoxUpdate) run(ctx context.Context) {
	state := u.o.Updates.State()
	if !state.newer() {
		u.o.Refused(errors.New("update: there is nothing newer to install, or it is being installed"))
		return
	}
	u.log.Info("update, as asked", "version", state.Latest)
	u.note("", "")
	if err := u.o.Updates.Install(ctx); err != nil && ctx.Err() == nil {
		u.log.Error("update failed", "version", state.Latest, "err", err)
		u.note(state.Latest, err.Error())
	}
}

func (u *BoxUpdate) note(tried, failed string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tried, u.failed = tried, failed
}

// take takes a message on the topic of commands.
func (u *BoxUpdate) take(m mqtt.Message) {
	switch {
	case m.Retain:
		u.o.Refused(fmt.Errorf("update: %w", errRetained))
	case string(m.Payload) != installWord:
		u.o.Refused(errors.New("update: the command is " + installWord))
	default:
		select {
		case u.install <- struct{}{}:
		default:
			u.o.Refused(errors.New("update: that is being done"))
		}
	}
}

// Republish publishes the state. It may be called while Run runs, from any goroutine.
func (u *BoxUpdate) Republish(ctx context.Context) error {
	state := u.o.Updates.State()
	payload, err := json.Marshal(u.message(state))
	if err != nil {
		return fmt.Errorf("encode state of updates: %w", err)
	}
	// A Home Assistant that is started anew must not find a bar that stands still.
	m := mqtt.Message{Topic: u.topic, Payload: payload, QoS: 1, Retain: !state.InProgress}
	if err := u.o.Broker.Publish(ctx, m); err != nil {
		return fmt.Errorf("publish %s: %w", m.Topic, err)
	}
	return nil
}

// message returns the state in the words of Home Assistant, which ignores all of a message
// with any other key, and with a URL that is none.
func (u *BoxUpdate) message(state UpdateState) map[string]any {
	u.mu.Lock()
	failed := ""
	if u.failed != "" && u.tried == state.Latest && !state.InProgress {
		failed = "The last try failed: " + u.failed + ". "
	}
	u.mu.Unlock()
	m := map[string]any{
		"installed_version": text(state.Installed),
		"title":             text(state.Title),
		"release_summary":   summary(failed + state.Summary),
		"in_progress":       state.InProgress,
	}
	if latest := text(state.Latest); latest != "" {
		m["latest_version"] = latest
	}
	if url := realURL(state.URL); url != "" {
		m["release_url"] = url
	}
	// A percentage says by itself that something is in progress, and null that nothing is.
	switch {
	case !state.InProgress:
		m["update_percentage"] = nil
	case state.Percentage >= 0 && state.Percentage <= 100:
		m["update_percentage"] = math.Round(10*state.Percentage) / 10
	}
	return m
}

func summary(s string) string {
	runes := []rune(strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD")))
	if len(runes) > maxSummary {
		return string(runes[:maxSummary-1]) + "…"
	}
	return string(runes)
}

// becomeUpdate makes a component the update entity of the box, whose messages are its own.
func (c component) becomeUpdate(topic string) {
	delete(c, "val_tpl")
	c["stat_t"], c["cmd_t"], c["pl_inst"] = topic, topic+"/set", installWord
}
