package bms

import (
	"fmt"
	"strings"

	"lintel/serialbridge"
)

// Limits of what a battery may say of itself.
const (
	maxCells  = 48
	maxCellMV = 5000 // no cell of lithium has more
	maxAlarms = 255  // bytes of a text that Home Assistant takes
)

// A report is a device and what it says.
type report struct {
	device serialbridge.Device
	values map[string]any
}

func (r *report) set(p serialbridge.Property, value any) {
	r.device.Properties = append(r.device.Properties, p)
	r.values[p.Key] = value
}

// setCells adds the voltages of all cells in mV, the first cell first, and what
// follows from them.
func (r *report) setCells(cells []int64) {
	if len(cells) == 0 {
		return
	}
	lowest, highest, sum := 0, 0, int64(0)
	for i, mv := range cells {
		sum += mv
		if mv < cells[lowest] {
			lowest = i
		}
		if mv > cells[highest] {
			highest = i
		}
	}
	r.set(lowestCellVoltage, thousandths(cells[lowest]))
	r.set(highestCellVoltage, thousandths(cells[highest]))
	r.set(cellDifference, thousandths(cells[highest]-cells[lowest]))
	// Rounded to 10 µV in whole numbers, so that it prints as such.
	n := int64(len(cells))
	r.set(averageCellVoltage, float64((100*sum+n/2)/n)/100_000)
	r.set(lowestCell, int64(lowest+1))
	r.set(highestCell, int64(highest+1))
	for i, mv := range cells {
		r.set(cellVoltage(i+1), thousandths(mv))
	}
}

// setAlarms adds what is wrong.
func (r *report) setAlarms(alarms []string) {
	r.set(problem, len(alarms) > 0)
	r.set(alarmText, alarmsText(alarms))
}

// alarmsText lists alarms, as many as fit.
func alarmsText(alarms []string) string {
	if len(alarms) == 0 {
		return "none"
	}
	text := strings.Join(alarms, ", ")
	if len(text) > maxAlarms {
		const more = ", …"
		text = text[:maxAlarms-len(more)]
		text = text[:strings.LastIndex(text, ", ")] + more
	}
	return text
}

// A quotient of two whole numbers is the float nearest to the decimal fraction,
// which is what prints as it.
func thousandths(n int64) float64 { return float64(n) / 1000 }
func hundredths(n int64) float64  { return float64(n) / 100 }
func tenths(n int64) float64      { return float64(n) / 10 }

// deviceID makes a serialbridge.Device.ID of a protocol and an identifier.
func deviceID(protocol, identifier string) string {
	const limit = 40
	identifier = identifier[:min(len(identifier), limit)]
	return protocol + "_" + serialbridge.IDPart(identifier)
}

// text returns what a field of text says, without what fills it; ok is false if
// it is not ASCII.
func text(b []byte) (s string, ok bool) {
	s = strings.Trim(strings.ReplaceAll(string(b), "\xFF", "\x00"), "\x00 ")
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return "", false
		}
	}
	return s, true
}

// The properties that all batteries have.
var (
	voltage            = serialbridge.Measured("voltage", "Voltage", "V", "voltage", 2)
	current            = serialbridge.Measured("current", "Current", "A", "current", 2)
	power              = serialbridge.Measured("power", "Power", "W", "power", 1)
	stateOfCharge      = serialbridge.Measured("state_of_charge", "State of charge", "%", "battery", 1)
	capacity           = serialbridge.Measured("capacity", "Capacity", "Ah", "", 1).AsDiagnostic()
	lowestCellVoltage  = serialbridge.Measured("cell_voltage_min", "Lowest cell voltage", "V", "voltage", 3)
	highestCellVoltage = serialbridge.Measured("cell_voltage_max", "Highest cell voltage", "V", "voltage", 3)
	cellDifference     = serialbridge.Measured("cell_voltage_difference", "Cell voltage difference", "V", "voltage", 3)
	averageCellVoltage = serialbridge.Measured("cell_voltage_average", "Average cell voltage", "V", "voltage", 3)
	lowestCell         = serialbridge.Number("lowest_cell", "Number of the lowest cell", "", "", 0).AsDiagnostic()
	highestCell        = serialbridge.Number("highest_cell", "Number of the highest cell", "", "", 0).AsDiagnostic()
	cycles             = serialbridge.Counted("cycles", "Charge cycles", "", "", 0).AsDiagnostic()
	chargingMOSFET     = serialbridge.Flag("charging_mosfet", "Charging MOSFET", "").AsDiagnostic()
	dischargingMOSFET  = serialbridge.Flag("discharging_mosfet", "Discharging MOSFET", "").AsDiagnostic()
	balancing          = serialbridge.Flag("balancing", "Balancing", "running").AsDiagnostic()
	problem            = serialbridge.Flag("problem", "Alarm", "problem").AsDiagnostic()
	alarmText          = serialbridge.Said("alarms", "Alarms").AsDiagnostic()
)

func cellVoltage(n int) serialbridge.Property {
	return serialbridge.Measured(fmt.Sprintf("cell_%d_voltage", n), fmt.Sprintf("Cell %d voltage", n), "V", "voltage", 3)
}

func temperature(n int) serialbridge.Property {
	return serialbridge.Measured(fmt.Sprintf("temperature_%d", n), fmt.Sprintf("Temperature %d", n), "°C", "temperature", 0)
}
