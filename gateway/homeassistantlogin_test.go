package gateway

import (
	"net/netip"
	"testing"
	"time"
)

// TestDoorTellsOfLogins: who comes to the broker with a login has used it, also when the
// house is started anew right after.
func TestDoorTellsOfLogins(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	c := closedConfig()
	c.MQTT.WebSocket = nil
	e, stop := startWith(t, c, data, false)
	o := claim(t, e)
	type page struct {
		Logins []struct {
			User, Address string
			Online        bool
			Used          time.Time
		}
	}
	var p page
	o.get("/api/homeassistant", &p)
	if len(p.Logins) != 1 || p.Logins[0].Online || !p.Logins[0].Used.IsZero() {
		t.Errorf("before: %+v", p)
	}
	var made struct{ User, Password string }
	o.call("POST", "/api/homeassistant/login", struct{}{}, &made)
	if made.User != "homeassistant" {
		t.Errorf("the first login is %+v", made)
	}
	s := connect(t, e, "ha", made.User, made.Password)
	o.get("/api/homeassistant", &p)
	if from, err := netip.ParseAddrPort(p.Logins[0].Address); !p.Logins[0].Online || p.Logins[0].Used.IsZero() || err != nil || !from.Addr().IsLoopback() {
		t.Errorf("online: %+v", p)
	}
	s.Disconnect(250)
	stop()

	e, stop = startWith(t, c, data, false)
	defer stop()
	again := visit(t, e)
	again.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	again.get("/api/homeassistant", &p)
	if p.Logins[0].Online || p.Logins[0].Used.IsZero() {
		t.Errorf("after a restart: %+v", p)
	}
	password := made.Password
	again.call("POST", "/api/homeassistant/login", struct{}{}, &made)
	if made.User != "homeassistant-2" {
		t.Errorf("the login for another Home Assistant is %+v", made)
	}
	connect(t, e, "ha", "homeassistant", password)
}
