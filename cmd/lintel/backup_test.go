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

	"filippo.io/age"
	paho "github.com/eclipse/paho.mqtt.golang"
)

// say runs the program to its end and returns what it says, and its status.
func say(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := lintel(args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return said.String(), cmd.ProcessState.ExitCode()
}

// says checks the status of a program and that it says all words; an error is a
// single line.
func says(t *testing.T, status int, words []string, args ...string) {
	t.Helper()
	said, got := say(t, args...)
	if got != status {
		t.Errorf("%q ended with %d, want %d: %s", args, got, status, said)
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("%q says %q, want %q", args, said, w)
		}
	}
	if status == 1 && strings.Count(said, "\n") != 1 {
		t.Errorf("%q says more than one line: %q", args, said)
	}
}

// serving starts the house and returns a client of its broker.
func serving(t *testing.T, data string) (client paho.Client, stop func()) {
	t.Helper()
	cmd := lintel("serve", "--data", data)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	lines, address := bufio.NewScanner(out), ""
	for lines.Scan() && lines.Text() != "ready" {
		if _, a, ok := strings.Cut(lines.Text(), "mqtt://"); ok {
			address = a
		}
	}
	client = paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("test").SetAutoReconnect(false))
	finish(t, client.Connect())
	return client, func() {
		t.Helper()
		client.Disconnect(0)
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	}
}

func finish(t *testing.T, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(30*time.Second) || token.Error() != nil {
		t.Fatalf("paho: %v", token.Error())
	}
}

// retained returns the retained message of the topic.
func retained(t *testing.T, client paho.Client, topic string) string {
	t.Helper()
	got := make(chan string, 10)
	finish(t, client.Subscribe(topic, 1, func(_ paho.Client, m paho.Message) { got <- string(m.Payload()) }))
	select {
	case payload := <-got:
		return payload
	case <-time.After(30 * time.Second):
		t.Fatalf("nothing is retained on %s", topic)
		return ""
	}
}

// encrypted is a file that takes next to no work to find its passphrase wrong.
func encrypted(t *testing.T) string {
	t.Helper()
	recipient, err := age.NewScryptRecipient("right")
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(2)
	var file strings.Builder
	w, err := age.Encrypt(&file, recipient)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

func TestBackupAndRestore(t *testing.T) {
	data, place := t.TempDir(), t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(place, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	if err := os.WriteFile(filepath.Join(data, "lintel.toml"), []byte(localConfig+"[homeassistant]\nenabled = false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	passphrase, wrong := file("passphrase", "correct horse\r\nsecond line\n"), file("wrong", "horse")
	running, stopped := filepath.Join(place, "running.backup"), filepath.Join(place, "stopped.backup")
	sealed := filepath.Join(place, "sealed.backup")

	client, stop := serving(t, data)
	finish(t, client.Publish("house/t", 1, true, "at the time of the backup"))
	info, err := os.Stat(filepath.Join(data, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the control socket has mode %v", mode)
	}
	says(t, 0, []string{running, "retained messages"}, "backup", "--data", data, running)
	says(t, 0, []string{sealed}, "backup", "--data", data, "--small", "--passphrase-file", passphrase, sealed)
	finish(t, client.Publish("house/t", 1, true, "after it"))
	says(t, 1, []string{"Stop that one"}, "restore", "--data", data, running)
	stop()
	if _, err := os.Stat(filepath.Join(data, "control.sock")); err == nil {
		t.Error("the control socket is left")
	}
	says(t, 0, []string{stopped, "retained messages"}, "backup", "--data", data, stopped)
	for _, name := range []string{running, stopped, sealed} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %v", name, mode)
		}
	}

	// What is refused changes nothing.
	good, err := os.ReadFile(running)
	if err != nil {
		t.Fatal(err)
	}
	good[len(good)/2] ^= 1
	damaged := file("damaged", string(good))
	says(t, 1, []string{"damaged", "use another one"}, "restore", "--data", data, damaged)
	says(t, 1, []string{"not a backup of lintel"}, "restore", "--data", data, passphrase)
	says(t, 1, []string{"encrypted", "passphrase"}, "restore", "--data", data, sealed)
	says(t, 1, []string{"the passphrase is wrong"}, "restore", "--data", data, "--passphrase-file", wrong, file("cheap", encrypted(t)))
	says(t, 1, []string{"no passphrase"}, "restore", "--data", data, "--passphrase-file", file("empty", "\n"), sealed)
	says(t, 1, []string{"none"}, "restore", "--data", data, filepath.Join(place, "none"))
	says(t, 1, []string{"no store", "--data"}, "backup", "--data", place, filepath.Join(place, "x"))
	says(t, 1, []string{"nowhere"}, "backup", "--data", data, filepath.Join(place, "nowhere", "x"))
	says(t, 2, []string{"one file"}, "backup", "--data", data)
	says(t, 2, []string{"one file"}, "restore", "--data", data, "a", "b")
	if left, _ := filepath.Glob(filepath.Join(place, "*x*")); len(left) > 0 {
		t.Errorf("left %q", left)
	}

	expect := func(payload string) {
		t.Helper()
		client, stop := serving(t, data)
		if got := retained(t, client, "house/t"); got != payload {
			t.Errorf("retained is %q, want %q", got, payload)
		}
		stop()
	}
	expect("after it")
	says(t, 0, []string{"restored " + running, "before-restore"}, "restore", "--data", data, running)
	expect("at the time of the backup")
	says(t, 0, []string{"restored " + stopped}, "restore", "--data", data, stopped)
	expect("after it")
	says(t, 0, []string{"restored " + sealed}, "restore", "--data", data, "--passphrase-file", passphrase, sealed)
	expect("at the time of the backup")
	// Onto a new box.
	fresh := filepath.Join(place, "fresh")
	said, _ := say(t, "restore", "--data", fresh, running)
	if strings.Contains(said, "before") {
		t.Errorf("says %q of a new box", said)
	}
	if err := os.WriteFile(filepath.Join(fresh, "lintel.toml"), []byte(localConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	data = fresh
	expect("at the time of the backup")
}
