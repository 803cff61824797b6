package z2m

import (
	"strings"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
	"lintel/serialbridge/zigbee/zcl"
)

// Overview is what there is in the network, for people.
type Overview struct {
	Running   bool            `json:"running"`              // a stick serves the network
	OpenUntil *time.Time      `json:"open_until,omitempty"` // for new devices; nil: it is closed
	Devices   []DeviceSummary `json:"devices"`
}

// DeviceSummary is what a person wants to know of a device first.
type DeviceSummary struct {
	IEEEAddress  zigbee.IEEEAddress    `json:"ieee_address"`
	Name         string                `json:"friendly_name"`
	Vendor       string                `json:"vendor,omitempty"`
	Model        string                `json:"model,omitempty"`
	Description  string                `json:"description,omitempty"`
	ModelID      string                `json:"model_id,omitempty"` // as it calls itself
	Manufacturer string                `json:"manufacturer,omitempty"`
	Source       string                `json:"source,omitempty"` // of its definition: native, generated, external; empty: there is none
	Type         zigbee.DeviceType     `json:"type"`
	PowerSource  string                `json:"power_source,omitempty"`
	LinkQuality  *uint8                `json:"link_quality,omitempty"`
	LastSeen     *time.Time            `json:"last_seen,omitempty"`
	Battery      *float64              `json:"battery,omitempty"`      // percent
	Availability string                `json:"availability,omitempty"` // online or offline; empty: it is not watched
	Interview    zigbee.InterviewState `json:"interview_state"`
	// Kind is what the device is first: light, switch, cover, lock, fan or climate, else the
	// name of what it tells, such as contact or temperature; empty: not known.
	Kind string `json:"kind,omitempty"`
	Icon string `json:"icon,omitempty"` // mdi:NAME, as Home Assistant is told it; empty: it has its own
	// Datapoints is how many of Tuya's were gathered because no definition explains
	// them.
	Datapoints int `json:"datapoints_learnt,omitempty"`
}

// Overview returns what there is in the network.
func (b *Bridge) Overview() Overview {
	_, _, running := b.network.Info()
	o := Overview{Running: running, Devices: []DeviceSummary{}}
	if end := b.network.PermitJoinEnd(); !end.IsZero() {
		o.OpenUntil = &end
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.sortedDevices() {
		o.Devices = append(o.Devices, b.summary(d))
	}
	return o
}

// summary is that of a device. The mutex is held.
func (b *Bridge) summary(d *device) DeviceSummary {
	s := DeviceSummary{
		IEEEAddress: d.IEEEAddress, Name: d.name(), ModelID: d.ModelID, Manufacturer: d.ManufacturerName, Type: d.Type,
		PowerSource: d.PowerSource, LinkQuality: d.LinkQuality, Interview: d.Interview, Kind: d.kind,
	}
	if overrides, ok := object(d.own["homeassistant"]); ok {
		s.Icon, _ = overrides["icon"].(string)
	}
	if d.Interview == "" {
		s.Interview = zigbee.Pending
	}
	if def := d.definition; def != nil {
		s.Vendor, s.Model, s.Description, s.Source = def.Vendor, def.Model, def.Description, sourceOf(def)
	}
	if !d.LastSeen.IsZero() {
		seen := d.LastSeen
		s.LastSeen = &seen
	}
	if battery, ok := zcl.Float(b.states[d.IEEEAddress.String()]["battery"]); ok {
		s.Battery = &battery
	}
	if b.hasAvailability(entity{device: d}) {
		s.Availability = "offline"
		if d.online {
			s.Availability = "online"
		}
	}
	if d.learner != nil {
		s.Datapoints = len(d.learner.Points())
	}
	return s
}

// kindOf says what a device is first; see DeviceSummary.
func kindOf(def *devices.Definition) string {
	if def == nil {
		return ""
	}
	for _, e := range def.Exposes {
		if e.Name == "" {
			return e.Type
		}
	}
	for _, e := range def.Exposes {
		if e.Category == "" && e.Name != "battery" && e.Name != "linkquality" {
			return e.Name
		}
	}
	return ""
}

// calls is what a device calls itself and its maker, without what some fill that up with.
func (d *device) calls() (model, maker string) {
	model, _, _ = strings.Cut(d.ModelID, "\x00")
	return strings.TrimSpace(model), d.ManufacturerName
}
