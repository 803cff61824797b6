package devices

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/BurntSushi/toml"

	"lintel/serialbridge/zigbee/zcl"
)

// FormatUser writes definitions as a file that ParseUser reads, to be saved and
// given to others.
func FormatUser(users []User) ([]byte, error) {
	var file userFile
	for _, u := range users {
		file.Device = append(file.Device, u.device())
	}
	var out bytes.Buffer
	encoder := toml.NewEncoder(&out)
	encoder.Indent = ""
	if err := encoder.Encode(file); err != nil {
		return nil, fmt.Errorf("devices: this definition cannot be written as TOML: %w", err)
	}
	return out.Bytes(), nil
}

func (u *User) device() userDevice {
	d := u.Definition
	f := userDevice{
		Model: d.Model, Vendor: d.Vendor, Description: d.Description, Models: u.Models, Manufacturers: u.Manufacturers,
		Icon: d.Icon, OTA: d.OTA, Endpoints: d.Endpoints, MultiEndpoint: d.MultiEndpoint, Skip: d.MultiEndpointSkip, Quirks: d.Quirks,
	}
	for _, c := range d.Clusters {
		f.Clusters = append(f.Clusters, clusterWord(c))
	}
	for _, e := range d.Exposes {
		f.Exposes = append(f.Exposes, userExposeOf(e))
	}
	for _, p := range d.Datapoints {
		r := userRowOf(p.Property, p.Conversion)
		r.ID, r.Type, r.Silent = int64(p.ID), p.Type, p.Silent
		f.Datapoints = append(f.Datapoints, r)
	}
	for _, a := range d.Attributes {
		r := userRowOf(a.Property, a.Conversion)
		r.ID, r.Cluster, r.Manufacturer, r.Endpoint, r.Read = int64(a.ID), clusterWord(a.Cluster), a.ManufacturerCode, a.Endpoint, a.Read
		if a.Type != zcl.NoData {
			r.Type = a.Type.String()
		}
		if a.Report != nil {
			r.Report = []float64{a.Report.Min.Seconds(), a.Report.Max.Seconds(), a.Report.Change}
		}
		f.Attributes = append(f.Attributes, r)
	}
	return f
}

// clusterWord is a cluster as a file names it.
func clusterWord(id uint16) any {
	if c := zcl.ClusterByID(id); c != nil {
		return c.Name
	}
	return int64(id)
}

func userExposeOf(e *Expose) userExpose {
	u := userExpose{
		Type: e.Type, Name: e.Name, Endpoint: e.Endpoint, Category: e.Category, Description: e.Description, Unit: e.Unit,
		Min: e.ValueMin, Max: e.ValueMax, Step: e.ValueStep, On: e.ValueOn, Off: e.ValueOff, Values: e.Values, Label: e.Label,
	}
	for _, name := range []string{"state", "set", "get"} {
		if e.Access&accessNames[name] != 0 {
			u.Access = append(u.Access, name)
		}
	}
	for _, f := range e.Features {
		u.Features = append(u.Features, userExposeOf(f))
	}
	return u
}

func userRowOf(property string, c Conversion) userRow {
	r := userRow{Property: property, Kind: c.Kind, Divisor: c.Divisor, Decimals: c.Precision, Otherwise: c.Otherwise, Argument: c.Argument}
	if c.Kind == "range" {
		r.Wire, r.State = c.Wire[:], c.State[:]
	}
	if c.Enum != nil {
		r.Enum = make(map[string]any)
		for n, v := range c.Enum {
			r.Enum[strconv.FormatInt(n, 10)] = v
		}
	}
	return r
}
