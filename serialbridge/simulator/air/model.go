package air

import (
	"maps"
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Kind names a kind of device that a network may have.
type Kind string

// Kinds returns the kinds of devices that there are.
func Kinds() []Kind { return slices.Sorted(maps.Keys(models)) }

// model is what all devices of a kind have in common.
type model struct {
	modelID, maker string // as the Basic cluster tells them
	version        string // SWBuildID
	manufacturer   uint16 // of the node descriptor
	power          uint8  // PowerSource of the Basic cluster
	router, sleepy bool
	zigbee3        bool          // it asks for a link key of its own
	poll           time.Duration // how often it asks its parent
	endpoints      []endpointModel

	// specific carries out a command of a cluster in another way than the
	// standard does; handled says whether it did.
	specific func(r *request) (status zcl.Status, handled bool)
	live     func(d *device)            // starts what it does by itself
	report   func(d *device)            // tells all that it tells without being asked
	trigger  map[string]func(d *device) // what can be done with it by hand
	written  func(d *device, e *endpoint, key attributeKey)
	changed  func(d *device, e *endpoint, key attributeKey) // tells what has changed without being asked

	// spellbound says that the device says nothing until attributes of the Basic
	// cluster were read as Tuya's own gateway does, 0xfffe among them.
	spellbound bool
}

// endpointModel is an endpoint as it comes out of the factory.
type endpointModel struct {
	id         uint8
	profile    uint16 // 0: home automation
	device     uint16
	in, out    []uint16
	attributes []attributeModel
}

// attributeModel is an attribute as it comes out of the factory.
type attributeModel struct {
	cluster, id  uint16
	manufacturer uint16
	kind         zcl.Type
	value        any
	flags        flag
	// A measurement moves between these by at most step at a time.
	lowest, highest, step float64
}

type flag uint8

const (
	writable flag = 1 << iota
	unreportable
)

// Power sources of the Basic cluster (section 3.2.2.2.8).
const (
	mains   = 0x01
	battery = 0x03
)

// build makes the endpoints of a device.
func (m *model) build() []*endpoint {
	var endpoints []*endpoint
	for i, t := range m.endpoints {
		e := &endpoint{id: t.id, profile: t.profile, deviceID: t.device, in: t.in, out: t.out,
			attributes: make(map[attributeKey]*attribute), scenes: make(map[sceneKey]map[attributeKey]any)}
		if e.profile == 0 {
			e.profile = zigbee.ProfileHomeAutomation
		}
		list := t.attributes
		if i == 0 {
			list = slices.Concat(m.basic(), list)
		}
		for _, cluster := range t.in {
			list = slices.Concat(list, standard[cluster])
		}
		for _, a := range list {
			key := attributeKey{a.cluster, a.manufacturer, a.id}
			if e.attributes[key] != nil {
				continue // what the model says goes before the standard
			}
			value, err := normal(a.kind, a.value)
			if err != nil {
				panic(err) // a mistake in a table of this package
			}
			e.attributes[key] = &attribute{kind: a.kind, value: value, writable: a.flags&writable != 0,
				unplanned: a.flags&unreportable != 0, lowest: a.lowest, highest: a.highest, step: a.step}
			e.keys = append(e.keys, key)
		}
		endpoints = append(endpoints, e)
	}
	return endpoints
}

// basic returns the attributes of the Basic cluster (section 3.2.2.2).
func (m *model) basic() []attributeModel {
	return []attributeModel{
		{cluster: 0x0000, id: 0x0000, kind: zcl.Uint8, value: 3},
		{cluster: 0x0000, id: 0x0001, kind: zcl.Uint8, value: 1},
		{cluster: 0x0000, id: 0x0002, kind: zcl.Uint8, value: 2},
		{cluster: 0x0000, id: 0x0003, kind: zcl.Uint8, value: 1},
		{cluster: 0x0000, id: 0x0004, kind: zcl.CharString, value: m.maker},
		{cluster: 0x0000, id: 0x0005, kind: zcl.CharString, value: m.modelID},
		{cluster: 0x0000, id: 0x0006, kind: zcl.CharString, value: "20230801"},
		{cluster: 0x0000, id: 0x0007, kind: zcl.Enum8, value: m.power},
		{cluster: 0x0000, id: 0x4000, kind: zcl.CharString, value: m.version},
		{cluster: 0x0000, id: 0xfffd, kind: zcl.Uint16, value: 2},
	}
}

// standard are the attributes that an endpoint with the cluster has, whatever the model.
var standard = map[uint16][]attributeModel{
	clusterPower: {
		{cluster: clusterPower, id: 0x0020, kind: zcl.Uint8, value: 30},
		{cluster: clusterPower, id: 0x0021, kind: zcl.Uint8, value: 200},
	},
	clusterIdentify: {
		{cluster: clusterIdentify, id: 0x0000, kind: zcl.Uint16, value: 0, flags: writable},
	},
	clusterGroups: {
		{cluster: clusterGroups, id: 0x0000, kind: zcl.Bitmap8, value: 0},
	},
	clusterScenes: {
		{cluster: clusterScenes, id: 0x0000, kind: zcl.Uint8, value: 0},
		{cluster: clusterScenes, id: 0x0001, kind: zcl.Uint8, value: 0},
		{cluster: clusterScenes, id: 0x0002, kind: zcl.Uint16, value: 0},
		{cluster: clusterScenes, id: 0x0003, kind: zcl.Boolean, value: false},
	},
	clusterOnOff: {
		{cluster: clusterOnOff, id: 0x0000, kind: zcl.Boolean, value: false},
		{cluster: clusterOnOff, id: 0x4003, kind: zcl.Enum8, value: 0xff, flags: writable},
	},
	clusterLevel: {
		{cluster: clusterLevel, id: 0x0000, kind: zcl.Uint8, value: 254},
		{cluster: clusterLevel, id: 0x0001, kind: zcl.Uint16, value: 0},
		{cluster: clusterLevel, id: 0x000f, kind: zcl.Bitmap8, value: 0, flags: writable},
		{cluster: clusterLevel, id: 0x0010, kind: zcl.Uint16, value: 4, flags: writable},
		{cluster: clusterLevel, id: 0x0011, kind: zcl.Uint8, value: 254, flags: writable},
		{cluster: clusterLevel, id: 0x4000, kind: zcl.Uint8, value: 254, flags: writable},
	},
	clusterColor: {
		{cluster: clusterColor, id: 0x0000, kind: zcl.Uint8, value: 0},
		{cluster: clusterColor, id: 0x0001, kind: zcl.Uint8, value: 0},
		{cluster: clusterColor, id: 0x0003, kind: zcl.Uint16, value: 0x8009},
		{cluster: clusterColor, id: 0x0004, kind: zcl.Uint16, value: 0x6a09},
		{cluster: clusterColor, id: 0x0007, kind: zcl.Uint16, value: 366},
		{cluster: clusterColor, id: 0x0008, kind: zcl.Enum8, value: 2},
		{cluster: clusterColor, id: 0x000f, kind: zcl.Bitmap8, value: 0, flags: writable},
		{cluster: clusterColor, id: 0x4000, kind: zcl.Uint16, value: 0},
		{cluster: clusterColor, id: 0x4001, kind: zcl.Enum8, value: 2},
		{cluster: clusterColor, id: 0x400a, kind: zcl.Bitmap16, value: 0x1f},
		{cluster: clusterColor, id: 0x400b, kind: zcl.Uint16, value: 153},
		{cluster: clusterColor, id: 0x400c, kind: zcl.Uint16, value: 500},
		{cluster: clusterColor, id: 0x4010, kind: zcl.Uint16, value: 366, flags: writable},
	},
	clusterTemperature: {
		{cluster: clusterTemperature, id: 0x0000, kind: zcl.Int16, value: 2137, lowest: 1500, highest: 2800, step: 60},
		{cluster: clusterTemperature, id: 0x0001, kind: zcl.Int16, value: -2000},
		{cluster: clusterTemperature, id: 0x0002, kind: zcl.Int16, value: 6000},
	},
	clusterHumidity: {
		{cluster: clusterHumidity, id: 0x0000, kind: zcl.Uint16, value: 4523, lowest: 3000, highest: 7000, step: 300},
	},
	clusterPressure: {
		{cluster: clusterPressure, id: 0x0000, kind: zcl.Int16, value: 1013, lowest: 980, highest: 1040, step: 2},
		{cluster: clusterPressure, id: 0x0010, kind: zcl.Int16, value: 10130},
		{cluster: clusterPressure, id: 0x0014, kind: zcl.Int8, value: -1},
	},
	clusterIlluminance: {
		{cluster: clusterIlluminance, id: 0x0000, kind: zcl.Uint16, value: 20000, lowest: 0, highest: 40000, step: 2000},
	},
	clusterOccupancy: {
		{cluster: clusterOccupancy, id: 0x0000, kind: zcl.Bitmap8, value: 0},
		{cluster: clusterOccupancy, id: 0x0010, kind: zcl.Uint16, value: 60, flags: writable},
	},
	clusterIASZone: {
		{cluster: clusterIASZone, id: 0x0000, kind: zcl.Enum8, value: 0},
		{cluster: clusterIASZone, id: 0x0001, kind: zcl.Enum16, value: 0x0015},
		{cluster: clusterIASZone, id: 0x0002, kind: zcl.Bitmap16, value: 0},
		{cluster: clusterIASZone, id: 0x0010, kind: zcl.IEEE, value: 0, flags: writable},
		{cluster: clusterIASZone, id: 0x0011, kind: zcl.Uint8, value: 0xff},
	},
	clusterPollControl: {
		{cluster: clusterPollControl, id: 0x0000, kind: zcl.Uint32, value: 14400, flags: writable},
		{cluster: clusterPollControl, id: 0x0001, kind: zcl.Uint32, value: 20},
		{cluster: clusterPollControl, id: 0x0002, kind: zcl.Uint16, value: 2},
		{cluster: clusterPollControl, id: 0x0003, kind: zcl.Uint16, value: 40, flags: writable},
	},
}

// Clusters of the standard that the devices have.
const (
	clusterBasic        = 0x0000
	clusterPower        = 0x0001
	clusterIdentify     = 0x0003
	clusterGroups       = 0x0004
	clusterScenes       = 0x0005
	clusterOnOff        = 0x0006
	clusterLevel        = 0x0008
	clusterTime         = 0x000a
	clusterOTA          = 0x0019
	clusterPollControl  = 0x0020
	clusterDoorLock     = 0x0101
	clusterCover        = 0x0102
	clusterThermostat   = 0x0201
	clusterThermostatUI = 0x0204
	clusterColor        = 0x0300
	clusterIlluminance  = 0x0400
	clusterTemperature  = 0x0402
	clusterPressure     = 0x0403
	clusterHumidity     = 0x0405
	clusterOccupancy    = 0x0406
	clusterIASZone      = 0x0500
	clusterMetering     = 0x0702
	clusterElectrical   = 0x0b04
	clusterDiagnostics  = 0x0b05
	clusterTuya         = 0xef00
)
