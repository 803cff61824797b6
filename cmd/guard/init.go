package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// supervisor is gokrazy's init, which keeps lintel running.
type supervisor struct {
	socket  string
	program string
}

func (s supervisor) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", s.socket)
			},
			DisableKeepAlives: true,
		},
		// It answers with where a person would find the state.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask has init stop or start lintel: action is stop or restart.
func (s supervisor) ask(ctx context.Context, action string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// It wants to be sure that no foreign page sent this.
	const token = "1"
	form := url.Values{"path": {s.program}, "xsrftoken": {token}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://init/"+action, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.AddCookie(&http.Cookie{Name: "gokrazy_xsrf", Value: token})
	response, err := s.client().Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("init answers %s", response.Status)
	}
	return nil
}

const (
	maxLog     = 64 << 10 // bytes
	maxLogLine = 2 << 10
	logPause   = 300 * time.Millisecond // after which no more old lines come
	logTime    = 3 * time.Second
)

// log returns what lintel said last: init keeps a hundred lines of each stream, and then
// goes on with new ones.
func (s supervisor) log(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	address := "http://init/log?" + url.Values{"path": {s.program}, "stream": {"both"}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	pause := time.AfterFunc(logTime, cancel)
	defer pause.Stop()
	response, err := s.client().Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("init answers %s", response.Status)
	}
	var lines []string
	size := 0
	scanner := bufio.NewScanner(response.Body)
	scanner.Buffer(nil, maxLog)
	for size < maxLog {
		pause.Reset(logPause)
		if !scanner.Scan() {
			break
		}
		line := scanner.Text()
		if len(line) > maxLogLine {
			line = line[:maxLogLine] + "…"
		}
		size += len(line)
		lines = append(lines, strings.ToValidUTF8(line, "�"))
	}
	return lines, nil
}
