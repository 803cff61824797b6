package zigbee

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Limits of what is remembered of interviews.
const (
	maxInterviews     = 32
	maxInterviewSteps = 64 // of one
)

// InterviewProgress is how the interview of a device goes, or how its last one went.
type InterviewProgress struct {
	IEEEAddress IEEEAddress     `json:"ieee_address"`
	State       InterviewState  `json:"state"`
	Began       time.Time       `json:"began"`
	Ended       *time.Time      `json:"ended,omitempty"` // nil: it is under way
	Steps       []InterviewStep `json:"steps"`           // the last one is under way
	Error       string          `json:"error,omitempty"` // why it has failed, for people
	// Before is why the one before has failed, of which this is the repetition.
	Before string `json:"failed_before,omitempty"`
}

// InterviewStep is a question, or a few that belong together.
type InterviewStep struct {
	Kind     StepKind   `json:"kind"`
	Endpoint uint8      `json:"endpoint,omitempty"` // 0: it is about the whole device
	Began    time.Time  `json:"began"`
	Ended    *time.Time `json:"ended,omitempty"`
	Error    string     `json:"error,omitempty"`
}

// StepKind is what a step is about.
type StepKind string

// The steps, in their order; those from StepEndpoint to StepEnrol come once for each endpoint
// that has the cluster.
const (
	StepJoined    StepKind = "joined"       // it is in the network
	StepNode      StepKind = "node"         // the node descriptor: router or end device
	StepEndpoints StepKind = "endpoints"    // the list of them
	StepEndpoint  StepKind = "endpoint"     // the simple descriptor of one: its clusters
	StepBasic     StepKind = "basic"        // what it calls itself and its maker
	StepEnrol     StepKind = "enrol"        // as a security sensor
	StepPoll      StepKind = "poll_control" // how often a sleeping device checks in
)

// Interviews returns the interviews since the program began, the newest first: of the last
// 32 devices, one each.
func (n *Network) Interviews() []InterviewProgress {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]InterviewProgress, 0, len(n.interviews))
	for _, p := range n.interviews {
		c := *p
		c.Steps = slices.Clone(p.Steps)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b InterviewProgress) int {
		return cmp.Or(b.Began.Compare(a.Began), cmp.Compare(a.IEEEAddress, b.IEEEAddress))
	})
	return list
}

// beginProgress takes note that an interview begins. The network is locked.
func (n *Network) beginProgress(d *node) {
	now := time.Now()
	n.interviews = slices.DeleteFunc(n.interviews, func(p *InterviewProgress) bool { return p.IEEEAddress == d.device.IEEEAddress })
	if len(n.interviews) >= maxInterviews {
		oldest := 0
		for i, p := range n.interviews {
			if over := p.Ended != nil; over && n.interviews[oldest].Ended == nil {
				oldest = i // one that is under way stays as long as there is another
			}
		}
		n.interviews = slices.Delete(n.interviews, oldest, oldest+1)
	}
	before := ""
	if d.progress != nil {
		before = d.progress.Error
	}
	d.progress = &InterviewProgress{IEEEAddress: d.device.IEEEAddress, State: InProgress, Began: now, Before: before,
		Steps: []InterviewStep{{Kind: StepJoined, Began: now, Ended: &now}}}
	n.interviews = append(n.interviews, d.progress)
}

// endProgress takes note of how an interview has ended. The network is locked.
func (n *Network) endProgress(d *node, state InterviewState, err error) {
	now := time.Now()
	d.progress.State, d.progress.Ended = state, &now
	if err != nil {
		d.progress.Error = plainError(err)
	}
}

// step does a step of an interview and takes note of it.
func (n *Network) step(d *node, kind StepKind, endpoint uint8, f func() error) error {
	n.mu.Lock()
	p, i := d.progress, len(d.progress.Steps)
	kept := i < maxInterviewSteps
	if kept {
		p.Steps = append(p.Steps, InterviewStep{Kind: kind, Endpoint: endpoint, Began: time.Now()})
	}
	n.mu.Unlock()
	err := f()
	n.mu.Lock()
	defer n.mu.Unlock()
	if kept {
		now := time.Now()
		p.Steps[i].Ended = &now
		if err != nil {
			p.Steps[i].Error = plainError(err)
		}
	}
	return err
}

// plainError is an error for people.
func plainError(err error) string {
	switch {
	case errors.Is(err, ErrNoStick):
		return "the stick is gone"
	case errors.Is(err, ErrNoDevice):
		return "the device has left the network"
	case errors.Is(err, ErrNoAnswer):
		return "the device does not answer: wake it up and keep it near"
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long: wake the device up and keep it near"
	case errors.Is(err, context.Canceled):
		return "it was given up"
	}
	if e, ok := errors.AsType[*DeliveryError](err); ok {
		return string(e.Reason)
	}
	return strings.ReplaceAll(err.Error(), "zigbee: ", "")
}
