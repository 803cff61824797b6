package rfxtrx

import "lintel/serialbridge"

// A value is a number of a sensor in units of the last decimal of its property.
type value struct {
	property  serialbridge.Property
	n         int64
	low, high int64
	// jump is how far the value goes from one packet to the next at most, up
	// and, unless it is a total, down; 0: as far as it likes.
	jump int64
}

// follows tells whether the value may come after n.
func (v value) follows(n int64) bool {
	if v.jump == 0 {
		return true
	}
	if v.property.StateClass == "total_increasing" {
		return v.n >= n && v.n-n <= v.jump
	}
	return max(v.n, n)-min(v.n, n) <= v.jump
}

// A sensor is a type of packet that tells values.
type sensor struct {
	name     string
	subtypes byte // 1 to this
	values   func(p packet) []value
}

func with(p serialbridge.Property, stateClass string) serialbridge.Property {
	p.StateClass = stateClass
	return p
}

func temperatureOf(n int64) value {
	return value{serialbridge.Measured("temperature", "Temperature", "°C", "temperature", 1), n, -600, 1200, 100}
}

func humidityOf(b byte) value {
	return value{serialbridge.Measured("humidity", "Humidity", "%", "humidity", 0), int64(b), 0, 100, 30}
}

// sensors are the sensors by type. Offsets count from the type of the packet; the
// ID is in bytes 3 and 4, battery and signal in the last.
var sensors = map[byte]sensor{
	temperature: {"temperature sensor", 0x0B, func(p packet) []value {
		return []value{temperatureOf(p.signed(5))}
	}},
	humidity: {"humidity sensor", 0x03, func(p packet) []value {
		return []value{humidityOf(p[5])}
	}},
	temperatureHum: {"temperature and humidity sensor", 0x0E, func(p packet) []value {
		return []value{temperatureOf(p.signed(5)), humidityOf(p[7])}
	}},
	temperatureHumBar: {"weather sensor", 0x02, func(p packet) []value {
		return []value{temperatureOf(p.signed(5)), humidityOf(p[7]),
			{serialbridge.Measured("pressure", "Pressure", "hPa", "atmospheric_pressure", 0), p.u16(9), 800, 1100, 20}}
	}},
	// Later subtypes count tips of a bucket whose size is not told.
	rain: {"rain gauge", 0x05, func(p packet) []value {
		vs := []value{{serialbridge.Counted("rain", "Rain", "mm", "precipitation", 1),
			int64(p[7])<<16 | p.u16(8), 0, 1<<24 - 1, 500}}
		rate := serialbridge.Measured("rain_rate", "Rain rate", "mm/h", "precipitation_intensity", 0)
		switch p.subtype() {
		case 1:
			vs = append(vs, value{rate, p.u16(5), 0, 1000, 0})
		case 2:
			rate.Precision = 2
			vs = append(vs, value{rate, p.u16(5), 0, 0xFFFF, 0})
		}
		return vs
	}},
	wind: {"wind meter", 0x07, func(p packet) []value {
		vs := []value{
			{with(serialbridge.Measured("wind_direction", "Wind direction", "°", "wind_direction", 0), "measurement_angle"), p.u16(5), 0, 360, 0},
			{serialbridge.Measured("wind_gust", "Wind gust", "m/s", "wind_speed", 1), p.u16(9), 0, 1200, 0},
		}
		if p.subtype() != 5 { // has no average
			vs = append(vs, value{serialbridge.Measured("wind_speed", "Wind speed", "m/s", "wind_speed", 1), p.u16(7), 0, 1200, 0})
		}
		if p.subtype() == 4 { // the only one with a thermometer
			chill := temperatureOf(p.signed(13))
			chill.property.Key, chill.property.Name = "wind_chill", "Wind chill"
			vs = append(vs, temperatureOf(p.signed(11)), chill)
		}
		return vs
	}},
	uv: {"UV sensor", 0x03, func(p packet) []value {
		vs := []value{{serialbridge.Measured("uv_index", "UV index", "", "", 1), int64(p[5]), 0, 200, 0}}
		if p.subtype() == 3 { // the only one with a thermometer
			vs = append(vs, temperatureOf(p.signed(6)))
		}
		return vs
	}},
	// ELEC2 and ELEC3: the total is in units of 1/223.666 Wh, and zero in the
	// packets between.
	energy: {"energy meter", 0x02, func(p packet) []value {
		vs := []value{{serialbridge.Measured("power", "Power", "W", "power", 0), p.u16(6)<<16 | p.u16(8), 0, 1e6, 0}}
		if total := p.u16(10)<<32 | p.u16(12)<<16 | p.u16(14); total > 0 {
			vs = append(vs, value{serialbridge.Counted("energy", "Energy", "kWh", "energy", 3),
				(total*1000 + 223666/2) / 223666, 0, 1e12, 0})
		}
		return vs
	}},
}

// battery is low when the sensor says level 0; most know only 0 and 9.
func battery() serialbridge.Property {
	return serialbridge.Flag("battery_low", "Battery", "battery").AsDiagnostic()
}

// signal is the strength from 0 to 15.
func signal() serialbridge.Property {
	return serialbridge.Measured("signal", "Signal", "", "", 0).AsDiagnostic()
}
