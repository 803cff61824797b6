package devices

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// User is a definition that a user has written. It goes before those that the
// program brings. The format of its file is told in user.md.
type User struct {
	// Models are what the device calls itself, Manufacturers whom it names as
	// its maker; without Manufacturers any.
	Models        []string
	Manufacturers []string
	Definition    *Definition
}

// The file, key by key.
type userFile struct {
	Device []userDevice `toml:"device"`
}

type userDevice struct {
	Model         string           `toml:"model"`
	Vendor        string           `toml:"vendor"`
	Description   string           `toml:"description"`
	Models        []string         `toml:"zigbee_models"`
	Manufacturers []string         `toml:"manufacturers,omitempty"`
	Icon          string           `toml:"icon,omitempty"`
	OTA           bool             `toml:"ota,omitempty"`
	Clusters      []any            `toml:"clusters,omitempty"`
	Endpoints     map[string]uint8 `toml:"endpoints,omitempty"`
	MultiEndpoint bool             `toml:"multi_endpoint,omitempty"`
	Skip          []string         `toml:"multi_endpoint_skip,omitempty"`
	Quirks        map[string]any   `toml:"quirks,omitempty"`
	Exposes       []userExpose     `toml:"expose,omitempty"`
	Datapoints    []userRow        `toml:"datapoint,omitempty"`
	Attributes    []userRow        `toml:"attribute,omitempty"`
}

type userExpose struct {
	Type        string       `toml:"type"`
	Name        string       `toml:"name,omitempty"`
	Endpoint    string       `toml:"endpoint,omitempty"`
	Access      []string     `toml:"access,omitempty"`
	Category    string       `toml:"category,omitempty"`
	Label       string       `toml:"label,omitempty"`
	Description string       `toml:"description,omitempty"`
	Unit        string       `toml:"unit,omitempty"`
	Min         *float64     `toml:"min,omitempty"`
	Max         *float64     `toml:"max,omitempty"`
	Step        *float64     `toml:"step,omitempty"`
	On          any          `toml:"on,omitempty"`
	Off         any          `toml:"off,omitempty"`
	Values      []any        `toml:"values,omitempty"`
	Features    []userExpose `toml:"feature,omitempty"`
}

// userRow is a datapoint, or an attribute if it has a cluster.
type userRow struct {
	ID           any            `toml:"id"`
	Cluster      any            `toml:"cluster,omitempty"`
	Manufacturer uint16         `toml:"manufacturer_code,omitempty"`
	Endpoint     uint8          `toml:"endpoint,omitempty"`
	Property     string         `toml:"property"`
	Kind         string         `toml:"kind"`
	Divisor      float64        `toml:"divisor,omitempty"`
	Decimals     *int           `toml:"decimals,omitempty"`
	Wire         []float64      `toml:"wire,omitempty"`
	State        []float64      `toml:"state,omitempty"`
	Enum         map[string]any `toml:"enum,omitempty"`
	Otherwise    any            `toml:"otherwise,omitempty"`
	Argument     any            `toml:"argument,omitempty"`
	Type         string         `toml:"type,omitempty"`
	Read         bool           `toml:"read,omitempty"`
	Silent       bool           `toml:"silent,omitempty"`
	Report       []float64      `toml:"report,omitempty"` // seconds, seconds, change
}

// ParseUser reads a file of definitions. Its errors say what to write instead.
func ParseUser(text []byte) ([]User, error) {
	var file userFile
	meta, err := toml.Decode(string(text), &file)
	if err != nil {
		var at toml.ParseError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("line %d: %s", at.Position.Line, at.Message)
		}
		return nil, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 && !strings.HasPrefix(unknown[0].String(), "device.quirks") {
		return nil, fmt.Errorf("%s is no key of a definition: take it out, or look at how it is spelled", unknown[0])
	}
	if len(file.Device) == 0 {
		return nil, errors.New("there is no [[device]] in the file: begin each definition with one")
	}
	var users []User
	for i := range file.Device {
		d := &file.Device[i]
		u, err := d.user()
		if err != nil {
			return nil, fmt.Errorf("device %d (%s): %w", i+1, strings.TrimSpace(d.Vendor+" "+d.Model), err)
		}
		users = append(users, u)
	}
	return users, nil
}

func (d *userDevice) user() (User, error) {
	switch {
	case d.Model == "":
		return User{}, errors.New(`give it a model, such as model = "ZTH01"`)
	case d.Vendor == "":
		return User{}, errors.New(`give it a vendor, such as vendor = "Tuya"`)
	case len(d.Models) == 0 || slices.Contains(d.Models, ""):
		return User{}, errors.New(`say what the device calls itself, such as zigbee_models = ["TS0601"]; the page of the device shows it`)
	case len(d.Exposes) == 0:
		return User{}, errors.New("it shows nothing: add at least one [[device.expose]]")
	}
	def := &Definition{
		Model: d.Model, Vendor: d.Vendor, Description: d.Description, External: true, OTA: d.OTA, Icon: d.Icon,
		Endpoints: d.Endpoints, MultiEndpoint: d.MultiEndpoint, MultiEndpointSkip: d.Skip, Quirks: d.Quirks,
	}
	if def.Description == "" {
		def.Description = d.Vendor + " " + d.Model
	}
	for name, id := range d.Endpoints {
		if id == 0 || id > 240 || name == "" {
			return User{}, fmt.Errorf("endpoints: %q = %d is none; they go from 1 to 240", name, id)
		}
	}
	properties := make(map[string]bool)
	for i := range d.Exposes {
		e, err := d.Exposes[i].expose(d.Endpoints)
		if err != nil {
			return User{}, fmt.Errorf("expose %d (%s): %w", i+1, d.Exposes[i].Name, err)
		}
		def.Exposes = append(def.Exposes, e)
		for _, p := range append(e.Features, e) {
			properties[p.Property] = true
		}
	}
	for _, c := range d.Clusters {
		id, err := clusterNumber(c)
		if err != nil {
			return User{}, err
		}
		def.Clusters = append(def.Clusters, id)
	}
	for i := range d.Datapoints {
		r := &d.Datapoints[i]
		if err := r.datapoint(def, properties); err != nil {
			return User{}, fmt.Errorf("datapoint %d (%s): %w", i+1, r.Property, err)
		}
	}
	for i := range d.Attributes {
		r := &d.Attributes[i]
		if err := r.attribute(def, properties); err != nil {
			return User{}, fmt.Errorf("attribute %d (%s): %w", i+1, r.Property, err)
		}
	}
	if len(def.Clusters) == 0 {
		return User{}, errors.New(`say what it is heard on: clusters, such as clusters = ["genOnOff"], datapoints or attributes`)
	}
	return User{Models: d.Models, Manufacturers: d.Manufacturers, Definition: def}, nil
}

var accessNames = map[string]Access{"state": Published, "set": Settable, "get": Gettable}

func (u *userExpose) expose(endpoints map[string]uint8) (*Expose, error) {
	e := &Expose{
		Type: u.Type, Name: u.Name, Label: u.Label, Endpoint: u.Endpoint, Category: u.Category, Description: u.Description, Unit: u.Unit,
		ValueMin: u.Min, ValueMax: u.Max, ValueStep: u.Step, ValueOn: u.On, ValueOff: u.Off, Values: u.Values,
	}
	group := slices.Contains(nameless, u.Type)
	switch {
	case !group && !slices.Contains([]string{"binary", "numeric", "enum", "text", "list", "composite"}, u.Type):
		return nil, fmt.Errorf("%q is no type: it is binary, numeric, enum, text, composite, %s", u.Type, strings.Join(nameless, ", "))
	case !group && u.Name == "":
		return nil, errors.New("give it a name")
	case strings.Trim(u.Name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "":
		return nil, fmt.Errorf("the name %q is of other than small letters, digits and _", u.Name)
	case (group || u.Type == "composite") && len(u.Features) == 0:
		return nil, fmt.Errorf("a %s needs features: add [[device.expose.feature]]", u.Type)
	case u.Type == "enum" && len(u.Values) == 0:
		return nil, errors.New(`an enum needs its values, such as values = ["low", "high"]`)
	case u.Type == "binary" && u.On == nil && u.Off == nil:
		e.ValueOn, e.ValueOff = true, false
	case u.Type == "binary" && (u.On == nil || u.Off == nil):
		return nil, errors.New("say both on and off, or neither for true and false")
	case u.Category != "" && u.Category != "config" && u.Category != "diagnostic":
		return nil, fmt.Errorf("%q is no category: it is config or diagnostic", u.Category)
	}
	if _, known := endpoints[u.Endpoint]; u.Endpoint != "" && !known {
		return nil, fmt.Errorf("%q is no endpoint: name it under endpoints", u.Endpoint)
	}
	for _, name := range u.Access {
		bit, ok := accessNames[name]
		if !ok {
			return nil, fmt.Errorf("%q is no access: it is state, set, get", name)
		}
		e.Access |= bit
	}
	if e.Access == 0 && !group {
		e.Access = Published
	}
	if u.Endpoint != "" && u.Name != "" {
		e.Property = u.Name + "_" + u.Endpoint
	}
	for i := range u.Features {
		f := u.Features[i]
		if f.Endpoint == "" && u.Type != "composite" {
			f.Endpoint = u.Endpoint
		}
		feature, err := f.expose(endpoints)
		if err != nil {
			return nil, fmt.Errorf("feature %d (%s): %w", i+1, f.Name, err)
		}
		e.Features = append(e.Features, feature)
	}
	e.complete(false)
	return e, nil
}

// conversion checks what both kinds of rows have.
func (r *userRow) conversion(properties map[string]bool) (Conversion, error) {
	c := Conversion{Kind: r.Kind, Divisor: r.Divisor, Precision: r.Decimals, Otherwise: r.Otherwise, Argument: r.Argument}
	_, named := namedConversions[r.Kind]
	switch {
	case r.Property == "" && !named:
		return c, errors.New("say which property it is")
	case r.Property != "" && !properties[r.Property]:
		return c, fmt.Errorf("no expose has the property %q; add one, or write the property with the name of the endpoint", r.Property)
	case r.Kind == "scale" && !(r.Divisor > 0):
		return c, errors.New("a scale needs a divisor above zero, such as divisor = 10")
	case (r.Kind == "enum" || r.Kind == "bool") && len(r.Enum) == 0:
		return c, errors.New(`say what the numbers mean, such as enum = { 0 = "low", 1 = "high" }`)
	case r.Kind == "range" && (len(r.Wire) != 2 || len(r.State) != 2 || r.Wire[0] == r.Wire[1] || r.State[0] == r.State[1]):
		return c, errors.New("a range needs wire = [0, 1000] and state = [0, 254]")
	case !named && !slices.Contains([]string{"identity", "scale", "enum", "bool", "range", "write-only"}, r.Kind):
		known := append([]string{"identity", "scale", "enum", "bool", "range", "write-only"}, slices.Sorted(maps.Keys(namedConversions))...)
		return c, fmt.Errorf("%q is no kind: it is one of %s", r.Kind, strings.Join(known, ", "))
	}
	if r.Kind == "range" {
		c.Wire, c.State = [2]float64(r.Wire), [2]float64(r.State)
	}
	if len(r.Enum) > 0 {
		c.Enum = make(map[int64]any)
		for key, value := range r.Enum {
			n, err := strconv.ParseInt(key, 0, 64)
			if err != nil {
				return c, fmt.Errorf("enum: %q is no whole number; the number of the wire stands first", key)
			}
			c.Enum[n] = value
		}
	}
	return c, nil
}

func (r *userRow) datapoint(def *Definition, properties map[string]bool) error {
	id, ok := r.ID.(int64)
	switch {
	case !ok || id < 1 || id > 255:
		return errors.New("the id of a datapoint is a number from 1 to 255")
	case r.Cluster != nil || r.Manufacturer != 0 || r.Report != nil || r.Read || r.Endpoint != 0:
		return errors.New("cluster, manufacturer_code, endpoint, read and report are of attributes")
	case r.Type != "" && !slices.Contains([]string{"raw", "bool", "number", "string", "enum", "bitmap"}, r.Type):
		return fmt.Errorf("%q is no type of a datapoint: it is raw, bool, number, string, enum or bitmap", r.Type)
	case slices.ContainsFunc(def.Datapoints, func(d Datapoint) bool { return int64(d.ID) == id && d.Property == r.Property }):
		return fmt.Errorf("datapoint %d is said to be %s twice", id, r.Property)
	}
	c, err := r.conversion(properties)
	if err != nil {
		return err
	}
	def.Datapoints = append(def.Datapoints, Datapoint{ID: uint8(id), Property: r.Property, Conversion: c, Type: r.Type, Silent: r.Silent})
	def.listen(zigbee.ClusterTuya)
	return nil
}

func (r *userRow) attribute(def *Definition, properties map[string]bool) error {
	cluster, err := clusterNumber(r.Cluster)
	if err != nil {
		return err
	}
	a := Attribute{Cluster: cluster, ManufacturerCode: r.Manufacturer, Endpoint: r.Endpoint, Property: r.Property, Read: r.Read}
	known := zcl.ClusterByID(cluster)
	var info *zcl.AttributeInfo
	switch id := r.ID.(type) {
	case int64:
		if id < 0 || id > 0xffff {
			return errors.New("the id of an attribute goes from 0 to 0xffff")
		}
		if a.ID = uint16(id); known != nil {
			info = known.Attribute(a.ID)
		}
	case string:
		if known != nil {
			info = known.AttributeByName(id)
		}
		if info == nil {
			return fmt.Errorf("%q is no attribute of the cluster; write its number, such as id = 0x4003", id)
		}
		a.ID = info.ID
	default:
		return errors.New(`say which attribute it is: id = 0x4003, or id = "startUpOnOff"`)
	}
	if r.Type != "" {
		t, ok := zcl.TypeByName(r.Type)
		if !ok {
			return fmt.Errorf("%q is no type of an attribute: it is such as bool, uint8, int16, enum8, map8, string", r.Type)
		}
		a.Type = t
	}
	if r.Report != nil {
		if len(r.Report) != 3 || r.Report[0] < 0 || r.Report[1] < r.Report[0] || r.Report[1] > 65534 {
			return errors.New("report is [at least so many seconds apart, at most so many, change], such as report = [10, 3600, 1]")
		}
		a.Report = &Report{Min: time.Duration(r.Report[0]) * time.Second, Max: time.Duration(r.Report[1]) * time.Second, Change: r.Report[2]}
		switch {
		case info != nil && r.Manufacturer == 0:
			a.Report.Type = info.Type
		case r.Type == "":
			return errors.New(`of an attribute that is not of the standard say the type with which it is reported, such as type = "int16"`)
		}
	}
	if a.Conversion, err = r.conversion(properties); err != nil {
		return err
	}
	def.Attributes = append(def.Attributes, a)
	def.listen(cluster)
	return nil
}

func (d *Definition) listen(cluster uint16) {
	if !slices.Contains(d.Clusters, cluster) {
		d.Clusters = append(d.Clusters, cluster)
	}
}

func clusterNumber(v any) (uint16, error) {
	switch v := v.(type) {
	case int64:
		if v >= 0 && v <= 0xffff {
			return uint16(v), nil
		}
	case string:
		if c := zcl.ClusterByName(v); c != nil {
			return c.ID, nil
		}
	}
	return 0, fmt.Errorf("%v is no cluster: write its number, such as 0x0006, or a name, such as %q", v, "genOnOff")
}

// ResolveUser is Resolve with definitions of users before the others. Of several the
// last one wins that names the manufacturer, then the last one that names none.
func ResolveUser(users []User, device *zigbee.Device) *Definition {
	var anyMaker *Definition
	for i := len(users) - 1; i >= 0; i-- {
		u := &users[i]
		if !u.Matches(device) {
			continue
		}
		if slices.Contains(u.Manufacturers, device.ManufacturerName) {
			return u.Definition.clone()
		}
		if len(u.Manufacturers) == 0 && anyMaker == nil {
			anyMaker = u.Definition
		}
	}
	if anyMaker != nil {
		return anyMaker.clone()
	}
	return Resolve(device)
}

// Matches says whether the definition may be that of a device.
func (u *User) Matches(device *zigbee.Device) bool {
	return (slices.Contains(u.Models, device.ModelID) || slices.Contains(u.Models, trimModel(device.ModelID))) &&
		(len(u.Manufacturers) == 0 || slices.Contains(u.Manufacturers, device.ManufacturerName))
}

// clone gives each device a definition of its own to bind.
func (d *Definition) clone() *Definition {
	copied := *d
	copied.traits, copied.properties = nil, nil
	return &copied
}
