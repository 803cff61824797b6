package dashboard

import (
	"slices"
	"time"

	"lintel/serialbridge/zigbee/z2m"
)

// maxActRows is how many acts a page shows that are over.
const maxActRows = 10

// actsView is what a page shows of what is being done with the Zigbee network.
type actsView struct {
	Chosen *actRow  // that the page was asked about, as it has just been begun; nil: none
	Under  []actRow // way, and those that wait
	Over   []actRow // the last ones
	Admin  bool
	Back   string // path of the page
}

// actRow is an act as a person reads it.
type actRow struct {
	z2m.Act
	Title string
	Ago   string // since its end, or its beginning
	Back  string
}

// actsView returns the acts for a page; all but what comes with them stays as it is.
func (s *Server) actsView(r *request, admin bool) actsView {
	v := actsView{Admin: admin, Back: r.URL.Path}
	now := time.Now()
	chosen := actID(r.URL.Query().Get("act"))
	for _, a := range s.o.ZigbeeNetwork.Bridge().Acts() {
		row := actRow{Act: a, Title: actTitle(r, a), Back: v.Back}
		switch {
		case a.Ended == nil:
			row.Ago = formatDuration(now.Sub(a.Began))
			v.Under = append(v.Under, row)
		case len(v.Over) < maxActRows:
			row.Ago = formatDuration(now.Sub(*a.Ended))
			v.Over = append(v.Over, row)
		}
		if a.ID == chosen && chosen != 0 {
			v.Chosen = &row
		}
	}
	if v.Chosen != nil && v.Chosen.Ended == nil {
		v.Chosen = nil // it is among those under way
	}
	slices.Reverse(v.Under)
	return v
}

// actTitle says what an act is.
func actTitle(r *request, a z2m.Act) string {
	switch a.Request {
	case "permit_join":
		return r.t("Open or close the network")
	case "install_code/add":
		return r.t("Add an install code")
	case "networkmap":
		return r.t("Make a map")
	case "energy_scan":
		return r.t("Measure the channels")
	case "coordinator_check":
		return r.t("Compare the stick with the list of routers")
	case "channel":
		return r.t("Move to another channel")
	case "restore":
		return r.t("Restore the coordinator")
	case "device/rename", "group/rename":
		return r.t("Rename %s", a.About)
	case "device/remove", "group/remove":
		return r.t("Remove %s", a.About)
	case "device/interview":
		return r.t("Interview %s", a.About)
	case "device/configure":
		return r.t("Set up %s", a.About)
	case "device/bind":
		return r.t("Bind %s", a.About)
	case "device/unbind":
		return r.t("Unbind %s", a.About)
	case "device/reporting/configure":
		return r.t("Set the reporting of %s", a.About)
	case "device/command", "group/command":
		return r.t("Send a command to %s", a.About)
	case "group/add":
		return r.t("Add the group %s", a.About)
	case "group/members/add":
		return r.t("Put %s into a group", a.About)
	case "group/members/remove":
		return r.t("Take %s out of a group", a.About)
	case "device/ota_update/check":
		return r.t("Look for firmware for %s", a.About)
	case "device/ota_update/update":
		return r.t("Update %s", a.About)
	case "device/ota_update/update/abort":
		return r.t("Give up the update of %s", a.About)
	case "device/ota_update/schedule":
		return r.t("Schedule an update of %s", a.About)
	case "device/ota_update/unschedule":
		return r.t("Take back the schedule of %s", a.About)
	}
	return a.Request
}
