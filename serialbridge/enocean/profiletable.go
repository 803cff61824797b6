package enocean

import "lintel/serialbridge"

// profiles returns the profiles of 4BS that are known (EEP 2.6.7, A5-02 to
// A5-20). Offsets, raw ranges and scales are those of its tables.
func profiles() map[profileID]*profile {
	m := make(map[profileID]*profile)
	add := func(fn, typ byte, model string, fields []field, flags ...flag) {
		m[profileID{bs4, fn, typ}] = &profile{model: model, fields: fields, flags: flags}
	}

	temperature := serialbridge.Measured("temperature", "Temperature", "°C", "temperature", 1)
	humidity := serialbridge.Measured("humidity", "Humidity", "%", "humidity", 1)
	illuminance := serialbridge.Measured("illuminance", "Illuminance", "lx", "illuminance", 0)
	voltage := serialbridge.Measured("supply_voltage", "Supply voltage", "V", "voltage", 2).AsDiagnostic()
	motion := serialbridge.Flag("motion", "Motion", "motion")
	occupancy := serialbridge.Flag("occupancy", "Occupancy", "occupancy")

	// A5-02: temperature in DB1, 255 to 0. Types 01 to 0B cover 40 K, 10 to
	// 1B 80 K, each type 10 K higher than the one before.
	for i := range int64(11) {
		low := -400 + 100*i
		add(0x02, byte(0x01+i), "temperature sensor",
			[]field{{property: temperature, offset: 16, size: 8, from: 255, to: 0, low: low, high: low + 400}})
	}
	for i := range int64(12) {
		low := -600 + 100*i
		add(0x02, byte(0x10+i), "temperature sensor",
			[]field{{property: temperature, offset: 16, size: 8, from: 255, to: 0, low: low, high: low + 800}})
	}
	add(0x02, 0x20, "temperature sensor",
		[]field{{property: precise(temperature, 2), offset: 14, size: 10, from: 1023, to: 0, low: -1000, high: 4120}})
	add(0x02, 0x30, "temperature sensor",
		[]field{{property: temperature, offset: 14, size: 10, from: 1023, to: 0, low: -400, high: 623}})

	// A5-04: temperature and humidity.
	add(0x04, 0x01, "temperature and humidity sensor", []field{
		{property: humidity, offset: 8, size: 8, from: 0, to: 250, low: 0, high: 1000},
		{property: temperature, offset: 16, size: 8, from: 0, to: 250, low: 0, high: 400, available: 30},
	})
	add(0x04, 0x02, "temperature and humidity sensor", []field{
		{property: humidity, offset: 8, size: 8, from: 0, to: 250, low: 0, high: 1000},
		{property: temperature, offset: 16, size: 8, from: 0, to: 250, low: -200, high: 600, available: 30},
	})
	add(0x04, 0x03, "temperature and humidity sensor", []field{
		{property: humidity, offset: 0, size: 8, from: 0, to: 255, low: 0, high: 1000},
		{property: temperature, offset: 14, size: 10, from: 0, to: 1023, low: -200, high: 600},
	})

	// A5-07: occupancy.
	add(0x07, 0x01, "occupancy sensor", []field{
		{property: voltage, offset: 0, size: 8, from: 0, to: 250, low: 0, high: 500, available: 31},
	}, flag{motion, 16, 1}) // 128 and above is on
	add(0x07, 0x02, "occupancy sensor", []field{
		{property: voltage, offset: 0, size: 8, from: 0, to: 250, low: 0, high: 500},
	}, flag{motion, 24, 1})
	add(0x07, 0x03, "occupancy sensor", []field{
		{property: voltage, offset: 0, size: 8, from: 0, to: 250, low: 0, high: 500},
		{property: illuminance, offset: 8, size: 10, from: 0, to: 1000, low: 0, high: 1000},
	}, flag{motion, 24, 1})

	// A5-08: light, temperature, motion, and a button that says "I am here".
	for _, t := range []struct {
		typ       byte
		light     int64
		low, high int64
	}{{0x01, 510, 0, 510}, {0x02, 1020, 0, 510}, {0x03, 1530, -300, 500}} {
		add(0x08, t.typ, "light, temperature and occupancy sensor", []field{
			{property: voltage, offset: 0, size: 8, from: 0, to: 255, low: 0, high: 510},
			{property: illuminance, offset: 8, size: 8, from: 0, to: 255, low: 0, high: t.light},
			{property: temperature, offset: 16, size: 8, from: 0, to: 255, low: t.low, high: t.high},
		}, flag{motion, 30, 0}, flag{occupancy, 31, 0})
	}

	// A5-12: automated meter reading.
	for typ, meter := range []meter{
		{serialbridge.Counted("count", "Count", "", "", 0),
			serialbridge.Measured("rate", "Rate", "1/s", "", 0)},
		{serialbridge.Counted("energy", "Energy", "kWh", "energy", 0), serialbridge.Measured("power", "Power", "W", "power", 0)},
		{serialbridge.Counted("gas", "Gas", "m³", "gas", 0), serialbridge.Measured("flow", "Flow", "L/s", "volume_flow_rate", 0)},
		{serialbridge.Counted("water", "Water", "m³", "water", 0), serialbridge.Measured("flow", "Flow", "L/s", "volume_flow_rate", 0)},
	} {
		m[profileID{bs4, 0x12, byte(typ)}] = &profile{model: meterModels[typ], meter: &meter}
	}
	// It has up to 16 channels in the place of tariffs.
	m[profileID{bs4, 0x12, 0x10}] = &profile{model: "current meter", meter: &meter{
		serialbridge.Counted("charge", "Charge", "Ah", "", 0), serialbridge.Measured("current", "Current", "mA", "current", 0)}}

	// A5-20-01: battery powered actuator at a radiator.
	add(0x20, 0x01, "radiator actuator", []field{
		{property: serialbridge.Measured("valve", "Valve", "%", "", 0), offset: 0, size: 8, from: 0, to: 100, low: 0, high: 100},
		{property: temperature, offset: 16, size: 8, from: 0, to: 255, low: 0, high: 400},
	},
		flag{serialbridge.Flag("service", "Service", "").AsDiagnostic(), 8, 1},
		flag{serialbridge.Flag("energy_input", "Energy input", "").AsDiagnostic(), 9, 1},
		flag{serialbridge.Flag("charged", "Storage charged", "").AsDiagnostic(), 10, 1},
		flag{serialbridge.Flag("battery_low", "Battery", "battery").AsDiagnostic(), 11, 1},
		flag{serialbridge.Flag("cover_open", "Cover", "opening").AsDiagnostic(), 12, 1},
		flag{serialbridge.Flag("sensor_fault", "Temperature sensor", "problem").AsDiagnostic(), 13, 1},
		flag{serialbridge.Flag("window_open", "Window", "window"), 14, 1},
		flag{serialbridge.Flag("obstructed", "Obstruction", "problem").AsDiagnostic(), 15, 1},
	)

	// A5-20-04: the same with a set point of its own. DB2 is the temperature
	// of the feed, or the set point if TS (bit 1) is 1; DB1 the temperature
	// of the room, or what has failed if FL (bit 0) is 1; MST (bit 7) says
	// that nothing is measured.
	const mst, ts, fl = 0x80, 0x02, 0x01
	feed, setPoint := temperature, temperature
	feed.Key, feed.Name = "feed_temperature", "Feed temperature"
	setPoint.Key, setPoint.Name = "set_point", "Set point"
	add(0x20, 0x04, "radiator actuator", []field{
		{property: serialbridge.Measured("valve", "Valve", "%", "", 0), offset: 0, size: 8, from: 0, to: 100, low: 0, high: 100},
		{property: feed, offset: 8, size: 8, from: 0, to: 255, low: 200, high: 800, unless: mst | ts},
		{property: setPoint, offset: 8, size: 8, from: 0, to: 255, low: 100, high: 300, available: 30},
		{property: temperature, offset: 16, size: 8, from: 0, to: 255, low: 100, high: 300, unless: mst | fl},
	},
		flag{serialbridge.Flag("locked", "Buttons locked", "").AsDiagnostic(), 29, 1},
		flag{serialbridge.Flag("failure", "Failure", "problem").AsDiagnostic(), 31, 1},
	)
	return m
}

var meterModels = []string{"counter", "electricity meter", "gas meter", "water meter"}

func precise(p serialbridge.Property, decimals int) serialbridge.Property {
	p.Precision = decimals
	return p
}
