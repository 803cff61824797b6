//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lintel/gateway/settings"
)

// statusOf runs a command and returns its exit status and what it prints and says.
func statusOf(in string, args ...string) (status int, out, said string) {
	var printed, diagnostics bytes.Buffer
	err := run(args, strings.NewReader(in), &printed, &diagnostics)
	status, say := exitStatus(err)
	if say != nil {
		fmt.Fprintln(&diagnostics, say)
	}
	return status, printed.String(), diagnostics.String()
}

// brokerOfABox runs a box with all listeners, and a user of it.
func brokerOfABox(t *testing.T) (urls map[string]string, ca string) {
	address, token, brokers := claimedBroker(t, false, func(c *settings.Config) {
		loopback := []string{"127.0.0.1:0"}
		c.MQTT.TLS, c.MQTT.WebSocket, c.MQTT.WebSocketTLS = loopback, loopback, loopback
	})
	t.Setenv("LINTEL_BROKER", "")
	t.Setenv("LINTEL_USER", "shed")
	status, password, said := statusOf("", "users", "add", "shed", "--topics", "shed/#", "--box", address, "--token", token)
	if status != 0 {
		t.Fatal(said)
	}
	t.Setenv("LINTEL_PASSWORD", strings.TrimSpace(password))
	urls = make(map[string]string)
	for scheme, at := range brokers {
		urls[scheme] = scheme + "://" + at
		if strings.HasPrefix(scheme, "ws") {
			urls[scheme] += "/mqtt"
		}
	}
	answer, err := http.Get(address + "/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	pem, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return urls, ca
}

func TestPubAndSub(t *testing.T) {
	urls, ca := brokerOfABox(t)
	for _, scheme := range []string{"mqtt", "mqtts", "ws", "wss"} {
		for _, version := range []string{"3.1.1", "5"} {
			for qos := range 3 {
				t.Run(fmt.Sprint(scheme, " ", version, " QoS ", qos), func(t *testing.T) {
					there := []string{"--broker", urls[scheme], "--mqtt", version, "--ca", ca, "--qos", strconv.Itoa(qos)}
					topic := "shed/" + scheme + version + strconv.Itoa(qos)
					if status, _, said := statusOf("", append([]string{"pub", topic, "ON", "--retain"}, there...)...); status != 0 {
						t.Fatalf("pub: status %d, %s", status, said)
					}
					status, out, said := statusOf("", append([]string{"sub", topic, "shed/none", "--topics", "--count", "1", "--wait", "60"}, there...)...)
					if want := topic + " ON\n"; status != 0 || out != want {
						t.Errorf("sub: status %d, printed %q, %s", status, out, said)
					}
				})
			}
		}
	}
}

func TestSubPrintsWhatComes(t *testing.T) {
	urls, _ := brokerOfABox(t)
	broker := []string{"--broker", urls["mqtt"]}
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		err := run(append([]string{"sub", "shed/#", "--json", "--qos", "2"}, broker...), nil, w, io.Discard)
		status, _ := exitStatus(err)
		ended <- status
	}()
	type message struct {
		Time    time.Time
		Topic   string
		QoS     int
		Retain  bool
		Payload *string
		Base64  []byte `json:"payload_base64"`
	}
	lines := json.NewDecoder(r)
	next := func() (m message) {
		t.Helper()
		if err := lines.Decode(&m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	// It is subscribed when it hears the first of these, which come until then.
	heard := make(chan message, 1)
	go func() { heard <- next() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for first := true; first; {
		if status, _, said := statusOf("", append([]string{"pub", "shed/first", "--null", "--retain"}, broker...)...); status != 0 {
			t.Fatal(said)
		}
		select {
		case m := <-heard:
			if m.Topic != "shed/first" || m.Payload == nil || *m.Payload != "" {
				t.Errorf("%+v", m)
			}
			first = false
		case <-tick.C:
		}
	}
	var got []string
	go statusOf("a\nb <\xff>\n", append([]string{"pub", "shed/lines", "--lines", "--qos", "1"}, broker...)...)
	for len(got) < 2 {
		m := next()
		if m.Topic == "shed/first" {
			continue // that was on its way
		}
		text := string(m.Base64)
		if m.Payload != nil {
			text = *m.Payload
		}
		got = append(got, text)
		if m.QoS != 1 || m.Retain || time.Since(m.Time) > time.Hour {
			t.Errorf("%+v", m)
		}
	}
	if !slices.Equal(got, []string{"a", "b <\xff>"}) {
		t.Errorf("%q", got)
	}
	r.Close() // which the next message shows
	statusOf("", append([]string{"pub", "shed/last", "x"}, broker...)...)
	if status := <-ended; status != 1 {
		t.Errorf("status %d", status)
	}
}

// The statuses are those of mosquitto_pub and mosquitto_sub, and the manual has them.
func TestStatusesOfPubAndSub(t *testing.T) {
	urls, _ := brokerOfABox(t)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	for _, test := range []struct {
		args   string
		status int
		says   string
	}{
		{"pub shed/a x", 0, ""},
		{"pub shed/a x --mqtt 3.1 --id me", 0, ""},
		{"pub shed/a x --password wrong", 134, "has not let in"},
		{"pub shed/a x --password wrong --mqtt 3.1.1", 4, "user name or password is wrong"},
		{"pub barn/a x --qos 1", 135, "has not taken the message"},
		{"sub barn/a", 135, "has not taken the subscription to barn/a"},
		{"sub barn/a --mqtt 3.1.1", 128, "has not taken the subscription"},
		{"sub shed/a --wait 0.2", 0, ""},
		{"sub shed/a --wait 0.2 --count 1", 27, ""},
		{"pub shed/a x --broker mqtts://" + strings.TrimPrefix(urls["mqtts"], "mqtts://"), 1, "certificate"},
		{"pub shed/a x --fingerprint " + strings.Repeat("0a", 32) + " --broker " + urls["mqtts"], 1, "another fingerprint"},
		{"pub shed/a x --broker " + nobody.Addr().String(), 1, "cannot be reached"},
		{"pub shed/# x", 2, "no topic"},
		{"pub shed/a x --qos 3", 2, "--qos 3"},
		{"pub shed/a x --null", 2, "one of them"},
		{"sub a/#/b", 2, "no topic filter"},
		{"sub", 2, "filters"},
		{"sub a --mqtt 6", 2, "--mqtt 6"},
		{"sub a --live --retained", 2, "nothing"},
		{"sub a --broker http://lintel.local", 2, "no URL of a broker"},
		{"sub a --broker mqtt://u:p@lintel.local", 2, "do not stand in the URL"},
		{"sub a --mqtt 3.1", 2, "identifier"},
	} {
		args := strings.Fields(test.args)
		if !slices.Contains(args, "--broker") {
			args = append(args, "--broker", strings.TrimPrefix(urls["mqtt"], "mqtt://"))
		}
		status, _, said := statusOf("", args...)
		if status != test.status || !strings.Contains(said, test.says) {
			t.Errorf("lintelctl %s: status %d, said %s; want %d", test.args, status, said, test.status)
		}
	}
}

// Mosquitto's own programs understand what is said, and are understood.
func TestInteropMosquitto(t *testing.T) {
	theirs, err := exec.LookPath("mosquitto_pub")
	if err != nil {
		if os.Getenv("LINTEL_NEED_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	urls, _ := brokerOfABox(t)
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(urls["mqtt"], "mqtt://"))
	out, err := exec.Command(theirs, "-h", host, "-p", port, "-u", "shed", "-P", os.Getenv("LINTEL_PASSWORD"), "-V", "mqttv5",
		"-t", "shed/theirs", "-m", "hello", "-q", "2", "-r", "-D", "publish", "user-property", "k", "v", "-D", "publish", "content-type", "text/plain").CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	status, printed, said := statusOf("", "sub", "shed/+", "--count", "1", "--wait", "60", "--json", "--retained", "--broker", urls["mqtt"])
	if want := `"retain":true,"payload":"hello","user_properties":[["k","v"]],"content_type":"text/plain"}`; status != 0 || !strings.Contains(printed, want) {
		t.Errorf("status %d, printed %s, said %s", status, printed, said)
	}
}
