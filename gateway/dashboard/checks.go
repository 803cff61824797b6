package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/checks"
	"lintel/gateway/uplink"
	"lintel/serialbridge"
	"lintel/serialbridge/zigbee/dongle"
	"lintel/serialbridge/zigbee/z2m"
)

// Checks are what the house tells so that it can be judged, beyond what the other options
// tell, and what mends it.
type Checks interface {
	// Known returns what the pages cannot know themselves: they fill in the rest.
	Known() checks.House
	// ForgetStick forgets one that is gone, by serialbridge.StickStatus.Device.
	ForgetStick(ctx context.Context, device string) error
	// FreeSpace removes what was there before the last restore.
	FreeSpace() error
}

// checksAge is how old a report may be that is shown.
const checksAge = time.Second

// lastReport is the report that was made last.
type lastReport struct {
	mu     sync.Mutex
	at     time.Time
	report checks.Report
}

func (s *Server) checkRoutes() []route {
	if s.o.Checks == nil {
		return nil
	}
	return []route{
		{pattern: "GET /api/checks", level: access.Viewer, call: gives(s, func(*request) (checks.Report, error) { return s.report(), nil })},
		{pattern: "POST /checks/forget", level: access.Admin, serve: s.forgetStickForm},
		{pattern: "POST /checks/free", level: access.Admin, serve: s.freeSpaceForm},
	}
}

// report judges the house.
func (s *Server) report() checks.Report {
	l := &s.checks
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.at) >= checksAge {
		l.report, l.at = checks.Look(s.known(now)), now
	}
	return l.report
}

// known is all that is known of the house.
func (s *Server) known(now time.Time) checks.House {
	h := s.o.Checks.Known()
	h.Now = now
	h.Losses = s.o.Losses()
	stats := s.o.Stats()
	h.Broker.QueuedBytes, h.Broker.Retained, h.Broker.RetainedBytes = stats.QueuedBytes, stats.Retained, stats.RetainedBytes
	h.Broker.Dropped, h.Broker.Slow = s.pulse.lately()
	h.Clock = s.clock()
	if s.o.Network != nil {
		status := s.o.Network.Status()
		h.Network = &status
	}
	if s.o.Updater != nil {
		status := s.o.Updater.Status()
		h.Update = &status
	}
	s.addSticks(&h)
	s.addDevices(&h)
	s.addHomeAssistant(&h)
	s.addAccess(&h)
	return h
}

func (s *Server) addSticks(h *checks.House) {
	var here []checks.Stick
	for _, k := range s.o.Sticks() {
		var damaged uint64
		for _, n := range k.Damaged {
			damaged += n
		}
		here = append(here, checks.Stick{ID: k.ID, Device: k.Device, Name: stickName(k), State: k.State, Since: k.Since, Err: k.Err,
			Frames: k.Frames, Damaged: damaged, Devices: len(k.Devices), Named: k.USB.VendorID == ""})
	}
	h.Sticks = append(here, h.Sticks...)
}

func (s *Server) addDevices(h *checks.House) {
	for _, d := range s.o.Devices() {
		v := s.values.get(d.ID)
		device := checks.Device{ID: d.ID, Name: cmp.Or(d.Name, d.ID), Stick: d.Stick, Offline: v.availability == "offline", Battery: -1}
		for i := range d.Properties {
			device.Battery, device.Weak = battery(&d.Properties[i], v.values, device)
		}
		h.Devices = append(h.Devices, device)
	}
	if s.o.ZigbeeNetwork == nil {
		return
	}
	stick := ""
	for _, k := range s.o.Sticks() {
		if k.Protocol == dongle.Protocol && (stick == "" || k.State == serialbridge.Online) {
			stick = k.Device
		}
	}
	heard := 0
	for _, d := range s.o.ZigbeeNetwork.Overview().Devices {
		device := checks.Device{ID: d.IEEEAddress.String(), Name: d.Name, Stick: stick, Offline: d.Availability == z2m.Offline, Battery: -1}
		if d.Battery != nil {
			device.Battery = int(*d.Battery)
		}
		h.Devices = append(h.Devices, device)
		heard++
	}
	for i := range h.Sticks {
		if h.Sticks[i].Device == stick {
			h.Sticks[i].Devices = heard // to the supervisor the network is not made of devices
		}
	}
}

// battery reads what a property tells of a battery, if it does.
func battery(p *serialbridge.Property, values map[string]any, d checks.Device) (percent int, weak bool) {
	percent, weak = d.Battery, d.Weak
	if p.Class != "battery" {
		return percent, weak
	}
	switch v := values[p.Key].(type) {
	case float64:
		if p.Unit == "%" && v >= 0 && v <= 100 {
			percent = int(v)
		}
	case bool:
		weak = weak || v // a binary sensor of that class is on when it is low
	}
	return percent, weak
}

func (s *Server) addHomeAssistant(h *checks.House) {
	for _, u := range s.o.Uplinks() {
		h.Uplinks = append(h.Uplinks, checkedUplink(&u))
	}
	if h.HomeAssistant == nil || s.o.HomeAssistant == nil {
		return
	}
	refused := make(map[string]bool)
	for _, l := range h.HomeAssistant.Logins {
		refused[l.User] = l.Refused
	}
	h.HomeAssistant.Logins = nil
	for _, l := range s.o.HomeAssistant.Logins() {
		h.HomeAssistant.Logins = append(h.HomeAssistant.Logins, checks.Login{User: l.User, Online: l.Online, Used: l.Used, Refused: refused[l.User]})
	}
	for _, f := range s.o.HomeAssistant.Found() {
		h.HomeAssistant.Found = append(h.HomeAssistant.Found, f.Name)
	}
	if s.o.Bridge == nil {
		return
	}
	if b := s.o.Bridge.Bridge(); b != nil {
		u := checkedUplink(&b.Status)
		h.HomeAssistant.Bridge = &u
		h.Uplinks = slices.DeleteFunc(h.Uplinks, func(other checks.Uplink) bool { return other.Name == u.Name })
	}
}

func checkedUplink(u *uplink.Status) checks.Uplink {
	return checks.Uplink{Name: u.Name, URL: u.URL, Connected: u.Connected, Since: u.Since, Err: u.Error, Problem: u.Problem, Waiting: u.Waiting}
}

// refusals are what the audit log has of logins that were not let in.
var refusals = []string{access.LoginRefused, access.LoginLockedOut, access.CertificateRefused}

func (s *Server) addAccess(h *checks.House) {
	for _, c := range s.o.Clients() {
		if c.Connected && c.User == "" && c.RemoteAddr != "" && c.RemoteAddr != "in-process" {
			h.Access.Anyone = append(h.Access.Anyone, c.ID)
		}
	}
	slices.Sort(h.Access.Anyone)
	if s.o.Certificates != nil {
		for _, c := range s.o.Certificates() {
			if !c.Revoked {
				h.Certificates = append(h.Certificates, checks.Certificate{Name: c.Name, Until: c.Until, Page: "/tokens"})
			}
		}
	}
	if s.o.Audit == nil {
		return
	}
	h.Backup.Possible = s.o.Backups != nil
	for _, e := range s.o.Audit.All() { // the newest first
		switch {
		case e.Kind == access.BackupTaken && h.Backup.Taken.IsZero():
			h.Backup.Taken = e.Time
		case e.Kind == access.BoxClaimed && h.Backup.Claimed.IsZero():
			h.Backup.Claimed = e.Time
		case slices.Contains(refusals, e.Kind) && h.Now.Sub(e.Time) < time.Hour:
			h.Access.Refused += max(e.Count, 1)
			if from := e.Address.String(); e.Address.IsValid() && !slices.Contains(h.Access.From, from) {
				h.Access.From = append(h.Access.From, from)
			}
		}
	}
}

// mended leads back to the first page after something was mended, or says why it was not.
func (s *Server) mended(w http.ResponseWriter, r *request, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.checks.mu.Lock()
	s.checks.at = time.Time{} // it is to be seen at once
	s.checks.mu.Unlock()
	http.Redirect(w, r.Request, "/", http.StatusSeeOther)
}

func (s *Server) forgetStickForm(w http.ResponseWriter, r *request) {
	ctx, cancel := lasting(r)
	defer cancel()
	err := s.o.Checks.ForgetStick(ctx, r.PostFormValue("stick"))
	if err != nil {
		err = problemf(http.StatusConflict, "", "%s", sentence(err))
	}
	s.mended(w, r, err)
}

func (s *Server) freeSpaceForm(w http.ResponseWriter, r *request) {
	s.mended(w, r, s.o.Checks.FreeSpace())
}
