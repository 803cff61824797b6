package gateway

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lintel/gateway/backup"
	"lintel/gateway/settings"
	"lintel/persist"
)

// checked is a check as the API tells it.
type checked struct {
	ID, Verdict, Why, Cause string
	Mend                    struct {
		Method, Path string
		Fields       map[string]string
	}
}

// awaitCheck waits until a check has a verdict.
func (o *owner) awaitCheck(id, verdict string) (c checked) {
	o.t.Helper()
	var report struct{ Checks []checked }
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		o.get("/api/checks", &report)
		if i := slices.IndexFunc(report.Checks, func(c checked) bool { return c.ID == id }); i >= 0 {
			if c = report.Checks[i]; c.Verdict == verdict {
				return c
			}
		}
	}
	o.t.Fatalf("waited in vain for %s to be %s: %+v", id, verdict, c)
	return c
}

// mend sends the form of a check. What is still going on may refuse it for a moment.
func (o *owner) mend(c checked) {
	o.t.Helper()
	form := make(url.Values)
	for name, value := range c.Mend.Fields {
		form.Set(name, value)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	status := http.StatusConflict
	for end := time.Now().Add(20 * time.Second); status == http.StatusConflict && time.Now().Before(end); <-tick.C {
		answer, err := o.http.PostForm(o.url+c.Mend.Path, form)
		if err != nil {
			o.t.Fatal(err)
		}
		answer.Body.Close()
		status = answer.StatusCode
	}
	if c.Mend.Method != "POST" || status != http.StatusOK {
		o.t.Fatalf("%+v: %d", c.Mend, status)
	}
}

// TestChecksOfAStick: a stick that was pulled out is what is wrong, its device is so because
// of it, and both are well again when it is back; one that is gone for good is forgotten.
func TestChecksOfAStick(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	stick := plug(t, root)
	c := localConfig()
	c.Serial.Ports = []settings.PortConfig{{Stick: "0403:6015:VE1A2B3C:00", Protocol: "jsonlines"}}
	o := Options{Data: t.TempDir(), Root: root, Version: "test"}
	e, stop := startOptions(t, c, o)
	owner := claim(t, e)
	quiet := stick.speak()
	const id = "stick/0403:6015:VE1A2B3C:00"
	owner.awaitCheck(id, "ok")
	owner.awaitCheck("devices", "ok")
	quiet()
	stick.unplug()
	away := owner.awaitCheck(id, "bad")
	if !strings.Contains(away.Why, "Plug it in again") {
		t.Errorf("of a stick that was pulled out: %s", away.Why)
	}
	if devices := owner.awaitCheck("devices", "notice"); devices.Cause != id {
		t.Errorf("its device is offline because of %q", devices.Cause)
	}
	stop()

	e, stop = startOptions(t, c, o)
	defer stop()
	owner = visit(t, e)
	owner.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	owner.mend(owner.awaitCheck("stick/"+usbStickID, "bad"))
	owner.awaitCheck("sticks", "not there")
}

// bornClock is that of a box that was just switched on.
type bornClock struct{}

func (bornClock) Now() time.Time                      { return time.Unix(100, 0) }
func (bornClock) Step(time.Duration) error            { return nil }
func (bornClock) Slew(time.Duration) error            { return nil }
func (bornClock) SetSynchronised(time.Duration) error { return nil }

// TestChecksOfTheClock: a box whose time server does not answer says so.
func TestChecksOfTheClock(t *testing.T) {
	t.Parallel()
	c := closedConfig()
	c.Time.Servers = []string{"255.255.255.255"} // to which nothing is sent; this machine may have a time server
	began := time.Now()
	clocks := func() persist.Reading { // neither kernel nor battery know the time
		return persist.Reading{Boot: "the first", Up: time.Since(began), Wall: time.Unix(100, 0)}
	}
	e, stop := startOptions(t, c, Options{Data: t.TempDir(), Clock: bornClock{}, Version: "test", clocks: clocks})
	defer stop()
	owner := claim(t, e)
	if got := owner.awaitCheck("clock", "bad"); !strings.Contains(got.Why, "does not know what time it is") {
		t.Error(got.Why)
	}
	owner.awaitCheck("backup", "unknown")
}

// TestChecksOfTheDisk: a disk that is nearly full says so, and what was there before a
// restore can be removed.
func TestChecksOfTheDisk(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if err := unix.Mount("lintel-test", data, "tmpfs", 0, "size=112m"); err != nil {
		t.Skip("needs the right to mount: ", err)
	}
	t.Cleanup(func() { unix.Unmount(data, unix.MNT_DETACH) })
	before := filepath.Join(data, backup.Before)
	if err := os.Mkdir(before, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(before, "old"), make([]byte, 12e6), 0o600); err != nil {
		t.Fatal(err)
	}
	e, stop := startOptions(t, closedConfig(), Options{Data: data, Version: "test"})
	defer stop()
	owner := claim(t, e)
	low := owner.awaitCheck("space", "warning")
	if !strings.Contains(low.Why, "nearly full") || low.Mend.Path != "/checks/free" {
		t.Errorf("%+v", low)
	}
	owner.mend(low)
	if _, err := os.Stat(before); !os.IsNotExist(err) {
		t.Errorf("what was there before the restore: %v", err)
	}
	owner.awaitCheck("space", "ok")
}

// TestChecksLevels: who may only look can read them, and mends nothing.
func TestChecksLevels(t *testing.T) {
	t.Parallel()
	e, stop := startOptions(t, closedConfig(), Options{Data: t.TempDir(), Version: "test"})
	defer stop()
	owner := claim(t, e)
	owner.call("POST", "/api/users", map[string]any{"name": "guest", "password": "a guest of the house", "page": "viewer"}, nil)
	guest := visit(t, e)
	if status, _ := guest.try("GET", "/api/checks", nil); status != 401 {
		t.Errorf("nobody reads the checks with %d", status)
	}
	guest.call("POST", "/api/login", map[string]string{"user": "guest", "password": "a guest of the house"}, nil)
	guest.awaitCheck("homeassistant", "not there")
	for _, path := range []string{"/checks/forget", "/checks/free"} {
		answer, err := guest.http.PostForm(guest.url+path, url.Values{"stick": {"x"}})
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 403 {
			t.Errorf("a viewer does POST %s with %d", path, answer.StatusCode)
		}
	}
	answer, err := owner.http.PostForm(owner.url+"/checks/forget", url.Values{"stick": {"gateway"}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 409 {
		t.Errorf("what is no stick is forgotten with %d", answer.StatusCode)
	}
}
