package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/z2m"
)

// DeviceBook is what may be done with devices behind serial sticks, besides commanding them.
// Those of the Zigbee network have [ZigbeeNetwork] for it.
type DeviceBook interface {
	// Check says why a device would not take a message on its set topic.
	Check(device string, payload []byte) error
	// Heard tells when each device was heard last.
	Heard() map[string]time.Time
	// Rename calls a device something else, here and in Home Assistant; empty: what its
	// driver calls it.
	Rename(ctx context.Context, device, name string) error
	// SetIcon gives a device an icon, here and in Home Assistant; empty: none.
	SetIcon(ctx context.Context, device, icon string) error
	// Remove takes a device away with all that is retained of it.
	Remove(ctx context.Context, device string) error
}

const (
	online, offline = "online", "offline"

	devicesPerPage = 100
	lowBattery     = 20 // percent
	zigbeeBridge   = "zigbee"
)

// deviceRow is a device in a list, whatever the bridge.
type deviceRow struct {
	ID           string     `json:"id"` // of a Zigbee device its IEEE address
	Name         string     `json:"name"`
	Vendor       string     `json:"vendor,omitempty"`
	Model        string     `json:"model,omitempty"`
	Bridge       string     `json:"bridge"`                 // protocol of its stick
	Stick        string     `json:"stick,omitempty"`        // its id as a device; empty: the stick is not there
	Availability string     `json:"availability,omitempty"` // online or offline; empty: it is not watched
	LastSeen     *time.Time `json:"last_seen,omitempty"`    // null: not since the start
	Battery      *float64   `json:"battery,omitempty"`      // percent
	BatteryLow   bool       `json:"battery_low,omitempty"`
	LinkQuality  *uint8     `json:"link_quality,omitempty"` // of a Zigbee device, at most 255
	Signal       *float64   `json:"signal,omitempty"`       // of another one, in dBm
	Icon         string     `json:"icon,omitempty"`         // mdi:NAME, as its owner has chosen it
	Simulated    bool       `json:"simulated,omitempty"`    // there is no such device: it is played

	kind string // what it is first; see symbolOf
}

// Symbol is the drawing of a device on the pages.
func (d *deviceRow) Symbol() string { return symbolOf(d.Icon, d.kind) }

// About says in a few words what a device is.
func (d *deviceRow) About() string {
	if d.Model == "" || strings.HasPrefix(d.Model, d.Vendor) {
		return cmp.Or(d.Model, d.Vendor)
	}
	return strings.TrimSpace(d.Vendor + " " + d.Model)
}

// deviceQuery is which devices somebody wants to see.
type deviceQuery struct {
	Search string
	Show   string // see deviceFilters
	Stick  string // id of a stick as a device; empty: all
	Sort   string // see deviceSorts
	Page   int    // from 1
}

var (
	deviceFilters = []string{"all", online, offline, "battery"}
	deviceSorts   = []string{"name", "seen", "battery", "signal"}
)

// readDeviceQuery reads the query of a URL.
func readDeviceQuery(r *request) (deviceQuery, error) {
	values := r.URL.Query()
	q := deviceQuery{Search: strings.TrimSpace(values.Get("q")), Show: cmp.Or(values.Get("show"), "all"), Stick: values.Get("stick"),
		Sort: cmp.Or(values.Get("sort"), "name"), Page: 1}
	switch {
	case len(q.Search) > maxSearch:
		return q, wrong("q", "Search for at most %d characters.", maxSearch)
	case !slices.Contains(deviceFilters, q.Show):
		return q, wrong("show", "show is one of %s.", strings.Join(deviceFilters, ", "))
	case !slices.Contains(deviceSorts, q.Sort):
		return q, wrong("sort", "sort is one of %s.", strings.Join(deviceSorts, ", "))
	}
	if text := values.Get("page"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1e6 {
			return q, wrong("page", "page is a number from 1.")
		}
		q.Page = n
	}
	return q, nil
}

// deviceList is a page of devices.
type deviceList struct {
	Devices []deviceRow `json:"devices"`
	Count   int         `json:"count"` // that the query finds
	All     int         `json:"all"`   // that there are
	Page    int         `json:"page"`
	Pages   int         `json:"pages"`
}

// listDevices finds devices.
func (s *Server) listDevices(q deviceQuery) deviceList {
	all := s.deviceRows()
	found := make([]*deviceRow, 0, len(all)) // rows are large, and are not to be moved about
	for i := range all {
		if d := &all[i]; d.matches(q) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b *deviceRow) int { return a.compare(b, q.Sort) })
	found, p := pageOf(found, q.Page, devicesPerPage)
	l := deviceList{Devices: []deviceRow{}, Count: p.Count, All: len(all), Page: p.Page, Pages: p.Pages}
	for _, d := range found {
		l.Devices = append(l.Devices, *d)
	}
	return l
}

func (d *deviceRow) matches(q deviceQuery) bool {
	switch q.Show {
	case online, offline:
		if d.Availability != q.Show {
			return false
		}
	case "battery":
		if !d.BatteryLow {
			return false
		}
	}
	if q.Stick != "" && d.Stick != q.Stick {
		return false
	}
	return contains(q.Search, d.Name, d.ID, d.Vendor, d.Model)
}

// compare orders by name, or by what needs a look first.
func (d *deviceRow) compare(other *deviceRow, by string) int {
	order := 0
	switch by {
	case "seen":
		order = compareKnown(d.LastSeen, other.LastSeen, time.Time.Compare)
	case "battery":
		order = compareKnown(d.Battery, other.Battery, cmp.Compare[float64])
	case "signal":
		order = compareKnown(d.LinkQuality, other.LinkQuality, cmp.Compare[uint8])
		if order == 0 {
			order = compareKnown(d.Signal, other.Signal, cmp.Compare[float64])
		}
	}
	if order == 0 {
		order = compareFold(d.Name, other.Name)
	}
	if order == 0 {
		order = strings.Compare(d.ID, other.ID)
	}
	return order
}

// compareKnown puts what is not known last.
func compareKnown[T any](a, b *T, compare func(T, T) int) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return compare(*a, *b)
}

// compareFold orders texts without regard to the case of ASCII letters, and makes nothing
// new of them: there are ten thousand comparisons in a list of a thousand.
func compareFold(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		x, y := a[i], b[i]
		if 'A' <= x && x <= 'Z' {
			x += 'a' - 'A'
		}
		if 'A' <= y && y <= 'Z' {
			y += 'a' - 'A'
		}
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// deviceRows are all devices there are.
func (s *Server) deviceRows() []deviceRow {
	devices := s.o.Devices()
	sticks := s.o.Sticks()
	rows := make([]deviceRow, 0, len(devices))
	simulated := make(map[string]bool)
	heard := s.o.DeviceBook.Heard()
	protocols := make(map[string]string, len(sticks))
	zigbeeStick := ""
	for i := range sticks {
		protocols[sticks[i].Device] = sticks[i].Protocol
		simulated[sticks[i].Device] = sticks[i].Simulated
		if sticks[i].Protocol == zigbeeBridge {
			zigbeeStick = sticks[i].Device
		}
	}
	for i := range devices {
		rows = append(rows, s.serialRow(&devices[i], protocols, heard))
	}
	if s.o.ZigbeeNetwork != nil {
		o := s.o.ZigbeeNetwork.Overview()
		for i := range o.Devices {
			rows = append(rows, zigbeeRow(&o.Devices[i], zigbeeStick))
		}
	}
	for i := range rows {
		rows[i].Simulated = simulated[rows[i].Stick]
	}
	return rows
}

func (s *Server) serialRow(d *serialbridge.Device, protocols map[string]string, heard map[string]time.Time) deviceRow {
	v := s.values.get(d.ID)
	row := deviceRow{ID: d.ID, Name: cmp.Or(d.Name, d.ID), Vendor: d.Vendor, Model: d.Model, Bridge: protocols[d.Stick], Stick: d.Stick,
		Availability: v.availability, Icon: d.Icon}
	if at, ok := heard[d.ID]; ok {
		row.LastSeen = &at
	}
	for i := range d.Properties {
		p := &d.Properties[i]
		switch {
		case p.Class == "battery" && p.Kind == serialbridge.Measurement:
			if f, ok := numberOf(v.values[p.Key]); ok {
				row.Battery, row.BatteryLow = &f, f < lowBattery
			}
		case p.Class == "battery" && p.Kind == serialbridge.Binary:
			row.BatteryLow = row.BatteryLow || v.values[p.Key] == true
		case p.Class == "signal_strength":
			if f, ok := numberOf(v.values[p.Key]); ok {
				row.Signal = &f
			}
		}
		if row.kind == "" && p.Category == "" {
			row.kind = kindOfProperty(p)
		}
	}
	return row
}

func zigbeeRow(d *z2m.DeviceSummary, stick string) deviceRow {
	row := deviceRow{ID: d.IEEEAddress.String(), Name: d.Name, Vendor: d.Vendor, Model: cmp.Or(d.Model, d.ModelID), Bridge: zigbeeBridge, Stick: stick,
		Availability: d.Availability, LastSeen: d.LastSeen, Battery: d.Battery, LinkQuality: d.LinkQuality, Icon: d.Icon, kind: d.Kind}
	row.BatteryLow = d.Battery != nil && *d.Battery < lowBattery
	return row
}

// kindOfProperty is what a device is that has such a property.
func kindOfProperty(p *serialbridge.Property) string {
	switch p.Kind {
	case serialbridge.Measurement, serialbridge.Binary:
		return cmp.Or(p.Class, string(p.Kind))
	}
	return string(p.Kind)
}

// findDevice finds a device by the id in the path of a request.
func (s *Server) findDevice(id string) (row deviceRow, properties []propertyView, err error) {
	if ieee, bad := zigbee.ParseIEEEAddress(id); bad == nil && s.o.ZigbeeNetwork != nil {
		shown, err := s.o.ZigbeeNetwork.Shown(ieee)
		if err != nil {
			return row, nil, err
		}
		return zigbeeRow(&shown.DeviceSummary, s.zigbeeStick()), zigbeeProperties(shown.Exposes, shown.State), nil
	}
	d, protocols, err := s.serialDevice(id)
	if err != nil {
		return row, nil, err
	}
	return s.serialRow(d, protocols, s.o.DeviceBook.Heard()), serialProperties(d, s.values.get(id).values), nil
}

// serialDevice finds a device behind a serial stick, and what the sticks speak.
func (s *Server) serialDevice(id string) (*serialbridge.Device, map[string]string, error) {
	devices := s.o.Devices()
	i := slices.IndexFunc(devices, func(d serialbridge.Device) bool { return d.ID == id })
	if i < 0 {
		return nil, nil, problemf(http.StatusNotFound, "", "There is no such device: it was removed, or its stick has not heard it since the start of the box.")
	}
	protocols := make(map[string]string)
	for _, st := range s.o.Sticks() {
		protocols[st.Device] = st.Protocol
	}
	return &devices[i], protocols, nil
}

// zigbeeStick is the stick of the Zigbee network as a device; empty: it is not there.
func (s *Server) zigbeeStick() string {
	for _, st := range s.o.Sticks() {
		if st.Protocol == zigbeeBridge {
			return st.Device
		}
	}
	return ""
}

// deviceRoutes are the pages and calls about devices.
func (s *Server) deviceRoutes() []route {
	if s.o.DeviceBook == nil {
		return nil
	}
	return []route{
		{pattern: "GET /devices", level: viewer, serve: s.live(s.devicesPage())},
		{pattern: "GET /devices/sticks/{id}", level: viewer, serve: s.live(s.stickPage())},
		{pattern: "GET /devices/{id}", level: viewer, serve: s.live(s.devicePage())},
		{pattern: "POST /devices/{id}/set", level: operator, body: maxSet, serve: s.setForm},
		{pattern: "POST /devices/{id}/change", level: admin, serve: s.changeDeviceForm},
		{pattern: "POST /devices/{id}/remove", level: admin, serve: s.removeDeviceForm},
		{pattern: "GET /api/devices", level: viewer, call: gives(s, s.devicesCall)},
		{pattern: "GET /api/devices/{id}", level: viewer, call: gives(s, s.deviceCall)},
		{pattern: "GET /api/devices/{id}/history", level: viewer, call: gives(s, s.historyCall)},
		{pattern: "POST /api/devices/{id}/set", level: operator, body: maxSet, call: takes(s, s.setCall)},
		{pattern: "PATCH /api/devices/{id}", level: admin, call: takes(s, s.changeDeviceCall)},
		{pattern: "DELETE /api/devices/{id}", level: admin, call: does(s, s.removeDeviceCall)},
	}
}

func (s *Server) devicesCall(r *request) (deviceList, error) {
	q, err := readDeviceQuery(r)
	if err != nil {
		return deviceList{}, err
	}
	return s.listDevices(q), nil
}

// deviceAnswer is what GET /api/devices/{id} tells.
type deviceAnswer struct {
	deviceRow
	Properties []propertyView `json:"properties"`
}

func (s *Server) deviceCall(r *request) (deviceAnswer, error) {
	row, properties, err := s.findDevice(r.PathValue("id"))
	return deviceAnswer{row, append([]propertyView{}, properties...)}, err
}
