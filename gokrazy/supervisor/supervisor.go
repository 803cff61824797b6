// Package supervisor speaks with gokrazy's init, which starts the programs of the image and
// keeps them running.
//
// # Contract
//
// Each method is one request on the socket of init and may be called from any goroutine. All
// but [Init.Reboot] give up after ten seconds. A program is named by its file, such as
// /user/lintel.
package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Socket is where init listens.
const Socket = "/run/gokrazy-http.sock"

// Init is the init that listens on a unix socket.
type Init struct{ Socket string }

const (
	patience = 10 * time.Second

	maxLog     = 64 << 10 // bytes
	maxLogLine = 2 << 10
	logPause   = 300 * time.Millisecond // after which no more old lines come
	logTime    = 3 * time.Second
)

// Stop ends a program, until somebody starts it or the machine starts anew.
func (i Init) Stop(ctx context.Context, program string) error {
	return i.change(ctx, "/stop", program)
}

// Restart starts a program, anew if it runs.
func (i Init) Restart(ctx context.Context, program string) error {
	return i.change(ctx, "/restart", program)
}

func (i Init) change(ctx context.Context, path, program string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// Whoever asks says the same number as a cookie and in the form, which no foreign page can.
	const token = "1"
	form := url.Values{"path": {program}, "xsrftoken": {token}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://init"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.AddCookie(&http.Cookie{Name: "gokrazy_xsrf", Value: token})
	response, err := i.do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// Running reports whether a program is to run.
func (i Init) Running(ctx context.Context, program string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://init/status?"+url.Values{"path": {program}}.Encode(), nil)
	if err != nil {
		return false, err
	}
	response, err := i.do(request)
	if err != nil {
		return false, err
	}
	response.Body.Close()
	return response.Header.Get("X-Gokrazy-Status") != "stopped", nil
}

// Reboot asks for a restart of the machine, for which init waits so long for each program to
// end, and then again for those that it has killed. Not with async=true: that restarts the
// machine after one second, whether programs have ended or not.
func (i Init) Reboot(ctx context.Context, wait time.Duration) error {
	address := fmt.Sprintf("http://init/reboot?kexec=off&wait_per_signal=%v", wait)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return err
	}
	response, err := i.do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	return nil
}

// Log returns what a program said last: init keeps a hundred lines of each stream, and then
// goes on with new ones.
func (i Init) Log(ctx context.Context, program string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	address := "http://init/log?" + url.Values{"path": {program}, "stream": {"both"}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	pause := time.AfterFunc(logTime, cancel)
	defer pause.Stop()
	response, err := i.do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
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

// do returns the answer of init, whose body is to be closed, unless it refuses.
func (i Init) do(request *http.Request) (*http.Response, error) {
	client := http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", i.Socket)
			},
			DisableKeepAlives: true,
		},
		// It answers with where a person would find the state.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("init does not answer: %w", err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return nil, fmt.Errorf("init answers %s: %q", response.Status, strings.TrimSpace(string(text)))
	}
	return response, nil
}
