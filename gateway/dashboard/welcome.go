package dashboard

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/serialbridge"
)

// Welcome is what is kept of the first visit: nothing but what a person does not want. What
// is done the house shows by itself.
type Welcome struct {
	Skipped   []string `json:"skipped,omitempty"` // IDs of steps
	Dismissed bool     `json:"dismissed,omitempty"`
}

// The steps of the first visit, in their order.
const (
	stepClaim         = "claim"
	stepName          = "name"
	stepHomeAssistant = "homeassistant"
	stepSticks        = "sticks"
	stepDevice        = "device"
)

const (
	welcomeKey  = "box"
	welcomeRows = 8 // sticks or devices that the guide shows
)

// welcomeStep is a step of the first visit.
type welcomeStep struct {
	ID      string `json:"id"`
	Done    bool   `json:"done"`
	Skipped bool   `json:"skipped,omitempty"`
	Current bool   `json:"-"` // the first that is neither
	Number  int    `json:"-"`
}

// welcomeState is how far the first visit is. It is GET /api/welcome.
type welcomeState struct {
	Steps     []welcomeStep `json:"steps"`
	Complete  bool          `json:"complete"` // all are done or skipped
	Dismissed bool          `json:"dismissed"`
}

// Count returns how many steps are done or skipped.
func (w welcomeState) Count() (n int) {
	for _, s := range w.Steps {
		if s.Done || s.Skipped {
			n++
		}
	}
	return n
}

// welcomeView is the page of the first visit.
type welcomeView struct {
	Frame frame
	welcomeState
	Now     time.Time
	BoxName string
	Error   *problem // its field is the one of a form, or the step that it is about

	Found   []foundView
	Logins  []HomeAssistantLogin
	Sticks  []Stick
	Devices []welcomeDevice
	More    int // devices that are not shown
	Zigbee  bool
	Open    int // seconds for which new Zigbee devices may join
}

// welcomeDevice is a device that was heard.
type welcomeDevice struct {
	Name, What string
	Ready      bool // it has told what it is
}

func (s *Server) welcomeRoutes() []route {
	if s.o.Welcome == nil {
		return nil
	}
	return []route{
		{pattern: "GET /welcome", level: access.Admin, serve: s.live(s.welcomePage())},
		{pattern: "POST /welcome/name", level: access.Admin, serve: s.nameForm},
		{pattern: "POST /welcome/skip", level: access.Admin, serve: s.skipForm},
		{pattern: "POST /welcome/dismiss", level: access.Admin, serve: s.dismissForm},
		{pattern: "POST /welcome/join", level: access.Admin, serve: s.joinForm},
		{pattern: "GET /api/welcome", level: access.Admin, call: gives(s, s.showWelcome)},
		{pattern: "POST /api/welcome", level: access.Admin, call: takes(s, s.changeWelcome)},
	}
}

// welcome looks at the house for how far the first visit is.
func (s *Server) welcome() welcomeState {
	kept, _ := s.o.Welcome.Get(welcomeKey)
	online := func(k serialbridge.StickStatus) bool { return k.State == serialbridge.Online }
	done := map[string]bool{
		stepClaim:  s.o.Claim.Claimed(),
		stepName:   s.o.Claim.BoxName() != "",
		stepSticks: slices.ContainsFunc(s.o.Sticks(), online),
		stepDevice: len(s.o.Devices()) > 0 || s.o.ZigbeeNetwork != nil && len(s.o.ZigbeeNetwork.Overview().Devices) > 0,
	}
	steps := []string{stepClaim, stepName, stepHomeAssistant, stepSticks, stepDevice}
	if s.o.HomeAssistant == nil {
		steps = slices.DeleteFunc(steps, func(id string) bool { return id == stepHomeAssistant })
	} else {
		done[stepHomeAssistant] = slices.ContainsFunc(s.o.HomeAssistant.Logins(), func(l HomeAssistantLogin) bool {
			return l.Online || !l.Used.IsZero()
		}) || s.o.Bridge != nil && s.o.Bridge.Bridge() != nil
	}
	state := welcomeState{Complete: true, Dismissed: kept.Dismissed}
	for i, id := range steps {
		step := welcomeStep{ID: id, Done: done[id], Skipped: !done[id] && slices.Contains(kept.Skipped, id), Number: i + 1}
		if open := !step.Done && !step.Skipped; open && state.Complete {
			step.Current, state.Complete = true, false
		}
		state.Steps = append(state.Steps, step)
	}
	return state
}

func (s *Server) welcomePage() livePage {
	return livePage{template: "welcome.html", fragments: []string{"welcome-steps"},
		data: func(r *request) (any, error) { return s.welcomeView(r), nil }}
}

func (s *Server) welcomeView(r *request) *welcomeView {
	v := &welcomeView{Frame: s.frame(r, r.t("Welcome")), welcomeState: s.welcome(), Now: time.Now(), BoxName: s.o.Claim.BoxName(),
		Zigbee: s.o.ZigbeeNetwork != nil}
	v.Frame.Still = true
	if s.o.HomeAssistant != nil {
		v.Logins, v.Found = s.o.HomeAssistant.Logins(), s.foundHomeAssistants()
	}
	v.Sticks = s.sticks()
	v.Sticks = v.Sticks[:min(len(v.Sticks), welcomeRows)]
	for _, d := range s.o.Devices() {
		v.Devices = append(v.Devices, welcomeDevice{cmp.Or(d.Name, d.ID), strings.TrimSpace(d.Vendor + " " + d.Model), true})
	}
	if v.Zigbee {
		o := s.o.ZigbeeNetwork.Overview()
		for _, d := range o.Devices {
			v.Devices = append(v.Devices, welcomeDevice{d.Name, strings.TrimSpace(cmp.Or(d.Vendor+" "+d.Description, d.ModelID)), d.Source != ""})
		}
		if o.OpenUntil != nil {
			v.Open = int(o.OpenUntil.Sub(v.Now).Seconds()) + 1
		}
	}
	v.More = max(len(v.Devices)-welcomeRows, 0)
	v.Devices = v.Devices[:len(v.Devices)-v.More]
	return v
}

// keepWelcome keeps what change makes of it.
func (s *Server) keepWelcome(r *request, change func(*Welcome)) error {
	ctx, cancel := lasting(r)
	defer cancel()
	s.changing.Lock()
	defer s.changing.Unlock()
	kept, _ := s.o.Welcome.Get(welcomeKey)
	kept.Skipped = slices.Clone(kept.Skipped)
	change(&kept)
	return s.o.Welcome.Put(ctx, welcomeKey, kept)
}

// skip has a step skipped, or taken up again.
func (s *Server) skip(r *request, id string, yes bool) error {
	if id == stepClaim || !slices.ContainsFunc(s.welcome().Steps, func(step welcomeStep) bool { return step.ID == id }) {
		return wrong("skip", "There is no step %q that could be skipped.", id)
	}
	return s.keepWelcome(r, func(w *Welcome) {
		w.Skipped = slices.DeleteFunc(w.Skipped, func(other string) bool { return other == id })
		if yes {
			w.Skipped = append(w.Skipped, id)
		}
	})
}

func (s *Server) nameBox(r *request, name string) error {
	name = strings.TrimSpace(name)
	if name == "" {
		return wrong("name", "Type a name for the box, such as Cellar.")
	}
	if err := access.CheckBoxName(name); err != nil {
		return wrong("name", "%s", sentence(err))
	}
	ctx, cancel := lasting(r)
	defer cancel()
	if err := s.o.Claim.SetBoxName(ctx, name); err != nil {
		return err
	}
	s.note(r, access.BoxNamed, "", ": %s", name)
	return nil
}

func (s *Server) nameForm(w http.ResponseWriter, r *request) {
	name := r.PostFormValue("name")
	if err := s.nameBox(r, name); err != nil {
		v := s.welcomeView(r)
		v.BoxName = name
		s.failWelcome(w, r, v, err)
		return
	}
	http.Redirect(w, r.Request, "/welcome", http.StatusSeeOther)
}

func (s *Server) skipForm(w http.ResponseWriter, r *request) {
	err := s.skip(r, r.PostFormValue("step"), r.PostFormValue("again") == "")
	s.answerWelcome(w, r, err)
}

func (s *Server) dismissForm(w http.ResponseWriter, r *request) {
	err := s.keepWelcome(r, func(w *Welcome) { w.Dismissed = true })
	if err != nil {
		s.failWelcome(w, r, s.welcomeView(r), err)
		return
	}
	http.Redirect(w, r.Request, "/", http.StatusSeeOther)
}

// joinForm opens the Zigbee network for the first device.
func (s *Server) joinForm(w http.ResponseWriter, r *request) {
	if s.o.ZigbeeNetwork == nil {
		s.answerWelcome(w, r, wrong("", "This box has no Zigbee network."))
		return
	}
	s.answerWelcome(w, r, s.open(r, permitSeconds, ""))
}

func (s *Server) answerWelcome(w http.ResponseWriter, r *request, err error) {
	if err != nil {
		s.failWelcome(w, r, s.welcomeView(r), err)
		return
	}
	http.Redirect(w, r.Request, "/welcome", http.StatusSeeOther)
}

func (s *Server) failWelcome(w http.ResponseWriter, r *request, v *welcomeView, err error) {
	v.Error = s.problemOf(r.Request, err)
	s.show(w, r, v.Error.code, "welcome.html", v)
}

// The JSON API.

func (s *Server) showWelcome(*request) (welcomeState, error) { return s.welcome(), nil }

type welcomeRequest struct {
	Name    *string `json:"name"`   // of the box
	Skip    *string `json:"skip"`   // a step
	Resume  *string `json:"resume"` // a step
	Dismiss *bool   `json:"dismiss"`
}

func (s *Server) changeWelcome(r *request, in welcomeRequest) (welcomeState, error) {
	var err error
	if in.Name != nil {
		err = s.nameBox(r, *in.Name)
	}
	if err == nil && in.Skip != nil {
		err = s.skip(r, *in.Skip, true)
	}
	if err == nil && in.Resume != nil {
		err = s.skip(r, *in.Resume, false)
	}
	if err == nil && in.Dismiss != nil {
		err = s.keepWelcome(r, func(w *Welcome) { w.Dismissed = *in.Dismiss })
	}
	return s.welcome(), err
}
