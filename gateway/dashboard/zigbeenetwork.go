package dashboard

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/z2m"
)

// networkPageView is the page of the Zigbee network.
type networkPageView struct {
	Frame frame
	z2m.NetworkState
	Now      time.Time
	Open     int // seconds for which new devices may join
	Offer    int // seconds that a click gives
	PAN      string
	Routers  []z2m.DeviceSummary // through which alone it can be opened
	Joinings []joiningView
	Channels []channelView
	Lost     uint64 // messages that did not arrive
	Acts     actsView
	Admin    bool
	FrontEnd bool
}

// joiningView is an interview as a person reads it.
type joiningView struct {
	z2m.Joining
	Title string // what it is, as far as that is known
	Steps []stepView
	Took  string
	Back  string
	Admin bool
}

// stepView is a step of it.
type stepView struct {
	Text  string
	State string // done, failed or running
	Why   string
}

// channelView is how busy a channel is.
type channelView struct {
	z2m.ChannelEnergy
	Percent int
	Here    bool
}

func (s *Server) zigbeeNetworkView(r *request) (any, error) {
	bridge := s.o.ZigbeeNetwork.Bridge()
	v := &networkPageView{Frame: s.frame(r, r.t("Zigbee network")), NetworkState: bridge.NetworkState(), Now: time.Now(), Offer: permitSeconds,
		Admin: may(r.level, access.Admin), FrontEnd: s.o.Zigbee != nil}
	v.Acts, v.Frame.Still = s.actsView(r, v.Admin), v.Admin
	v.PAN = fmt.Sprintf("0x%04x", v.PANID)
	if v.OpenUntil != nil {
		v.Open = int(math.Ceil(v.OpenUntil.Sub(v.Now).Seconds()))
	}
	if v.Admin {
		for _, d := range bridge.Overview().Devices {
			if d.Type == zigbee.Router {
				v.Routers = append(v.Routers, d)
			}
		}
	}
	for _, n := range v.Counters.Undelivered {
		v.Lost += n
	}
	for _, j := range bridge.Joinings() {
		v.Joinings = append(v.Joinings, joiningViewOf(r, j, v.Now, v.Admin))
	}
	if v.Energy != nil {
		for _, c := range v.Energy.Channels {
			v.Channels = append(v.Channels, channelView{c, int(c.Energy) * 100 / 255, c.Channel == v.Channel})
		}
	}
	return v, nil
}

func joiningViewOf(r *request, j z2m.Joining, now time.Time, admin bool) joiningView {
	v := joiningView{Joining: j, Back: r.URL.Path, Admin: admin}
	v.Title = strings.TrimSpace(j.Vendor + " " + j.Model)
	if v.Title == "" {
		v.Title = strings.TrimSpace(j.ModelID + " " + j.Manufacturer)
	}
	for _, step := range j.InterviewProgress.Steps {
		row := stepView{Text: stepText(r, step), State: "running", Why: step.Error}
		if step.Ended != nil {
			row.State = "done"
		}
		if step.Error != "" {
			row.State = "failed"
		}
		v.Steps = append(v.Steps, row)
	}
	end := now
	if j.Ended != nil {
		end = *j.Ended
		if v.Steps != nil && j.State == zigbee.Successful {
			v.Steps = append(v.Steps, setupStep(r, j)...)
		}
	}
	v.Took = formatDuration(end.Sub(j.Began))
	return v
}

// setupStep is what follows after an interview: nothing, if nobody knows the device.
func setupStep(r *request, j z2m.Joining) []stepView {
	step := stepView{Text: r.t("Set up: what it is to report"), Why: j.SetupError}
	switch j.Setup {
	case z2m.SetupNone:
		return nil
	case z2m.SetupDone:
		step.State = "done"
	case z2m.SetupFailed:
		step.State = "failed"
	case z2m.SetupWaits:
		step.State, step.Why = "running", r.t("when it is heard the next time")
	default:
		step.State = "running"
	}
	return []stepView{step}
}

// stepText says what a step of an interview is.
func stepText(r *request, step zigbee.InterviewStep) string {
	switch step.Kind {
	case zigbee.StepJoined:
		return r.t("Joined: it has the key of the network")
	case zigbee.StepNode:
		return r.t("What kind of device it is")
	case zigbee.StepEndpoints:
		return r.t("Which endpoints it has")
	case zigbee.StepEndpoint:
		return r.t("What endpoint %d can do", step.Endpoint)
	case zigbee.StepBasic:
		return r.t("Its model and maker (endpoint %d)", step.Endpoint)
	case zigbee.StepEnrol:
		return r.t("Enrol as a security sensor (endpoint %d)", step.Endpoint)
	case zigbee.StepPoll:
		return r.t("How often it wakes up")
	}
	return string(step.Kind)
}

// openForm opens the network, or closes it, and leads back to the page.
func (s *Server) openForm(w http.ResponseWriter, r *request) {
	seconds, err := strconv.ParseFloat(r.PostFormValue("seconds"), 64)
	if err != nil {
		seconds = -1
	}
	if err := s.open(r, seconds, r.PostFormValue("via")); err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r.Request, "/zigbee", http.StatusSeeOther)
}
