package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"lintel/gateway/access"
	"lintel/serialbridge"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/z2m"
)

// devicesView is the page with the list of all devices.
type devicesView struct {
	Frame frame
	deviceList
	Query   deviceQuery
	Filters []choiceView
	Sorts   []choiceView
	Sticks  []choiceView // behind which devices may be looked for
	Heard   []heardView
	Now     time.Time
	Paging  paging
}

// choiceView is one of several: Value is sent, Name is read.
type choiceView struct {
	Value, Name string
	Chosen      bool
}

// heardView is a stick that hears what nobody understands.
type heardView struct {
	Name, Device string
	Reasons      int
}

// choices are the values of a field by name, of which one is chosen.
func choices(chosen string, of ...choiceView) []choiceView {
	for i := range of {
		of[i].Chosen = of[i].Value == chosen
	}
	return of
}

func (s *Server) devicesPage() livePage {
	return livePage{template: "devices.html", fragments: []string{"device-list"}, data: s.devicesView}
}

func (s *Server) devicesView(r *request) (any, error) {
	q, err := readDeviceQuery(r)
	if err != nil {
		return nil, err
	}
	v := &devicesView{Frame: s.frame(r, r.t("Devices")), Query: q, deviceList: s.listDevices(q), Now: time.Now(),

		Filters: choices(q.Show, choiceView{Value: "all", Name: r.t("All")}, choiceView{Value: online, Name: r.t("Online")},
			choiceView{Value: offline, Name: r.t("Offline")}, choiceView{Value: "battery", Name: r.t("Battery low")}),
		Sorts: choices(q.Sort, choiceView{Value: "name", Name: r.t("Name")}, choiceView{Value: "seen", Name: r.t("Longest unheard")},
			choiceView{Value: "battery", Name: r.t("Battery")}, choiceView{Value: "signal", Name: r.t("Weakest signal")})}
	for _, k := range s.o.Sticks() {
		v.Sticks = append(v.Sticks, choiceView{k.Device, stickName(k), k.Device == q.Stick})
		if len(k.Ignored) > 0 || k.State == serialbridge.Unknown {
			v.Heard = append(v.Heard, heardView{stickName(k), k.Device, len(k.Ignored)})
		}
	}
	v.Paging = paging{Page: v.Page, Pages: v.Pages}
	v.Paging.lead(r)
	return v, nil
}

// deviceView is the page of a device.
type deviceView struct {
	Frame frame
	deviceRow
	Facts     []deviceFact
	Groups    []propertyGroup
	Charts    []chart
	Day       bool // the charts are of a day, not of an hour
	Since     time.Time
	Now       time.Time
	StickName string
	Topic     string // where it is commanded
	Denied    string // why the user may not command it; empty: they may
	Sent      *propertyView
	Error     *problem
	About     string      // key of the property that Error is about
	Zigbee    *zigbeePart // nil: it is none of the Zigbee network
}

// formatSeen says how long ago something was, in whole minutes: the page of a thousand devices
// is not to change each second. Empty: just now.
func formatSeen(now, then time.Time) string {
	if d := now.Sub(then); d >= time.Minute {
		return formatDuration(d)
	}
	return ""
}

// deviceFact is something about a device that does not change.
type deviceFact struct{ Name, Value string }

// propertyGroup are properties under one heading.
type propertyGroup struct {
	Name string
	Rows []propertyView
}

const maxCharts = 24 // on a page

func (s *Server) devicePage() livePage {
	return livePage{template: "device.html", fragments: []string{"device-status", "device-properties", "device-charts", "device-zigbee"}, data: s.deviceView}
}

func (s *Server) deviceView(r *request) (any, error) {
	v, err := s.newDeviceView(r)
	if err != nil {
		return nil, err
	}
	if key := r.URL.Query().Get("sent"); key != "" {
		for _, g := range v.Groups {
			if i := slices.IndexFunc(g.Rows, func(p propertyView) bool { return p.Key == key }); i >= 0 {
				v.Sent = &g.Rows[i]
			}
		}
	}
	return v, nil
}

func (s *Server) newDeviceView(r *request) (*deviceView, error) {
	id := r.PathValue("id")
	row, properties, err := s.findDevice(id)
	if err != nil {
		return nil, err
	}
	v := &deviceView{Frame: s.frame(r, row.Name), deviceRow: row, Now: time.Now(), Day: r.URL.Query().Get("span") == "day", Since: s.history.since()}
	fact := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, deviceFact{name, value})
		}
	}
	fact(r.t("Vendor"), row.Vendor)
	fact(r.t("Model"), row.Model)
	v.Topic = s.o.BaseTopic + "/" + id + "/set"
	if row.Bridge == zigbeeBridge {
		shown, err := s.shown(id)
		if err != nil {
			return nil, err
		}
		v.Topic = shown.Topic + "/set"
		fact(r.t("Description"), shown.Description)
		fact(r.t("Firmware"), shown.Firmware)
		v.Zigbee = zigbeePartOf(&shown)
	} else if d, _, err := s.serialDevice(id); err == nil {
		fact(r.t("Serial number"), d.SerialNumber)
		fact(r.t("Hardware"), d.HWVersion)
		fact(r.t("Firmware"), d.SWVersion)
	}
	fact(r.t("ID"), row.ID)
	for _, k := range s.o.Sticks() {
		if k.Device == row.Stick {
			v.StickName = stickName(k)
		}
	}
	for _, g := range []struct{ category, name string }{{"", r.t("Values")}, {"config", r.t("Settings")}, {"diagnostic", r.t("Diagnostics")}} {
		group := propertyGroup{Name: g.name}
		for _, p := range properties {
			if p.Category == g.category {
				p.Device = id
				group.Rows = append(group.Rows, p)
			}
		}
		if len(group.Rows) > 0 {
			v.Groups = append(v.Groups, group)
		}
		for _, p := range group.Rows {
			if _, ok := p.Number(); ok && len(v.Charts) < maxCharts {
				v.Charts = append(v.Charts, chartOf(p.Name, p.Unit, s.history.points(id, p.Key, v.Day)))
			}
		}
	}
	if !may(r.level, access.Operator) {
		v.Denied = r.t("To act on devices takes the level operator. Ask an admin of the box.")
	} else if p, ok := s.mayPublish(r, v.Topic).(*problem); ok {
		v.Denied = p.in(languageOf(r.Request))
	}
	return v, nil
}

// zigbeePart is what the page of a device shows of it in the Zigbee network.
type zigbeePart struct {
	IEEE        zigbee.IEEEAddress
	Type        zigbee.DeviceType
	PowerSource string
	Interview   zigbee.InterviewState
	Lesson      bool // it tells datapoints that nobody has described
}

func zigbeePartOf(shown *z2m.Shown) *zigbeePart {
	return &zigbeePart{IEEE: shown.IEEEAddress, Type: shown.Type, PowerSource: shown.PowerSource, Interview: shown.Interview, Lesson: shown.Datapoints > 0}
}

// deviceProblem shows the page of a device with what went wrong; key is the property that it
// is about.
func (s *Server) deviceProblem(w http.ResponseWriter, r *request, key string, err error) {
	v, gone := s.newDeviceView(r)
	if gone != nil {
		s.fail(w, r, err)
		return
	}
	v.Error, v.About = s.problemOf(r.Request, err), key
	if !v.has(key) && v.Error.field != "name" && v.Error.field != "icon" {
		v.About, v.Error = "", v.Error.nowhere()
	}
	s.show(w, r, v.Error.code, "device.html", v)
}

// has reports whether there is a field for a property on the page.
func (v *deviceView) has(key string) bool {
	for _, g := range v.Groups {
		if slices.ContainsFunc(g.Rows, func(p propertyView) bool { return p.Key == key && p.Control != "" }) {
			return v.Denied == ""
		}
	}
	return false
}

// setForm sets a property.
func (s *Server) setForm(w http.ResponseWriter, r *request) {
	id, key := r.PathValue("id"), r.PostFormValue("key")
	t, err := s.findTarget(id, key)
	var value any
	if err == nil {
		value, err = t.parseValue(r.PostFormValue("value"))
	}
	if err == nil {
		_, err = s.command(r, t, value)
	}
	if err != nil {
		s.deviceProblem(w, r, key, err)
		return
	}
	http.Redirect(w, r.Request, "/devices/"+url.PathEscape(id)+"?sent="+url.QueryEscape(key), http.StatusSeeOther)
}

// changeDeviceForm gives a device another name and icon.
func (s *Server) changeDeviceForm(w http.ResponseWriter, r *request) {
	id, name, icon := r.PathValue("id"), r.PostFormValue("name"), r.PostFormValue("icon")
	if err := s.changeDevice(r, id, deviceChange{&name, &icon}); err != nil {
		s.deviceProblem(w, r, "", err)
		return
	}
	http.Redirect(w, r.Request, "/devices/"+url.PathEscape(id), http.StatusSeeOther)
}

func (s *Server) removeDeviceForm(w http.ResponseWriter, r *request) {
	err := s.removeDevice(r, r.PathValue("id"), r.PostFormValue("force") != "")
	if err != nil {
		s.deviceProblem(w, r, "", err)
		return
	}
	http.Redirect(w, r.Request, "/devices", http.StatusSeeOther)
}
