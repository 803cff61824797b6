package bms

import (
	"encoding/binary"
	"fmt"

	"lintel/serialbridge"
)

// The commands of a Daly BMS, which its answers carry as well.
const (
	dalyRated        = 0x50 // u32 capacity in mAh, u32 nominal voltage of a cell in mV
	dalyCode         = 0x57 // 5 frames: number, 7 characters
	dalyCharge       = 0x90 // u16 voltage, u16, u16 current, u16 state of charge, all in tenths
	dalyCellRange    = 0x91 // u16 highest in mV, u8 its number, u16 lowest, u8 its number
	dalyTemperatures = 0x92 // highest, its sensor, lowest, its sensor; 40 is 0 °C
	dalyMOSFETs      = 0x93 // state, charging, discharging, a counter, u32 remaining capacity in mAh
	dalyCounts       = 0x94 // cells, sensors, charger, load, inputs and outputs, u16 cycles
	dalyCells        = 0x95 // frames: number from 1 on, 3 × u16 mV
	dalySensors      = 0x96 // frames: number from 1 on, 7 × temperature
	dalyBalancing    = 0x97 // a bit for each of 48 cells
	dalyAlarms       = 0x98
)

const (
	dalyCellsAFrame   = 3
	dalySensorsAFrame = 7
	dalyMaxSensors    = 16
	dalyZeroCurrent   = 30_000
	dalyCodeFrames    = 5
)

// dalyStates are what a battery says that it is doing.
var dalyStates = []string{"idle", "charging", "discharging"}

// dalyAlarmNames are the bits of the first seven bytes of the alarms, the
// lowest first. Of two that belong together the first warns and the second
// switches off.
var dalyAlarmNames = [][]string{
	{"cell voltage high", "cell voltage too high", "cell voltage low", "cell voltage too low",
		"voltage high", "voltage too high", "voltage low", "voltage too low"},
	{"warm for charging", "too hot for charging", "cold for charging", "too cold for charging",
		"warm for discharging", "too hot for discharging", "cold for discharging", "too cold for discharging"},
	{"charging current high", "charging current too high", "discharging current high", "discharging current too high",
		"charge high", "charge too high", "charge low", "charge too low"},
	{"cell voltages differ", "cell voltages differ too much", "temperatures differ", "temperatures differ too much"},
	{"charging MOSFET too hot", "discharging MOSFET too hot", "charging MOSFET temperature sensor", "discharging MOSFET temperature sensor",
		"charging MOSFET stuck", "discharging MOSFET stuck", "charging MOSFET open", "discharging MOSFET open"},
	{"AFE chip", "voltage measurement", "temperature sensor", "EEPROM",
		"clock", "precharging", "communication", "internal communication"},
	{"current measurement", "total voltage measurement", "short circuit", "voltage too low to charge"},
}

var (
	dalyState             = serialbridge.OneOf("state", "State", dalyStates...)
	dalyRemaining         = serialbridge.Measured("remaining_capacity", "Remaining capacity", "Ah", "", 1)
	dalyHighestTemp       = serialbridge.Measured("temperature_max", "Highest temperature", "°C", "temperature", 0)
	dalyLowestTemp        = serialbridge.Measured("temperature_min", "Lowest temperature", "°C", "temperature", 0)
	dalyChargerProperty   = serialbridge.Flag("charger", "Charger", "plug").AsDiagnostic()
	dalyLoadProperty      = serialbridge.Flag("load", "Load", "plug").AsDiagnostic()
	dalyAlwaysThere       = []serialbridge.Property{voltage, current, power, stateOfCharge, dalyRemaining, dalyState, highestCellVoltage, lowestCellVoltage, cellDifference}
	dalyAlwaysThereBehind = []serialbridge.Property{dalyHighestTemp, dalyLowestTemp, highestCell, lowestCell, cycles, capacity,
		chargingMOSFET, dischargingMOSFET, balancing, dalyChargerProperty, dalyLoadProperty, problem, alarmText}
)

// dalyProperties are those of a battery with so many cells and sensors.
func dalyProperties(cells, sensors int) []serialbridge.Property {
	properties := append([]serialbridge.Property(nil), dalyAlwaysThere...)
	for n := range cells {
		properties = append(properties, cellVoltage(n+1))
	}
	for n := range sensors {
		properties = append(properties, temperature(n+1))
	}
	return append(properties, dalyAlwaysThereBehind...)
}

// values returns what the eight bytes of an answer say, or that they cannot be.
func (d *dalyDecoder) values(command byte, b []byte) (values map[string]any, ok bool) {
	u16 := func(at int) int64 { return int64(binary.BigEndian.Uint16(b[at:])) }
	u32 := func(at int) int64 { return int64(binary.BigEndian.Uint32(b[at:])) }
	switch command {
	case dalyCharge:
		volts, amperes, charge := u16(0), d.amperes(u16(4)-dalyZeroCurrent), u16(6)
		return map[string]any{
			voltage.Key: tenths(volts), current.Key: tenths(amperes), power.Key: hundredths(volts * amperes),
			stateOfCharge.Key: tenths(charge),
		}, charge <= 1000
	case dalyCellRange:
		highest, lowest := u16(0), u16(3)
		return map[string]any{
			highestCellVoltage.Key: thousandths(highest), highestCell.Key: int64(b[2]),
			lowestCellVoltage.Key: thousandths(lowest), lowestCell.Key: int64(b[5]),
			cellDifference.Key: thousandths(highest - lowest),
		}, lowest <= highest && highest <= maxCellMV && int(b[2]) <= d.cells && int(b[5]) <= d.cells
	case dalyTemperatures:
		return map[string]any{dalyHighestTemp.Key: celsius(b[0]), dalyLowestTemp.Key: celsius(b[2])}, possible(b[0]) && possible(b[2])
	case dalyMOSFETs:
		if int(b[0]) >= len(dalyStates) {
			return nil, false
		}
		return map[string]any{
			dalyState.Key: dalyStates[b[0]], chargingMOSFET.Key: b[1] != 0, dischargingMOSFET.Key: b[2] != 0,
			dalyRemaining.Key: thousandths(u32(4)),
		}, true
	case dalyCounts:
		return map[string]any{dalyChargerProperty.Key: b[2] != 0, dalyLoadProperty.Key: b[3] != 0, cycles.Key: u16(5)}, true
	case dalyCells:
		values = make(map[string]any)
		first := (int(b[0])-1)*dalyCellsAFrame + 1
		for i := range dalyCellsAFrame {
			if n := first + i; 1 <= n && n <= d.cells { // what is behind is not there
				values[cellVoltage(n).Key] = thousandths(u16(1 + 2*i))
				ok = u16(1+2*i) <= maxCellMV
				if !ok {
					return nil, false
				}
			}
		}
		return values, true
	case dalySensors:
		values = make(map[string]any)
		first := (int(b[0])-1)*dalySensorsAFrame + 1
		for i := range dalySensorsAFrame {
			if n := first + i; 1 <= n && n <= d.sensors {
				values[temperature(n).Key] = celsius(b[1+i])
				if !possible(b[1+i]) {
					return nil, false
				}
			}
		}
		return values, true
	case dalyBalancing:
		return map[string]any{balancing.Key: [6]byte(b) != [6]byte{}}, true
	case dalyAlarms:
		alarms := dalyAlarmsIn(b)
		return map[string]any{problem.Key: len(alarms) > 0, alarmText.Key: alarmsText(alarms)}, true
	case dalyRated:
		return map[string]any{capacity.Key: thousandths(u32(0))}, u32(0) > 0 && u32(0) < 10_000_000
	}
	return nil, true
}

func dalyAlarmsIn(b []byte) (alarms []string) {
	for i, names := range dalyAlarmNames {
		for bit, name := range names {
			if b[i]&(1<<bit) != 0 {
				alarms = append(alarms, name)
			}
		}
	}
	if code := b[len(dalyAlarmNames)]; code != 0 {
		alarms = append(alarms, fmt.Sprintf("fault %d", code))
	}
	return alarms
}

// celsius returns a temperature; 255 is a sensor that is not connected.
func celsius(b byte) any {
	if b == 0xFF {
		return nil
	}
	return int64(b) - 40
}

// possible reports whether a temperature is up to 150 °C.
func possible(b byte) bool { return b <= 190 || b == 0xFF }
