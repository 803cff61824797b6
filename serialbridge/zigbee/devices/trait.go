package devices

import (
	"time"

	"lintel/serialbridge/zigbee"
)

// Trait is one thing that devices can do, and how it is said in frames. It is at
// work in a definition that exposes one of its Exposes and uses one of its
// clusters.
type Trait struct {
	Name string
	// Exposes are names of exposes ("temperature"), or types of those that have
	// none ("light").
	Exposes  []string
	Clusters []uint16
	// Client says that the device uses the clusters, to command others with
	// (they are among the output clusters of its endpoints), and does not serve them.
	Client bool

	// Generate returns what a device shows that nobody has described, on an
	// endpoint that has one of the clusters; nil: nothing. Names of endpoints
	// are put in by the caller.
	Generate func(c *Context, endpoint uint8) []*Expose
	// Shared says that such a device shows it once, whatever number of its
	// endpoints has the cluster, and without the name of one.
	Shared bool

	// Decode returns what the message says, by property without endpoint; nil:
	// nothing. It is called for every message of one of the clusters.
	Decode func(c *Context, m zigbee.Message) Values

	// Keys are those of set and get that Set and Get know.
	Keys []string
	// Each says that Set is called for each key that it takes, not once for all.
	Each bool
	// Takes says that Set (or Get, if get is true) knows a key as the definition
	// has it; it is asked before any Keys. nil: none.
	Takes func(d *Definition, key string, get bool) bool
	// Named says that the names of values that Decode and Set return are those
	// of the state: no name of an endpoint is appended.
	Named bool
	// Set returns what makes the device take the value. It sees the whole
	// message of the user in c.Message, and runs once for all of its keys
	// in it.
	Set func(c *Context, key string, value any) (Result, error)
	// Get returns the requests whose answers tell the value.
	Get func(c *Context, key string) ([]zigbee.Request, error)

	// Configure returns what has to be set up in the device on that endpoint.
	Configure func(c *Context, endpoint uint8) []Step
}

// Values are values by property.
type Values map[string]any

// Result is what a command becomes.
type Result struct {
	Requests []zigbee.Request
	// State is what the device will be like, by property without endpoint.
	State Values
	// Taken are further keys of the message that this covers.
	Taken []string
	// ReadAfter asks for a Get of ReadKeys after that time.
	ReadAfter time.Duration
	ReadKeys  []string
	// AnswerProperty is the property that what the answer tells becomes, see
	// Answer; empty: none.
	AnswerProperty string
	// Scenes are what becomes of the scenes that the endpoint holds, or that the
	// members of the group hold, once the requests have succeeded.
	Scenes []SceneChange
}

// Step is something to set up in a device. One of the fields is set.
type Step struct {
	Endpoint uint8
	Bind     []uint16 // clusters to bind to the coordinator
	Report   []zigbee.Reporting
	Request  *zigbee.Request // a read, a write or a command
	// Optional says that a device that refuses is configured all the same.
	Optional bool
}

// Later asks for values to be published when nothing of the same key came
// in the meantime: a motion sensor that does not say that nobody is there any more.
// Without values it takes back what was asked for under the key.
type Later struct {
	Key    string
	After  time.Duration
	Values Values
}

// Context is the device that a trait is at work for. It is not kept.
type Context struct {
	Definition *Definition
	Device     *zigbee.Device
	// Endpoint is the one that a message came from, or that a command is for
	// (0: it was not said, take that of the expose or the first that has the cluster).
	Endpoint uint8
	// State is the last known state, by property with endpoint.
	State Values
	// Options are the user's for this device.
	Options Values
	// Message is the whole object of the user.
	Message Values
	// Group says that a command is for a group: there is no device. GroupID is
	// its number.
	Group   bool
	GroupID uint16
	// Memory are texts that a trait keeps for the device while the program runs.
	Memory map[string]any
	Now    time.Time

	suffix string // that of the endpoint which a command names: "_left", or nothing
	later  []Later
	// judged says that repeated has looked at the message, again what it found.
	judged, again bool
}

// Later takes note of values to publish later. See [Later].
func (c *Context) Later(l Later) { c.later = append(c.later, l) }

// Attribute returns the last value of an attribute that the device told.
func (c *Context) Attribute(endpoint uint8, cluster, attribute uint16) (any, bool) {
	if c.Device == nil {
		return nil, false
	}
	e := c.Device.Endpoint(endpoint)
	if e == nil {
		return nil, false
	}
	v, ok := e.Attributes[cluster][attribute]
	return v, ok
}
