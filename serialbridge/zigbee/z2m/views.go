package z2m

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// NetworkState is how the network is doing, for people.
type NetworkState struct {
	Running       bool               `json:"running"` // a stick serves it
	Coordinator   zigbee.IEEEAddress `json:"coordinator"`
	Stick         string             `json:"stick,omitempty"` // the family, such as ZStack3x0
	Revision      string             `json:"revision,omitempty"`
	Channel       uint8              `json:"channel,omitempty"`
	PANID         uint16             `json:"pan_id,omitempty"`
	ExtendedPANID string             `json:"extended_pan_id,omitempty"`
	BaseTopic     string             `json:"base_topic"`
	OpenUntil     *time.Time         `json:"open_until,omitempty"` // for new devices; nil: it is closed
	OpenVia       string             `json:"open_via,omitempty"`   // the one through which alone it is open
	Backup        *time.Time         `json:"backup,omitempty"`     // when the last one was made
	CanRestore    bool               `json:"can_restore"`          // the stick can be given a backup

	Routers    int `json:"routers"`
	EndDevices int `json:"end_devices"`
	Others     int `json:"others"` // Green Power, and those that have not told yet
	Offline    int `json:"offline"`
	Unknown    int `json:"unknown"` // interviewed in vain, or nobody has described them

	Counters zigbee.Counters `json:"counters"`
	Energy   *EnergyScan     `json:"energy,omitempty"` // the last one; nil: none was made
}

// NetworkState returns how the network is doing.
func (b *Bridge) NetworkState() NetworkState {
	info, p, running := b.network.Info()
	s := NetworkState{Running: running, Coordinator: info.IEEEAddress, Stick: info.Type, Revision: info.Revision, CanRestore: info.CanRestore,
		BaseTopic: b.base, Channel: p.Channel, PANID: p.PANID, Counters: b.network.Counters()}
	if p.Channel != 0 {
		s.ExtendedPANID = fmt.Sprintf("0x%x", p.ExtendedPANID)
	}
	if end := b.network.PermitJoinEnd(); !end.IsZero() {
		s.OpenUntil = &end
	}
	if date := b.network.LastBackup(); !date.IsZero() {
		s.Backup = &date
	}
	via := b.network.PermitJoinVia()
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.devices[via]; d != nil {
		s.OpenVia = d.name()
	} else if via != 0 {
		s.OpenVia = coordinatorName
	}
	s.Energy = b.energy
	for _, d := range b.devices {
		switch d.Type {
		case zigbee.Router:
			s.Routers++
		case zigbee.EndDevice:
			s.EndDevices++
		default:
			s.Others++
		}
		if b.hasAvailability(entity{device: d}) && !d.online {
			s.Offline++
		}
		if d.Interview == zigbee.Failed || d.Interview == zigbee.Successful && !supported(d) {
			s.Unknown++
		}
	}
	return s
}

// Joining is a device that was interviewed since Lintel has started, and what has become of it.
type Joining struct {
	zigbee.InterviewProgress
	Name         string     `json:"friendly_name"`
	ModelID      string     `json:"model_id,omitempty"` // as it calls itself
	Manufacturer string     `json:"manufacturer,omitempty"`
	Model        string     `json:"model,omitempty"` // as its definition has it
	Vendor       string     `json:"vendor,omitempty"`
	Description  string     `json:"description,omitempty"`
	Described    bool       `json:"described"` // there is a definition for it
	Setup        SetupState `json:"setup,omitempty"`
	SetupError   string     `json:"setup_error,omitempty"`
	Gone         bool       `json:"gone,omitempty"` // it has left
}

// SetupState is whether a device was told what to report, and the like.
type SetupState string

// The states of a setup.
const (
	SetupNone    SetupState = ""        // it cannot be set up: nobody knows what it is
	SetupWaits   SetupState = "waiting" // for the device to speak
	SetupRunning SetupState = "running"
	SetupDone    SetupState = "done"
	SetupFailed  SetupState = "failed"
)

// Joinings returns the interviews since Lintel has started, the newest first: 32 at most.
func (b *Bridge) Joinings() []Joining {
	list := []Joining{}
	interviews := b.network.Interviews()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range interviews {
		j := Joining{InterviewProgress: p, Name: p.IEEEAddress.String(), Gone: true}
		if d := b.devices[p.IEEEAddress]; d != nil {
			j.Gone = false
			j.Name, j.ModelID, j.Manufacturer = d.name(), d.ModelID, d.ManufacturerName
			j.Setup, j.SetupError = b.setupOf(d)
			if def := d.definition; def != nil {
				j.Model, j.Vendor, j.Description, j.Described = def.Model, def.Vendor, def.Description, supported(d)
			}
		}
		list = append(list, j)
	}
	return list
}

// setupOf says whether a device was set up, and why not. The mutex is held.
func (b *Bridge) setupOf(d *device) (SetupState, string) {
	switch {
	case d.definition == nil:
		return SetupNone, ""
	case d.configuring:
		return SetupRunning, ""
	case d.Configured == configKeyOf(d):
		return SetupDone, ""
	case d.setupError != "":
		return SetupFailed, d.setupError
	}
	return SetupWaits, ""
}

// DeviceDetail is all that is known of a device, but for its values.
type DeviceDetail struct {
	DeviceSummary
	NetworkAddress   zigbee.NetworkAddress `json:"network_address"`
	ManufacturerCode uint16                `json:"manufacturer_code,omitempty"`
	SoftwareBuildID  string                `json:"software_build_id,omitempty"`
	DateCode         string                `json:"date_code,omitempty"`
	Setup            SetupState            `json:"setup,omitempty"`
	SetupError       string                `json:"setup_error,omitempty"`
	Firmware         *Firmwares            `json:"firmware,omitempty"` // nil: it cannot be updated over the radio
	Endpoints        []EndpointDetail      `json:"endpoints"`
}

// EndpointDetail is an application on a device.
type EndpointDetail struct {
	ID         uint8             `json:"id"`
	Name       string            `json:"name,omitempty"`
	Profile    uint16            `json:"profile"`
	DeviceID   uint16            `json:"device_id"`
	Input      []string          `json:"input"`  // clusters that it serves
	Output     []string          `json:"output"` // clusters that it uses
	Bindings   []BindingDetail   `json:"bindings"`
	Reportings []ReportingDetail `json:"reportings"`
	Groups     []GroupName       `json:"groups"`
	Scenes     []Scene           `json:"scenes"` // that are of no group
}

// BindingDetail is where a cluster of an endpoint sends what it tells.
type BindingDetail struct {
	Cluster  string `json:"cluster"`
	To       string `json:"to"`                 // IEEE address, or the number of a group
	Name     string `json:"friendly_name"`      // of that
	Endpoint uint8  `json:"endpoint,omitempty"` // 0: a group
	Own      bool   `json:"own,omitempty"`      // it is the coordinator: Lintel hears it by this
}

// ReportingDetail is what a device was told to report.
type ReportingDetail struct {
	Cluster   string  `json:"cluster"`
	Attribute string  `json:"attribute"`
	Min       int     `json:"minimum_report_interval"` // seconds
	Max       int     `json:"maximum_report_interval"` // seconds; 65535: never
	Change    float64 `json:"reportable_change"`
}

// GroupName is a group by number and name.
type GroupName struct {
	ID   uint16 `json:"id"`
	Name string `json:"friendly_name"`
}

// Detail returns all that is known of a device. Its error is zigbee.ErrNoDevice.
func (b *Bridge) Detail(ieee zigbee.IEEEAddress) (DeviceDetail, error) {
	info, _, _ := b.network.Info()
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[ieee]
	if d == nil {
		return DeviceDetail{}, zigbee.ErrNoDevice
	}
	t := DeviceDetail{DeviceSummary: b.summary(d), NetworkAddress: d.NetworkAddress, ManufacturerCode: d.ManufacturerCode,
		SoftwareBuildID: d.SoftwareBuildID, DateCode: d.DateCode, Endpoints: []EndpointDetail{}}
	t.Setup, t.SetupError = b.setupOf(d)
	if updatable(d) {
		f := b.firmwareOf(d)
		t.Firmware = &f
	}
	for i := range d.Endpoints {
		t.Endpoints = append(t.Endpoints, b.endpointDetail(d, &d.Endpoints[i], info.IEEEAddress))
	}
	return t, nil
}

func (b *Bridge) endpointDetail(d *device, e *zigbee.Endpoint, coordinator zigbee.IEEEAddress) EndpointDetail {
	t := EndpointDetail{ID: e.ID, Name: d.endpointName(e.ID), Profile: e.Profile, DeviceID: e.DeviceID, Input: clusterNames(e.Input), Output: clusterNames(e.Output),
		Bindings: []BindingDetail{}, Reportings: []ReportingDetail{}, Groups: []GroupName{}, Scenes: append([]Scene{}, endpointScenes(e)...)}
	for _, x := range e.Bindings {
		to := BindingDetail{Cluster: zcl.ClusterName(x.Cluster), To: x.Device.String(), Name: x.Device.String(), Endpoint: x.Endpoint}
		switch target := b.devices[x.Device]; {
		case x.Device == 0:
			to.To, to.Name, to.Endpoint = entityID(x.Group), b.groupName(x.Group), 0
		case x.Device == coordinator:
			to.Name, to.Own = coordinatorName, true
		case target != nil:
			to.Name = target.name()
		}
		t.Bindings = append(t.Bindings, to)
	}
	for _, r := range e.Reportings {
		t.Reportings = append(t.Reportings, ReportingDetail{zcl.ClusterName(r.Cluster), zcl.AttributeName(r.Cluster, r.Attribute), int(r.Min / time.Second), int(r.Max / time.Second), r.Change})
	}
	for _, id := range e.Groups {
		t.Groups = append(t.Groups, GroupName{id, b.groupName(id)})
	}
	return t
}

// groupName is what a group is called. The mutex is held.
func (b *Bridge) groupName(id uint16) string {
	if g := b.groups[id]; g != nil {
		return g.name()
	}
	if id == defaultBindGroup {
		return defaultBindGroupName
	}
	return entityID(id)
}

// GroupDetail is a group with its members and scenes.
type GroupDetail struct {
	GroupName
	Members []MemberDetail `json:"members"`
	Scenes  []Scene        `json:"scenes"`
	State   map[string]any `json:"state"`  // as it is published; not to be changed
	Switch  bool           `json:"switch"` // it can be switched on and off
}

// MemberDetail is an endpoint in a group.
type MemberDetail struct {
	IEEEAddress zigbee.IEEEAddress `json:"ieee_address"`
	Name        string             `json:"friendly_name"`
	Endpoint    uint8              `json:"endpoint"`
	Offline     bool               `json:"offline,omitempty"`
}

// Groups returns all groups, by number.
func (b *Bridge) Groups() []GroupDetail {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []GroupDetail{}
	for _, g := range b.sortedGroups() {
		t := GroupDetail{GroupName: GroupName{g.id, g.name()}, Members: []MemberDetail{}, Scenes: append([]Scene{}, b.groupScenes(g)...), State: b.states[entityID(g.id)]}
		if t.State == nil {
			t.State = map[string]any{}
		}
		for _, m := range b.members(g.id) {
			t.Members = append(t.Members, MemberDetail{m.ieee, m.name(), m.endpoint, b.hasAvailability(entity{device: m.device}) && !m.online})
			t.Switch = t.Switch || slices.Contains(m.Endpoint(m.endpoint).Input, clusterOnOff)
		}
		list = append(list, t)
	}
	return list
}

const (
	clusterGroups = 0x0004
	clusterOnOff  = 0x0006
	clusterOTA    = 0x0019
)

// Firmwares is what a device runs, and what it could.
type Firmwares struct {
	IEEEAddress  zigbee.IEEEAddress `json:"ieee_address"`
	Name         string             `json:"friendly_name"`
	Vendor       string             `json:"vendor,omitempty"`
	Model        string             `json:"model,omitempty"`
	Battery      bool               `json:"battery,omitempty"` // it sleeps: an update takes hours, and begins when it wakes up
	Build        string             `json:"software_build_id,omitempty"`
	State        string             `json:"state,omitempty"` // idle, available, checking, updating or scheduled; empty: nobody has looked yet
	Installed    *float64           `json:"installed_version,omitempty"`
	Latest       *float64           `json:"latest_version,omitempty"`
	Source       string             `json:"latest_source,omitempty"`
	ReleaseNotes string             `json:"latest_release_notes,omitempty"`
	Progress     *float64           `json:"progress,omitempty"`  // percent, while it is updating
	Remaining    *float64           `json:"remaining,omitempty"` // seconds
}

// updatable says whether a device takes firmware over the radio.
func updatable(d *device) bool {
	return d.definition != nil && d.definition.OTA ||
		slices.ContainsFunc(d.Endpoints, func(e zigbee.Endpoint) bool { return slices.Contains(e.Output, clusterOTA) })
}

// Firmware returns the devices that take firmware over the radio: what is new first.
func (b *Bridge) Firmware() []Firmwares {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []Firmwares{}
	for _, d := range b.sortedDevices() {
		if updatable(d) {
			list = append(list, b.firmwareOf(d))
		}
	}
	rank := map[string]int{"updating": -4, "checking": -3, "available": -2, "scheduled": -1}
	slices.SortStableFunc(list, func(x, y Firmwares) int {
		return cmp.Or(cmp.Compare(rank[x.State], rank[y.State]), cmp.Compare(x.Name, y.Name))
	})
	return list
}

// firmwareOf is that of a device. The mutex is held.
func (b *Bridge) firmwareOf(d *device) Firmwares {
	f := Firmwares{IEEEAddress: d.ieee, Name: d.name(), Build: d.SoftwareBuildID, Battery: d.PowerSource == "Battery"}
	if d.definition != nil {
		f.Vendor, f.Model = d.definition.Vendor, d.definition.Model
	}
	update, _ := object(b.states[d.ieee.String()]["update"])
	amount := func(key string) *float64 {
		if n, ok := zcl.Float(update[key]); ok {
			return &n
		}
		return nil
	}
	f.State, _ = update["state"].(string)
	f.Source, _ = update["latest_source"].(string)
	f.ReleaseNotes, _ = update["latest_release_notes"].(string)
	f.Installed, f.Latest = amount("installed_version"), amount("latest_version")
	switch busy := b.updating[d.ieee] != nil; {
	case f.State == "updating" && busy:
		f.Progress, f.Remaining = amount("progress"), amount("remaining")
	case f.State == "updating": // until Lintel was stopped
		f.State = "available"
	case busy:
		f.State = "checking"
	}
	return f
}

// Endpoint is an endpoint of a device, to choose from.
type Endpoint struct {
	IEEEAddress zigbee.IEEEAddress `json:"ieee_address"`
	Name        string             `json:"friendly_name"`
	Endpoint    uint8              `json:"endpoint"`
	Called      string             `json:"name,omitempty"` // what its definition calls it
	Several     bool               `json:"several"`        // the device has others too
	Groups      bool               `json:"groups"`         // it can be in groups
}

// Key is ADDRESS#ENDPOINT.
func (e Endpoint) Key() string { return e.IEEEAddress.String() + "#" + strconv.Itoa(int(e.Endpoint)) }

// Endpoints returns the endpoints of all devices, by the name of the device.
func (b *Bridge) Endpoints() []Endpoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []Endpoint{}
	for _, d := range b.devices {
		for i := range d.Endpoints {
			e := &d.Endpoints[i]
			if e.ID == zigbee.EndpointGreenPower {
				continue
			}
			list = append(list, Endpoint{d.ieee, d.name(), e.ID, d.endpointName(e.ID), len(d.Endpoints) > 1, slices.Contains(e.Input, clusterGroups)})
		}
	}
	slices.SortFunc(list, func(x, y Endpoint) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.IEEEAddress, y.IEEEAddress), cmp.Compare(x.Endpoint, y.Endpoint))
	})
	return list
}
