package dsmr

import (
	"maps"
	"testing"
)

// valuesOf decodes one telegram and returns its values by device.
func valuesOf(t *testing.T, telegram []byte) (map[string]map[string]any, *recorder) {
	t.Helper()
	r := decode(t, telegram)
	if len(r.Damage) > 0 {
		t.Fatalf("damaged: %q", r.Damage)
	}
	values := make(map[string]map[string]any)
	for _, reading := range r.Readings {
		values[reading.Device] = reading.Values
	}
	return values, r
}

func TestObjects(t *testing.T) {
	const id = "0-0:96.1.1(4142)"
	for _, test := range []struct {
		line string
		want map[string]any
	}{
		{"1-0:1.8.0*255(00001.5*kWh)", map[string]any{"energy_import": 1.5}},
		{"1-0:1.8.0*1(00001.5*kWh)", nil}, // the register of a past month
		{"1-0:1.8.0(1.5*MWh)", map[string]any{"energy_import": 1500.0}},
		{"1-0:1.8.0(6545766*Wh)", map[string]any{"energy_import": 6545.766}},
		{"1-0:1.7.0(-000286*W)", map[string]any{"power_import": -0.286}},
		{"1-0:3.7.0(00.286*kVAr)", map[string]any{"reactive_power_import": 0.286}},
		{"1-0:1.7.0(00.286)", nil}, // no unit: of what?
		{"1-0:1.7.0(00.286*V)", nil},
		{"1-0:63.7.0(00.100*kvar)", map[string]any{"reactive_power_import_l3": 0.1}},
		{"1-0:72.36.0(00003)", map[string]any{"voltage_swells_l3": int64(3)}},
		{"0-0:17.0.0(016*A)", map[string]any{"current_limit": 16.0}},
		{"0-0:17.0.0(27.5*kVA)", map[string]any{"apparent_power_limit": 27.5}},
		{"0-0:96.14.0(0000)", map[string]any{"tariff": "0"}},
		{"0-0:96.14.0(0010)", map[string]any{"tariff": "10"}},
		{"0-0:96.3.10(0)", map[string]any{"breaker": "disconnected"}},
		{"0-0:96.3.10(2)", map[string]any{"breaker": "ready for reconnection"}},
		{"0-0:96.13.0(303132333435363738393A3B)", map[string]any{"message": "0123456789:;"}},
		{"0-0:96.13.1(3031203631203831)", map[string]any{"message_code": "01 61 81"}},
		{"0-0:96.13.0(0)", nil},
		{"0-0:1.0.0(240229235959W)", map[string]any{"meter_time": "2024-02-29T23:59:59+01:00"}},
		{"0-0:1.0.0(990229235959W)", nil}, // 2099 has no such day
		{"0-0:1.0.0(240229235959X)", nil},
		{"0-0:1.0.0(2402292359.9W)", nil},
		{"1-0:1.6.0()", nil},
		{"1-0:1.6.0(02.589*kW)", map[string]any{"peak_demand": 2.589}},
		{"1-0:99.97.0()", nil},
		{"1-0:99.97.0(0)", nil},
		{"1-0:99.97.0(0)(0-0:96.7.19)", nil},
		{"1-0:99.97.0(1)(0-0:96.7.19)(1)", nil},
		{"1-0:99.97.0(2)(0-0:96.7.19)(200101000000W)(0000000100*s)(210101000000W)(0000000200*s)",
			map[string]any{"last_power_failure_end": "2021-01-01T00:00:00+01:00", "last_power_failure_duration": 200.0}},
		{"0-0:98.1.0(0)(1-0:1.6.0)(1-0:1.6.0)()", nil},
		{"0-0:98.1.0(1)(1-0:1.6.0)(1-0:1.6.0)(200501000000S)(200423192538S)(03.695*kW)",
			map[string]any{"peak_demand_last_month": 3.695, "peak_demand_last_month_time": "2020-04-23T19:25:38+02:00"}},
	} {
		values, _ := valuesOf(t, telegramWith(id, test.line))
		if !maps.Equal(values["dsmr_AB"], test.want) {
			t.Errorf("%s: %v, want %v", test.line, values["dsmr_AB"], test.want)
		}
	}
}

func TestChannels(t *testing.T) {
	const time = "240101120000W"
	for _, test := range []struct {
		name  string
		lines []string
		id    string // of the device
		label string
		want  map[string]any
	}{
		{"empty", []string{"0-2:24.1.0(003)", "0-2:96.1.0()"}, "", "", nil},
		{"no value", []string{"0-1:24.1.0(003)", "0-1:96.1.0(4747)", "0-1:24.2.1()"}, "", "", nil},
		{"time but no value", []string{"0-1:24.1.0(003)", "0-1:96.1.0(4747)", "0-1:24.2.1(" + time + ")()"}, "", "", nil},
		{"time that cannot be", []string{"0-1:24.1.0(003)", "0-1:96.1.0(4747)", "0-1:24.2.1(632525252525S)(00000.000)"}, "", "", nil},
		{"valve alone", []string{"0-1:24.1.0(003)", "0-1:96.1.0(4747)", "0-1:24.4.0(1)"}, "", "", nil},
		{"no unit", []string{"0-1:24.1.0(003)", "0-1:96.1.0(4747)", "0-1:24.2.1(" + time + ")(00001.000)"},
			"dsmr_GG", "Gas meter", map[string]any{"gas": 1.0, "time": "2024-01-01T12:00:00+01:00"}},
		{"no type", []string{"0-1:96.1.0(4747)", "0-1:24.2.1(" + time + ")(00001.000*m3)"},
			"dsmr_GG", "Meter on M-Bus", map[string]any{"volume": 1.0, "time": "2024-01-01T12:00:00+01:00"}},
		{"no identifier", []string{"0-3:24.1.0(007)", "0-3:24.2.1(" + time + ")(00001.000*m3)"},
			"dsmr_AB_mbus3", "Water meter", map[string]any{"water": 1.0, "time": "2024-01-01T12:00:00+01:00"}},
		{"type last", []string{"0-1:24.2.1(" + time + ")(00001.000*m3)", "0-1:96.1.1(4747)", "0-1:24.1.0(6)"},
			"dsmr_GG", "Hot water meter", map[string]any{"hot_water": 1.0, "time": "2024-01-01T12:00:00+01:00"}},
		{"submeter", []string{"0-4:24.1.0(002)", "0-4:96.1.0(4747)", "0-4:24.2.1(" + time + ")(00021.123*kWh)"},
			"dsmr_GG", "Electricity submeter", map[string]any{"energy": 21.123, "time": "2024-01-01T12:00:00+01:00"}},
		{"heat", []string{"0-1:24.1.0(012)", "0-1:96.1.0(4747)", "0-1:24.2.1(" + time + ")(1234*MJ)"},
			"dsmr_GG", "Heat meter", map[string]any{"heat": 1.234, "time": "2024-01-01T12:00:00+01:00"}},
		{"cold", []string{"0-1:24.1.0(5)", "0-1:96.1.0(4747)", "0-1:24.2.1(" + time + ")(00001.000*GJ)"},
			"dsmr_GG", "Cooling meter", map[string]any{"cold": 1.0, "time": "2024-01-01T12:00:00+01:00"}},
		{"unknown unit", []string{"0-1:24.1.0(003)", "0-1:96.1.0(4747)", "0-1:24.2.1(" + time + ")(00001.000*ft3)"}, "", "", nil},
		{"DSMR 3", []string{"0-1:24.1.0(03)", "0-1:96.1.0(4747)", "0-1:24.3.0(090212160000)(00)(60)(1)(0-1:24.2.1)(m3)", "(00001.250)", "0-1:24.4.0(0)"},
			"dsmr_GG", "Gas meter", map[string]any{"gas": 1.25, "valve": "disconnected"}},
		{"DSMR 3 without value", []string{"0-1:24.1.0(03)", "0-1:96.1.0(4747)", "0-1:24.3.0(090212160000)(00)(60)(1)(0-1:24.2.1)(m3)"}, "", "", nil},
	} {
		lines := append([]string{"0-0:96.1.1(4142)", "1-0:1.8.0(1*kWh)"}, test.lines...)
		values, r := valuesOf(t, telegramWith(lines...))
		if test.id == "" {
			if len(values) != 1 {
				t.Errorf("%s: %v, want none", test.name, values)
			}
			continue
		}
		d := r.Devices[test.id]
		if !maps.Equal(values[test.id], test.want) || d.Name != test.label || d.Via != "dsmr_AB" {
			t.Errorf("%s: %q %v, want %q %v", test.name, d.Name, values, test.label, test.want)
		}
	}
}

// A heat meter may stand on two channels under one number.
func TestChannelsOfOneDevice(t *testing.T) {
	values, _ := valuesOf(t, telegramWith("0-0:96.1.1(4142)", "1-0:1.8.0(1*kWh)",
		"0-1:24.1.0(4)", "0-1:96.1.0(4747)", "0-1:24.2.1(240101120000W)(1*GJ)",
		"0-2:24.1.0(4)", "0-2:96.1.0(4747)", "0-2:24.2.1(240101120000W)(2*m3)"))
	if values["dsmr_GG"]["heat"] != 1.0 || values["dsmr_GG_2"]["volume"] != 2.0 {
		t.Errorf("%v", values)
	}
}

func TestIdentity(t *testing.T) {
	for _, test := range []struct {
		lines []string
		want  string
	}{
		{[]string{"0-0:96.1.1(204B413655303031353835353735303131)"}, "dsmr_KA6U001585575011"},
		{[]string{"0-0:96.1.1(3238313031453631373038389930337131)"}, "dsmr_3238313031453631373038389930337131"},
		{[]string{"0-0:96.1.1(27253769)"}, "dsmr_27253769"}, // decodes to punctuation
		{[]string{"0-0:96.1.1(a+b/c#d e)"}, "dsmr_a_b_c_d_e"},
		{[]string{"0-0:96.1.1(30303030)", "0-0:96.1.0(4142)"}, "dsmr_AB"},
		{[]string{"0-0:96.1.1()", "0-0:42.0.0(4142)"}, "dsmr_AB"},
		{[]string{"1-0:0.0.0(0272031312565)"}, "dsmr_0272031312565"},
		{[]string{"1-0:0.0.0(0000)", "0-0:96.1.1(00000000000000)"}, "dsmr_ABC5NAME"},
		{nil, "dsmr_ABC5NAME"},
	} {
		values, _ := valuesOf(t, telegramWith(append(test.lines, "1-0:1.8.0(1*kWh)")...))
		if _, ok := values[test.want]; !ok || len(values) != 1 {
			t.Errorf("%q: %v, want %s", test.lines, values, test.want)
		}
	}
}

func TestIdentification(t *testing.T) {
	for _, test := range []struct{ header, vendor, model string }{
		{`ISk5\2MT382-1004`, "Iskraemeco", "MT382-1004"},
		{"ISk5\x02MIE5T-200", "Iskraemeco", "MIE5T-200"},
		{"KMP5 KA6U001585575011", "Kamstrup", "KA6U001585575011"},
		{"XMX5LGBBFG1009394887", "Landis+Gyr", "LGBBFG1009394887"},
		{"NWA-WARMTELINK", "", "WARMTELINK"},
		{"ABC5", "", "ABC"},
		{"ABC5\\2", "", "ABC"},
		{"ABC\x01", "", "ABC"},
	} {
		if vendor, model := identification(test.header); vendor != test.vendor || model != test.model {
			t.Errorf("%q: %q %q, want %q %q", test.header, vendor, model, test.vendor, test.model)
		}
	}
}
