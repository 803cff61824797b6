package devices

// Definition is what is known of a device model.
type Definition struct {
	Model       string
	Vendor      string
	Description string
	// Generated says that the definition was made from the device's clusters.
	Generated bool
	// External says that a user has written it.
	External bool
	OTA      bool
	Icon     string

	Exposes []*Expose
	// Options are what a user may set for such a device.
	Options []*Expose

	// Endpoints are the names of endpoints ("l1", "left").
	Endpoints map[string]uint8
	// MultiEndpoint says that properties get the name of their endpoint
	// appended, but those in MultiEndpointSkip.
	MultiEndpoint     bool
	MultiEndpointSkip []string

	// Clusters are those that the traits may listen to.
	Clusters []uint16
	// Datapoints are Tuya's.
	Datapoints []Datapoint
	// Quirks are what differs from the standard, by name; what a name means is
	// told where it is used.
	Quirks map[string]any

	traits []*Trait // found by bind
}

// Datapoint is a row of Tuya's table: a number on the wire and what it means.
type Datapoint struct {
	ID       uint8
	Property string
	Kind     string // identity, scale, enum, bool, write-only
	// Divisor of a scale.
	Divisor float64
	// Enum is value on the wire → value in the state.
	Enum map[int64]any
}
