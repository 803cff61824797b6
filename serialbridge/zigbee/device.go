package zigbee

import "time"

// DeviceType is the logical type of a device, as zigbee2mqtt spells it.
type DeviceType string

// The types of devices.
const (
	Router     DeviceType = "Router"
	EndDevice  DeviceType = "EndDevice"
	GreenPower DeviceType = "GreenPower"
	Unknown    DeviceType = "Unknown"
)

// InterviewState is how far a device has told what it is, as zigbee2mqtt spells it.
type InterviewState string

// The states of an interview.
const (
	Pending    InterviewState = "PENDING"
	InProgress InterviewState = "IN_PROGRESS"
	Successful InterviewState = "SUCCESSFUL"
	Failed     InterviewState = "FAILED"
)

// Device is what the network knows of a device. It is what the database holds,
// as JSON.
type Device struct {
	IEEEAddress      IEEEAddress
	NetworkAddress   NetworkAddress
	Type             DeviceType
	Capability       uint8  // MAC capability flags of the node descriptor
	ManufacturerCode uint16 // of the node descriptor

	// What the Basic cluster says.
	ModelID            string
	ManufacturerName   string
	PowerSource        string // as zigbee2mqtt spells it: "Mains (single phase)", "Battery" …; empty: not known
	ZCLVersion         *uint8
	ApplicationVersion *uint8
	StackVersion       *uint8
	HardwareVersion    *uint8
	DateCode           string
	SoftwareBuildID    string

	Interview InterviewState
	LastSeen  time.Time // the zero time: never
	// LinkQuality of the last message; nil: none yet.
	LinkQuality *uint8
	Endpoints   []Endpoint // by ID

	// CheckInInterval is that of the Poll Control cluster; 0: none.
	CheckInInterval time.Duration
	// Configured is the key of what package devices has set up, empty if
	// nothing was.
	Configured string

	// Leaves and AddressChanges count what happened since the program began.
	Leaves, AddressChanges int `json:"-"`
	// Messages counts what was received since the program began.
	Messages uint64 `json:"-"`
	// Revision is larger in a copy that was made later: what Handler is told may be
	// older than what Network.Device has returned. It is the program's alone.
	Revision uint64 `json:"-"`
}

// Endpoint is an application on a device.
type Endpoint struct {
	ID       uint8
	Profile  uint16
	DeviceID uint16
	Input    []uint16 // clusters that it serves
	Output   []uint16 // clusters that it uses

	Bindings   []Binding
	Reportings []Reporting
	Groups     []uint16
	Scenes     []Scene

	// Attributes are the last values that were reported or read, by
	// cluster and attribute.
	Attributes Attributes
}

// Attributes are values by cluster and attribute, as zcl.ReadValue makes them.
type Attributes map[uint16]map[uint16]any

// Binding sends what a cluster of an endpoint reports to a device or a group.
type Binding struct {
	Cluster  uint16
	Device   IEEEAddress // 0: a group
	Endpoint uint8
	Group    uint16
}

// Reporting is what a device was told to report.
type Reporting struct {
	Cluster          uint16
	ManufacturerCode uint16
	Attribute        uint16
	Type             uint8         // zcl.Type of the attribute
	Min, Max         time.Duration // whole seconds
	Change           float64       // of an analog attribute
}

// Scene is a scene that an endpoint, or a group, holds.
type Scene struct {
	ID    uint8
	Group uint16
	Name  string
	State map[string]any // what the scene sets, as far as it is known
}

// Endpoint returns the endpoint of that number, or nil.
func (d *Device) Endpoint(id uint8) *Endpoint {
	for i := range d.Endpoints {
		if d.Endpoints[i].ID == id {
			return &d.Endpoints[i]
		}
	}
	return nil
}
