package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/gateway/settings"
	"lintel/persist"
)

func openDoor(t *testing.T) (*door, *access.Users) {
	t.Helper()
	store, err := persist.Open(t.TempDir(), persist.Options{})
	fail(t, err)
	t.Cleanup(func() { store.Close() })
	users, err := access.NewUsers(store, slog.New(slog.DiscardHandler))
	fail(t, err)
	audit, err := access.NewAudit(store, nil)
	fail(t, err)
	d := newDoor(map[string]string{"open": "viewer"})
	d.control, err = access.NewControl(t.Context(), access.ControlOptions{Store: store, Users: users, Lockout: access.NewLockout(), Audit: audit})
	fail(t, err)
	d.exists = func(user string) bool { _, ok := users.Get(user); return ok }
	users.OnChange(d.userChanged)
	fail(t, users.Create(t.Context(), access.User{Name: "ann", Topics: []string{"ann/#", "of/ann"}}, []byte("correct horse")))
	return d, users
}

// TestDoorSeesChangesDuringALogin: a password that was right when it was checked and is
// not any more when the client is connected gives no rights.
func TestDoorSeesChangesDuringALogin(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*access.Users) error{
		"password": func(u *access.Users) error { return u.SetPassword(t.Context(), "ann", []byte("battery staple")) },
		"disabled": func(u *access.Users) error {
			return u.Update(t.Context(), "ann", func(u *access.User) { u.Disabled = true })
		},
		"deleted": func(u *access.Users) error { return u.Delete(t.Context(), "ann") },
	} {
		d, users := openDoor(t)
		r := &broker.ConnectRequest{ClientID: "c", HasUserName: true, UserName: "ann", HasPassword: true, Password: []byte("correct horse")}
		fail(t, d.authenticate(t.Context(), r))
		fail(t, change(users))
		// Only now the broker knows the client.
		if p := d.authorize(r, broker.Publish, "ann/x"); !isDenied(p) {
			t.Errorf("%s: may publish", name)
		}
		if reason := d.leave(r); reason == nil || reason.Code != mqtt.AdministrativeAction {
			t.Errorf("%s: is told to leave with %v", name, reason)
		}
	}
}

// isDenied reports whether the answer is no: the zero Permit is.
func isDenied(p broker.Permit) bool { return reflect.ValueOf(p).IsZero() }

// TestDoorKnowsAssignedClientIDs: what the broker calls a client that has no name is what rules
// mean by %c.
func TestDoorKnowsAssignedClientIDs(t *testing.T) {
	t.Parallel()
	d, _ := openDoor(t)
	r := &broker.ConnectRequest{HasUserName: true, UserName: "ann", HasPassword: true, Password: []byte("correct horse")}
	fail(t, d.authenticate(t.Context(), r))
	r.ClientID = "auto-1"
	id, err := d.now(r, r.Identity.(*admission))
	if err != nil || id.ClientID != "auto-1" || id.User != "ann" {
		t.Errorf("%+v, %v", id, err)
	}
}

// TestDoorRefusals: what a client is told, and that doubt refuses nobody.
func TestDoorRefusals(t *testing.T) {
	t.Parallel()
	d, _ := openDoor(t)
	for _, tt := range []struct {
		name string
		r    broker.ConnectRequest
		want mqtt.ReasonCode // 0: let in
	}{
		{"wrong password", broker.ConnectRequest{HasUserName: true, UserName: "ann", HasPassword: true, Password: []byte("x")}, mqtt.BadUserNameOrPassword},
		{"nothing", broker.ConnectRequest{}, mqtt.NotAuthorized},
		{"nothing where that will do", broker.ConnectRequest{Listener: "open"}, 0},
		{"nothing, another listener", broker.ConnectRequest{Listener: "opened"}, mqtt.NotAuthorized},
	} {
		err := d.authenticate(t.Context(), &tt.r)
		var refusal *broker.Refusal
		if tt.want == 0 != (err == nil) || err != nil && (!errors.As(err, &refusal) || refusal.Code != tt.want) {
			t.Errorf("%s: %v; want %v", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := d.authenticate(ctx, &broker.ConnectRequest{HasUserName: true, UserName: "ann", HasPassword: true, Password: []byte("y")})
	var refusal *broker.Refusal
	if err == nil || errors.As(err, &refusal) {
		t.Errorf("a check that did not come to its end: %v", err)
	}
	if p := d.authorize(&broker.ConnectRequest{ClientID: "stranger"}, broker.Publish, "ann/x"); !isDenied(p) {
		t.Error("a request that nobody has authenticated may publish")
	}
}

// TestDoorSCRAM: enhanced authentication with an independent client.
func TestDoorSCRAM(t *testing.T) {
	t.Parallel()
	d, users := openDoor(t)
	credentials, err := access.NewSCRAM([]byte("correct horse"))
	fail(t, err)
	fail(t, users.Update(t.Context(), "ann", func(u *access.User) { u.SCRAM = credentials }))
	for password, right := range map[string]bool{"correct horse": true, "wrong": false} {
		client, err := scram.SHA256.NewClient("ann", password, "")
		fail(t, err)
		conversation := client.NewConversation()
		first, err := conversation.Step("")
		fail(t, err)
		r := &broker.ConnectRequest{ClientID: "c", AuthenticationMethod: "SCRAM-SHA-256", AuthenticationData: []byte(first)}
		final, err := d.scram(t.Context(), r, func(challenge []byte) ([]byte, error) {
			answer, err := conversation.Step(string(challenge))
			return []byte(answer), err
		})
		var refusal *broker.Refusal
		switch {
		case right:
			fail(t, err)
			if _, err := conversation.Step(string(final)); err != nil || r.UserName != "ann" || isDenied(d.authorize(r, broker.Publish, "ann/x")) {
				t.Errorf("let in as %q: %v", r.UserName, err)
			}
		case !errors.As(err, &refusal) || refusal.Code != mqtt.BadUserNameOrPassword:
			t.Errorf("%q: %v", password, err)
		}
	}
}

// TestNobodyIsRefusedWhileStarting: a client with the right password that tries all the
// time while the house starts hears yes, "server unavailable", or nothing at all.
func TestNobodyIsRefusedWhileStarting(t *testing.T) {
	t.Parallel()
	address := freePort(t)
	c := closedConfig()
	c.MQTT.Listen, c.MQTT.WebSocket = []string{address}, nil
	data := t.TempDir()
	fail(t, writeFile(data, settings.PreseedFile, seed)) // from the very first start on

	const yes, unavailable = 0, 3 // return codes of 3.1.1
	connect := append([]byte("\x10\x00\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01s\x00\x0dhomeassistant\x00\x0e"), "battery staple"...)
	connect[1] = byte(len(connect) - 2)
	heard := make(map[byte]int)
	ask := func() (code byte, ok bool) {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			return 0, false
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		nc.Write(connect)
		var connack [4]byte
		if _, err := io.ReadFull(nc, connack[:]); err != nil {
			return 0, false
		}
		return connack[3], true
	}
	for range 3 {
		starting, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for started, until := false, time.Now().Add(time.Minute); time.Now().Before(until); {
				code, ok := ask()
				if ok {
					heard[code]++
				}
				if started && code == yes && ok {
					return
				}
				select {
				case <-starting:
					started = true
				default:
				}
			}
		}()
		card := settings.ReadCard(settings.CardOptions{Data: data, Config: filepath.Join(data, settings.DefaultFile)})
		_, stop := startOptions(t, c, Options{Data: data, Version: "test", Card: card})
		close(starting)
		<-done
		stop()
	}
	for code, n := range heard {
		if code != yes && code != unavailable {
			t.Errorf("was told %d, %d times", code, n)
		}
	}
	if heard[yes] < 3 {
		t.Errorf("let in %d times", heard[yes])
	}
}
