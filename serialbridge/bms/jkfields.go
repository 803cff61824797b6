package bms

import (
	"encoding/binary"
	"strings"

	"lintel/serialbridge"
)

// The fields of a JK BMS that are read here, by their identification codes.
const (
	jkCells             = 0x79 // a length, then number and mV of each
	jkMOSFETTemperature = 0x80
	jkTemperature1      = 0x81
	jkTemperature2      = 0x82
	jkVoltage           = 0x83 // 10 mV
	jkCurrent           = 0x84
	jkStateOfCharge     = 0x85 // %
	jkSensors           = 0x86 // how many temperature sensors there are
	jkCycles            = 0x87
	jkCycledCapacity    = 0x89 // Ah
	jkAlarms            = 0x8B
	jkStatus            = 0x8C
	jkBalancing         = 0x9D
	jkCapacity          = 0xAA // Ah
	jkCharging          = 0xAB
	jkDischarging       = 0xAC
	jkChemistry         = 0xAF
	jkRuntime           = 0xB6 // min
	jkSoftware          = 0xB7
	jkManufacturerID    = 0xBA
	jkVersion           = 0xC0 // of the protocol
)

// jkSizes says how many bytes each field has. The fields carry no length of
// their own, so behind one that is not here nothing can be read.
var jkSizes = [256]int{
	0x80: 2, 2, 2, 2, 2, 1, 1, 2,
	0x89: 4, 2, 2, 2,
	0x8E: 2, 2,
	0x90: 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 2, 2,
	0xA0: 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 4, 1, 1, 2, 1, 1,
	0xB0: 2, 1, 10, 1, 8, 4, 4, 15, 1, 4, 24, 1, 1, 1, 2, 2,
	0xC0: 1,
}

// jkAlarmNames are the bits of the field of alarms, the lowest first.
var jkAlarmNames = []string{
	"low capacity",
	"MOSFET too hot",
	"charging overvoltage",
	"discharging undervoltage",
	"battery too hot",
	"charging overcurrent",
	"discharging overcurrent",
	"cell voltages differ",
	"battery box too hot",
	"battery too cold",
	"cell overvoltage",
	"cell undervoltage",
	"protection 309_A",
	"protection 309_B",
}

// jkChemistries are the battery types, which are numbered from 0.
var jkChemistries = []string{"lithium iron phosphate", "ternary lithium", "lithium titanate"}

var (
	jkMOSFETTemperatureProperty = serialbridge.Measured("mosfet_temperature", "MOSFET temperature", "°C", "temperature", 0).AsDiagnostic()
	jkCycledCapacityProperty    = serialbridge.Counted("cycled_capacity", "Capacity of all cycles", "Ah", "", 0).AsDiagnostic()
	jkRuntimeProperty           = serialbridge.Counted("runtime", "Time in operation", "min", "duration", 0).AsDiagnostic()
	jkChemistryProperty         = serialbridge.OneOf("chemistry", "Chemistry", jkChemistries...).AsDiagnostic()
)

// jkSwitch is a switch of the battery that can be written.
type jkSwitch struct {
	code     byte
	property serialbridge.Property
}

// jkSwitches are those that the protocol marks as writable.
var jkSwitches = []jkSwitch{
	{jkCharging, switchable("charging", "Charging allowed")},
	{jkDischarging, switchable("discharging", "Discharging allowed")},
	{jkBalancing, switchable("balancer", "Balancer")},
}

func switchable(key, name string) serialbridge.Property {
	return serialbridge.Property{Key: key, Name: name, Kind: serialbridge.Switch, Precision: -1, Category: serialbridge.Config}
}

// jkFields are the fields of one answer, by code.
type jkFields map[byte][]byte

// parseJKFields takes an answer to pieces. unknown is the code at which it had
// to stop, if it is not 0.
func parseJKFields(b []byte) (fields jkFields, unknown byte, ok bool) {
	fields = make(jkFields)
	for len(b) > 0 {
		code, size := b[0], jkSizes[b[0]]
		b = b[1:]
		switch {
		case code == jkCells && len(b) > 0:
			size = int(b[0])
			b = b[1:]
		case code == jkCells:
			return nil, 0, false
		case size == 0:
			return fields, code, code != 0
		}
		if _, again := fields[code]; again || len(b) < size {
			return nil, 0, false
		}
		fields[code], b = b[:size], b[size:]
	}
	return fields, 0, true
}

// number returns what a field says as a number.
func (f jkFields) number(code byte) (n int64, ok bool) {
	b, ok := f[code]
	for _, c := range b {
		n = n<<8 | int64(c)
	}
	return n, ok
}

// report returns what the fields say, or that one of them cannot be.
func (f jkFields) report(unknown byte) (report, bool) {
	r := report{values: make(map[string]any)}
	ok := f.reportCharge(&r, unknown) && f.reportCells(&r) && f.reportTemperatures(&r) && f.reportState(&r)
	return r, ok
}

func (f jkFields) reportCharge(r *report, unknown byte) bool {
	volts, haveVolts := f.number(jkVoltage)
	if haveVolts {
		r.set(voltage, hundredths(volts))
	}
	if amperes, ok := f.current(unknown); ok {
		r.set(current, hundredths(amperes))
		if haveVolts {
			r.set(power, float64(volts*amperes)/10_000)
		}
	}
	if n, ok := f.number(jkStateOfCharge); ok {
		if n > 100 {
			return false
		}
		r.set(stateOfCharge, n)
	}
	if n, ok := f.number(jkCapacity); ok {
		r.set(capacity, n)
	}
	if n, ok := f.number(jkCycles); ok {
		r.set(cycles, n)
	}
	if n, ok := f.number(jkCycledCapacity); ok {
		r.set(jkCycledCapacityProperty, n)
	}
	return true
}

// current returns the current in units of 10 mA, positive while the battery is
// charged. Version 1 of the protocol says so in the highest bit, version 0
// counts down from 10000.
func (f jkFields) current(unknown byte) (n int64, ok bool) {
	n, ok = f.number(jkCurrent)
	version, told := f.number(jkVersion)
	switch {
	case !ok || !told && unknown != 0:
		return 0, false // the version is behind the field that is not known
	case version == 0:
		return 10_000 - n, true
	case n&0x8000 != 0:
		return n & 0x7FFF, true
	}
	return -n, true
}

func (f jkFields) reportCells(r *report) bool {
	b, ok := f[jkCells]
	if !ok {
		return true
	}
	if len(b)%3 != 0 || len(b) > 3*maxCells {
		return false
	}
	var cells []int64
	for i := 0; i < len(b); i += 3 {
		mv := int64(binary.BigEndian.Uint16(b[i+1:]))
		if int(b[i]) != i/3+1 || mv > maxCellMV {
			return false
		}
		cells = append(cells, mv)
	}
	r.setCells(cells)
	return true
}

func (f jkFields) reportTemperatures(r *report) bool {
	sensors, told := f.number(jkSensors)
	for i, p := range []serialbridge.Property{jkMOSFETTemperatureProperty, temperature(1), temperature(2)} {
		n, ok := f.number(byte(jkMOSFETTemperature + i))
		if !ok || told && int64(i) > sensors {
			continue
		}
		switch {
		case n > 140:
			return false
		case n > 100:
			n = 100 - n // 101 is -1 °C
		}
		r.set(p, n)
	}
	return true
}

func (f jkFields) reportState(r *report) bool {
	if n, ok := f.number(jkStatus); ok {
		r.set(chargingMOSFET, n&1 != 0)
		r.set(dischargingMOSFET, n&2 != 0)
		r.set(balancing, n&4 != 0)
	}
	for _, s := range jkSwitches {
		if n, ok := f.number(s.code); ok {
			if n > 1 {
				return false
			}
			r.set(s.property, n == 1)
		}
	}
	if n, ok := f.number(jkAlarms); ok {
		var alarms []string
		for i, name := range jkAlarmNames {
			if n&(1<<i) != 0 {
				alarms = append(alarms, name)
			}
		}
		r.setAlarms(alarms)
	}
	if n, ok := f.number(jkChemistry); ok && n < int64(len(jkChemistries)) {
		r.set(jkChemistryProperty, jkChemistries[n])
	}
	if n, ok := f.number(jkRuntime); ok {
		r.set(jkRuntimeProperty, n)
	}
	return true
}

// jkExampleID is the example of the protocol, which some batteries carry.
const jkExampleID = "BT3072020120000200521001"

// jkModel is how the names of models begin. Many boards have one in their
// manufacturer ID, behind a text of the user's.
const jkModel = "JK_"

// identity returns the battery's serial number and its model, where it tells
// them.
func (f jkFields) identity() (serial, model string) {
	id, ok := text(f[jkManufacturerID])
	if !ok {
		return "", ""
	}
	if i := strings.Index(id, jkModel); i >= 0 {
		return "", id[i:]
	}
	// BT, chemistry, voltage, capacity, cycles, maker, date and number.
	if len(id) == len(jkExampleID) && strings.HasPrefix(id, "BT") && strings.Trim(id[2:], "0123456789") == "" && id != jkExampleID {
		return id, ""
	}
	return "", ""
}
