package devices

import (
	"math"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// powerTraits are those of batteries.
var powerTraits = []*Trait{{
	// There is one battery, whatever the number of endpoints.
	Name: "battery", Exposes: []string{"battery", "voltage", "battery_low"}, Clusters: []uint16{clusterPower}, Named: true,
	Generate: batteryExpose, Decode: decodeBattery,
	Keys: []string{"battery", "voltage"}, Get: getBattery, Configure: configureBattery,
}}

// The attributes of the Power Configuration cluster (section 3.3.2.2).
const (
	powerBatteryVoltage    = 0x0020
	powerBatteryPercentage = 0x0021
	powerBatteryAlarmState = 0x003e
)

// alarmBits are those of the alarm state that say that the voltage or the percentage of
// one of three batteries is low (section 3.3.2.2.4.11).
const alarmBits = 0xf | 0xf<<10 | 0xf<<20

func decodeBattery(c *Context, m zigbee.Message) Values {
	d, values := c.Definition, Values{}
	old := d.uses("battery") // the converter that tells everything
	curve, hasCurve := d.quirk("battery", "voltageToPercentage")
	// With a curve the percentage of the device is not believed.
	distrusted := hasCurve && old || d.is("distrusted")
	if raw, ok := reportedNumber(m, powerBatteryPercentage); ok && raw < 255 && !distrusted {
		if !d.is("battery", "dontDividePercentage") {
			raw /= 2 // half percents; some tell whole ones
		}
		values["battery"] = round(raw, 2)
	}
	if raw, ok := reportedNumber(m, powerBatteryVoltage); ok && raw < 255 {
		if old || d.shows("voltage") {
			values["voltage"] = raw * 100
		}
		if hasCurve {
			if percentage, ok := batteryPercentage(raw*100, curve); ok {
				values["battery"] = percentage
			}
		}
	}
	if raw, ok := reportedNumber(m, powerBatteryAlarmState); ok && (old || d.shows("battery_low") && !d.zoneTells("battery_low")) {
		values["battery_low"] = uint32(raw)&alarmBits != 0
	}
	return values
}

// zoneTells says that a property is a bit of a zone status.
func (d *Definition) zoneTells(property string) bool {
	_, ok := d.quirk("zone", "commands", property)
	return ok
}

// shows says that the definition exposes a property of that name.
func (d *Definition) shows(name string) bool { return d != nil && d.exposed(name) != nil }

// batteryPercentage makes a percentage of a voltage in millivolts. The curve is the
// name of one, or the voltages of empty and full.
func batteryPercentage(voltage float64, curve any) (float64, bool) {
	switch curve := curve.(type) {
	case string:
		switch curve {
		case "3V_2100":
			return lithium2100(voltage), true
		case "3V_1500_2800":
			return math.Floor(max(0, min(100, 235-370000/(voltage+1))) + 0.5), true
		}
	case map[string]any:
		low, ok := zcl.Float(curve["min"])
		high, ok2 := zcl.Float(curve["max"])
		offset, _ := zcl.Float(curve["vOffset"])
		if ok && ok2 && high > low {
			part := (max(low, min(high, voltage+offset)) - low) / (high - low)
			return math.Floor(part*100 + 0.5), true
		}
	}
	return 0, false
}

// lithium2100 is the curve of a coin cell that is empty at 2.1 V.
func lithium2100(voltage float64) float64 {
	percentage := 100.0
	switch {
	case voltage < 2100:
		percentage = 0
	case voltage < 2440:
		percentage = 6 - (2440-voltage)*6/340
	case voltage < 2740:
		percentage = 18 - (2740-voltage)*12/300
	case voltage < 2900:
		percentage = 42 - (2900-voltage)*24/160
	case voltage < 3000:
		percentage = 100 - (3000-voltage)*58/100
	}
	return math.Floor(percentage + 0.5)
}

func getBattery(c *Context, _ string) ([]zigbee.Request, error) {
	return []zigbee.Request{c.read(clusterPower, powerBatteryPercentage), c.read(clusterPower, powerBatteryVoltage)}, nil
}

func batteryExpose(c *Context, endpoint uint8) []*Expose {
	if c.firstWith(clusterPower) != endpoint {
		return nil
	}
	low, high := 0.0, 100.0
	return []*Expose{{Type: "numeric", Name: "battery", Property: "battery", Access: Published | Gettable, Unit: "%",
		Description: "Remaining battery in %", Category: "diagnostic", ValueMin: &low, ValueMax: &high}}
}

// configureBattery sets the first endpoint up that has the cluster: there is one
// battery.
func configureBattery(c *Context, endpoint uint8) []Step {
	if c.firstWith(clusterPower) != endpoint || !c.Definition.shows("battery") {
		return nil
	}
	attribute := uint16(powerBatteryPercentage)
	if _, curve := c.Definition.quirk("battery", "voltageToPercentage"); curve {
		attribute = powerBatteryVoltage
	}
	return report(endpoint, clusterPower, zigbee.Reporting{Attribute: attribute, Type: uint8(zcl.Uint8), Min: time.Hour, Max: maxInterval, Change: 10})
}

// firstWith is the first endpoint that serves the cluster; 0: none.
func (c *Context) firstWith(cluster uint16) uint8 {
	if c.Device != nil {
		for _, e := range c.Device.Endpoints {
			if serves(c, e.ID, cluster) {
				return e.ID
			}
		}
	}
	return 0
}
