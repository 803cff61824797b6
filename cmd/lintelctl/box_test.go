//go:build linux

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
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lintel/gateway"
	"lintel/gateway/settings"
)

// claimedBox runs a box and returns its URL and an API token of an admin.
func claimedBox(t *testing.T, simulate bool) (address, token string) {
	address, token, _ = claimedBroker(t, simulate, func(*settings.Config) {})
	return address, token
}

// aBox is where a box that runs can be reached.
type aBox struct {
	http    string            // URL
	brokers map[string]string // addresses by scheme
}

// runBox runs a box until the end of the test.
func runBox(t *testing.T, o gateway.Options, change func(*settings.Config)) aBox {
	t.Helper()
	c := settings.Default()
	c.MQTT.Listen, c.MQTT.WebSocket, c.HTTP.Listen = []string{"127.0.0.1:0"}, nil, "127.0.0.1:0"
	c.MDNS.Enabled, c.HomeAssistant.Enabled = false, false
	change(&c)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan gateway.Endpoints, 1), make(chan error, 1)
	o.Version, o.Ready = "test", func(e gateway.Endpoints) { ready <- e }
	go func() { ended <- gateway.Run(ctx, c, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	b := aBox{brokers: make(map[string]string)}
	select {
	case e := <-ready:
		b.http = fmt.Sprintf("http://%v", e.HTTP)
		for _, l := range e.Brokers {
			b.brokers[l.Scheme] = l.Addr.String()
		}
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return b
}

// claimedBroker is claimedBox with the addresses of the broker by their scheme.
func claimedBroker(t *testing.T, simulate bool, change func(*settings.Config)) (address, token string, brokers map[string]string) {
	t.Helper()
	b := runBox(t, gateway.Options{Data: t.TempDir(), Simulate: simulate}, change)
	address, brokers = b.http, b.brokers
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Jar: jar}
	var made struct{ Token string }
	for _, call := range []struct{ path, in string }{
		{"/api/claim", `{"password": "correct horse"}`},
		{"/api/tokens", `{"name": "test", "level": "admin"}`},
	} {
		answer, err := client.Post(address+call.path, "application/json", strings.NewReader(call.in))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || answer.StatusCode >= 300 {
			t.Fatalf("%s: %s, %v", call.path, answer.Status, err)
		}
	}
	return address, made.Token, brokers
}

// What a box refuses is told as it says it, each mistake in a line of its own, and whatever a
// stranger answers does nothing to a terminal.
func TestRefusal(t *testing.T) {
	address, token := claimedBox(t, false)
	b := box{url: address, token: token}
	for body, want := range map[string]string{
		`{"name":"x","levle":"viewer"}`:  `^#/levle: There is no field "levle" here\. There are: name, level\.`,
		`{"name":7,"level":[]}`:          `(?s)mistakes\.\n#/name: .*\n#/level: .*\.$`,
		`{"name":"x","level":"king"}`:    `There is no level "king"`,
		`{"name":"test","level":"king"}`: `king`,
	} {
		err := b.call("POST", "/api/tokens", "application/json", []byte(body), nil)
		if err == nil || !regexp.MustCompile(want).MatchString(err.Error()) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
	for text, want := range map[string]string{"": "is that a Lintel box?", "<html>": "is that a Lintel box?", "{}": "is that a Lintel box?", `{"detail":"a\u001b[2Jb"}`: "a\uFFFD[2Jb"} {
		err := refusal(&http.Response{Status: "500 x", Body: io.NopCloser(strings.NewReader(text))})
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestUsersOfABox(t *testing.T) {
	address, token := claimedBox(t, false)
	file := func(name, text string) string {
		name = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	// By mosquitto_passwd -H sha512-pbkdf2.
	passwords := file("passwords", "barn:$7$101$O2CkmqkviFf/lrUK$aflEzkEozDB3w18Qnp9VTIYdNshAWfWMVJzAOctoZ29sf9fMecd5sOQu7qZCbDXUpkXm9FOdlsT1k9PsIoWApg==\n")
	for _, tt := range []struct {
		args string
		in   string
		want string // regular expression for what is printed, or for the error
		fail bool
	}{
		{"users list", "", `(?m)^admin +admin +- +admin *$`, false},
		{"users add shed --roles device --topics shed/#,set/shed", "", `^[2-9a-z]{20}\n$`, false},
		{"users add shed", "", "a user of this name", true},
		{"users add pier --password-file -", "the pier has one\n", `^$`, false},
		{"users add silly --page root", "", "root", true},
		{"users password pier", "", `^[2-9a-z]{20}\n$`, false},
		{"users password none", "", "no user", true},
		{"users list", "", `(?m)^shed +device +shed/#,set/shed +- *$`, false},
		{"explain --user shed --client x publish shed/state", "", `^allowed: `, false},
		{"explain publish shed/state", "", `^denied: `, false},
		{"explain --user none publish a", "", "no user", true},
		{"explain --user shed read a", "", "Choose an action", true},
		{"users delete shed", "", `^$`, false},
		{"users delete shed", "", "no user", true},
		{"users import " + passwords, "", `^1 users imported\n$`, false},
		{"users import " + file("bad", "barn\n"), "", `:1: `, true},
	} {
		var out bytes.Buffer
		args := append(strings.Fields(tt.args), "--box", address, "--token", token)
		err := run(args, strings.NewReader(tt.in), &out, &out)
		said := out.String()
		if err != nil {
			said = err.Error()
		}
		if tt.fail != (err != nil) || !regexp.MustCompile(tt.want).MatchString(said) {
			t.Errorf("lintelctl %s: %v, said %q; want %s", tt.args, err, said, tt.want)
		}
	}
	var out bytes.Buffer
	if err := run([]string{"users", "list", "--box", address, "--token", "lintel_wrong"}, nil, &out, &out); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a wrong token: %v", err)
	}
}

func TestWrongCallsOfABox(t *testing.T) {
	t.Setenv("LINTEL_BOX", "")
	t.Setenv("LINTEL_TOKEN", "")
	there := "--box http://127.0.0.1:1 --token t "
	for _, args := range []string{"users", "users list", "users list --box lintel.local --token t", "users list --box http://lintel.local",
		there + "x", "users " + there, "users " + there + "lsit", "users " + there + "add", "users " + there + "delete a b", "users " + there + "list a",
		"explain " + there + "publish", "explain " + there + "--usr x publish a"} {
		var out bytes.Buffer
		if err := run(strings.Fields(args), strings.NewReader(""), &out, &out); !errors.Is(err, errUsage) {
			t.Errorf("lintelctl %s: %v", args, err)
		}
	}
}
