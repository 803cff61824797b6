package judge

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

type vector struct {
	Topic, Payload, Verdict, Reason string
	Ignored                         []string `json:"ignored_keys"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/homeassistant_discovery.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []vector
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// TestVectors: every message is judged as Home Assistant judged it.
func TestVectors(t *testing.T) {
	agreed := 0
	cases := vectors(t)
	for _, c := range cases {
		v := Judge(c.Topic, []byte(c.Payload))
		accepted := v.Accepted && len(v.Lost) == 0
		if accepted != (c.Verdict == "accepted") {
			t.Errorf("%s: %s (%s), but judged %+v", c.Topic, c.Verdict, c.Reason, v)
			continue
		}
		if accepted && !slices.Equal(v.Dropped, c.Ignored) {
			t.Errorf("%s: dropped %q, want %q", c.Topic, v.Dropped, c.Ignored)
			continue
		}
		agreed++
	}
	if agreed != len(cases) || agreed != 49 {
		t.Errorf("agreed on %d of %d messages; there are 49", agreed, len(cases))
	}
}

// TestRules has a message for each rule of the notes on Home Assistant's schemas that
// no vector has.
func TestRules(t *testing.T) {
	const sensor, number = `"stat_t":"a"`, `"cmd_t":"a"`
	const modes = `"pr_mode_cmd_t":"a","pr_modes":`
	tests := []struct {
		component, payload string // without the braces
		want               string // empty: clean; "!…": a warning or a dropped key; else the reason
	}{
		{"sensor", sensor, ""},
		{"sensor", sensor + `,"dev_cla":"POWER","unit_of_meas":"W"`, ""},
		{"sensor", sensor + `,"dev_cla":"enum","ops":[]`, "options are empty"},
		{"sensor", sensor + `,"ops":["a"]`, "options are empty"},
		{"sensor", sensor + `,"dev_cla":"enum","ops":["a"],"unit_of_meas":"W"`, "options are empty"},
		{"sensor", sensor + `,"dev_cla":"enum","ops":["a"]`, ""},
		{"sensor", sensor + `,"lrst_val_tpl":"{{ 1 }}","stat_cla":"measurement"`, "last_reset_value_template"},
		{"sensor", sensor + `,"stat_cla":"measurement_angle","unit_of_meas":"deg"`, "measurement_angle"},
		{"sensor", sensor + `,"stat_cla":"average"`, "state_class"},
		{"sensor", sensor + `,"dev_cla":"temperature","unit_of_meas":"°C","stat_cla":"total"`, "!state_class total"},
		{"sensor", sensor + `,"dev_cla":"voltage","unit_of_meas":"µV"`, ""},
		{"sensor", sensor + `,"dev_cla":"ph","unit_of_meas":"pH"`, "unit"},
		{"sensor", sensor + `,"dev_cla":"timestamp","unit_of_meas":"s"`, "!device_class timestamp"},
		{"sensor", sensor + `,"exp_aft":-1`, "expire_after"},
		{"sensor", sensor + `,"sug_dsp_prc":1.5`, "suggested_display_precision"},
		{"sensor", sensor + `,"ent_cat":"diagnostics"`, "entity_category"},
		{"sensor", sensor + `,"name":null,"dev_cla":null`, ""},
		{"sensor", sensor + `,"name":["a"]`, "name"},
		{"sensor", sensor + `,"uniq_id":null`, "unique_id"},
		{"sensor", sensor + `,"uniqe_id":"a"`, "!dropped without a word: [\"uniqe_id\"]"},
		{"sensor", sensor + `,"object_id":"a"`, "!object_id is deprecated"},
		{"sensor", sensor + `,"ent_pic":"a.png"`, "entity_picture"},
		{"sensor", sensor + `,"avty_t":"a","avty":[{"t":"b"}]`, "both availability"},
		{"sensor", sensor + `,"avty":{"t":"b"},"avty_mode":"all"`, ""},
		{"sensor", sensor + `,"avty":[{"t":"b","x":1}]`, "availability: unknown key"},
		{"sensor", sensor + `,"avty":[{}]`, "availability: required key topic"},
		{"sensor", sensor + `,"avty_mode":"some"`, "availability_mode"},
		{"sensor", `"stat_t":""`, "empty"},
		{"sensor", `"stat_t":"a/#/b"`, "wildcard"},
		{"sensor", `"stat_t":"a/b+"`, "wildcard"},
		{"sensor", `"stat_t":"+/a/#"`, ""},
		{"sensor", `"stat_t":"a\u0000"`, "control"},
		{"sensor", sensor + `,"val_tpl":"{{ value_json.a"`, "value_template"},
		{"sensor", sensor + `,"dev":{"ids":"a","nme":"b"}`, "unknown key"},
		{"sensor", sensor + `,"dev":{"ids":"a","sw":1}`, ""},
		{"sensor", sensor + `,"dev":{"ids":[]}`, "neither"},
		{"sensor", sensor + `,"dev":{"cns":["mac","a"]}`, "pairs"},
		{"sensor", sensor + `,"dev":{"cns":[["mac","a"]]}`, ""},
		{"sensor", sensor + `,"o":{"name":"a","url":"b"}`, "support_url"},
		{"binary_sensor", sensor + `,"ent_cat":"config"`, "entity_category"},
		{"binary_sensor", sensor + `,"dev_cla":"leak"`, "device_class"},
		{"button", `"cmd_t":"a/+"`, "wildcard"},
		{"button", number + `,"dev_cla":"restart"`, ""},
		{"number", number + `,"min":1,"max":1`, "!max = min"},
		{"number", number + `,"step":0.0001`, "step"},
		{"number", number + `,"mode":"knob"`, "mode"},
		{"number", number + `,"dev_cla":"temperature","unit_of_meas":"W"`, "!unit"},
		{"number", number + `,"dev_cla":"timestamp"`, "device_class"},
		{"text", number + `,"min":9,"max":3`, "min > max"},
		{"text", number + `,"ptrn":"("`, "pattern"},
		{"text", number + `,"ptrn":"(?=a)b"`, ""},
		{"select", number + `,"ops":[]`, "!options is empty"},
		{"select", number, "required key options"},
		{"cover", `"set_pos_t":"a"`, "without position_topic"},
		{"cover", `"val_tpl":"{{ 1 }}"`, "without state_topic"},
		{"cover", `"tilt_status_tpl":"{{ 1 }}"`, "without tilt_status_topic"},
		{"cover", `"cmd_t":"a","pl_stop":null,"dev_cla":"blind"`, ""},
		{"valve", `"pos":true,"stat_closed":"c","stat_clsd":"c"`, "reports_position"},
		{"climate", modes + `["none"]`, "contains none"},
		{"climate", `"pr_modes":["a"]`, "without preset_mode_command_topic"},
		{"climate", `"pr_mode_cmd_t":"a"`, "without preset_modes"},
		{"climate", `"min_hum":50,"max_hum":40`, "min_humidity"},
		{"climate", `"max_hum":101`, "max_humidity"},
		{"climate", `"hum_stat_t":"a"`, "without target_humidity_command_topic"},
		{"climate", `"temp_unit":"K"`, "temperature_unit"},
		{"climate", `"modes":["warm"]`, "!mode warm"},
		{"climate", `"precision":0.2`, "precision"},
		{"humidifier", number + `,"hum_cmd_t":"a","modes":["a"]`, "without mode_command_topic"},
		{"humidifier", number + `,"hum_cmd_t":"a","mode_cmd_t":"a","modes":["None"]`, "payload_reset_mode"},
		{"humidifier", number + `,"hum_cmd_t":"a","min_hum":9,"max_hum":9`, "min_humidity"},
		{"fan", number + `,"spd_rng_min":0`, "speed_range_min"},
		{"fan", number + `,"spd_rng_max":1`, "speed_range_min"},
		{"fan", number + `,"pr_modes":["a"]`, "without preset_mode_command_topic"},
		{"fan", number + "," + modes + `["None"]`, "payload_reset_preset_mode"},
		{"image", `"cont_type":"image/png"`, "neither or both"},
		{"image", `"url_t":"a","cont_type":"image/png"`, "content_type"},
		{"device_tracker", `"pl_home":"a"`, "neither"},
		{"device_tracker", `"json_attr_t":"a","src_type":"gps"`, ""},
		{"device_tracker", `"stat_t":"a","src_type":"nose"`, "source_type"},
		{"light", number + `,"schema":"json","sup_clrm":["onoff","rgb"]`, "supported_color_modes"},
		{"light", number + `,"schema":"json","sup_clrm":["white"]`, "supported_color_modes"},
		{"light", number + `,"schema":"json","sup_clrm":["red"]`, "supported_color_modes"},
		{"light", number + `,"schema":"json","sup_clrm":["rgb","rgb"]`, "twice"},
		{"light", number + `,"schema":"json","bri_scl":0`, "brightness_scale"},
		{"light", number + `,"schema":"json","color_mode":true`, "!dropped"},
		{"light", number + `,"schema":"json","bri_cmd_t":"a"`, "!dropped"},
		{"light", number + `,"bri_cmd_t":"a"`, ""},
		{"light", number + `,"schema":"template"`, "required key command_off_template"},
		{"lock", number + `,"cod_form":"["`, "code_format"},
		{"vacuum", `"sup_feat":["fly"]`, "supported_features"},
		{"vacuum", `"sup_feat":["start"]`, ""},
		{"alarm_control_panel", sensor + "," + number + `,"sup_feat":["arm"]`, "supported_features"},
		{"update", sensor + `,"cmd_t":"a"`, "!command_topic without payload_install"},
		{"event", sensor + `,"evt_typ":[]`, "!event_types is empty"},
		{"device_automation", `"atype":"action","type":"a","stype":"b","t":"c","dev":{"ids":"d"}`, "automation_type"},
		{"device_automation", `"atype":"trigger","type":"a","stype":"b","t":"c"`, "required key device"},
		{"device_automation", `"atype":"trigger","type":"a","stype":"b","t":"c","dev":{"ids":"d"},"uniq_id":"e"`, "!dropped"},
		{"tag", `"t":"a","dev":{"ids":"d"}`, ""},
		{"siren", number + `,"sup_dur":"maybe"`, "support_duration"},
	}
	for _, tt := range tests {
		v := Judge("homeassistant/"+tt.component+"/a/config", []byte("{"+tt.payload+"}"))
		got := ""
		if err := v.Clean(); err != nil {
			got = err.Error()
		}
		warned := strings.HasPrefix(tt.want, "!")
		if want := strings.TrimPrefix(tt.want, "!"); !strings.Contains(got, want) || want == "" && got != "" || v.Accepted != (warned || want == "") {
			t.Errorf("%s %s: %q, want %q", tt.component, tt.payload, got, tt.want)
		}
	}
}

func TestDeviceForm(t *testing.T) {
	const head = `"dev":{"ids":"d"},"o":{"name":"l"}`
	tests := []struct{ root, want string }{
		{head + `,"cmps":{}`, ""},
		{head + `,"cmps":{"a":{"p":"sensor","uniq_id":"u","stat_t":"t"}}`, ""},
		{head + `,"stat_t":"t","cmps":{"a":{"p":"sensor","uniq_id":"u"},"b":{"p":"tag","t":"x"}}`, ""},
		{head + `,"cmd_t":"t","cmps":{"a":{"p":"sensor","uniq_id":"u","stat_t":"t"}}`, ""}, // inherited where it is not known
		{head + `,"cmps":{"a":{"p":"sensor","uniq_id":"u"}}`, "component a is lost: required key state_topic missing"},
		{head + `,"stat_t":"t","cmps":{"a":{"p":"sensor","uniq_id":"u"},"b":{"p":"sensor","uniq_id":"u"}}`, "b: has the unique_id of a"},
		{head + `,"stat_t":"t","cmps":{"a":{"p":"sensor","uniq_id":"u"},"b":{"p":"event","uniq_id":"u","evt_typ":["x"]}}`, ""},
		{head + `,"cmps":{"a":{"p":"thermostat","uniq_id":"u"}}`, "no platform"},
		{head + `,"cmps":{"a":7}`, "not an object"},
		{head + `,"cmps":[]`, "not an object"},
		{head + `,"qos":1,"cmps":{}`, "does nothing"},
		{head + `,"qos":3,"cmps":{}`, "qos"},
		{head + `,"name":"n","cmps":{}`, "unknown key"},
		{head + `,"ret":true,"cmps":{}`, "unknown key"},
		{head + `,"stat_t":"#/a","cmps":{}`, "wildcard"},
		{head + `,"avty_t":"a","avty":[{"t":"b"}],"cmps":{}`, "both"},
		{`"o":{"name":"l"},"cmps":{}`, "required key device missing"},
		{`"dev":{"ids":"d"},"o":{"name":"l","by":"x"},"cmps":{}`, "origin: unknown key"},
		{head + `,"stat_t":"t","cmps":{"a":{"p":"sensor","uniq_id":"u","~":"x","avty":[{"t":"~/b+"}]}}`, "lost"},
	}
	for _, tt := range tests {
		got := ""
		if err := Judge("homeassistant/device/a/config", []byte("{"+tt.root+"}")).Clean(); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", tt.root, got, tt.want)
		}
	}
	v := Judge("homeassistant/device/a/config", []byte("{"+head+`,"cmps":{"b":{"p":"sensor"},"a":{"platform":"tag"}}}`))
	if !v.Accepted || !slices.Equal(v.Removed, []string{"a", "b"}) {
		t.Errorf("%+v, want a and b removed", v)
	}
}

func TestMessages(t *testing.T) {
	for _, tt := range []struct {
		topic, payload string
		accepted       bool
	}{
		{"homeassistant/sensor/a/config", "", true},
		{"homeassistant/device/a/config", `{"migrate_discovery":true}`, true},
		{"homeassistant/sensor/a/config", `{"migrate_discovery":true}`, true},
		{"a/b/sensor/c/d/config", `{"stat_t":"x"}`, true},
		{"homeassistant/sensor/sensor/c/config", `{"stat_t":"x"}`, true},
		{"homeassistant/sensor/a b/config", `{"stat_t":"x"}`, false},
		{"homeassistant/sensor/config", `{"stat_t":"x"}`, false},
		{"sensor/a/config", `{"stat_t":"x"}`, false},
		{"homeassistant/sensor/a/config", `{"stat_t":"x"`, false},
		{"homeassistant/sensor/a/config", `[]`, false},
		{"homeassistant/sensor/a/config", `null`, false},
		{"homeassistant/sensor/a/config", "{\"stat_t\":\"\xff\"}", false},
		{"homeassistant/sensor/a/config", `{"stat_t":"x","name":"` + strings.Repeat("a", maxPayload) + `"}`, false},
	} {
		if v := Judge(tt.topic, []byte(tt.payload)); v.Accepted != tt.accepted {
			t.Errorf("%s %.40s: %+v", tt.topic, tt.payload, v)
		}
	}
}

// FuzzJudge: a verdict on any bytes is complete, and the same each time.
func FuzzJudge(f *testing.F) {
	for _, c := range vectors(f) {
		f.Add(c.Topic, []byte(c.Payload))
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		v := Judge(topic, payload)
		if v.Accepted != (v.Reason == "") {
			t.Errorf("accepted %v, reason %q", v.Accepted, v.Reason)
		}
		if again := Judge(topic, payload); again.Accepted != v.Accepted || !slices.Equal(again.Dropped, v.Dropped) || len(again.Lost) != len(v.Lost) {
			t.Errorf("%+v, then %+v", v, again)
		}
	})
}
