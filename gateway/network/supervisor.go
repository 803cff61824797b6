package network

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// supervisor is gokrazy's init, which runs the DHCP client. It listens on a unix socket.
type supervisor struct {
	client *http.Client
	path   string // of the DHCP client
}

func newSupervisor(socket, path string) *supervisor {
	return &supervisor{path: path, client: &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// running reports whether the DHCP client is to run.
func (s *supervisor) running(ctx context.Context) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://init/status?path="+url.QueryEscape(s.path), nil)
	if err != nil {
		return false, err
	}
	answer, err := s.do(r)
	if err != nil {
		return false, err
	}
	return answer.Header.Get("X-Gokrazy-Status") != "stopped", nil
}

// stop ends the DHCP client, until the machine starts anew.
func (s *supervisor) stop(ctx context.Context) error { return s.post(ctx, "stop") }

// restart starts it, anew if it runs.
func (s *supervisor) restart(ctx context.Context) error { return s.post(ctx, "restart") }

func (s *supervisor) post(ctx context.Context, what string) error {
	// Whoever asks says the same number as a cookie and in the form.
	form := url.Values{"path": {s.path}, "xsrftoken": {"1"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://init/"+what, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(&http.Cookie{Name: "gokrazy_xsrf", Value: "1"})
	_, err = s.do(r)
	return err
}

func (s *supervisor) do(r *http.Request) (*http.Response, error) {
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("init does not answer: %w", err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if answer.StatusCode >= 400 {
		return nil, fmt.Errorf("init says %q", strings.TrimSpace(string(text)))
	}
	return answer, nil
}
