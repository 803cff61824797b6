package wmbus

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// A claim is which value stands for a published one.
type claim struct {
	key    string
	factor float64                                         // from ours to theirs; 0: 1
	same   func(values map[string]any, published any) bool // in place of key
	never  string                                          // why there is no such value
}

func is(key string) claim                           { return claim{key: key} }
func times(key string, factor float64) claim        { return claim{key: key, factor: factor} }
func neverBecause(reason string) claim              { return claim{never: reason} }
func judged(f func(map[string]any, any) bool) claim { return claim{same: f} }

// alarms compares a list of what is wrong with flags: which word is which.
func alarms(flags map[string]string) claim {
	return judged(func(values map[string]any, published any) bool {
		var set []string
		for word, key := range flags {
			v, ok := values[key].(bool)
			if !ok {
				return false
			}
			if v {
				set = append(set, word)
			}
		}
		slices.Sort(set)
		return strings.Join(set, ",") == published || len(set) == 0 && published == "no_alarm"
	})
}

// year is the length that the published values count with.
const year = 365.2425

// claims say of each kind of meter which published value is which of ours.
var claims = map[string]map[string]claim{
	"supercom587": {"total_m3": is("water"), "software_version": is("software_version"), "status": is("status")},
	"sontex868": {
		"current_consumption_hca": is("heat_cost_units"), "consumption_at_set_date_hca": is("heat_cost_units_storage_1"),
		"set_date": judged(func(values map[string]any, published any) bool {
			// Year 127 is any year.
			return published == "2127-07-01" && values["date_storage_1_yearly"] == "--07-01"
		}),
		"current_temp_c": is("flow_temperature"), "current_room_temp_c": is("temperature"),
		"max_temp_c": is("max_flow_temperature"), "max_temp_previous_period_c": is("max_flow_temperature_storage_1"),
		"device_datetime": is("time"),
	},
	"iperl": {"total_m3": is("water"), "max_flow_m3h": is("flow")},
	"amiplus": {
		"total_energy_consumption_kwh": is("energy"), "total_energy_production_kwh": is("energy_export"),
		"current_power_consumption_kw": times("power", 1e-3), "current_power_production_kw": times("power_export", 1e-3),
		"max_power_consumption_kw": times("max_power", 1e-3), "device_datetime": is("time"),
		"voltage_at_phase_1_v": is("voltage_l1"), "voltage_at_phase_2_v": is("voltage_l2"), "voltage_at_phase_3_v": is("voltage_l3"),
	},
	"mkradio4": {"total_m3": is("water"), "target_m3": is("water_set_date")},
	"vario451": {"total_kwh": times("energy", 1/3.6), "current_kwh": times("energy_since", 1/3.6), "previous_kwh": times("energy_set_date", 1/3.6)},
	"compact5": {"total_kwh": is("energy"), "current_kwh": is("energy_since"), "previous_kwh": is("energy_set_date")},
	"fhkvdataiii": {
		"current_hca": is("heat_cost_units"), "previous_hca": is("heat_cost_units_set_date"), "current_date": is("date"),
		"previous_date": is("set_date"), "temp_room_c": is("room_temperature"), "temp_radiator_c": is("radiator_temperature"),
	},
	"fhkvdataiv": profileClaims(),
	"lansensm": {
		"async_msg_id_counter": is("transmissions"), "minutes_since_last_manual_test_counter": is("number"),
		"status": judged(func(values map[string]any, published any) bool { return values["smoke"] == (published == "SMOKE") }),
	},
	"tsd2": {
		"status":    judged(func(values map[string]any, published any) bool { return values["smoke"] == (published == "SMOKE") }),
		"prev_date": is("set_date"),
	},
	"hydrus": {
		"total_m3": is("water"), "target_m3": is("water_storage_3"), "target_datetime": is("time_storage_3"), "customer": is("customer"),
		"flow_m3h": is("flow"), "remaining_battery_life_y": times("battery_life", 1/year), "status": is("status"),
		"at_date": is("date_storage_1"), "total_at_date_m3": is("water_storage_1"),
	},
	"hydrodigit": {
		"total_m3": is("water"), "meter_datetime": is("time"), "voltage_v": is("battery_voltage"), "backflow_m3": is("water_backward"),
		"contents":         neverBecause("names what is in the telegram"),
		"January_total_m3": is("water_january"), "February_total_m3": is("water_february"), "March_total_m3": is("water_march"),
		"April_total_m3": is("water_april"), "May_total_m3": is("water_may"), "June_total_m3": is("water_june"),
		"July_total_m3": is("water_july"), "August_total_m3": is("water_august"), "September_total_m3": is("water_september"),
		"October_total_m3": is("water_october"), "November_total_m3": is("water_november"), "December_total_m3": is("water_december"), "leak_date": is("leak_date"),
	},
	"q400": {
		"total_m3": is("water"), "meter_datetime": is("time"), "set_datetime": is("time_storage_1"),
		"consumption_at_set_date_m3": is("water_storage_1"), "total_forward_m3": is("water_forward"), "total_backward_m3": is("water_backward"),
		"flow_temperature_c": is("flow_temperature"), "volume_flow_m3h": is("flow"), "forward_at_set_date_m3": is("water_forward_storage_1"),
		"backward_at_set_date_m3": is("water_backward_storage_1"), "battery_pct": is("battery"), "status": is("status"),
	},
	"ehzp": {
		"status": is("status"), "on_time_h": times("on_time", 1.0/3600), "total_energy_consumption_kwh": is("energy"),
		"current_power_consumption_kw": times("power", 1e-3), "total_energy_production_kwh": is("energy_export"),
	},
	"apator08": {"total_m3": is("water")},
	"rfmtx1":   {"total_m3": is("water"), "meter_datetime": is("time")},
	"waterstarm": {
		"meter_datetime": is("time"), "total_m3": is("water"), "total_backwards_m3": is("water_backward"), "status": is("status"),
		"meter_version": is("model_version"), "parameter_set": is("parameter_set"),
	},
	"topaseskr": {
		"total_m3": is("water"), "access_counter": is("transmissions"), "temperature_c": is("flow_temperature"), "current_flow_m3h": is("flow"),
		"volume_year_period_m3": is("water_storage_1"), "reverse_volume_year_period_m3": is("water_tariff_1_storage_1"),
		"meter_year_period_end_date": is("date_storage_1"), "volume_month_period_m3": is("water_storage_3"),
		"meter_month_period_end_datetime": is("time_storage_3"), "battery_y": times("battery_life", 1/year),
	},
	"sensostar": {
		"meter_datetime": is("time"), "status": is("status"), "total_kwh": is("energy"), "total_water_m3": is("volume"), "target_kwh": is("energy_storage_1"),
		"target_2_kwh": is("energy_storage_2"), "target_3_kwh": is("energy_storage_3"), "target_4_kwh": is("energy_storage_4"),
		"target_5_kwh": is("energy_storage_5"), "target_6_kwh": is("energy_storage_6"), "target_7_kwh": is("energy_storage_7"),
		"target_8_kwh": is("energy_storage_8"), "target_9_kwh": is("energy_storage_9"), "target_10_kwh": is("energy_storage_10"),
		"target_11_kwh": is("energy_storage_11"), "target_12_kwh": is("energy_storage_12"), "target_13_kwh": is("energy_storage_13"),
		"target_14_kwh": is("energy_storage_14"), "target_15_kwh": is("energy_storage_15"),
	},
	"ev200": {"total_m3": is("water"), "target_m3": is("water_storage_1")},
	"sharky": {
		"total_energy_consumption_kwh": is("energy"), "total_energy_consumption_tariff1_kwh": is("energy_tariff_1"), "total_volume_m3": is("volume"),
		"total_volume_tariff2_m3": is("volume_tariff_2"), "volume_flow_m3h": is("flow"), "power_kw": times("power", 1e-3),
		"flow_temperature_c": is("flow_temperature"), "return_temperature_c": is("return_temperature"),
		"temperature_difference_c": is("temperature_difference"), "status": is("status"),
	},
	"elf": {
		"status": judged(func(values map[string]any, published any) bool {
			flags, _ := values["error_flags"].(string)
			return published == "ERROR_FLAGS_"+strings.TrimLeft(flags, "0") && values["error"] == true
		}),
		"meter_date": is("date"), "total_energy_consumption_kwh": is("energy"), "current_power_consumption_kw": times("power", 1e-3),
		"total_volume_m3": is("volume"), "total_energy_consumption_at_date_kwh": is("energy_storage_1"), "flow_temperature_c": is("flow_temperature"),
		"return_temperature_c": is("return_temperature"), "external_temperature_c": is("temperature"), "operating_time_h": times("operating_time", 24),
		"version": is("model_version"), "battery_v": is("voltage"),
	},
	"izar": {
		"total_m3": is("water"), "last_month_total_m3": is("water_last_month"), "last_month_measure_date": is("last_month_date"),
		"remaining_battery_life_y": is("battery_life"), "transmit_period_s": is("transmit_period"),
		"current_alarms": alarms(map[string]string{"leakage": "leakage", "meter_blocked": "blocked", "back_flow": "back_flow", "underflow": "underflow",
			"overflow": "overflow", "submarine": "submerged", "sensor_fraud": "sensor_fraud", "mechanical_fraud": "fraud"}),
		"previous_alarms": alarms(map[string]string{"leakage": "leakage_before", "sensor_fraud": "sensor_fraud_before", "mechanical_fraud": "fraud_before"}),
		"prefix": judged(func(values map[string]any, published any) bool {
			label, _ := values["label"].(string)
			prefix, _ := published.(string)
			return len(prefix) == 5 && strings.HasPrefix(label, prefix)
		}),
		"serial_number": judged(func(values map[string]any, published any) bool {
			label, _ := values["label"].(string)
			return len(label) == 11 && label[5:] == published
		}),
		"manufacture_year": neverBecause("stands on the label: C19…"),
	},
	"multical21": {
		"total_m3": is("water"), "target_m3": is("water_storage_1"), "flow_temperature_c": judged(func(values map[string]any, published any) bool {
			return is("min_flow_temperature_storage_1").agrees(values, published) || is("min_flow_temperature_storage_2").agrees(values, published)
		}),
		"external_temperature_c": is("min_temperature_storage_1"), "max_flow_m3h": is("max_flow_storage_2"),
		"current_status": judged(func(values map[string]any, published any) bool {
			return values["dry"] == (published == "DRY") && values["leak"] == false && values["burst"] == false && values["reverse_flow"] == false
		}),
	},
	"qcaloric": {
		"status": is("status"), "current_consumption_hca": is("heat_cost_units"), "set_date": is("date_storage_1"),
		"consumption_at_set_date_hca": is("heat_cost_units_storage_1"), "set_date_17": is("date_storage_17"),
		"consumption_at_set_date_17_hca": is("heat_cost_units_storage_17"), "error_date": is("error_date"), "device_date_time": is("time"),
	},
	"cma12w": {
		"software_version": is("software_version"), "status": is("status"), "current_temperature_c": is("temperature"),
		"average_temperature_1h_c": is("temperature_storage_1"),
		"battery": judged(func(values map[string]any, published any) bool {
			// 3.30 V, as bits of the digital inputs.
			return published == "BATTERY_330" && values["digital_inputs"] == "0330"
		}),
	},
	"ei6500": {
		"status": is("status"), "software_version": is("software_version"), "message_datetime": is("time"), "last_alarm_date": is("date_tariff_1_unit_1"),
		"alarm_counter": is("cumulations_tariff_1_unit_1"), "installation_date": is("date_tariff_2"), "removed_counter": is("cumulations_tariff_2_unit_1"),
		"last_remove_date": is("date_tariff_2_unit_1"), "duration_removed_h": times("tariff_duration_tariff_2_unit_1", 1.0/60),
		"test_button_counter": is("cumulations_tariff_3_unit_1"), "test_button_last_date": is("date_tariff_3_unit_1"),
	},
	"minomess": {"meter_date": is("date"), "total_m3": is("water"), "target_date": is("date_storage_8"), "status": is("status")},
	"weh_07":   {"total_m3": is("water")},
	"hydrocalm3": {
		"status": judged(func(values map[string]any, published any) bool {
			// The maker's bit 7: the standard has no name for it.
			return published == "SABOTAGE_ENCLOSURE" && values["status"] == "maker's alarm 3"
		}),
		"total_heating_kwh": times("energy", 1/3.6), "total_cooling_kwh": times("energy_2", 1/3.6), "device_datetime": is("time"),
		"total_heating_m3": is("volume"), "total_cooling_m3": is("volume_2"), "c1_volume_m3": is("volume_3"), "c2_volume_m3": is("volume_4"),
		"supply_temperature_c": is("flow_temperature"), "return_temperature_c": is("return_temperature"),
	},
	"qheat": {
		"status": is("status"), "total_energy_consumption_kwh": is("energy"), "last_month_date": is("date_storage_17"),
		"last_month_energy_consumption_kwh": is("energy_storage_17"), "last_year_date": is("date_storage_1"),
		"last_year_energy_consumption_kwh": is("energy_storage_1"), "device_date_time": is("time"), "device_error_date": is("error_date"),
	},
	"qsmoke": {
		"status":          judged(func(values map[string]any, published any) bool { return published == "OK" && values["error"] == false }),
		"last_alarm_date": is("date_storage_6"), "alarm_counter": is("text_al_storage_6"), "message_datetime": is("time"),
		"test_button_last_date": is("date_storage_4"), "test_button_counter": is("text_ui_storage_4"), "transmission_counter": is("transmissions"),
		"at_error_date": is("error_date"), "some_sort_of_duration_h": times("since_readout_future", 1.0/3600),
	},
}

// profileClaims are those of a heat cost allocator with a compact profile of fourteen
// increments. They are published the newest first under the oldest date; in the
// telegram they follow on the value of October 2019, and 3 and 22 of the last two
// months make the 25 of the set date, 2020-12-31.
func profileClaims() map[string]claim {
	c := map[string]claim{
		"status": is("status"), "current_consumption_hca": is("heat_cost_units"), "set_date": is("date_storage_1"),
		"consumption_at_set_date_hca": is("heat_cost_units_storage_1"), "set_date_8": is("date_storage_8"),
	}
	const base = "heat_cost_units_storage_8"
	for i := 1; i <= 14; i++ {
		n := strconv.Itoa(i)
		c["consumption_at_set_date_"+n] = neverBecause("follows from the date of storage 8")
		at, before := base+"_month_"+strconv.Itoa(15-i), base+"_month_"+strconv.Itoa(14-i)
		if i == 14 {
			before = base
		}
		c["consumption_at_set_date_"+n+"_hca"] = judged(func(values map[string]any, published any) bool {
			later, ok := values[at].(float64)
			earlier, _ := values[before].(float64)
			return ok && later-earlier == published && values[base+"_month_14"] == 25.0
		})
	}
	return c
}

// agrees reports whether a value is what is published: numbers are rounded there to
// six decimals, times to minutes.
func (c claim) agrees(values map[string]any, published any) bool {
	if c.same != nil {
		return c.same(values, published)
	}
	value, ok := values[c.key]
	if !ok {
		return false
	}
	switch v := value.(type) {
	case nil:
		return published == nil || published == ""
	case string:
		p, _ := published.(string)
		return v == p || strings.HasPrefix(v, p+":") || strings.EqualFold(strings.ReplaceAll(v, " ", "_"), p)
	case float64:
		p, ok := published.(float64)
		f := c.factor
		if f == 0 {
			f = 1
		}
		return ok && math.Abs(v*f-p) <= 6e-7*max(1, math.Abs(p)/1e3)
	case int64:
		return published == float64(v)
	}
	return false
}
