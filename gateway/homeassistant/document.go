package homeassistant

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"lintel/gateway/homeassistant/judge"
	"lintel/serialbridge"
)

// GatewayID is the id of the box in topics: lintel/gateway/state.
const GatewayID = "gateway"

const (
	defaultPrefix    = "homeassistant"
	originName       = "lintel"
	defaultBaseTopic = "lintel"
	maxProperties    = 500
	maxText          = 200
)

// Box says which box this is.
type Box struct {
	// ID is stable for ever and different from that of every other box:
	// the serial number of the board, or an id that was made up once and
	// kept. It holds only [a-zA-Z0-9_-].
	ID      string
	Name    string // what a person calls it
	Model   string // of the board
	Version string // of Lintel

	// ConfigurationURL is where the box's pages are, with a scheme. If it
	// is not such a URL it is left out: Home Assistant would refuse the
	// whole document.
	ConfigurationURL string

	Parts BoxParts
}

// BoxParts says what this box has that others have not. What a box cannot tell or do
// is not shown.
type BoxParts struct {
	Throttling bool // it knows whether power or heat are a problem
	Writes     bool // it counts what is written to its card
	CardLife   bool // and the card tells how worn it is
	LED        bool // it has a light that it can make blink
	Zigbee     bool // it has a Zigbee network, which can be opened
	Updates    bool // something installs new versions, see [BoxUpdate]
}

// Options are the topics that the documents are published to and speak of.
type Options struct {
	Prefix    string // discovery prefix; empty is "homeassistant"
	BaseTopic string // as in [serialbridge.Options]; empty is "lintel"
}

func (o Options) prefix() string {
	if o.Prefix == "" {
		return defaultPrefix
	}
	return o.Prefix
}

func (o Options) topic(device, leaf string) string {
	base := o.BaseTopic
	if base == "" {
		base = defaultBaseTopic
	}
	return base + "/" + device + "/" + leaf
}

// Topic returns where the discovery document of a device is published.
func Topic(box Box, device string, o Options) string {
	return o.prefix() + "/device/" + identifier(box, device) + "/config"
}

// identifier is what Home Assistant knows a device by.
func identifier(box Box, device string) string {
	if device == GatewayID || device == "" {
		device = box.ID
	}
	return "lintel_" + device
}

// document is a discovery message in device form. An unknown key at this level,
// in dev or in o makes Home Assistant refuse the whole message.
type document struct {
	Device           deviceInfo           `json:"dev"`
	Origin           origin               `json:"o"`
	Availability     []availability       `json:"avty"`
	AvailabilityMode string               `json:"avty_mode"`
	Components       map[string]component `json:"cmps"`
}

type deviceInfo struct {
	Identifiers      []string `json:"ids"`
	Name             string   `json:"name,omitempty"`
	Manufacturer     string   `json:"mf,omitempty"`
	Model            string   `json:"mdl,omitempty"`
	SerialNumber     string   `json:"sn,omitempty"`
	HWVersion        string   `json:"hw,omitempty"`
	SWVersion        string   `json:"sw,omitempty"`
	ConfigurationURL string   `json:"cu,omitempty"`
	ViaDevice        string   `json:"via_device,omitempty"` // has no abbreviation
}

type origin struct {
	Name      string `json:"name"`
	SWVersion string `json:"sw,omitempty"`
	URL       string `json:"url,omitempty"`
}

type availability struct {
	Topic string `json:"t"`
}

// component is one entity, by abbreviated key. Home Assistant drops keys that it does
// not know here without a word; the tests hold every document against package judge.
type component map[string]any

func (c component) platform() string {
	platform, _ := c["p"].(string)
	return platform
}

var (
	validID  = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`) // Home Assistant's rule for object ids
	validKey = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
)

// above returns the device that another one hangs below: the device that its driver
// names, else its stick, else the box.
func above(d serialbridge.Device) string {
	switch stick := validID.MatchString(d.Stick) && d.Stick != d.ID; {
	case validID.MatchString(d.Via) && d.Via != GatewayID:
		return d.Via
	case stick:
		return d.Stick
	}
	return GatewayID
}

// Document returns the discovery document of a device. It fails if the device
// breaks the rules of [serialbridge.Device] so that Home Assistant would refuse
// the document.
func Document(box Box, d serialbridge.Device, o Options) ([]byte, error) {
	doc, err := newDocument(box, d, o)
	if err != nil {
		return nil, err
	}
	for key, why := range doc.refused(Topic(box, d.ID, o)) {
		return nil, fmt.Errorf("device %s: property %s: Home Assistant: %s", d.ID, key, why)
	}
	return doc.marshal()
}

// refused returns the components that Home Assistant would not take, such as one with
// a unit that is not of its class, and why.
func (doc *document) refused(topic string) map[string]string {
	payload, err := doc.marshal()
	if err != nil {
		return nil // publishing will fail too
	}
	return judge.Judge(topic, payload).Lost
}

func (doc *document) marshal() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return nil, fmt.Errorf("encode discovery document: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func newDocument(box Box, d serialbridge.Device, o Options) (*document, error) {
	if !validID.MatchString(box.ID) {
		return nil, fmt.Errorf("box id %q: only letters, digits, _ and - are allowed", box.ID)
	}
	if !validID.MatchString(d.ID) {
		return nil, fmt.Errorf("device id %q: only letters, digits, _ and - are allowed", d.ID)
	}
	if len(d.Properties) > maxProperties {
		return nil, fmt.Errorf("device %s: %d properties; at most %d are allowed", d.ID, len(d.Properties), maxProperties)
	}
	doc := &document{
		Device: deviceInfo{
			Identifiers:  []string{identifier(box, d.ID)},
			Name:         text(d.Name),
			Manufacturer: text(d.Vendor),
			Model:        text(d.Model),
			SerialNumber: text(d.SerialNumber),
			HWVersion:    text(d.HWVersion),
			SWVersion:    text(d.SWVersion),
		},
		Origin: origin{Name: originName, SWVersion: text(box.Version), URL: realURL(box.ConfigurationURL)},
		// The box is the condition of everything: its will is the only
		// word that is left when it stops. Then the stick, then the device.
		Availability:     []availability{{o.topic(GatewayID, "availability")}},
		AvailabilityMode: "all",
		Components:       make(map[string]component, len(d.Properties)),
	}
	switch {
	case d.ID == GatewayID:
		doc.Device.ConfigurationURL = realURL(box.ConfigurationURL)
	case isStick(&d): // that it is away is what it tells
		doc.Device.ViaDevice = identifier(box, d.Via)
	default:
		doc.Device.ViaDevice = identifier(box, above(d))
		if validID.MatchString(d.Stick) {
			doc.Availability = append(doc.Availability, availability{o.topic(d.Stick, "availability")})
		}
		doc.Availability = append(doc.Availability, availability{o.topic(d.ID, "availability")})
	}
	if doc.Device.Name == "" {
		doc.Device.Name = d.ID
	}
	for _, p := range d.Properties {
		if p.Kind == serialbridge.Raw {
			continue // Home Assistant has no entity for bytes
		}
		if !validKey.MatchString(p.Key) {
			return nil, fmt.Errorf("device %s: property key %q: only lower case letters, digits and _ are allowed", d.ID, p.Key)
		}
		if _, ok := doc.Components[p.Key]; ok {
			return nil, fmt.Errorf("device %s: property %s occurs twice", d.ID, p.Key)
		}
		c, err := newComponent(p, topics{o, d.ID, p.Key})
		if err != nil {
			return nil, fmt.Errorf("device %s: property %s: %w", d.ID, p.Key, err)
		}
		if p.Key == connectedKey && isStick(&d) {
			c.becomeConnected(o.topic(d.ID, "availability"))
		}
		if p.Key == updateKey && d.ID == GatewayID {
			c.becomeUpdate(o.topic(d.ID, updateKey))
		}
		doc.Components[p.Key] = c
		if c.platform() == "tag" {
			continue // no entity: it has neither id nor name
		}
		c["uniq_id"] = identifier(box, d.ID) + "_" + p.Key
		// A device has no icon of its own in Home Assistant. What has a class has one.
		if d.Icon != "" && p.Category == "" && c["dev_cla"] == nil {
			c["ic"] = d.Icon
		}
		// Else the entity would be named in the language that Home Assistant
		// happens to have when it first hears of it.
		c["def_ent_id"] = c.platform() + "." + slug(doc.Device.Name) + "_" + p.Key
		if p.Kind == serialbridge.Event {
			addTriggers(doc.Components, p, topics{o, d.ID, p.Key})
		}
	}
	return doc, nil
}

// text bounds what a device says of itself.
func text(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
	if utf8.RuneCountInString(s) > maxText {
		s = string([]rune(s)[:maxText])
	}
	return s
}

func realURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return s
}
