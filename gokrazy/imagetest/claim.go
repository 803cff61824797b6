package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"time"
)

// The logins of the test.
const (
	ownerPassword         = "boot, claim, pull the plug"
	homeAssistantPassword = "an emulated house"
)

// preseed is a file that claims the box.
func preseed() string {
	return fmt.Sprintf("[claim]\npassword = %q\nname = \"Emulated\"\n[homeassistant]\npassword = %q\n", ownerPassword, homeAssistantPassword)
}

// anybody configures the broker to let everybody in: the clients of package witness have
// no logins.
const anybody = "[access.anonymous]\n\":1883\" = \"admin\"\n[http]\nlisten = \":80\"\n"

// owner is a browser on the pages of the machine.
type owner struct {
	m      *machine
	client http.Client
}

func (m *machine) owner() *owner {
	jar, _ := cookiejar.New(nil) // has no errors
	return &owner{m, http.Client{Jar: jar, Timeout: time.Minute}}
}

// call makes a call with JSON and reads the answer into out.
func (o *owner) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+o.m.http+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := o.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s answers %w", method, path, readRefusal(answer))
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

// page returns the text of a page.
func (o *owner) page(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+o.m.http+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := o.client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if answer.StatusCode >= 300 {
		return "", fmt.Errorf("GET %s answers %s: %.1000s", path, answer.Status, text)
	}
	return string(text), err
}

// claim claims the machine, unless a file on its card has, and gives Home Assistant the
// password of the test.
func (m *machine) claim(ctx context.Context) error {
	if m.board.preseed {
		return m.checkClaimed(ctx)
	}
	return m.claimOnPage(ctx)
}

func (m *machine) claimOnPage(ctx context.Context) error {
	o := m.owner()
	var ignored any
	if err := o.call(ctx, "POST", "/api/claim", map[string]string{"password": ownerPassword}, &ignored); err != nil {
		return err
	}
	return o.call(ctx, "PATCH", "/api/users/homeassistant", map[string]string{"password": homeAssistantPassword}, &ignored)
}

// checkClaimed checks that the machine knows its owner, and nobody else.
func (m *machine) checkClaimed(ctx context.Context) error {
	var ignored any
	err := m.until(ctx, time.Minute, func() error { // an emulated machine is busy for long after its start
		return m.owner().call(ctx, "POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, &ignored)
	})
	if err != nil {
		return err
	}
	if err := m.owner().call(ctx, "POST", "/api/claim", map[string]string{"password": ownerPassword}, &ignored); err == nil {
		return errors.New("the box was claimed a second time")
	}
	return nil
}
