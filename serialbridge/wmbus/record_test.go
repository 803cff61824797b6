package wmbus

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge"
)

// only reads one record and returns the property that it makes.
func only(t *testing.T, m medium, text string) (serialbridge.Property, any, bool) {
	t.Helper()
	c, ok := parse(unhex(t, text))
	if !ok || len(c.records) != 1 {
		t.Fatalf("%s: %d records, %v", text, len(c.records), ok)
	}
	var r reading
	r.add(&c.records[0], c.records, m)
	if len(r.properties) == 0 {
		return serialbridge.Property{}, nil, false
	}
	p := r.properties[0]
	return p, r.values[p.Key], true
}

func TestQuantities(t *testing.T) {
	for _, test := range []struct {
		m      medium
		record string
		key    string // empty: not published
		value  any
		unit   string
		class  string
		state  string
		digits int
	}{
		// The primary table, both ends of each range.
		{electricity, "0400D2040000", "energy", 0.001234, "kWh", "energy", "total_increasing", 6},
		{electricity, "0407D2040000", "energy", 12340.0, "kWh", "energy", "total_increasing", 0},
		{heat, "0408D2040000", "energy", 0.001234, "MJ", "energy", "total_increasing", 6},
		{heat, "040FD2040000", "energy", 12340.0, "MJ", "energy", "total_increasing", 0},
		{water, "0410D2040000", "water", 0.001234, "m³", "water", "total_increasing", 6},
		{gas, "0416D2040000", "gas", 1234.0, "m³", "gas", "total_increasing", 0},
		{heat, "0417D2040000", "volume", 12340.0, "m³", "volume", "total_increasing", 0},
		{otherMedium, "0418D2040000", "mass", 1.234, "kg", "weight", "total_increasing", 3},
		{water, "0220D204", "on_time", 1234.0, "s", "duration", "", 0},
		{water, "0227D204", "operating_time", 1234.0, "d", "duration", "", 0},
		{electricity, "0328D20400", "power", 1.234, "W", "power", "measurement", 3},
		{electricity, "032FD20400", "power", 12340000.0, "W", "power", "measurement", 0},
		{heat, "0230D204", "power", 0.001234, "MJ/h", "", "measurement", 6},
		{water, "0238D204", "flow", 0.001234, "m³/h", "volume_flow_rate", "measurement", 6},
		{water, "023ED204", "flow", 1234.0, "m³/h", "volume_flow_rate", "measurement", 0},
		{water, "0247D204", "flow", 1234.0, "m³/min", "volume_flow_rate", "measurement", 0},
		{water, "024FD204", "flow", 12.34, "m³/s", "volume_flow_rate", "measurement", 2},
		{heat, "0253D204", "mass_flow", 1234.0, "kg/h", "", "measurement", 0},
		{heat, "0258D204", "flow_temperature", 1.234, "°C", "temperature", "measurement", 3},
		{heat, "025FD204", "return_temperature", 1234.0, "°C", "temperature", "measurement", 0},
		{heat, "0261F6FF", "temperature_difference", -0.1, "K", "", "measurement", 2},
		{otherMedium, "0265F6FF", "temperature", -0.1, "°C", "temperature", "measurement", 2},
		{otherMedium, "0268D204", "pressure", 1.234, "bar", "pressure", "measurement", 3},
		{heat, "026E0700", "heat_cost_units", 7.0, "", "", "total_increasing", 0},
		{heat, "027112FF", "averaging_time", -238.0, "min", "duration", "", 0},
		{heat, "02747800", "actuality_time", 120.0, "s", "duration", "", 0},
		{heat, "0C7878563412", "fabrication_number", "12345678", "", "", "", 0},
		{heat, "026C7F2C", "date", "2019-12-31", "", "date", "", 0},
		{heat, "026CE1F7", "date_yearly", "--07-01", "", "", "", 0},
		{heat, "026CFFFF", "date", nil, "", "date", "", 0},
		{heat, "046D172E8A27", "time", "2020-07-10 14:23", "", "", "", 0},
		{heat, "046D972E8A27", "time", nil, "", "", "", 0}, // invalid, says the meter
		{heat, "066D00390C742300", "time", "2019-03-20 12:57:00", "", "", "", 0},
		{heat, "066D00F90C742340", "time", nil, "", "", "", 0},

		// The table FB.
		{heat, "04FB00D2040000", "energy", 123400.0, "kWh", "energy", "total_increasing", 0},
		{heat, "04FB09D2040000", "energy", 1234000.0, "MJ", "energy", "total_increasing", 0},
		{heat, "04FB0DD2040000", "energy", 1234.0, "Mcal", "energy", "total_increasing", 0},
		{heat, "04FB11D2040000", "volume", 1234000.0, "m³", "volume", "total_increasing", 0},
		{otherMedium, "02FB1AD204", "humidity", 123.4, "%", "humidity", "measurement", 1},
		{electricity, "04FB82750A000000", "reactive_energy", 1.0, "kvarh", "", "total_increasing", 1},
		{electricity, "02FB14D204", "reactive_power", 1.234, "kvar", "reactive_power", "measurement", 3},
		{heat, "02FB28D204", "power", 123400000.0, "W", "power", "measurement", 0},
		{electricity, "02FB2E8813", "frequency", 500.0, "Hz", "frequency", "measurement", 1},
		{electricity, "02FB34D204", "apparent_power", 1.234, "kVA", "apparent_power", "measurement", 3},
		{heat, "02FB7FD204", "", nil, "", "", "", 0},

		// The table FD.
		{electricity, "02FD48E608", "voltage", 227.8, "V", "voltage", "measurement", 1},
		{electricity, "02FDC8FC01E608", "voltage_l1", 227.8, "V", "voltage", "measurement", 1},
		{electricity, "02FD59D204", "current", 1.234, "A", "current", "measurement", 3},
		{water, "01FD08FF", "transmissions", int64(255), "", "", "", 0},
		{water, "0AFD086502", "transmissions", int64(265), "", "", "", 0},
		{water, "0BFD0F030201", "software_version", "010203", "", "", "", 0},
		{water, "0DFD110341424 3", "customer", "CBA", "", "", "", 0},
		{water, "01FD1B02", "digital_inputs", "02", "", "", "", 0},
		{water, "02FD74F00A", "battery_life", 2800.0, "d", "duration", "", 0},
		{water, "01FD71B5", "radio_level", -75.0, "dBm", "signal_strength", "", 0},
		{water, "02FD7FD204", "", nil, "", "", "", 0},

		// DIF and DIFE.
		{water, "4413D2040000", "water_storage_1", 1.234, "m³", "water", "", 3},
		{water, "C40113D2040000", "water_storage_3", 1.234, "m³", "water", "", 3},
		{water, "841013D2040000", "water_tariff_1", 1.234, "m³", "water", "total_increasing", 3},
		{water, "844013D2040000", "water_unit_1", 1.234, "m³", "water", "total_increasing", 3},
		{water, "C4E17013D2040000", "water_tariff_14_unit_3_storage_3", 1.234, "m³", "water", "", 3},
		{water, "143BD2040000", "max_flow", 1.234, "m³/h", "volume_flow_rate", "", 3},
		{water, "243BD2040000", "min_flow", 1.234, "m³/h", "volume_flow_rate", "", 3},
		{water, "3413D2040000", "error_water", 1.234, "m³", "water", "", 3},

		// VIFE.
		{electricity, "04833CD2040000", "energy_export", 1.234, "kWh", "energy", "total_increasing", 3},
		{water, "04933CD2040000", "water_backward", 1.234, "m³", "water", "total_increasing", 3},
		{water, "04933BD2040000", "water_forward", 1.234, "m³", "water", "total_increasing", 3},
		{gas, "04933ED2040000", "gas_base", 1.234, "m³", "gas", "total_increasing", 3},
		{gas, "049375D2040000", "gas", 0.1234, "m³", "gas", "total_increasing", 4},
		{gas, "04937DD2040000", "gas", 1234.0, "m³", "gas", "total_increasing", 0},
		{water, "049315D2040000", "water", nil, "m³", "water", "total_increasing", 3}, // no data
		{electricity, "03ABC8FC10D20400", "", nil, "", "", "", 0},                     // upper limit
		{electricity, "03ABFF10D20400", "", nil, "", "", "", 0},

		// Data of all kinds.
		{water, "0113FF", "water", -0.001, "m³", "water", "total_increasing", 3},
		{water, "011380", "water", nil, "m³", "water", "total_increasing", 3}, // the least there is
		{water, "031340E201", "water", 123.456, "m³", "water", "total_increasing", 3},
		{water, "061340E201000000", "water", 123.456, "m³", "water", "total_increasing", 3},
		{water, "071340E2010000000000", "water", 123.456, "m³", "water", "total_increasing", 3},
		{water, "0913 99", "water", 0.099, "m³", "water", "total_increasing", 3},
		{water, "0A132301", "water", 0.123, "m³", "water", "total_increasing", 3},
		{water, "0B13563412", "water", 123.456, "m³", "water", "total_increasing", 3},
		{water, "0C13563412F0", "water", -123.456, "m³", "water", "total_increasing", 3},
		{water, "0C13FFFFFFFF", "water", nil, "m³", "water", "total_increasing", 3},
		{water, "0C13561A1200", "water", nil, "m³", "water", "total_increasing", 3},
		{water, "0E13563412000000", "water", 123.456, "m³", "water", "total_increasing", 3},
		{water, "0516CDCCCC3D", "water", 0.1, "m³", "water", "total_increasing", 0},
		{water, "0513CDCCCC3D", "water", 0.0001, "m³", "water", "total_increasing", 3},
		{water, "05130000C07F", "water", nil, "m³", "water", "total_increasing", 3}, // not a number
		{water, "0D13C3563412", "water", 123.456, "m³", "water", "total_increasing", 3},
		{water, "0D13D3563412", "water", -123.456, "m³", "water", "total_increasing", 3},
		{water, "0D13E340E201", "water", 123.456, "m³", "water", "total_increasing", 3},
		{water, "0D1303414243", "water", nil, "m³", "water", "total_increasing", 3},
		{otherMedium, "017C036C61 7305", "text_sal", 5.0, "", "", "", 0},
		{water, "0413D2040000", "water", 1.234, "m³", "water", "total_increasing", 3},
	} {
		p, value, ok := only(t, test.m, digitsOf(test.record))
		if ok != (test.key != "") {
			t.Errorf("%s: published %v", test.record, ok)
			continue
		}
		if !ok {
			continue
		}
		if p.Key != test.key || value != test.value || p.Unit != test.unit || p.Class != test.class || p.StateClass != test.state || max(0, p.Precision) != test.digits {
			t.Errorf("%s: %s = %v, %q %q %q %d\nwant %s = %v, %q %q %q %d", test.record,
				p.Key, value, p.Unit, p.Class, p.StateClass, p.Precision,
				test.key, test.value, test.unit, test.class, test.state, test.digits)
		}
	}
}

// TestClasses holds all that there is against what Home Assistant takes: the units of
// a class, and the state classes.
func TestClasses(t *testing.T) {
	units := map[string]string{
		"energy": "kWh MJ Mcal", "water": "m³", "gas": "m³", "volume": "m³", "weight": "kg", "power": "W",
		"volume_flow_rate": "m³/h m³/min m³/s", "temperature": "°C", "pressure": "bar", "humidity": "%", "duration": "s min h d",
		"voltage": "V", "current": "A", "frequency": "Hz", "reactive_power": "kvar", "apparent_power": "kVA", "signal_strength": "dBm",
		"date": "", "": "kg/h MJ/h K kvarh kVAh",
	}
	totals := "energy water gas volume weight"
	found := 0
	for _, table := range []byte{tablePrimary, tableFB, tableFD} {
		for code := range 128 {
			for m := otherMedium; m <= smoke; m++ {
				q, ok := quantityOf(&record{table: table, code: byte(code)}, m)
				if !ok {
					continue
				}
				found++
				p := q.property
				allowed, known := units[p.Class]
				if !known || p.Unit != "" && !slices.Contains(strings.Fields(allowed), p.Unit) || p.Unit == "" && allowed != "" && p.Class != "" {
					t.Errorf("%02X %02X: class %q with unit %q", table, code, p.Class, p.Unit)
				}
				if p.Class != "" && p.StateClass != "" && (p.StateClass == "total_increasing") != slices.Contains(strings.Fields(totals), p.Class) {
					t.Errorf("%02X %02X: class %q with state class %q", table, code, p.Class, p.StateClass)
				}
				if (p.Kind == serialbridge.Measurement) != (q.form == number || q.form == counter) || (p.Kind == serialbridge.State) != (p.Precision < 0) {
					t.Errorf("%02X %02X: kind %s, precision %d", table, code, p.Kind, p.Precision)
				}
				if !plain(p.Key) || p.Name == "" {
					t.Errorf("%02X %02X: %q, %q", table, code, p.Key, p.Name)
				}
			}
		}
	}
	if found < 800 {
		t.Errorf("%d quantities", found)
	}
}

func TestDates(t *testing.T) {
	for _, test := range []struct{ data, want string }{
		{"7F2C", "2019-12-31"},
		{"3D12", ""},           // 29 February 2009 was not
		{"9D12", "2012-02-29"}, // 29 February of a leap year
		{"21C1", "1997-01-01"},
		{"0000", ""},
		{"1F2E", ""}, // month 14
		{"FFFF", ""},
		{"21", ""},
	} {
		got, ok := dateG(unhex(t, test.data))
		if got != test.want || ok != (test.want != "") {
			t.Errorf("G %s: %q, want %q", test.data, got, test.want)
		}
	}
	for _, test := range []struct{ data, want string }{
		{"0F0ABC2B", "2021-11-28 10:15"},
		{"0F2ABC2B", "2021-11-28 10:15"}, // hundreds of years told
		{"3C0ABC2B", ""},                 // minute 60
		{"0F18BC2B", ""},                 // hour 24
		{"8F0ABC2B", ""},
		{"00390C742300", "2019-03-20 12:57:00"},
		{"3B3B17", "23:59:59"},
		{"3C3B17", ""},
		{"0000", ""},
	} {
		got, ok := dateTime(unhex(t, test.data))
		if got != test.want || ok != (test.want != "") {
			t.Errorf("time %s: %q, want %q", test.data, got, test.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		data    string
		records int
		maker   string
		ok      bool
	}{
		{"", 0, "", true},
		{"2F2F2F", 0, "", true},
		{"2F0113052F01130 6", 2, "", true},
		{"0113050F0102", 1, "0102", true},
		{"0113051F0102", 1, "0102", true},
		{"011305", 1, "", true},
		{"0113", 0, "", false},
		{"01", 0, "", false},
		{"81", 0, "", false},
		{"0193", 0, "", false},
		{"01FD", 0, "", false},
		{"017C05", 0, "", false},
		{"0D13", 0, "", false},
		{"0D13FF00", 0, "", false}, // reserved LVAR
		{"0D13CA00", 0, "", false},
		{"3F", 0, "", false},
		{"7F", 0, "", false},
		{"818080808080808080808000 1305", 0, "", false}, // eleven DIFE
		{"0193808080808080808080808000 05", 0, "", false},
		{"0013", 1, "", true}, // no data
		{"0813", 1, "", true}, // readout
		{"0D13F5" + string(slices.Repeat([]byte("0"), 96)), 1, "", true},
	} {
		c, ok := parse(unhex(t, digitsOf(test.data)))
		if ok != test.ok || len(c.records) != test.records || !slices.Equal(c.maker, unhex(t, test.maker)) {
			t.Errorf("%s: %v, %d records, %X", test.data, ok, len(c.records), c.maker)
		}
	}
}

// TestProfile has the forms of compact profiles.
func TestProfile(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       map[string]any
	}{
		{"absolute, months", "4C1300010000" + "4D931E0A34FE" + "01000000" + "02000000", map[string]any{
			"water_storage_1": 0.1, "water_storage_1_month_1": 0.001, "water_storage_1_month_2": 0.002}},
		{"absolute, BCD, days", "4D931E063A0112340000", map[string]any{
			"water_storage_1_value_1": 3.412, "water_storage_1_value_2": 0.0}},
		{"increments", "431364000 0" + "4D931F0471FE0102", map[string]any{
			"water_storage_1": 0.1, "water_storage_1_month_1": 0.101, "water_storage_1_month_2": 0.103}},
		{"increments on nothing", "4D931F0471FE0102", nil},
		{"differences", "4313640000" + "4D931F04F1FE0102", map[string]any{"water_storage_1": 0.1}},
		{"not there yet", "4D931E063A01FFFF0100", map[string]any{"water_storage_1_value_2": 0.001}},
		{"no field", "4D931E04300101 02", nil},
	} {
		c, ok := parse(unhex(t, digitsOf(test.data)))
		if !ok {
			t.Errorf("%s: does not parse", test.name)
			continue
		}
		var r reading
		for i := range c.records {
			r.add(&c.records[i], c.records, water)
		}
		if len(r.values) != len(test.want) || len(test.want) > 0 && !reflect.DeepEqual(r.values, test.want) {
			t.Errorf("%s: %v, want %v", test.name, r.values, test.want)
		}
	}
}

func TestStatus(t *testing.T) {
	for status, want := range map[byte]string{
		0x00: "OK", 0x01: "busy", 0x04: "low power", 0x0C: "low power, permanent error",
		0x13: "abnormal condition, temporary error", 0x80: "maker's alarm 3",
	} {
		var r reading
		r.addStatus(status)
		if r.values["status"] != want || r.values["battery_low"] != (status&4 != 0) || r.values["problem"] != (status == 0x0C || status == 0x13) {
			t.Errorf("%02X: %v", status, r.values)
		}
	}
}

// TestFormatFrame learns headers from a frame of their own.
func TestFormatFrame(t *testing.T) {
	headers := []byte{0x04, 0x13, 0x02, 0x59}
	crc := crcEN13757(headers)
	send := func(d *decoder, ci byte, payload ...byte) {
		d.Decode(amberFrame(append(append(slices.Clone(testLink), ci), payload...), false), received)
	}
	full := append(append([]byte{0x04, 0x13}, 0xD2, 0x04, 0, 0), 0x02, 0x59, 0x34, 0x08)
	fullCRC := crcEN13757(full)
	data := []byte{byte(crc), byte(crc >> 8), byte(fullCRC), byte(fullCRC >> 8), 0xD2, 0x04, 0, 0, 0x34, 0x08}

	r := &recorder{}
	d := newDecoder(r, Options{})
	send(d, ciFormatNone, append([]byte{byte(len(headers) + 2), byte(crc), byte(crc >> 8)}, headers...)...)
	send(d, ciCompactNone, data...)
	if len(r.Readings) != 1 || r.Readings[0].Values["water"] != 1.234 || r.Readings[0].Values["flow_temperature"] != 21.0 || len(r.Damage) > 0 {
		t.Errorf("%+v, damaged %q, ignored %q", r.Readings, r.Damage, r.Overheard)
	}
	bad := slices.Clone(data)
	bad[5] ^= 1
	send(d, ciCompactNone, bad...)
	send(d, ciCompactNone, data[:8]...)
	send(d, ciFormatNone, append([]byte{byte(len(headers) + 2), byte(crc), byte(crc>>8) ^ 1}, headers...)...)
	send(d, ciFormatNone, append([]byte{200, byte(crc), byte(crc >> 8)}, headers...)...)
	if want := []string{"checksum", "syntax", "checksum", "truncated"}; !slices.Equal(r.Damage, want) || len(r.Readings) != 1 {
		t.Errorf("damaged %q, want %q; %d readings", r.Damage, want, len(r.Readings))
	}
}
