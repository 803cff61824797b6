package airquality

import "lintel/serialbridge"

// The sensors.
var (
	sds011    = sensor{"sds011", "Particulate matter sensor", "Nova Fitness", "SDS011"} // or SDS018, SDS021
	sds198    = sensor{"sds198", "Particulate matter sensor", "Nova Fitness", "SDS198"}
	pms3003   = sensor{"pms3003", "Particulate matter sensor", "Plantower", "PMS3003"}
	pmsx003   = sensor{"pmsx003", "Particulate matter sensor", "Plantower", "PMSx003"}
	pms5003t  = sensor{"pms5003t", "Particulate matter sensor", "Plantower", "PMS5003T"}
	pms5003st = sensor{"pms5003st", "Particulate matter sensor", "Plantower", "PMS5003ST"}
	hpma115s0 = sensor{"hpma115s0", "Particulate matter sensor", "Honeywell", "HPMA115S0"}
	hpma115c0 = sensor{"hpma115c0", "Particulate matter sensor", "Honeywell", "HPMA115C0"}
	mcu680    = sensor{"mcu680", "Air quality sensor", "Bosch Sensortec", "MCU680"}
)

// microgram is the unit as Home Assistant spells it: the Greek letter, not the
// micro sign.
const microgram = "\u03bcg/m³"

// plantower32 begins Plantower's frames of 32 bytes, and Honeywell's.
const plantower32 = "\x42\x4D\x00\x1C"

// forms returns the kinds of frames. A header is either the same as another
// one's or not the beginning of it.
func forms() []form {
	return []form{
		{
			sensor: &sds011, header: "\xAA\xC0", size: 10, valid: validSDS, idAt: 6,
			fields: []field{
				{2, u16le, 10, 0, 9999, dust("pm25", "PM2.5", 1)},
				{4, u16le, 10, 0, 9999, dust("pm10", "PM10", 1)},
			},
		},
		{
			sensor: &sds198, header: "\xAA\xCF", size: 10, valid: validSDS, idAt: 6,
			fields: []field{
				{4, u16le, 1, 0, 0, serialbridge.Measured("pm100", "PM100", microgram, "", 0)},
			},
		},
		{
			sensor: &pms3003, header: "\x42\x4D\x00\x14", size: 24, valid: validPlantower,
			fields: concentrations(),
		},
		{
			sensor: &pmsx003, header: plantower32, size: 32, valid: validPlantower, claims: isPMSx003,
			fields: append(concentrations(), counts(6)...),
		},
		{
			sensor: &pms5003t, header: plantower32, size: 32, valid: validPlantower, claims: isPMS5003T,
			fields: append(append(concentrations(), counts(4)...), climate(10)...),
		},
		{
			sensor: &hpma115s0, header: plantower32, size: 32, valid: validPlantower, claims: isHPMA115S0,
			fields: []field{
				{word(1), u16, 1, 0, 0, dust("pm25", "PM2.5", 0)},
				{word(2), u16, 1, 0, 0, dust("pm10", "PM10", 0)},
			},
		},
		{
			sensor: &hpma115c0, header: plantower32, size: 32, valid: validPlantower, claims: isHPMA115C0,
			fields: compact(word(0)),
		},
		{
			sensor: &pms5003st, header: "\x42\x4D\x00\x24", size: 40, valid: validPlantower,
			fields: append(append(append(concentrations(), counts(6)...),
				field{word(12), u16, 1, 0, 0, serialbridge.Measured("formaldehyde", "Formaldehyde", microgram, "volatile_organic_compounds", 0)}),
				climate(13)...),
		},
		// Honeywell's answers to "read particle measuring results": nobody
		// asks here, but another master on the line may.
		{
			sensor: &hpma115s0, header: "\x40\x05\x04", size: 8, valid: validHoneywell,
			fields: []field{
				{3, u16, 1, 0, 0, dust("pm25", "PM2.5", 0)},
				{5, u16, 1, 0, 0, dust("pm10", "PM10", 0)},
			},
		},
		{
			sensor: &hpma115c0, header: "\x40\x0D\x04", size: 16, valid: validHoneywell,
			fields: compact(3),
		},
		{
			// The limits are those of the BME680, of its index and of the
			// index's accuracy, which shares two bytes with it.
			sensor: &mcu680, header: "\x5A\x5A\x3F\x0F", size: 20, valid: validMCU680,
			fields: []field{
				{4, i16, 100, -4000, 8500, serialbridge.Measured("temperature", "Temperature", "°C", "temperature", 1)},
				{6, u16, 100, 0, 10000, serialbridge.Measured("humidity", "Humidity", "%", "humidity", 1)},
				{8, u24, 100, 30000, 110000, serialbridge.Measured("pressure", "Pressure", "hPa", "atmospheric_pressure", 2)},
				{11, u12, 1, 0, 500, serialbridge.Measured("iaq", "Indoor air quality index", "", "aqi", 0)},
				{11, high, 1, 0, 3, serialbridge.Measured("iaq_accuracy", "Accuracy of the index", "", "", 0).AsDiagnostic()},
				{13, u32, 1000, 0, 0, serialbridge.Measured("gas_resistance", "Gas resistance", "kΩ", "", 1).AsDiagnostic()},
				{17, i16, 1, 0, 0, serialbridge.Measured("altitude", "Altitude by pressure", "m", "distance", 0).AsDiagnostic()},
			},
		},
	}
}

// word returns where the n-th number of a frame of Plantower's is.
func word(n int) int { return 4 + 2*n }

// concentrations are the first six numbers of Plantower's frames: by the factory's
// calibration (CF = 1), then as they are in the air.
func concentrations() []field {
	return []field{
		{word(3), u16, 1, 0, 0, dust("pm1", "PM1", 0)},
		{word(4), u16, 1, 0, 0, dust("pm25", "PM2.5", 0)},
		{word(5), u16, 1, 0, 0, dust("pm10", "PM10", 0)},
		{word(0), u16, 1, 0, 0, standard("pm1", "PM1")},
		{word(1), u16, 1, 0, 0, standard("pm25", "PM2.5")},
		{word(2), u16, 1, 0, 0, standard("pm10", "PM10")},
	}
}

// compact are the four concentrations of an HPMA115C0.
func compact(at int) []field {
	return []field{
		{at, u16, 1, 0, 0, dust("pm1", "PM1", 0)},
		{at + 2, u16, 1, 0, 0, dust("pm25", "PM2.5", 0)},
		{at + 4, u16, 1, 0, 0, dust("pm4", "PM4", 0)},
		{at + 6, u16, 1, 0, 0, dust("pm10", "PM10", 0)},
	}
}

// counts are the first n of Plantower's counts of particles in 0.1 litre of air.
func counts(n int) []field {
	var fields []field
	for i, size := range []struct{ key, name string }{
		{"0_3", "0.3"}, {"0_5", "0.5"}, {"1_0", "1.0"}, {"2_5", "2.5"}, {"5_0", "5.0"}, {"10_0", "10"},
	}[:n] {
		fields = append(fields, field{word(6 + i), u16, 100, 0, 0, serialbridge.Measured("particles_"+size.key, "Particles larger than "+size.name+" µm", "1/cm³", "", 2).AsDiagnostic()})
	}
	return fields
}

// climate is temperature and humidity, from the n-th number on.
func climate(n int) []field {
	return []field{
		{word(n), i16, 10, coldest, hottest, serialbridge.Measured("temperature", "Temperature", "°C", "temperature", 1)},
		{word(n + 1), u16, 10, 0, wettest, serialbridge.Measured("humidity", "Humidity", "%", "humidity", 1)},
	}
}

// Tenths of °C and of % that a sensor may tell. A house is never as dry as
// driest.
const (
	coldest = -400
	hottest = 850
	driest  = 50
	wettest = 1000
)

// dust is a concentration of particles below a size, named by Home Assistant's
// class.
func dust(class, name string, precision int) serialbridge.Property {
	return serialbridge.Measured(class, name, microgram, class, precision)
}

// standard is a concentration for which the sensor was calibrated.
func standard(class, name string) serialbridge.Property {
	p := dust(class, name+" (standard particle)", 0)
	p.Key += "_standard"
	return p.AsDiagnostic()
}
