package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/settings"
)

// owner is a person at the page of a house.
type owner struct {
	t    testing.TB
	url  string
	http http.Client

	homeassistant string // the password of that login
}

const ownerPassword = "correct horse battery staple"

// claim claims a house over HTTP.
func claim(t *testing.T, e Endpoints) *owner {
	t.Helper()
	o := visit(t, e)
	var made struct{ Homeassistant struct{ Password string } }
	o.call("POST", "/api/claim", map[string]string{"password": ownerPassword}, &made)
	o.homeassistant = made.Homeassistant.Password
	return o
}

func visit(t *testing.T, e Endpoints) *owner {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &owner{t: t, url: fmt.Sprintf("http://%v", e.HTTP), http: http.Client{Jar: jar}}
}

func (o *owner) get(path string, out any) { o.t.Helper(); o.call("GET", path, nil, out) }

// call makes a call that must succeed.
func (o *owner) call(method, path string, in, out any) {
	o.t.Helper()
	if status, text := o.try(method, path, in); status >= 300 {
		o.t.Fatalf("%s %s: %d: %s", method, path, status, text)
	} else if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			o.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
}

func (o *owner) try(method, path string, in any) (status int, text []byte) {
	o.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		o.t.Fatal(err)
	}
	request, err := http.NewRequest(method, o.url+path, bytes.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := o.http.Do(request)
	if err != nil {
		o.t.Fatal(err)
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(answer.Body); err != nil {
		o.t.Fatal(err)
	}
	return answer.StatusCode, b.Bytes()
}

// closedConfig lets nobody in who shows nothing.
func closedConfig() settings.Config {
	c := localConfig()
	c.Access.Anonymous = nil
	c.HomeAssistant.Enabled = false
	return c
}

// mosquitto runs mosquitto_pub or mosquitto_sub to its end and returns what it printed.
func mosquitto(t *testing.T, e Endpoints, program string, args ...string) (out string, err error) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("LINTEL_NEED_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip("needs mosquitto-clients")
	}
	host, port, _ := strings.Cut(e.Brokers[0].Addr.String(), ":")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	b, err := exec.CommandContext(ctx, path, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	return string(b), err
}

// TestHouseIsClaimed is the way of a box from the first second: nobody gets in, a person
// claims it, Home Assistant and a device get logins, and each may do what is theirs.
func TestHouseIsClaimed(t *testing.T) {
	t.Parallel()
	e, stop := startWith(t, closedConfig(), t.TempDir(), false)
	defer stop()
	if !e.Unclaimed {
		t.Error("the house does not say that it is unclaimed")
	}
	publish := func(user, password, topic string, more ...string) (string, error) {
		t.Helper()
		return mosquitto(t, e, "mosquitto_pub", append([]string{"-V", "5", "-q", "1", "-u", user, "-P", password, "-t", topic, "-m", "x"}, more...)...)
	}
	const unavailable = "Server unavailable"
	if out, err := publish("admin", "admin", "a"); err == nil || !strings.Contains(out, unavailable) {
		t.Errorf("unclaimed, with a password: %v: %s", err, out)
	}
	if out, err := mosquitto(t, e, "mosquitto_pub", "-V", "5", "-t", "a", "-m", "x"); err == nil || !strings.Contains(out, unavailable) {
		t.Errorf("unclaimed, with nothing: %v: %s", err, out)
	}

	o := claim(t, e)
	if len(o.homeassistant) < 16 {
		t.Fatalf("the password for Home Assistant is %q", o.homeassistant)
	}
	if status, _ := visit(t, e).try("POST", "/api/claim", map[string]string{"password": "mine, not yours"}); status < 400 {
		t.Errorf("claimed a second time: %d", status)
	}
	o.call("POST", "/api/users", map[string]any{"name": "shed", "password": "the shed has a password", "roles": []string{"device"}, "topics": []string{"shed/#"}}, nil)

	// Who has a login gets in, and only there where its rights are.
	for _, tt := range []struct {
		name, user, password, topic string
		want                        string // empty: published
	}{
		{"owner", "admin", ownerPassword, "anything", ""},
		{"Home Assistant", "homeassistant", o.homeassistant, "homeassistant/status", ""},
		{"device", "shed", "the shed has a password", "shed/state", ""},
		{"device on a topic of another", "shed", "the shed has a password", "barn/state", "Not authorized"},
		{"wrong password", "shed", "wrong", "shed/state", "Bad user name or password"},
		{"unknown user", "barn", "the shed has a password", "barn/state", "Bad user name or password"},
	} {
		out, err := publish(tt.user, tt.password, tt.topic)
		if tt.want == "" && (err != nil || out != "") || tt.want != "" && !strings.Contains(strings.ToLower(out), strings.ToLower(tt.want)) {
			t.Errorf("%s: %v: %s", tt.name, err, out)
		}
	}
	if out, err := mosquitto(t, e, "mosquitto_pub", "-V", "5", "-t", "a", "-m", "x"); err == nil || !strings.Contains(out, "Not authorized") {
		t.Errorf("claimed, with nothing: %v: %s", err, out)
	}
	// A subscription is refused, and one that is not gets nothing but its own.
	if out, err := mosquitto(t, e, "mosquitto_sub", "-u", "shed", "-P", "the shed has a password", "-t", "#", "-W", "5", "-E"); !strings.Contains(out, "denied") {
		t.Errorf("subscribed to everything: %v: %s", err, out)
	}
	for _, topic := range []string{"shed/set", "barn/set"} {
		if out, err := publish("admin", ownerPassword, topic, "-r"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	out, err := mosquitto(t, e, "mosquitto_sub", "-u", "shed", "-P", "the shed has a password", "-t", "shed/#", "-t", "barn/#", "-F", "%t", "-C", "1", "-W", "10")
	if err != nil || !strings.HasSuffix(strings.TrimSpace(out), "shed/set") || strings.Contains(out, "barn/set") {
		t.Errorf("the device heard %q, %v", out, err)
	}

	o.call("PATCH", "/api/users/shed", map[string]any{"disabled": true}, nil)
	if out, err := publish("shed", "the shed has a password", "shed/state"); err == nil || !strings.Contains(strings.ToLower(out), "bad user name or password") {
		t.Errorf("disabled: %v: %s", err, out)
	}

	var verdict struct {
		Allow bool
		Why   string
	}
	o.get("/api/explain?user=homeassistant&client=x&action=publish&topic=a/b", &verdict)
	if !verdict.Allow {
		t.Errorf("explain: %+v", verdict)
	}
	var audit struct{ Events []struct{ Kind string } }
	o.get("/api/audit", &audit)
	for _, want := range []string{"claimed", "login", "login refused", "user added", "user changed"} {
		if !slices.ContainsFunc(audit.Events, func(e struct{ Kind string }) bool { return e.Kind == want }) {
			t.Errorf("the audit log has no %q: %+v", want, audit)
		}
	}
}

// session is a client of MQTT that stays.
type session struct {
	paho.Client
	lost chan error
}

func connect(t *testing.T, e Endpoints, id, user, password string) *session {
	t.Helper()
	s := &session{lost: make(chan error, 1)}
	options := paho.NewClientOptions().AddBroker("tcp://" + e.Brokers[0].Addr.String()).SetClientID(id).SetAutoReconnect(false)
	if user != "" {
		options.SetUsername(user).SetPassword(password)
	}
	options.SetConnectionLostHandler(func(_ paho.Client, err error) { s.lost <- err })
	s.Client = paho.NewClient(options)
	if token := s.Connect(); !token.WaitTimeout(20*time.Second) || token.Error() != nil {
		t.Fatalf("%s: %v", user, token.Error())
	}
	t.Cleanup(func() { s.Disconnect(0) })
	return s
}

// granted reports whether a subscription is granted.
func (s *session) granted(t *testing.T, filter string) bool {
	t.Helper()
	token := s.Subscribe(filter, 0, func(paho.Client, paho.Message) {}).(*paho.SubscribeToken)
	if !token.WaitTimeout(20 * time.Second) {
		t.Fatalf("subscribe to %s: no answer", filter)
	}
	return token.Error() == nil && token.Result()[filter] < 0x80
}

// TestUserChangesAtOnce: rights change under a client that stays, and who has another
// password, is disabled or is deleted has to go.
func TestUserChangesAtOnce(t *testing.T) {
	t.Parallel()
	c := closedConfig()
	c.MQTT.WebSocket = nil
	e, stop := startWith(t, c, t.TempDir(), false)
	defer stop()
	o := claim(t, e)
	sessions := make(map[string]*session)
	for _, name := range []string{"rights", "password", "off", "gone", "stays"} {
		o.call("POST", "/api/users", map[string]any{"name": name, "password": "every " + name + " has one", "topics": []string{"a/#"}}, nil)
		sessions[name] = connect(t, e, "client of "+name, name, "every "+name+" has one")
	}
	if s := sessions["rights"]; !s.granted(t, "a/b") || s.granted(t, "b/b") {
		t.Error("the rights at the beginning are wrong")
	}
	o.call("PATCH", "/api/users/rights", map[string]any{"topics": []string{"b/#"}}, nil)
	if s := sessions["rights"]; s.granted(t, "a/c") || !s.granted(t, "b/b") {
		t.Error("new rights are not in force when the change is acknowledged")
	}
	o.call("PATCH", "/api/users/password", map[string]any{"password": "this is another one"}, nil)
	o.call("PATCH", "/api/users/off", map[string]any{"disabled": true}, nil)
	o.call("DELETE", "/api/users/gone", nil, nil)
	for _, name := range []string{"password", "off", "gone"} {
		select {
		case <-sessions[name].lost:
		case <-time.After(20 * time.Second):
			t.Errorf("%s is still connected", name)
		}
	}
	for _, name := range []string{"rights", "stays"} {
		if !sessions[name].IsConnected() {
			t.Errorf("%s was disconnected", name)
		}
	}
}

// TestDeletedUserLeavesNothing: the session of a user who is deleted ends, so that
// another may take the client id.
func TestDeletedUserLeavesNothing(t *testing.T) {
	t.Parallel()
	e, stop := startWith(t, closedConfig(), t.TempDir(), false)
	defer stop()
	o := claim(t, e)
	login := func(user string) error {
		options := paho.NewClientOptions().AddBroker("tcp://" + e.Brokers[0].Addr.String()).SetClientID("shed").SetCleanSession(false).
			SetAutoReconnect(false).SetUsername(user).SetPassword("every " + user + " has one")
		c := paho.NewClient(options)
		token := c.Connect()
		if !token.WaitTimeout(20 * time.Second) {
			t.Fatal("no answer")
		}
		c.Disconnect(250)
		return token.Error()
	}
	for _, name := range []string{"first", "second"} {
		o.call("POST", "/api/users", map[string]any{"name": name, "password": "every " + name + " has one", "topics": []string{"a/#"}}, nil)
	}
	if err := login("first"); err != nil {
		t.Fatal(err)
	}
	if err := login("second"); err == nil {
		t.Fatal("somebody else took the session of a user")
	}
	o.call("DELETE", "/api/users/first", nil, nil)
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := login("second") // the session ends soon after the answer
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the client id of a user who was deleted cannot be used: %v", err)
		}
	}
}

// TestRolesAreReloaded: SIGHUP reads the role file again, clients stay, and a mistake
// leaves the rules as they were, over a restart too.
func TestRolesAreReloaded(t *testing.T) {
	t.Parallel()
	folder, data := t.TempDir(), t.TempDir()
	name := filepath.Join(folder, "roles.toml")
	write := func(topic string) {
		t.Helper()
		text := "[[role]]\nname = \"guest\"\n[[role.rule]]\nallow = [\"subscribe\", \"publish\"]\ntopic = \"" + topic + "\"\n"
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := closedConfig()
	c.MQTT.WebSocket = nil
	c.Access.Roles, c.Access.Anonymous = name, map[string]string{"127.0.0.1:0": "guest"}
	write("a/#")
	e, stop := startWith(t, c, data, false)
	o := claim(t, e)
	guest := connect(t, e, "guest", "", "")
	if !guest.granted(t, "a/b") || guest.granted(t, "b/b") {
		t.Fatal("the role file is not in force")
	}
	write("b/#")
	o.call("POST", "/api/access/reload", map[string]any{}, nil)
	if !guest.IsConnected() || guest.granted(t, "a/c") || !guest.granted(t, "b/b") {
		t.Error("the new rules are not in force")
	}
	write("c/#/c")
	if status, text := o.try("POST", "/api/access/reload", map[string]any{}); status < 400 || !strings.Contains(string(text), "roles.toml:5") {
		t.Errorf("a mistake: %d: %s", status, text)
	}
	if !guest.IsConnected() || !guest.granted(t, "b/c") {
		t.Error("the rules before are not in force")
	}
	stop()

	e, stop = startWith(t, c, data, false)
	defer stop()
	if guest := connect(t, e, "guest", "", ""); !guest.granted(t, "b/b") || guest.granted(t, "c/c") {
		t.Error("the rules before are not in force after a start with a mistake")
	}
	o = visit(t, e)
	o.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	var status struct{ Notices []string }
	o.get("/api/status", &status)
	if len(status.Notices) != 1 || !strings.Contains(status.Notices[0], "roles.toml:5") {
		t.Errorf("the page says %q", status.Notices)
	}
}

// TestReloadSignal: what the command line gives for SIGHUP reads the role file.
func TestReloadSignal(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "roles.toml")
	write := func(topic string) {
		if err := os.WriteFile(name, []byte("[[role]]\nname = \"guest\"\n[[role.rule]]\nallow = \"subscribe\"\ntopic = \""+topic+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a")
	c := closedConfig()
	c.MQTT.WebSocket = nil
	c.Access.Roles, c.Access.Anonymous = name, map[string]string{"127.0.0.1:0": "guest"}
	hangup := make(chan os.Signal)
	e, stop := startOptions(t, c, Options{Data: t.TempDir(), Reload: hangup})
	defer stop()
	guest := connect(t, e, "guest", "", "")
	write("b")
	hangup <- syscall.SIGHUP
	for deadline := time.Now().Add(20 * time.Second); !guest.granted(t, "b"); {
		if time.Now().After(deadline) {
			t.Fatal("the new rules do not come into force")
		}
	}
	if guest.granted(t, "a") {
		t.Error("the old rules are still in force")
	}
}

// TestSecurityEvents: who knocks in vain is told of on MQTT.
func TestSecurityEvents(t *testing.T) {
	t.Parallel()
	c := closedConfig()
	c.MQTT.WebSocket = nil
	e, stop := startWith(t, c, t.TempDir(), false)
	defer stop()
	o := claim(t, e)
	watch := connect(t, e, "watch", "homeassistant", o.homeassistant)
	events := make(chan securityEvent, 100)
	token := watch.Subscribe("lintel/gateway/security", 0, func(_ paho.Client, m paho.Message) {
		var e securityEvent
		if err := json.Unmarshal(m.Payload(), &e); err != nil || m.Retained() {
			t.Errorf("%s: %v, retained %t", m.Payload(), err, m.Retained())
		}
		events <- e
	})
	if !token.WaitTimeout(20*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	options := paho.NewClientOptions().AddBroker("tcp://" + e.Brokers[0].Addr.String()).SetClientID("burglar").SetUsername("admin").SetPassword("admin")
	if token := paho.NewClient(options).Connect(); !token.WaitTimeout(20*time.Second) || token.Error() == nil {
		t.Error("a wrong password was let in")
	}
	deadline := time.After(20 * time.Second)
	for {
		select {
		case got := <-events:
			if got.Kind != "login refused" {
				continue
			}
			got.Detail, got.Count = "", 0
			if got.EventType != got.Kind || got.User != "admin" || got.Client != "burglar" || !got.Address.IsLoopback() {
				t.Errorf("told %+v", got)
			}
			return
		case <-deadline:
			t.Fatal("nobody was told of a wrong password")
		}
	}
}

// TestExplainNobody and a user who is not there.
func TestExplainSomebodyElse(t *testing.T) {
	t.Parallel()
	e, stop := startWith(t, closedConfig(), t.TempDir(), false)
	defer stop()
	o := claim(t, e)
	if status, text := o.try("GET", "/api/explain?user=none&action=publish&topic=a", nil); status < 400 {
		t.Errorf("a user who is not there: %d: %s", status, text)
	}
	var verdict struct{ Allow bool }
	o.get("/api/explain?action=publish&topic=a", &verdict)
	if verdict.Allow {
		t.Error("nobody may publish")
	}
}

// TestDenialsAreTold: what clients are refused is told, with the rule and the reason.
func TestDenialsAreTold(t *testing.T) {
	t.Parallel()
	e, stop := startWith(t, closedConfig(), t.TempDir(), false)
	defer stop()
	o := claim(t, e)
	const password = "the shed has a password"
	o.call("POST", "/api/users", map[string]any{"name": "shed", "password": password}, nil)
	shed := connect(t, e, "shed-1", "shed", password)
	for _, topic := range []string{"shed/state", "barn/state"} {
		if token := shed.Publish(topic, 1, false, "x"); !token.WaitTimeout(20*time.Second) || token.Error() != nil {
			t.Fatal(token.Error())
		}
	}
	shed.Subscribe("barn/#", 1, nil).WaitTimeout(20 * time.Second)
	thief := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + e.Brokers[0].Addr.String()).
		SetClientID("thief").SetUsername("shed").SetPassword("wrong").SetConnectRetry(false))
	if token := thief.Connect(); !token.WaitTimeout(20*time.Second) || token.Error() == nil {
		t.Fatal("let in with a wrong password")
	}
	var told struct {
		Denials []struct{ User, Client, Action, Topic, Why, Address string }
	}
	o.get("/api/denials?user=shed", &told)
	got := make(map[string]string)
	for _, d := range told.Denials {
		got[d.Client+" "+d.Action+" "+d.Topic] = d.Why
		if d.User != "shed" || d.Address != "127.0.0.1" {
			t.Errorf("%+v", d)
		}
	}
	if len(got) != 3 || got["shed-1 publish barn/state"] != "no rule matches" || got["shed-1 subscribe barn/#"] != "no rule matches" ||
		got["thief login "] != "user name or password is wrong" {
		t.Errorf("%q", got)
	}
	o.get("/api/denials?client=thief", &told)
	if len(told.Denials) != 1 {
		t.Errorf("%+v", told)
	}
}
