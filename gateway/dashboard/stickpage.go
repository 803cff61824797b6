package dashboard

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"lintel/gateway/access"
	"lintel/serialbridge"
)

// stickView is the page of a stick: what it hears, what nobody understands of that, and what
// goes over its port.
type stickView struct {
	Frame   frame
	Stick   serialbridge.StickStatus
	Name    string
	Now     time.Time
	Ignored []reasonView // whole frames of which nothing could be made
	Damaged []reasonView
	Devices []stickDevice
	Frames  []frameLine
	Full    bool // others look at so many sticks that this one cannot be shown
	Raw     bool // the user may see what goes over the port
}

type reasonView struct {
	Reason string
	Count  uint64
}

type stickDevice struct{ ID, Name string }

func reasons(of map[string]uint64) []reasonView {
	var list []reasonView
	for _, reason := range slices.Sorted(maps.Keys(of)) {
		list = append(list, reasonView{reason, of[reason]})
	}
	return list
}

func (s *Server) stickPage() livePage {
	return livePage{template: "stick.html", fragments: []string{"stick-status", "stick-heard", "stick-frames"}, data: s.stickView}
}

func (s *Server) stickView(r *request) (any, error) {
	device := r.PathValue("id")
	sticks := s.o.Sticks()
	i := slices.IndexFunc(sticks, func(k serialbridge.StickStatus) bool { return k.Device == device })
	if i < 0 {
		return nil, problemf(http.StatusNotFound, "", "There is no such stick: it was forgotten, or was never plugged in since the start of the box.")
	}
	k := sticks[i]
	v := &stickView{Frame: s.frame(r, stickName(k)), Stick: k, Name: stickName(k), Now: time.Now(), Ignored: reasons(k.Ignored), Damaged: reasons(k.Damaged),
		Raw: may(r.level, access.Operator)}
	names := make(map[string]string)
	for _, d := range s.o.Devices() {
		names[d.ID] = d.Name
	}
	for _, id := range k.Devices[:min(len(k.Devices), devicesPerPage)] {
		v.Devices = append(v.Devices, stickDevice{id, names[id]})
	}
	if v.Raw {
		v.Frames, v.Full = s.frames(k.ID)
	}
	return v, nil
}
