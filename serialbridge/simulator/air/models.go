package air

import (
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// The kinds of devices.
const (
	Bulb        Kind = "bulb"         // Philips 9290022166: color and white
	Plug        Kind = "plug"         // IKEA INSPELNING, with metering
	TuyaPlug    Kind = "tuya-plug"    // TS011F, with metering
	WallSwitch  Kind = "wall-switch"  // TS0002, two gangs
	UnknownPlug Kind = "unknown-plug" // of no known maker: switches, measures the temperature
	Climate     Kind = "climate"      // SONOFF SNZB-02
	Button      Kind = "button"       // SONOFF SNZB-01
	Contact     Kind = "contact"      // SONOFF SNZB-04
	Motion      Kind = "motion"       // SONOFF SNZB-03
	Remote      Kind = "remote"       // IKEA E1810
	TRV         Kind = "trv"          // Danfoss Ally
	Cover       Kind = "cover"        // IKEA FYRTUR
	Lock        Kind = "lock"         // Yale YRD226

	TuyaClimate  Kind = "tuya-climate"  // TS0601 temperature and humidity
	TuyaTRV      Kind = "tuya-trv"      // TS0601 radiator valve
	TuyaUnknown  Kind = "tuya-unknown"  // TS0601 of a maker that nobody knows, with a datapoint of each type
	AqaraWeather Kind = "aqara-weather" // WSDCGQ11LM: temperature, humidity, pressure
)

// models tell what the kinds are; models of vendors that do not keep to the
// standard are in files of their own.
var models = map[Kind]*model{
	TuyaClimate:  tuyaClimate,
	TuyaTRV:      tuyaTRV,
	TuyaUnknown:  tuyaUnknown,
	AqaraWeather: aqaraWeather,
	Bulb: {
		modelID: "LCA001", maker: "Signify Netherlands B.V.", version: "1.104.2", manufacturer: 0x100b,
		power: mains, router: true, zigbee3: true,
		endpoints: []endpointModel{{id: 11, device: 0x010d, in: []uint16{0, 3, 4, 5, 6, 8, 0x0300, 0x1000}, out: []uint16{0x0019},
			attributes: []attributeModel{{cluster: clusterOnOff, kind: zcl.Boolean, value: true}}}},
	},
	Plug: {
		modelID: "INSPELNING Smart plug", maker: "IKEA of Sweden", version: "2.4.45", manufacturer: 0x117c,
		power: mains, router: true, zigbee3: true,
		endpoints: []endpointModel{{id: 1, device: 0x010a, in: []uint16{0, 3, 4, 5, 6, 8, 0x1000, 0x0702, 0x0b04}, out: []uint16{0x0019},
			attributes: meter(1000, 10, 10, 1000)}},
	},
	TuyaPlug: {
		modelID: "TS011F", maker: "_TZ3000_cehuw1lw", version: "1.0.0", manufacturer: 0x1141,
		power: mains, router: true, zigbee3: true,
		endpoints: []endpointModel{{id: 1, device: 0x0051, in: []uint16{3, 4, 5, 6, 0x0702, 0x0b04, 0xe000, 0xe001, 0}, out: []uint16{0x0019, 0x000a},
			attributes: meter(100, 1, 1, 1000)}},
	},
	WallSwitch: {
		modelID: "TS0002", maker: "_TZ3000_18ejxno0", version: "1.0.0", manufacturer: 0x1141,
		power: mains, router: true, zigbee3: true,
		endpoints: []endpointModel{
			{id: 1, device: 0x0100, in: []uint16{0, 4, 5, 6}, out: []uint16{0x000a, 0x0019}, attributes: tuyaSwitch},
			{id: 2, device: 0x0100, in: []uint16{4, 5, 6}, attributes: tuyaSwitch},
		},
		trigger: map[string]func(*device){"press_1": flip(1), "press_2": flip(2)},
	},
	UnknownPlug: {
		modelID: "AX-900", maker: "Acme Instruments", version: "1.0.0", manufacturer: 0x1337,
		power: mains, router: true,
		endpoints: []endpointModel{{id: 1, device: 0x0051, in: []uint16{0, 3, 6, 0x0402}, out: []uint16{0x0019}}},
	},
	Climate: {
		modelID: "TH01", maker: "eWeLink", version: "1.0.5", manufacturer: 0x1286,
		power: battery, sleepy: true, zigbee3: true, poll: 5 * time.Second,
		endpoints: []endpointModel{{id: 1, device: 0x0302, in: []uint16{0, 3, 0x0402, 0x0405, 1}, out: []uint16{3}}},
	},
	Button: {
		modelID: "WB01", maker: "eWeLink", version: "1.0.0", manufacturer: 0x1286,
		power: battery, sleepy: true, zigbee3: true, poll: time.Minute,
		endpoints: []endpointModel{{id: 1, device: 0x0000, in: []uint16{0, 3, 1}, out: []uint16{6, 3}}},
		trigger: map[string]func(*device){
			"single": command(1, clusterOnOff, 0x02),
			"double": command(1, clusterOnOff, 0x01),
			"long":   command(1, clusterOnOff, 0x00),
		},
	},
	Contact: {
		modelID: "DS01", maker: "eWeLink", version: "1.0.0", manufacturer: 0x1286,
		power: battery, sleepy: true, zigbee3: true, poll: 5 * time.Second,
		endpoints: []endpointModel{{id: 1, device: 0x0402, in: []uint16{0, 3, 1, 0x0500}, out: []uint16{3}}},
		specific:  enrolling, written: zoneWritten,
		trigger: map[string]func(*device){"open": zone(alarm1, 0), "close": zone(0, alarm1), "battery_low": zone(batteryLow, 0)},
	},
	Motion: {
		modelID: "MS01", maker: "eWeLink", version: "1.0.0", manufacturer: 0x1286,
		power: battery, sleepy: true, zigbee3: true, poll: 5 * time.Second,
		endpoints: []endpointModel{{id: 1, device: 0x0402, in: []uint16{0, 3, 1, 0x0500}, out: []uint16{3},
			attributes: []attributeModel{{cluster: clusterIASZone, id: 1, kind: zcl.Enum16, value: 0x000d}}}},
		specific: enrolling, written: zoneWritten,
		trigger: map[string]func(*device){"motion": zone(alarm1, 0), "clear": zone(0, alarm1)},
	},
	Remote: {
		modelID: "TRADFRI remote control", maker: "IKEA of Sweden", version: "2.3.075", manufacturer: 0x117c,
		power: battery, sleepy: true, zigbee3: true, poll: 5 * time.Minute,
		endpoints: []endpointModel{{id: 1, device: 0x0830, in: []uint16{0, 1, 3, 9, 0x20, 0x1000}, out: []uint16{3, 4, 5, 6, 8, 0x19, 0x1000}}},
		trigger: map[string]func(*device){
			"toggle":          command(1, clusterOnOff, 0x02),
			"brightness_up":   command(1, clusterLevel, 0x06, 0x00, 0x2b, 0x05, 0x00),
			"brightness_down": command(1, clusterLevel, 0x02, 0x01, 0x2b, 0x05, 0x00),
			"hold_up":         command(1, clusterLevel, 0x05, 0x00, 0x54),
			"hold_down":       command(1, clusterLevel, 0x01, 0x01, 0x54),
			"release":         command(1, clusterLevel, 0x07),
			"arrow_left":      ikeaArrow(0x07, 0x01, 0x01, 0x0d, 0x00),
			"arrow_right":     ikeaArrow(0x07, 0x00, 0x01, 0x0d, 0x00),
		},
	},
	TRV: {
		modelID: "eTRV0100", maker: "Danfoss", version: "1.20", manufacturer: 0x1246,
		power: battery, sleepy: true, zigbee3: true, poll: 2 * time.Second,
		endpoints: []endpointModel{{id: 1, device: 0x0301, in: []uint16{0, 1, 3, 10, 0x20, 0x0201, 0x0204, 0x0b05}, out: []uint16{0, 0x19},
			attributes: danfoss}},
		live: askTime,
	},
	Cover: {
		modelID: "FYRTUR block-out roller blind", maker: "IKEA of Sweden", version: "2.2.009", manufacturer: 0x117c,
		power: battery, sleepy: true, zigbee3: true, poll: time.Second,
		endpoints: []endpointModel{{id: 1, device: 0x0202, in: []uint16{0, 1, 3, 4, 5, 0x20, 0x0102, 0x1000}, out: []uint16{0x19, 0x1000},
			attributes: []attributeModel{
				{cluster: clusterPower, id: 0x0021, kind: zcl.Uint8, value: 77},
				{cluster: clusterCover, id: 0x0000, kind: zcl.Enum8, value: 0},
				{cluster: clusterCover, id: 0x0007, kind: zcl.Bitmap8, value: 0x0b},
				{cluster: clusterCover, id: 0x0008, kind: zcl.Uint8, value: 0},
				{cluster: clusterCover, id: 0x0017, kind: zcl.Bitmap8, value: 0, flags: writable},
			}}},
	},
	Lock: {
		modelID: "YRD226/246 TSDB", maker: "Yale", version: "1.0", manufacturer: 0x101d,
		power: battery, sleepy: true, poll: 2 * time.Second,
		endpoints: []endpointModel{{id: 1, device: 0x000a, in: []uint16{0, 1, 3, 9, 10, 0x0101, 0x20}, out: []uint16{10, 0x19},
			attributes: []attributeModel{
				{cluster: clusterDoorLock, id: 0x0000, kind: zcl.Enum8, value: 1},
				{cluster: clusterDoorLock, id: 0x0001, kind: zcl.Enum8, value: 0},
				{cluster: clusterDoorLock, id: 0x0002, kind: zcl.Boolean, value: true},
				{cluster: clusterDoorLock, id: 0x0012, kind: zcl.Uint16, value: 250},
				{cluster: clusterDoorLock, id: 0x0023, kind: zcl.Uint32, value: 0, flags: writable},
				{cluster: clusterDoorLock, id: 0x0024, kind: zcl.Uint8, value: 2, flags: writable},
			}}},
		live:    askTime,
		trigger: map[string]func(*device){"lock": turnKey(1, 0x0d), "unlock": turnKey(2, 0x0e)},
	},
}

// meter returns the attributes of a plug that measures: it tells powers, currents
// and voltages multiplied with these.
func meter(energy, power, voltage, current int) []attributeModel {
	return []attributeModel{
		{cluster: clusterElectrical, id: 0x0000, kind: zcl.Bitmap32, value: 9},
		{cluster: clusterElectrical, id: 0x0505, kind: zcl.Uint16, value: 231 * voltage, lowest: float64(225 * voltage), highest: float64(238 * voltage), step: float64(2 * voltage)},
		{cluster: clusterElectrical, id: 0x0508, kind: zcl.Uint16, value: 432 * current / 1000, lowest: 0, highest: float64(8 * current), step: float64(current) / 5},
		{cluster: clusterElectrical, id: 0x050b, kind: zcl.Int16, value: 97 * power, lowest: 0, highest: float64(1800 * power), step: float64(40 * power)},
		{cluster: clusterElectrical, id: 0x0600, kind: zcl.Uint16, value: 1},
		{cluster: clusterElectrical, id: 0x0601, kind: zcl.Uint16, value: voltage},
		{cluster: clusterElectrical, id: 0x0602, kind: zcl.Uint16, value: 1},
		{cluster: clusterElectrical, id: 0x0603, kind: zcl.Uint16, value: current},
		{cluster: clusterElectrical, id: 0x0604, kind: zcl.Uint16, value: 1},
		{cluster: clusterElectrical, id: 0x0605, kind: zcl.Uint16, value: power},
		{cluster: clusterMetering, id: 0x0000, kind: zcl.Uint48, value: 1234 * energy / 1000},
		{cluster: clusterMetering, id: 0x0300, kind: zcl.Enum8, value: 0},
		{cluster: clusterMetering, id: 0x0301, kind: zcl.Uint24, value: 1},
		{cluster: clusterMetering, id: 0x0302, kind: zcl.Uint24, value: energy},
		{cluster: clusterMetering, id: 0x0303, kind: zcl.Bitmap8, value: 0x0a},
		{cluster: clusterMetering, id: 0x0306, kind: zcl.Bitmap8, value: 0},
		{cluster: clusterMetering, id: 0x0400, kind: zcl.Int24, value: 97},
	}
}

// tuyaSwitch are attributes that Tuya has put into the On/Off cluster.
var tuyaSwitch = []attributeModel{
	{cluster: clusterOnOff, id: 0x4001, kind: zcl.Uint16, value: 0, flags: writable},
	{cluster: clusterOnOff, id: 0x4002, kind: zcl.Uint16, value: 0, flags: writable},
	{cluster: clusterOnOff, id: 0x5000, kind: zcl.Enum8, value: 0, flags: writable},
	{cluster: clusterOnOff, id: 0x8001, kind: zcl.Enum8, value: 1, flags: writable},
	{cluster: clusterOnOff, id: 0x8002, kind: zcl.Enum8, value: 2, flags: writable},
}

// danfoss are the attributes of an Ally.
var danfoss = []attributeModel{
	{cluster: clusterPower, id: 0x0021, kind: zcl.Uint8, value: 150},
	{cluster: clusterThermostat, id: 0x0000, kind: zcl.Int16, value: 2087, lowest: 1600, highest: 2500, step: 40},
	{cluster: clusterThermostat, id: 0x0003, kind: zcl.Int16, value: 500},
	{cluster: clusterThermostat, id: 0x0004, kind: zcl.Int16, value: 3500},
	{cluster: clusterThermostat, id: 0x0008, kind: zcl.Uint8, value: 32},
	{cluster: clusterThermostat, id: 0x0010, kind: zcl.Int8, value: 0, flags: writable},
	{cluster: clusterThermostat, id: 0x0012, kind: zcl.Int16, value: 2100, flags: writable},
	{cluster: clusterThermostat, id: 0x0015, kind: zcl.Int16, value: 500, flags: writable},
	{cluster: clusterThermostat, id: 0x0016, kind: zcl.Int16, value: 3500, flags: writable},
	{cluster: clusterThermostat, id: 0x001b, kind: zcl.Enum8, value: 2},
	{cluster: clusterThermostat, id: 0x001c, kind: zcl.Enum8, value: 4, flags: writable},
	{cluster: clusterThermostat, id: 0x0025, kind: zcl.Bitmap8, value: 0, flags: writable},
	{cluster: clusterThermostat, id: 0x0029, kind: zcl.Bitmap16, value: 1},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4000, kind: zcl.Enum8, value: 0},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4003, kind: zcl.Boolean, value: false, flags: writable},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4010, kind: zcl.Enum8, value: 1, flags: writable},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4011, kind: zcl.Uint16, value: 0, flags: writable},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4012, kind: zcl.Boolean, value: true},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4014, kind: zcl.Boolean, value: false, flags: writable},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4015, kind: zcl.Int16, value: -8000, flags: writable},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4016, kind: zcl.Boolean, value: false, flags: writable},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4020, kind: zcl.Enum8, value: 5, flags: writable},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4030, kind: zcl.Boolean, value: true},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4031, kind: zcl.Boolean, value: true},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x4032, kind: zcl.Boolean, value: false, flags: writable},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x404a, kind: zcl.Int16, value: 312},
	{cluster: clusterThermostat, manufacturer: 0x1246, id: 0x404b, kind: zcl.Int8, value: 0, flags: writable},
	{cluster: clusterThermostatUI, id: 0x0001, kind: zcl.Enum8, value: 0, flags: writable},
	{cluster: clusterThermostatUI, manufacturer: 0x1246, id: 0x4000, kind: zcl.Enum8, value: 0, flags: writable},
	{cluster: clusterDiagnostics, manufacturer: 0x1246, id: 0x4000, kind: zcl.Bitmap16, value: 0},
	{cluster: clusterDiagnostics, manufacturer: 0x1246, id: 0x4031, kind: zcl.Enum8, value: 0},
}
