package devices

import (
	"slices"

	"lintel/serialbridge/zigbee/zcl"
)

// quirk returns what the definition says differs, by the path of names.
func (d *Definition) quirk(path ...string) (any, bool) {
	if d == nil {
		return nil, false
	}
	var value any = d.Quirks
	for _, name := range path {
		members, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = members[name]; !ok {
			return nil, false
		}
	}
	return value, value != nil
}

// is says whether a quirk is set and not false.
func (d *Definition) is(path ...string) bool {
	value, ok := d.quirk(path...)
	b, isBool := value.(bool)
	return ok && (b || !isBool)
}

// number returns a quirk that is a number.
func (d *Definition) number(path ...string) (float64, bool) {
	value, ok := d.quirk(path...)
	if !ok {
		return 0, false
	}
	return zcl.Float(value)
}

// text returns a quirk that is a text, or "".
func (d *Definition) text(path ...string) string {
	value, _ := d.quirk(path...)
	text, _ := value.(string)
	return text
}

// uses says that a device is read by a converter of that name: those of the library's
// first generation tell some values that are not among the exposes, and round
// otherwise.
func (d *Definition) uses(converter string) bool {
	names, _ := d.quirk("converters")
	list, _ := names.([]any)
	return slices.Contains(list, any(converter))
}

// The quirks that sensors know, besides those that the converters of zigbee2mqtt
// have in "meta":
//
//	converters           names of the converters in fromZigbee.ts that read the device (battery,
//	                     ias_contact_alarm_1, humidity …), as far as it uses those
//	distrusted           the percentage of the battery that the device tells is not published
//	zone                 commands (notifications) and reports: property → [bit of the zone
//	                     status, value while it is not set]; without it the exposes tell
//	ias.invert           the exposed alarms are told the other way round
//	ias.alarm2           the exposed alarm is the second one
//	ias.timeout          seconds after which an alarm is over by itself
//	ias.reporting        reports of the zone status are set up
//	occupancy.timeout    seconds after which nobody is there any more: the sensor
//	                     never says so
//	scale                property → divisor of a measured value (temperature: 100)
//	meter.divisor …      property → {divisor, multiplier} instead of what the device tells
//	tuya.query           the device is asked for all datapoints when it is set up
//	tuya.queryOnAnnounce and whenever it announces itself
//	tuya.timeStart       what clocks are counted from: 1970, 2000 or off
//	tuya.bindBasic       the Basic cluster is bound
//	tuya.mcuVersion      the version of the MCU is asked for when it is set up
//	tuya                 (any) the magic read of the Basic cluster wakes the device
