package checks

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lintel/gateway/clock"
	"lintel/gateway/network"
	"lintel/gateway/update"
	"lintel/hardware"
	"lintel/serialbridge"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// well is a house with something of everything in which all is well.
func well() House {
	return House{
		Now: noon, Uptime: 26 * time.Hour,
		Power: &Power{}, Heat: 51.2, Memory: Memory{Total: 1000e6, Available: 600e6},
		Disk:  Disk{Disk: hardware.Disk{LifeUsed: 10}, Free: 20e9, Total: 30e9, Spare: 500e6},
		Clock: &clock.Status{Synchronised: true, Set: noon.Add(-time.Minute)}, ClockKnown: true,
		Addressed: true, Network: &network.Status{}, Name: &Name{Wanted: "lintel.local", Is: "lintel.local"},
		Broker:        Broker{Listeners: 1, QueuedMost: 1000e6, RetainedMost: 1000, RetainedRoom: 1000e6},
		HomeAssistant: &HomeAssistant{Logins: []Login{{User: "homeassistant", Online: true, Used: noon}}},
		Uplinks:       []Uplink{{Name: "attic", URL: "mqtt://attic:1883", Connected: true, Since: noon.Add(-time.Hour)}},
		Sticks: []Stick{
			{ID: "A", Device: "stick_a", Name: "P1 cable", State: serialbridge.Online, Since: noon.Add(-time.Hour), Frames: 1000, Devices: 1},
			{ID: "B", Device: "stick_b", Name: "Zigbee", State: serialbridge.Online, Since: noon.Add(-time.Hour), Frames: 1000, Devices: 3}},
		Devices: []Device{{ID: "m", Name: "Meter", Stick: "stick_a", Battery: -1}, {ID: "l", Name: "Lamp", Stick: "stick_b", Battery: -1},
			{ID: "d", Name: "Door", Stick: "stick_b", Battery: 80}, {ID: "t", Name: "Thermometer", Stick: "stick_b", Battery: 60}},
		Update:       &update.Status{Version: "1.0", Phase: update.Idle, Checked: noon},
		Certificates: []Certificate{{Name: "pump", Until: noon.Add(365 * day), Page: "/certificates"}},
		Backup:       Backup{Possible: true, Taken: noon.Add(-day), Claimed: noon.Add(-100 * day)},
		Access:       Access{},
	}
}

func TestWell(t *testing.T) {
	r := Look(well())
	if r.Verdict != OK || len(r.Problems()) != 0 {
		t.Errorf("a house in which all is well: %v, %v", r.Verdict, r.Problems())
	}
	for _, c := range r.Checks {
		if c.Verdict != OK || c.Why.Format == "" || c.Name.Format == "" {
			t.Errorf("%s: %v %q", c.ID, c.Verdict, c.Why)
		}
		if c.Mend != nil && c.ID != "homeassistant" {
			t.Errorf("%s is well and has %q to mend it", c.ID, c.Mend.Label)
		}
	}
}

// TestNothing: nothing is known, so nothing is said to be well but what needs no knowledge.
func TestNothing(t *testing.T) {
	for _, c := range Look(House{}).Checks {
		if c.Why.Format == "" || strings.Contains(c.Why.String(), "%!") {
			t.Errorf("%s: %q", c.ID, c.Why)
		}
	}
}

func TestCauses(t *testing.T) {
	stick := func(change func(*Stick)) func(*House) { return func(h *House) { change(&h.Sticks[0]) } }
	device := func(change func(*Device)) func(*House) { return func(h *House) { change(&h.Devices[1]) } }
	homeassistant := func(change func(*HomeAssistant)) func(*House) { return func(h *House) { change(h.HomeAssistant) } }
	away := func(a *HomeAssistant) { a.Logins[0].Online, a.Logins[0].Used = false, noon.Add(-3*time.Hour) }
	for _, c := range []struct {
		name    string
		change  func(*House)
		id      string
		verdict Verdict
		why     string // a part of it
		mend    string // METHOD PATH; empty: none
	}{
		{"something in the way at the start", func(h *House) { h.Notices = []string{"lintel.toml: line 3"} }, "start/1", Warning, "line 3", ""},

		{"no Raspberry Pi", func(h *House) { h.Power = nil }, "power", NotThere, "", ""},
		{"power too weak", func(h *House) { h.Power.Now = hardware.UnderVoltage | hardware.Throttled }, "power", Bad, "cable is too weak", ""},
		{"power was too weak", func(h *House) { h.Power.Been = hardware.UnderVoltage }, "power", Warning, "was too weak", ""},
		{"slowed down", func(h *House) { h.Power.Now = hardware.Throttled }, "power", OK, "slowed down", ""},
		{"hot", func(h *House) { h.Heat = 81 }, "temperature", Warning, "81 °C", ""},
		{"no thermometer", func(h *House) { h.Heat = 0 }, "temperature", NotThere, "", ""},
		{"memory short", func(h *House) { h.Memory.Available = 90e6 }, "memory", Warning, "90 MB of 1.0 GB", ""},
		{"memory waited for", func(h *House) { h.Memory.Stalled = 12 }, "memory", Warning, "12 %", ""},
		{"disk nearly full", func(h *House) { h.Disk.Free = 1e9 }, "space", Warning, "1.0 GB of 30.0 GB", "POST /checks/free"},
		{"large disk nearly full", func(h *House) { h.Disk.Free, h.Disk.Total = 40e9, 1000e9 }, "space", OK, "", ""},
		{"small disk nearly full", func(h *House) { h.Disk.Free, h.Disk.Total = 90e6, 200e6 }, "space", Warning, "90 MB", "POST /checks/free"},
		{"disk full", func(h *House) { h.Disk.Full, h.Disk.Free = true, 10e6 }, "space", Bad, "nothing new is kept", "POST /checks/free"},
		{"disk full, nothing to free", func(h *House) { h.Disk.Full, h.Disk.Spare = true, 0 }, "space", Bad, "", ""},
		{"disk not known", func(h *House) { h.Disk.Total = 0 }, "space", Unknown, "", ""},
		{"eMMC worn", func(h *House) { h.Disk.LifeUsed = 90 }, "wear", Warning, "Most of the life", "GET /backup"},
		{"eMMC worn out", func(h *House) { h.Disk.LifeUsed = 110 }, "wear", Bad, "may fail any day", "GET /backup"},
		{"eMMC without reserve", func(h *House) { h.Disk.Disk.Spare = "urgent" }, "wear", Bad, "", "GET /backup"},
		{"eMMC with little reserve", func(h *House) { h.Disk.Disk.Spare = "warning" }, "wear", Warning, "", "GET /backup"},
		{"SD card", func(h *House) { h.Disk.LifeUsed, h.Disk.PerDay = 0, 0.25 }, "wear", OK, "0.25 GB", ""},
		{"disk that tells nothing", func(h *House) { h.Disk.LifeUsed = 0 }, "wear", NotThere, "", ""},
		{"store failed", func(h *House) { h.StoreErr = "write: input/output error" }, "store", Bad, "input/output", "GET /backup"},
		{"a loss", func(h *House) { h.Losses = []string{"damaged: retained message a/b"} }, "store", Warning, "a/b", "GET /backup"},
		{"losses", func(h *House) { h.Losses = []string{"one", "two"} }, "store", Warning, "2 places. The first: one", "GET /backup"},

		{"no address", func(h *House) { h.Addressed = false }, "network", Bad, "no address", "GET /network"},
		{"no address on a computer", func(h *House) { h.Addressed, h.Network = false, nil }, "network", Bad, "no address", ""},
		{"settings on trial", func(h *House) {
			h.Network.Trial, h.Network.InForce, h.Network.Seconds = &network.Addresses{}, true, 120
		}, "network", Warning, "120 s", "POST /network/confirm"},
		{"settings about to be tried", func(h *House) { h.Network.Trial = &network.Addresses{} }, "network", Warning, "being put in force", "GET /network"},
		{"settings not in force", func(h *House) { h.Network.Problem = "no such device" }, "network", Bad, "no such device", "GET /network"},
		{"settings gone back", func(h *House) { h.Network.Last = "Nobody confirmed the last change." }, "network", Notice, "Nobody confirmed", "GET /network"},
		{"Wi-Fi asked for", func(h *House) { h.NoWiFi = "attic" }, "network", Notice, `"attic"`, "GET /network"},
		{"another box of that name", func(h *House) { h.Name.Is = "lintel-2.local" }, "name", Notice, "so this box is lintel-2.local", ""},
		{"name not told", func(h *House) { h.Name.Err = "no interface" }, "name", Warning, "no interface", ""},
		{"no mDNS", func(h *House) { h.Name = nil }, "name", NotThere, "", ""},
		{"time not known", func(h *House) { *h.Clock, h.ClockKnown = clock.Status{Problem: "no server answers"}, false }, "clock", Bad, "no server answers.", "GET /network#time"},
		{"time not known for long", func(h *House) { *h.Clock, h.ClockKnown = clock.Status{}, false }, "clock", Bad, "2026-11-23 12:00", "GET /network#time"},
		{"time not known yet", func(h *House) { *h.Clock, h.ClockKnown, h.Uptime = clock.Status{}, false, 5*time.Second }, "clock", Unknown, "asks", ""},
		{"time not compared", func(h *House) { h.Clock.Set, h.Clock.Problem = noon.Add(-50*time.Hour), "no server answers" }, "clock", Notice, "not compared", "GET /network#time"},
		{"clock of a computer wrong", func(h *House) { h.Clock, h.Now = nil, time.Unix(3600, 0).UTC() }, "clock", Bad, "1970-01-01 01:00", ""},

		{"no listener", func(h *House) { h.Broker.Listeners = 0 }, "broker", Bad, "Nobody can reach", ""},
		{"queues nearly full", func(h *House) { h.Broker.QueuedBytes = 850e6 }, "broker", Warning, "850 MB", "GET /broker"},
		{"many retained messages", func(h *House) { h.Broker.Retained = 800 }, "broker", Warning, "800 retained", "GET /topics"},
		{"large retained messages", func(h *House) { h.Broker.RetainedBytes = 900e6 }, "broker", Warning, "900 MB", "GET /topics"},
		{"slow receivers", func(h *House) { h.Broker.Slow, h.Broker.Dropped = []string{"a", "b", "c", "d", "e"}, 99 }, "receivers", Warning, "a, b, c and 2 more", "GET /broker"},
		{"messages left out", func(h *House) { h.Broker.Dropped = 3 }, "receivers", Notice, "3 messages", "GET /broker"},
		{"role file wrong", func(h *House) { h.Access.RoleFile = "roles.toml: line 2" }, "access", Warning, "line 2.", "GET /access"},
		{"everybody is admin", func(h *House) { h.Access.Anonymous = map[string]string{"0.0.0.0:1883": "admin"} }, "access", Warning, "0.0.0.0:1883", "GET /users"},
		{"anonymous clients", func(h *House) {
			h.Access.Anonymous, h.Access.Anyone = map[string]string{":1883": "device"}, []string{"shelly"}
		}, "access", Notice, "shelly", "GET /users"},
		{"anonymous may come", func(h *House) { h.Access.Anonymous = map[string]string{":1883": "device"} }, "access", OK, ":1883", ""},
		{"many logins refused", func(h *House) { h.Access.Refused, h.Access.From = 12, []string{"192.0.2.9"} }, "access", Notice, "12 logins were refused in the last hour, from 192.0.2.9", "GET /access"},
		{"uplink away", func(h *House) {
			h.Uplinks[0].Connected, h.Uplinks[0].Err, h.Uplinks[0].Waiting = false, "connection refused", 7
		}, "uplink/attic", Bad, "connection refused. 7 messages wait", ""},
		{"uplink with a problem", func(h *House) { h.Uplinks[0].Problem = "a/# is not allowed" }, "uplink/attic", Warning, "not allowed", ""},
		{"uplink begins", func(h *House) { h.Uplinks[0].Connected = false }, "uplink/attic", Unknown, "", ""},

		{"Home Assistant turned off", func(h *House) { h.HomeAssistant = nil }, "homeassistant", NotThere, "", ""},
		{"Home Assistant away", homeassistant(away), "homeassistant", Bad, "3 hours ago", "GET /homeassistant"},
		{"Home Assistant not back yet", func(h *House) { away(h.HomeAssistant); h.Uptime = time.Minute }, "homeassistant", Unknown, "expected", "GET /homeassistant"},
		{"Home Assistant refused", homeassistant(func(a *HomeAssistant) { away(a); a.Logins[0].Refused = true }), "homeassistant", Bad, "wrong password", "GET /homeassistant"},
		{"Home Assistant found", homeassistant(func(a *HomeAssistant) { a.Logins[0], a.Found = Login{User: "homeassistant"}, []string{"Home"} }), "homeassistant", Notice, "Home is in this network", "GET /homeassistant"},
		{"no Home Assistant", homeassistant(func(a *HomeAssistant) { a.Logins = nil }), "homeassistant", Notice, "No Home Assistant", "GET /homeassistant"},
		{"bridge mode", homeassistant(func(a *HomeAssistant) { away(a); a.Bridge = &Uplink{URL: "mqtt://ha:1883", Connected: true} }), "homeassistant", OK, "mqtt://ha:1883", "GET /homeassistant"},
		{"bridge mode, not connected", homeassistant(func(a *HomeAssistant) { a.Bridge = &Uplink{URL: "mqtt://ha:1883", Err: "not authorised"} }), "homeassistant", Bad, "not authorised.", "GET /homeassistant"},
		{"documents refused", homeassistant(func(a *HomeAssistant) { a.Refused = []string{"Pump: level"} }), "documents", Notice, "Pump: level", ""},

		{"no stick", func(h *House) { h.Sticks, h.Devices = nil, nil }, "sticks", NotThere, "Plug a USB dongle in", ""},
		{"stick unplugged", stick(func(s *Stick) { s.State, s.Err = serialbridge.Waiting, "unplugged: plug it in again" }), "stick/A", Bad, "Plug it in again", "POST /checks/forget"},
		{"port not there", stick(func(s *Stick) { s.State, s.Named, s.Err = serialbridge.Waiting, true, "/dev/x is not there" }), "stick/A", Bad, "/dev/x is not there.", ""},
		{"stick failed", stick(func(s *Stick) { s.State, s.Err = serialbridge.Failed, "permission denied" }), "stick/A", Bad, "permission denied. It is tried again", ""},
		{"stick being listened to", stick(func(s *Stick) { s.State, s.Since = serialbridge.Listening, noon }), "stick/A", Unknown, "", ""},
		{"stick not recognised", stick(func(s *Stick) { s.State = serialbridge.Listening }), "stick/A", Notice, "60 minutes", ""},
		{"strange stick", stick(func(s *Stick) { s.State = serialbridge.Unknown }), "stick/A", Notice, "", ""},
		{"damaged frames", stick(func(s *Stick) { s.Damaged = 100 }), "stick/A", Warning, "100 of 1100", "GET /devices"},
		{"a few damaged frames", stick(func(s *Stick) { s.Damaged = 10 }), "stick/A", OK, "", ""},
		{"a device offline", device(func(d *Device) { d.Offline = true }), "devices", Notice, "Lamp is offline", "GET /devices"},
		{"most devices offline", func(h *House) {
			for i := range 3 {
				h.Devices[i].Offline = true
			}
		}, "devices", Warning, "3 of 4 are offline: Meter, Lamp, Door", "GET /devices"},
		{"battery weak", device(func(d *Device) { d.Battery = 12 }), "batteries", Notice, "Lamp", "GET /devices"},
		{"battery says so", device(func(d *Device) { d.Weak = true }), "batteries", Notice, "Lamp", "GET /devices"},
		{"battery empty", device(func(d *Device) { d.Battery = 3 }), "batteries", Warning, "now: Lamp", "GET /devices"},
		{"no battery", func(h *House) { h.Devices = h.Devices[:2] }, "batteries", NotThere, "", ""},

		{"updated by others", func(h *House) { h.Update = nil }, "update", NotThere, "", ""},
		{"update not possible", func(h *House) { h.Update.Unable = "Install the package." }, "update", NotThere, "Install the package.", ""},
		{"update available", func(h *House) { h.Update.Available = &update.Available{Version: "1.1"} }, "update", Notice, "1.1", "POST /update/install"},
		{"update available while another is checked", func(h *House) {
			h.Update.Available, h.Update.Phase = &update.Available{Version: "1.1"}, update.Checking
		}, "update", Notice, "1.1", ""},
		{"update after a restart", func(h *House) { h.Update.Available, h.Update.RestartFirst = &update.Available{Version: "1.1"}, true }, "update", Notice, "restarted once", "POST /update/restart"},
		{"version on trial", func(h *House) { h.Update.Trial = &update.Trial{} }, "update", Notice, "on trial", "GET /update"},
		{"version came back", func(h *House) { h.Update.Returned = &update.Returned{Version: "1.1", Reason: "No stick."} }, "update", Warning, "version 1.0 is back. No stick.", "GET /update"},
		{"update failed", func(h *House) { h.Update.Failed = "The signature is wrong." }, "update", Warning, "signature", "GET /update"},
		{"feed not reached", func(h *House) { h.Update.CheckErr = "no such host" }, "update", Notice, "no such host.", "POST /update/check"},
		{"certificate runs out", func(h *House) { h.Certificates[0].Until = noon.Add(20 * day) }, "certificates", Notice, "pump runs out in 20 days", "GET /certificates"},
		{"certificate runs out now", func(h *House) { h.Certificates[0].Until = noon.Add(30 * time.Hour) }, "certificates", Warning, "30 hours", "GET /certificates"},
		{"certificate ran out", func(h *House) { h.Certificates[0].Until = noon.Add(-day) }, "certificates", Warning, "2026-11-22", "GET /certificates"},
		{"certificate of the box ran out", func(h *House) {
			h.Certificates = append(h.Certificates, Certificate{Name: "server.pem", Own: true, Until: noon.Add(-day)})
		}, "certificates", Bad, "server.pem", ""},
		{"certificates without the time", func(h *House) { h.Certificates[0].Until, h.ClockKnown = noon.Add(-day), false }, "certificates", Unknown, "", ""},
		{"no backups", func(h *House) { h.Backup.Possible = false }, "backup", NotThere, "", ""},
		{"no backup taken", func(h *House) { h.Backup.Taken = time.Time{} }, "backup", Notice, "No backup is known", "GET /backup"},
		{"no backup taken of a new box", func(h *House) { h.Backup.Taken, h.Backup.Claimed = time.Time{}, noon.Add(-time.Hour) }, "backup", OK, "when all is set up", ""},
		{"backup old", func(h *House) { h.Backup.Taken = noon.Add(-200 * day) }, "backup", Notice, "200 days", "GET /backup"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := well()
			c.change(&h)
			r := Look(h)
			for _, got := range r.Checks {
				if got.ID != c.id {
					if !got.Verdict.Well() {
						t.Errorf("%s is %v too: %s", got.ID, got.Verdict, got.Why)
					}
					continue
				}
				mend := ""
				if got.Mend != nil {
					mend = "GET " + got.Mend.Path
					if got.Mend.Post {
						mend = "POST " + got.Mend.Path
					}
				}
				if got.Verdict != c.verdict || !strings.Contains(got.Why.String(), c.why) || mend != c.mend && !got.Verdict.Well() {
					t.Errorf("%s: %v %q, mended by %q; want %v %q %q", got.ID, got.Verdict, got.Why, mend, c.verdict, c.why, c.mend)
				}
				if strings.Contains(got.Why.String(), "%!") || strings.Contains(got.Why.String(), "..") {
					t.Errorf("%s: %q", got.ID, got.Why)
				}
				want := c.verdict
				if want.Well() {
					want = OK
				}
				if r.Verdict != want {
					t.Errorf("the house is %v", r.Verdict)
				}
				return
			}
			t.Errorf("there is no check %s", c.id)
		})
	}
}

// TestRoot: what is shown first is what explains the rest.
func TestRoot(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*House)
		want   string // CAUSE: FOLLOWERS; …
	}{
		{"the cable is out", func(h *House) {
			h.Addressed = false
			h.HomeAssistant.Logins[0].Online = false
			h.Clock, h.ClockKnown = &clock.Status{Problem: "no server answers"}, false
			h.Update.CheckErr = "no such host"
			h.Uplinks[0].Connected, h.Uplinks[0].Err = false, "no route"
		}, "network: clock uplink/attic homeassistant update"},
		{"a stick is out", func(h *House) {
			h.Sticks[1].State = serialbridge.Waiting
			for i := range 3 {
				h.Devices[1+i].Offline = true
			}
		}, "stick/B: devices"},
		{"a stick is out, and another device is offline", func(h *House) {
			h.Sticks[1].State = serialbridge.Waiting
			h.Devices[0].Offline, h.Devices[1].Offline = true, true
		}, "stick/B: ; devices: "},
		{"weak power takes a stick with it", func(h *House) {
			h.Power.Now = hardware.UnderVoltage
			h.Sticks[0].State = serialbridge.Failed
			h.Devices[0].Offline = true
		}, "power: stick/A devices"},
		{"power that was weak explains nothing that is worse", func(h *House) {
			h.Power.Been = hardware.UnderVoltage
			h.Sticks[0].State = serialbridge.Failed
		}, "stick/A: ; power: "},
		{"a full disk", func(h *House) {
			h.Disk.Full, h.StoreErr = true, "no space left on device"
			h.HomeAssistant.Logins[0].Online = false
		}, "space: store; homeassistant: "},
		{"the worst first", func(h *House) {
			h.Update.Available = &update.Available{Version: "1.1"}
			h.Heat = 90
			h.Broker.Listeners = 0
		}, "broker: ; temperature: ; update: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := well()
			c.change(&h)
			var got []string
			for _, p := range Look(h).Problems() {
				var followers []string
				for _, f := range p.Followers {
					followers = append(followers, f.ID)
				}
				got = append(got, p.ID+": "+strings.Join(followers, " "))
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}

// TestOrder: what explains something is looked at before it, and IDs are of one check each.
func TestOrder(t *testing.T) {
	h := well()
	h.Addressed = false
	h.HomeAssistant.Bridge = &Uplink{}
	h.Sticks[1].State = serialbridge.Failed
	h.Devices[1].Offline = true
	seen := make(map[string]bool)
	for _, c := range Look(h).Checks {
		for _, id := range c.After {
			if !seen[id] {
				t.Errorf("%s depends on %s, which does not come before", c.ID, id)
			}
		}
		if seen[c.ID] {
			t.Errorf("%s is there twice", c.ID)
		}
		seen[c.ID] = true
	}
}

// TestStrangers: what others call themselves is never taken for a format, and is short.
func TestStrangers(t *testing.T) {
	h := well()
	const hostile = "%s%d%n"
	h.Notices = []string{hostile}
	h.Sticks[0].Name, h.Sticks[0].State, h.Sticks[0].Err = hostile, serialbridge.Failed, hostile
	h.Devices[1].Name, h.Devices[1].Offline = strings.Repeat("ä", 100_000), true
	for _, c := range Look(h).Checks {
		for _, text := range []Text{c.Name, c.Why} {
			if s := text.String(); strings.Contains(s, "%!") || len(s) > 1000 {
				t.Errorf("%s: %.200q", c.ID, s)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	h := well()
	h.Sticks[0].State = serialbridge.Waiting
	text, err := json.Marshal(Look(h))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Verdict Verdict
		Checks  []struct {
			ID, Name, Why string
			Verdict       Verdict
			Mend          *struct {
				Method, Path, Level string
				Fields              map[string]string
			}
		}
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checks {
		if c.ID == "stick/A" && c.Verdict == Bad && c.Name == "Stick P1 cable" && c.Mend != nil &&
			c.Mend.Method == "POST" && c.Mend.Fields["stick"] == "stick_a" && c.Mend.Level == "admin" && r.Verdict == Bad {
			return
		}
	}
	t.Errorf("the stick is not in it as it should be: %s", text)
}

// BenchmarkLook: a page that is looked at asks once a second.
func BenchmarkLook(b *testing.B) {
	h := well()
	for i := range 1000 {
		h.Devices = append(h.Devices, Device{Name: "Lamp", Battery: -1, Offline: i%10 == 0})
	}
	b.ReportAllocs()
	for b.Loop() {
		Look(h).Problems()
	}
}
