package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
	"lintel/serialbridge/zigbee/z2m"
)

// ZigbeeNetwork is a Zigbee network with its devices. Its errors are those of z2m.Bridge.
type ZigbeeNetwork interface {
	// Bridge is what does all that is done with the network. It may be another one each time.
	Bridge() *z2m.Bridge
	Overview() z2m.Overview
	// Permit opens the network for new devices, or closes it (0).
	Permit(ctx context.Context, duration time.Duration) error
	// Lessons returns what was gathered of devices that nobody has described, and Learnt
	// of one of them.
	Lessons() []z2m.Lesson
	Learnt(zigbee.IEEEAddress) (z2m.Lesson, error)
	// Teach saves what a user says of such a device and takes it into use.
	Teach(zigbee.IEEEAddress, z2m.Teaching) error
	// Shown returns what the page of a device shows, and States the last values of all.
	Shown(zigbee.IEEEAddress) (z2m.Shown, error)
	States() map[zigbee.IEEEAddress]map[string]any
	// Definition returns that as a file.
	Definition(zigbee.IEEEAddress) (name string, text []byte, err error)
	// Firmware returns the images that are offered to devices besides those of the index. It
	// is asked each second.
	Firmware() []Firmware
	AddFirmware(ctx context.Context, image []byte) (Firmware, error)
	RemoveFirmware(name string) error
}

// permitSeconds is how long a click opens the network for; maxPermit is the most that
// there is.
const (
	permitSeconds = 240
	maxPermit     = 254
)

// zigbeeView is the page of the Zigbee devices.
type zigbeeView struct {
	Frame frame
	z2m.Overview
	Now     time.Time
	Paging  paging
	Lessons []lessonView
	Acts    actsView
	Admin   bool
}

// lessonView is a device that nobody has described.
type lessonView struct {
	z2m.Lesson
	Now   time.Time
	Rows  []lessonRow
	Admin bool
}

// lessonRow is a datapoint: what it says, and the fields of its form.
type lessonRow struct {
	devices.Learnt
	Shown, Seen string // values
	Since       string // it has changed
	Fresh       bool   // that was just now
	Latest      bool

	Name, As, Divisor, Unit, Enum string
	Settable                      bool
}

func (s *Server) zigbeeView(r *request) (any, error) {
	v := &zigbeeView{Frame: s.frame(r, r.t("Zigbee devices")), Overview: s.o.ZigbeeNetwork.Overview(), Now: time.Now(), Admin: may(r.level, access.Admin)}
	v.Acts = s.actsView(r, v.Admin)
	search := searched(r)
	found := filter(v.Devices, func(d *z2m.DeviceSummary) bool {
		return contains(search, d.Name, d.IEEEAddress.String(), d.Vendor, d.Model, d.ModelID, d.Manufacturer)
	})
	v.Devices, v.Paging = pageFor(r, found, zigbeePerPage)
	for _, l := range s.o.ZigbeeNetwork.Lessons() {
		v.Lessons = append(v.Lessons, lessonViewOf(r, l))
	}
	return v, nil
}

// Title is what a person knows the model of a device by.
func (l lessonView) Title() string { return strings.TrimSpace(l.ModelID + " " + l.Manufacturer) }

func lessonViewOf(r *request, l z2m.Lesson) lessonView {
	v := lessonView{Lesson: l, Now: time.Now(), Admin: may(r.level, access.Admin)}
	for _, p := range l.Points {
		row := lessonRow{Learnt: p, Shown: formatPoint(p.Value), Latest: p.ID == l.Latest}
		if p.Count == 0 {
			row.Shown = r.t("not told yet")
		} else {
			row.Since = formatDuration(v.Now.Sub(p.Changed))
			row.Fresh = len(p.Values) > 1 && v.Now.Sub(p.Changed) < 10*time.Second
		}
		if p.Type == "number" && p.Count > 0 && p.Min != p.Max {
			row.Seen = r.t("%s to %s", formatPoint(p.Min), formatPoint(p.Max))
		} else if len(p.Values) > 1 {
			var seen []string
			for _, value := range p.Values {
				seen = append(seen, formatPoint(value))
			}
			row.Seen = strings.Join(seen, ", ")
		}
		row.fill()
		v.Rows = append(v.Rows, row)
	}
	return v
}

// fill puts into the fields of the form what the user has said, or else the guess but for the name.
func (row *lessonRow) fill() {
	m := row.Meaning
	if m == nil {
		m = &devices.Meaning{Kind: "identity", Divisor: row.Guess.Divisor, Unit: row.Guess.Unit}
		switch {
		case row.Type == "bool" || row.Type == "enum":
			m.Kind = row.Type
		case row.Guess.Divisor != 1:
			m.Kind = "scale"
		}
	}
	row.Name, row.As, row.Unit, row.Settable = m.Property, m.Kind, m.Unit, m.Settable
	if m.Kind == "scale" {
		row.Divisor = strconv.FormatFloat(m.Divisor, 'f', -1, 64)
	}
	var values []string
	for _, n := range slices.Sorted(maps.Keys(m.Values)) {
		values = append(values, fmt.Sprintf("%d=%v", n, m.Values[n]))
	}
	row.Enum = strings.Join(values, ", ")
}

// formatPoint writes what a datapoint holds: a text, a number or a boolean.
func formatPoint(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return shorten(fmt.Sprint(v))
}

// ieeeOf is the device that the path of a request names.
func ieeeOf(r *request) (zigbee.IEEEAddress, error) {
	ieee, err := zigbee.ParseIEEEAddress(r.PathValue("ieee"))
	if err != nil {
		return 0, problemf(http.StatusNotFound, "", "%s", sentence(err))
	}
	return ieee, nil
}

// teachView is the page that gives names to datapoints.
type teachView struct {
	Frame frame
	lessonView
	Admin, Saved bool
	Error        *problem
	// As they are to be, or are.
	SaidModel, SaidVendor, SaidDescription string
}

func (s *Server) teachView(r *request) (*teachView, error) {
	ieee, err := ieeeOf(r)
	if err != nil {
		return nil, err
	}
	l, err := s.o.ZigbeeNetwork.Learnt(ieee)
	if err != nil {
		return nil, err
	}
	v := &teachView{Frame: s.frame(r, l.Name), lessonView: lessonViewOf(r, l), Admin: may(r.level, access.Admin), SaidModel: l.Manufacturer, SaidVendor: "Tuya"}
	if l.Source == "external" {
		v.Saved, v.SaidModel, v.SaidVendor, v.SaidDescription = true, l.Model, l.Vendor, l.Description
	}
	return v, nil
}

// lessonView is the page on which datapoints get names.
func (s *Server) lessonView(r *request) (any, error) {
	v, err := s.teachView(r)
	if err != nil {
		return nil, err
	}
	v.Frame.Still = v.Admin
	return v, nil
}

// teachForm saves the names of datapoints.
func (s *Server) teachForm(w http.ResponseWriter, r *request) {
	v, err := s.teachView(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	t := z2m.Teaching{Model: r.PostFormValue("model"), Vendor: r.PostFormValue("vendor"), Description: r.PostFormValue("description")}
	for i := range v.Rows {
		row := &v.Rows[i]
		field := func(name string) string {
			return strings.TrimSpace(r.PostFormValue(name + "-" + strconv.Itoa(int(row.ID))))
		}
		if !r.PostForm.Has("name-" + strconv.Itoa(int(row.ID))) {
			continue // it was told since the page was shown
		}
		row.Name, row.As, row.Divisor, row.Unit, row.Enum = field("name"), field("kind"), field("divisor"), field("unit"), field("values")
		row.Settable = field("settable") != ""
		m, wrong := row.meaning()
		if wrong != nil && err == nil {
			err = wrong
		}
		t.Meanings = append(t.Meanings, m)
	}
	if err == nil && len(t.Meanings) == 0 {
		err = wrong("", "The form says nothing of a datapoint. Open the page of the device again.")
	}
	if err == nil {
		err = s.o.ZigbeeNetwork.Teach(v.IEEEAddress, t)
	}
	if err != nil {
		v.Error = s.problemOf(r.Request, err)
		v.SaidModel, v.SaidVendor, v.SaidDescription = t.Model, t.Vendor, t.Description
		s.show(w, r, v.Error.code, "zigbeelearn.html", v)
		return
	}
	http.Redirect(w, r.Request, "/zigbee-devices", http.StatusSeeOther)
}

// meaning reads the fields of a row.
func (row *lessonRow) meaning() (devices.Meaning, error) {
	m := devices.Meaning{ID: row.ID, Property: row.Name, Kind: row.As, Unit: row.Unit, Settable: row.Settable}
	if m.Property == "" {
		return m, nil
	}
	if m.Kind == "scale" {
		divisor, err := strconv.ParseFloat(row.Divisor, 64)
		if err != nil {
			return m, wrong("", "Datapoint %d: %.20q is no number: write what the value is divided by, such as 10.", row.ID, row.Divisor)
		}
		m.Divisor = divisor
	}
	if m.Kind == "enum" || m.Kind == "bool" {
		for _, part := range strings.FieldsFunc(row.Enum, func(c rune) bool { return c == ',' || c == '\n' }) {
			number, value, ok := strings.Cut(part, "=")
			n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
			value = strings.TrimSpace(value)
			if strings.TrimSpace(part) == "" {
				continue
			}
			if !ok || err != nil {
				return m, wrong("", "Datapoint %d: %.40q is no value: write them as 0=low, 1=high.", row.ID, part)
			}
			if _, again := m.Values[n]; again {
				return m, wrong("", "Datapoint %d: the number %d stands there twice.", row.ID, n)
			}
			if m.Values == nil {
				m.Values = make(map[int64]any)
			}
			m.Values[n] = value
			if value == "true" || value == "false" {
				m.Values[n] = value == "true"
			}
		}
	}
	return m, nil
}

// open opens the network for new devices, through one device alone if via names it, or
// closes it.
func (s *Server) open(r *request, seconds float64, via string) error {
	if !(seconds >= 0 && seconds <= maxPermit) {
		return wrong("seconds", "New devices may join for at most %d seconds: say 0 to %d.", maxPermit, maxPermit)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), permitTime)
	defer cancel()
	if via != "" {
		_, err := s.o.ZigbeeNetwork.Bridge().Do(ctx, r.user, "permit_join", map[string]any{"time": seconds, "device": via})
		return err
	}
	return s.o.ZigbeeNetwork.Permit(ctx, time.Duration(seconds)*time.Second)
}

// permitTime is how long a stick has to say that the network is open: less than an answer may
// take.
const permitTime = 8 * time.Second

func (s *Server) zigbeeDevices(*request) (z2m.Overview, error) {
	return s.o.ZigbeeNetwork.Overview(), nil
}

type permitRequest struct {
	Seconds *float64 `json:"seconds" api:"required"`
	Via     string   `json:"via"` // the device through which alone; empty: all of them
}

type permitAnswer struct {
	OpenUntil *time.Time `json:"open_until"`
}

func (s *Server) permit(r *request, in permitRequest) (permitAnswer, error) {
	if in.Seconds == nil {
		return permitAnswer{}, wrong("seconds", `Say for how long: {"seconds": 240} opens the network, 0 closes it.`)
	}
	err := s.open(r, *in.Seconds, in.Via)
	return permitAnswer{s.o.ZigbeeNetwork.Overview().OpenUntil}, err
}

func (s *Server) showLesson(r *request) (z2m.Lesson, error) {
	ieee, err := ieeeOf(r)
	if err != nil {
		return z2m.Lesson{}, err
	}
	return s.o.ZigbeeNetwork.Learnt(ieee)
}

func (s *Server) teach(r *request, t z2m.Teaching) (nothing, error) {
	ieee, err := ieeeOf(r)
	switch {
	case err != nil:
		return nothing{}, err
	case len(t.Meanings) == 0:
		return nothing{}, wrong("datapoints", `Say what a datapoint is, such as {"datapoints": [{"dp": 101, "name": "temperature", "kind": "scale", "divisor": 10}]}.`)
	}
	return nothing{}, s.o.ZigbeeNetwork.Teach(ieee, t)
}

// serveDefinition hands out what was said of a device, to be given to others.
func (s *Server) serveDefinition(w http.ResponseWriter, r *request) {
	ieee, err := ieeeOf(r)
	var name string
	var text []byte
	if err == nil {
		name, text, err = s.o.ZigbeeNetwork.Definition(ieee)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/toml; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", cmp.Or(name, "device.toml")))
	w.Write(text)
}
