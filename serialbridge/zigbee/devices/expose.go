package devices

// Access says what can be done with a value (zigbee2mqtt: exposes).
type Access uint8

// The bits of Access.
const (
	Published Access = 1 << iota // it is in the state
	Settable
	Gettable
)

// Expose is one thing that a device shows, in the form in which zigbee2mqtt tells
// it to others, field by field. A light, switch, cover, lock, fan or climate has
// Features and no name of its own.
type Expose struct {
	Type        string    `json:"type"` // binary, numeric, enum, text, list, composite; light, switch, cover, lock, fan, climate
	Name        string    `json:"name,omitempty"`
	Label       string    `json:"label,omitempty"`
	Property    string    `json:"property,omitempty"` // the key in the state: Name, and the endpoint if there is one
	Access      Access    `json:"access,omitempty"`
	Endpoint    string    `json:"endpoint,omitempty"`
	Category    string    `json:"category,omitempty"` // config, diagnostic
	Description string    `json:"description,omitempty"`
	Unit        string    `json:"unit,omitempty"`
	ValueMin    *float64  `json:"value_min,omitempty"`
	ValueMax    *float64  `json:"value_max,omitempty"`
	ValueStep   *float64  `json:"value_step,omitempty"`
	ValueOn     any       `json:"value_on,omitempty"`
	ValueOff    any       `json:"value_off,omitempty"`
	ValueToggle any       `json:"value_toggle,omitempty"`
	Values      []any     `json:"values,omitempty"`
	Presets     []Preset  `json:"presets,omitempty"`
	Features    []*Expose `json:"features,omitempty"`
	ItemType    *Expose   `json:"item_type,omitempty"`
	LengthMin   *int      `json:"length_min,omitempty"`
	LengthMax   *int      `json:"length_max,omitempty"`
	// HomeAssistant overrides parts of the discovery document.
	HomeAssistant map[string]any `json:"homeassistant,omitempty"`
}

// Preset is a named value.
type Preset struct {
	Name        string `json:"name"`
	Value       any    `json:"value"`
	Description string `json:"description"`
}

// LinkQuality is what every device shows besides: how well it was heard last.
func LinkQuality() *Expose {
	low, high := 0.0, 255.0
	return &Expose{Type: "numeric", Name: "linkquality", Label: "Linkquality", Property: "linkquality", Access: Published,
		Category: "diagnostic", Unit: "lqi", ValueMin: &low, ValueMax: &high}
}
