package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"lintel/serialbridge"
)

func (s *Server) captureRoutes() []route {
	return []route{
		{pattern: "GET /api/capture", level: operator, serve: s.capture},
	}
}

const (
	maxCaptures       = 4 // at a time
	maxCaptureSeconds = 3600
)

// capture answers with what goes over the port of a stick from now on, for some
// seconds or until the caller has enough:
//
//	GET /api/capture?stick=ID&seconds=60
//
// What it writes is the format of [serialbridge.ReadCapture].
func (s *Server) capture(w http.ResponseWriter, r *request) {
	stick := r.FormValue("stick")
	i := slices.IndexFunc(s.o.Sticks(), func(k serialbridge.StickStatus) bool { return k.ID == stick })
	if i < 0 {
		s.fail(w, r, problemf(http.StatusNotFound, "stick", "There is no stick %q: /api/status lists them.", stick))
		return
	}
	seconds, err := strconv.Atoi(r.FormValue("seconds"))
	if r.FormValue("seconds") == "" {
		seconds, err = 60, nil
	}
	if err != nil || seconds < 1 || seconds > maxCaptureSeconds {
		s.fail(w, r, wrong("seconds", "seconds is a number from 1 to %d.", maxCaptureSeconds))
		return
	}
	release, ok := s.captures.take()
	if !ok {
		s.refuse(w, r, http.StatusServiceUnavailable, fmt.Sprintf("There are %d captures already: end one of them first.", maxCaptures))
		return
	}
	defer release()
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="capture.txt"`)
	control := http.NewResponseController(w)
	flush := func() error {
		// A reader that takes nothing any more is not to hold the place of another.
		if err := control.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		return control.Flush()
	}
	if err := flush(); err != nil {
		return // nobody reads it
	}
	if err := s.o.Capture(ctx, stick, w, flush); err != nil {
		s.log.Debug("capture ended", "stick", stick, "err", err)
	}
}
