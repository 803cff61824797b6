package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startTime is how long lintel may take to be ready.
const startTime = time.Minute

// build builds lintel into dir.
func build(ctx context.Context, dir string) (program string, err error) {
	program = filepath.Join(dir, "lintel")
	if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "lintel/cmd/lintel").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build lintel: %w: %s", err, out)
	}
	return program, nil
}

// writeConfig writes what lintel is to do here: only the broker, for this machine.
func writeConfig(dir string) (file string, err error) {
	file = filepath.Join(dir, "lintel.toml")
	return file, os.WriteFile(file, []byte(`[mqtt]
listen = ["127.0.0.1:0"]
websocket = []
[access.anonymous]
"127.0.0.1:0" = "admin"
[http]
listen = "127.0.0.1:0"
[mdns]
enabled = false
[homeassistant]
enabled = false
[log]
level = "warn"
`), 0o600)
}

// victim is a running lintel.
type victim struct {
	addr   string
	page   string       // URL of the status page
	log    bytes.Buffer // what it said; read it after kill
	cmd    *exec.Cmd
	killed bool
}

// start starts lintel and waits until it is ready.
func start(ctx context.Context, program, config, data string) (*victim, error) {
	v := &victim{}
	v.cmd = exec.CommandContext(ctx, program, "serve", "--config", config, "--data", data)
	v.cmd.Stderr = &v.log
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := v.cmd.Start(); err != nil {
		return nil, err
	}
	late := time.AfterFunc(startTime, func() { v.cmd.Process.Kill() })
	defer late.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, addr, ok := strings.Cut(lines.Text(), "mqtt://"); ok {
			v.addr = addr
		}
		if _, addr, ok := strings.Cut(lines.Text(), "http://"); ok {
			v.page = "http://" + addr
		}
		if lines.Text() == "ready" {
			return v, nil
		}
	}
	err = v.cmd.Wait()
	if !late.Stop() {
		err = fmt.Errorf("it was not ready after %v", startTime)
	}
	v.killed = true
	return v, errors.Join(errors.New("lintel did not start"), err)
}

// password is that of the page of a victim.
const password = "pull the plug at any moment"

// losses returns what lintel itself says that it has lost. Whoever asks claims it.
func (v *victim) losses(ctx context.Context) ([]string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Jar: jar}
	call := func(method, path string, in any) (*http.Response, error) {
		body, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		request, err := http.NewRequestWithContext(ctx, method, v.page+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/json")
		return client.Do(request)
	}
	for path, in := range map[string]map[string]string{ // one of them works
		"/api/claim": {"password": password},
		"/api/login": {"user": "admin", "password": password},
	} {
		response, err := call(http.MethodPost, path, in)
		if err != nil {
			return nil, err
		}
		response.Body.Close()
	}
	response, err := call(http.MethodGet, "/api/status", nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the status of lintel: %s", response.Status)
	}
	var status struct{ Losses []string }
	err = json.NewDecoder(response.Body).Decode(&status)
	return status.Losses, err
}

// kill ends lintel without a warning.
func (v *victim) kill() {
	if v == nil || v.killed {
		return
	}
	v.killed = true
	v.cmd.Process.Kill()
	v.cmd.Wait()
}
