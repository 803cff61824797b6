package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"lintel/gateway/update"
)

const (
	// installTimeout is for fetching, writing and reading back a root on an emulated machine.
	installTimeout = 8 * time.Minute
	// trialTimeout is from a restart to a verdict on the new version, the way back included.
	trialTimeout = 12 * time.Minute
	trialMinutes = 3 // that the box is configured with
)

// admin returns a browser that is logged in.
func (m *machine) admin(ctx context.Context) (*owner, error) {
	o := m.owner()
	var ignored any
	return o, m.until(ctx, bootTimeout, func() error {
		return o.call(ctx, "POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, &ignored)
	})
}

// update returns what the box says about its updates.
func (o *owner) update(ctx context.Context) (update.Status, error) {
	var s update.Status
	err := o.call(ctx, "GET", "/api/update", nil, &s)
	return s, err
}

// upload brings the box a bundle, and returns with its answer: nil when it takes it.
func (o *owner) upload(ctx context.Context, bundle []byte) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "POST", "http://"+o.m.http+"/api/update/upload", bytes.NewReader(bundle))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	patient := http.Client{Jar: o.client.Jar}
	answer, err := patient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return readRefusal(answer)
	}
	return nil
}

// refusal is an answer of the API that is none of success.
type refusal struct {
	status int
	text   string // what it says to people
}

func (r *refusal) Error() string { return fmt.Sprintf("%d: %s", r.status, r.text) }

func readRefusal(answer *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return err
	}
	var said struct{ Detail string }
	if json.Unmarshal(body, &said) != nil || said.Detail == "" {
		said.Detail = string(body)
	}
	return &refusal{answer.StatusCode, said.Detail}
}

// awaitUpdate waits until what the box says about its updates is right, through restarts.
func (m *machine) awaitUpdate(ctx context.Context, timeout time.Duration, right func(update.Status) error) (update.Status, error) {
	var s update.Status
	o := m.owner()
	err := m.until(ctx, timeout, func() error {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		var err error
		if s, err = o.update(attempt); err != nil {
			var ignored any
			o.call(attempt, "POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, &ignored)
			return err
		}
		return right(s)
	})
	return s, err
}

// awaitVersion waits until a version runs and is kept.
func (m *machine) awaitVersion(ctx context.Context, version string) error {
	_, err := m.awaitUpdate(ctx, trialTimeout, func(s update.Status) error {
		if s.Returned != nil && s.Returned.Version == version {
			return fmt.Errorf("%s was left: %s", version, s.Returned.Reason)
		}
		if s.Version != version || s.Phase != update.Idle {
			return fmt.Errorf("the box runs %s, phase %s, trial %+v, failed %q", s.Version, s.Phase, s.Trial, s.Failed)
		}
		return nil
	})
	return err
}

// awaitReturn waits until the box runs the version old again, and tells why it has left
// another.
func (m *machine) awaitReturn(ctx context.Context, old, left string) (reason string, err error) {
	s, err := m.awaitUpdate(ctx, trialTimeout, func(s update.Status) error {
		switch {
		case s.Version != old:
			return fmt.Errorf("the box runs %s, phase %s, trial %+v", s.Version, s.Phase, s.Trial)
		case s.Returned == nil || s.Returned.Version != left:
			return fmt.Errorf("the box runs %s, phase %s, and does not say that it has left %s: %+v", s.Version, s.Phase, left, s.Returned)
		case s.Returned.Reason == "":
			return errors.New("no reason is given")
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return s.Returned.Reason, nil
}
