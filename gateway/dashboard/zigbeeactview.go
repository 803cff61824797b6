package dashboard

import (
	"fmt"
	"slices"
	"strings"
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
	title := said(languageOf(r.Request), actWords, a.Request)
	if strings.Contains(title, "%s") {
		return fmt.Sprintf(title, a.About)
	}
	return title
}
