package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// The test binary is the program itself when it is told to be.
func TestMain(m *testing.M) {
	if os.Getenv("LINTEL_TEST_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func lintel(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "LINTEL_TEST_MAIN=1")
	return cmd
}

// localConfig keeps off the network.
const localConfig = `
[mqtt]
listen = ["127.0.0.1:0"]
websocket = []
[access.anonymous]
"127.0.0.1:0" = "admin"
[http]
listen = "127.0.0.1:0"
[mdns]
enabled = false
`

func TestBadStarts(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := file("good.toml", localConfig)
	for _, c := range []struct {
		name   string
		args   []string
		status int
		said   string // in one line
	}{
		{"no command", nil, 2, "lintel serve"},
		{"wrong command", []string{"sevre"}, 2, `no command "sevre"`},
		{"wrong flag", []string{"serve", "--dtaa", "x"}, 2, "-dtaa"},
		{"wrong key", []string{"serve", "--data", dir, "--config", file("key.toml", "[mqtt]\nlistne = [\":1883\"]\n")}, 1,
			`key.toml:2: unknown key "mqtt.listne"; did you mean "mqtt.listen"?`},
		{"missing file", []string{"serve", "--config", filepath.Join(dir, "none.toml")}, 1, "none.toml"},
		{"folder below a file", []string{"serve", "--config", good, "--data", filepath.Join(good, "data")}, 1, "choose another"},
		{"unwritable folder", []string{"serve", "--config", good, "--data", "/proc/lintel"}, 1, "choose another"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := lintel(c.args...)
			var said bytes.Buffer
			cmd.Stderr = &said
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != c.status {
				t.Errorf("ended with %v, want status %d", err, c.status)
			}
			if !strings.Contains(said.String(), c.said) {
				t.Errorf("said %q, want %q", said.String(), c.said)
			}
			if c.status == 1 && strings.Count(said.String(), "\n") != 1 {
				t.Errorf("said more than one line: %q", said.String())
			}
		})
	}
}

func TestServeEndsInOrder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lintel.toml"), []byte(localConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := lintel("serve", "--data", dir, "--simulate")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var said []string
	for lines.Scan() && lines.Text() != "ready" {
		said = append(said, lines.Text())
	}
	for _, want := range []string{"broker     mqtt://127.0.0.1:", "page       http://127.0.0.1:", "discovery  homeassistant/device/+/config"} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("announced %q, want %q", said, want)
		}
	}
	kill := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
	defer kill.Stop()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v; want status 0 within five seconds", err)
	}
}

// Whoever has asked for a restart gets one, not within a minute of the last: the status is one after which programs that
// keep others running start them again.
func TestRestartStatus(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	t.Parallel()
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "lintel.toml"), []byte(localConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := lintel("serve", "--data", data)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	address := ""
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		if _, a, ok := strings.Cut(lines.Text(), "mqtt://"); ok {
			address = a
		}
	}
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetAutoReconnect(false))
	finish(t, client.Connect())
	again, late := time.NewTicker(time.Second), time.After(3*time.Minute)
	defer again.Stop()
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	for asking := true; asking; {
		select {
		case <-again.C:
			client.Publish("lintel/gateway/set", 0, false, `{"restart":true}`)
		case <-ended:
			asking = false
		case <-late:
			t.Fatal("it did not end")
		}
	}
	if got := cmd.ProcessState.ExitCode(); got != restartStatus {
		t.Errorf("it ended with %d, want %d", got, restartStatus)
	}
}
