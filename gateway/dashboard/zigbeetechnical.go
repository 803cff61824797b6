package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/z2m"
	"lintel/serialbridge/zigbee/zcl"
)

// technicalView is the page of what a Zigbee device is inside.
type technicalView struct {
	Frame frame
	z2m.DeviceDetail
	Title    string
	Address  string
	Maker    string
	Firmware *firmwareRow
	Joining  *joiningView   // its last interview; nil: there was none since the start
	Targets  []z2m.Endpoint // what can be bound to
	Groups   []z2m.GroupName
	Bindable []string // clusters that are worth to be bound
	Clusters []string // that it serves
	Back     string
	Acts     actsView
	Admin    bool
}

func (s *Server) technicalPageView(r *request) (any, error) {
	ieee, err := ieeeOf(r)
	if err != nil {
		return nil, err
	}
	bridge := s.o.ZigbeeNetwork.Bridge()
	d, err := bridge.Detail(ieee)
	if err != nil {
		return nil, err
	}
	v := &technicalView{Frame: s.frame(r, d.Name), DeviceDetail: d, Back: r.URL.Path, Admin: may(r.level, access.Admin),
		Address: fmt.Sprintf("0x%04x", uint16(d.NetworkAddress)), Maker: fmt.Sprintf("0x%04x", d.ManufacturerCode)}
	v.Acts, v.Frame.Still = s.actsView(r, v.Admin), v.Admin
	v.Title = strings.TrimSpace(d.Vendor + " " + d.Model)
	if v.Title == "" {
		v.Title = strings.TrimSpace(d.ModelID + " " + d.Manufacturer)
	}
	if f := d.Firmware; f != nil {
		v.Firmware = &firmwareRow{Firmwares: *f, From: version(f.Installed), To: version(f.Latest)}
	}
	for _, j := range bridge.Joinings() {
		if j.IEEEAddress == ieee {
			row := joiningViewOf(r, j, time.Now(), v.Admin)
			v.Joining = &row
		}
	}
	for _, e := range d.Endpoints {
		for _, name := range slices.Concat(e.Input, e.Output) {
			if c := zcl.ClusterByName(name); c != nil && c.ID != 0 && !slices.Contains(v.Bindable, name) {
				v.Bindable = append(v.Bindable, name)
			}
		}
		for _, name := range e.Input {
			if !slices.Contains(v.Clusters, name) {
				v.Clusters = append(v.Clusters, name)
			}
		}
	}
	slices.Sort(v.Bindable)
	slices.Sort(v.Clusters)
	if v.Admin {
		for _, e := range bridge.Endpoints() {
			if e.IEEEAddress != ieee {
				v.Targets = append(v.Targets, e)
			}
		}
		for _, g := range bridge.Groups() {
			v.Groups = append(v.Groups, g.GroupName)
		}
	}
	return v, nil
}

// Sleeps reports whether the device hears only when it wakes up.
func (v *technicalView) Sleeps() bool {
	return v.Type == zigbee.EndDevice && v.PowerSource == "Battery"
}
