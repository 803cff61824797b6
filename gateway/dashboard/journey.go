package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/serialbridge/journey"
)

// Journeys are the last messages that were followed, the newest first.
type Journeys struct {
	List    []journey.Journey
	Changed <-chan struct{} // closed when there is more to tell
	Topic   string          // whoever may receive it may see what messages without a topic say
}

// ErrNoSuchDevice is the answer to a device that is not there.
var ErrNoSuchDevice = errors.New("there is no such device")

const journeyPause = 200 * time.Millisecond // between two events

func (s *Server) journeyRoutes() []route {
	if s.o.Journeys == nil {
		return nil
	}
	return []route{
		{pattern: "GET /journey", level: viewer, serve: s.live(s.journeyPage())},
		{pattern: "GET /journey/{about...}", level: viewer, serve: s.live(s.journeyPage())},
		{pattern: "GET /api/journey", level: viewer, serve: s.serveJourney},
	}
}

// journeyView is the page of journeys.
type journeyView struct {
	Frame         frame
	Device, Topic string // of which one is empty, or both
	Devices       []journeyChoice
	Journeys      []journey.Journey
	Discreet      bool // some of what messages say is left out
	Error         *problem
}

type journeyChoice struct{ ID, Name string }

func (s *Server) journeyPage() livePage {
	return livePage{template: "journey.html", fragments: []string{"journey-list"}, data: func(r *request) (any, error) {
		v := &journeyView{Frame: s.frame(r, r.t("Journeys")), Devices: s.journeyChoices()}
		v.Device, v.Topic = r.FormValue("device"), r.FormValue("topic")
		if about := r.PathValue("about"); about != "" {
			if slices.ContainsFunc(v.Devices, func(c journeyChoice) bool { return c.ID == about || c.Name == about }) {
				v.Device = about
			} else {
				v.Topic = about
			}
		}
		if v.Device != "" { // the form has both fields
			v.Topic = ""
		}
		if v.Device == "" && v.Topic == "" {
			return v, nil
		}
		found, err := s.journeys(r, v.Device, v.Topic)
		if err != nil {
			v.Error = s.problemOf(r.Request, err)
			return v, nil
		}
		v.Journeys, v.Discreet = s.discreet(r, found)
		return v, nil
	}}
}

// journeyChoices are the devices that there are.
func (s *Server) journeyChoices() []journeyChoice {
	var list []journeyChoice
	for _, d := range s.o.Devices() {
		list = append(list, journeyChoice{d.ID, d.Name})
	}
	if s.o.ZigbeeNetwork != nil {
		for _, d := range s.o.ZigbeeNetwork.Overview().Devices {
			list = append(list, journeyChoice{d.IEEEAddress.String(), d.Name})
		}
	}
	return list
}

// journeys returns what was followed of a device or a topic filter.
func (s *Server) journeys(r *request, device, topic string) (Journeys, error) {
	switch {
	case (device == "") == (topic == ""):
		return Journeys{}, wrong("device", "Name either a device or a topic.")
	case topic != "" && !mqtt.ValidFilter(topic):
		return Journeys{}, wrong("topic", "This is not a topic filter: + stands for one level, # at the end for all that follow.")
	}
	found, err := s.o.Journeys(device, topic)
	return found, tracingProblem(err)
}

// tracingProblem says what to do about errors of those who trace.
func tracingProblem(err error) error {
	switch {
	case errors.Is(err, ErrNoSuchDevice):
		return problemf(http.StatusNotFound, "device", "There is no such device: choose one of the list, or a topic.")
	case errors.Is(err, journey.ErrMany), errors.Is(err, broker.ErrManyTraces):
		return problemf(http.StatusServiceUnavailable, "", "As much is watched as there may be: close another page that watches, and wait for half a minute.")
	}
	return err
}

// discreet leaves out what messages say that the user may not receive.
func (s *Server) discreet(r *request, found Journeys) (list []journey.Journey, left bool) {
	sees := s.sees(r)
	list = make([]journey.Journey, len(found.List))
	for i, j := range found.List {
		topic := j.Topic
		if topic == "" {
			topic = found.Topic
		}
		if list[i] = j; !sees(topic) {
			list[i], left = j.Discreet(), true
		}
	}
	return list, left
}

// sees tells of topics whether what is published to them may be shown to who asks: an admin,
// or a user who may receive it.
func (s *Server) sees(r *request) func(topic string) bool {
	known := make(map[string]bool)
	return func(topic string) bool {
		if may(r.level, access.Admin) {
			return true
		}
		if strings.HasPrefix(r.user, "token ") || r.user == "" || !mqtt.ValidTopicName(topic) {
			return false
		}
		ok, asked := known[topic]
		if !asked {
			verdict, err := s.o.Explain(r.user, "", access.Receive, topic)
			ok = err == nil && verdict.Allow
			known[topic] = ok
		}
		return ok
	}
}

type journeyList struct {
	Journeys []journey.Journey `json:"journeys"`
}

// serveJourney answers with the last messages of a device or a topic, or as server-sent
// events with each that has changed:
//
//	GET /api/journey?device=ID
//	GET /api/journey?topic=FILTER&follow=true
//
// They are those since the first of these calls: what nobody asks about for 20 s is not
// followed any more.
func (s *Server) serveJourney(w http.ResponseWriter, r *request) {
	device, topic := r.FormValue("device"), r.FormValue("topic")
	found, err := s.journeys(r, device, topic)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if r.FormValue("follow") != "true" && !strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream") {
		list, _ := s.discreet(r, found)
		s.answer(w, http.StatusOK, journeyList{list})
		return
	}
	release, ok := s.followers.take()
	if !ok {
		s.fail(w, r, tooManyFollowers())
		return
	}
	defer release()
	events := s.newEvents(w, r, s.heartbeat/2)
	defer events.end()
	told := make(map[uint64]int) // stages of the journey with a number
	for found.Changed != nil {   // else the device is gone
		list, _ := s.discreet(r, found)
		now := make(map[uint64]int)
		for _, j := range slices.Backward(list) {
			stages := len(j.Stages) + j.More
			now[j.Number] = stages
			if told[j.Number] != stages {
				events.send(j)
			}
		}
		told = now
		if !events.wait(found.Changed) {
			return
		}
		pause(r.Context(), journeyPause)
		found, _ = s.journeys(r, device, topic)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// formatAfter writes microseconds.
func formatAfter(us int64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("+%d µs", us)
	case us < 1000_000:
		return fmt.Sprintf("+%.1f ms", float64(us)/1000)
	}
	return fmt.Sprintf("+%.2f s", float64(us)/1e6)
}
