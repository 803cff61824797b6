package homeassistant

// modelKeys are keys of single models, by model and object: what they are for is not
// told by what they expose.
var modelKeys = map[string]map[string]any{
	"BTH-RA climate": boschModes,
	"BTH-RM climate": boschRoomModes("off", "heat", "cool", "auto"), "BTH-RM230Z climate": boschRoomModes("off", "heat", "auto"),
	"DS-K02D/DS-K02E cover": {"device_class": "shutter"},
}

// boschModes make a thermostat of Bosch, whose system mode says only whether it heats or
// cools, follow its operating mode.
var boschModes = map[string]any{
	"modes":                 []string{"off", "heat", "auto"},
	"mode_state_template":   `{{ {'schedule': 'auto', 'manual': 'heat', 'pause': 'off'}.get(value_json["operating_mode"], 'off') }}`,
	"mode_command_template": `{"operating_mode": "{{ {'auto': 'schedule', 'heat': 'manual', 'off': 'pause'}.get(value, 'pause') }}"}`,
}

// boschRoomModes are those of the room thermostats, which heat or cool while they are set
// by hand.
func boschRoomModes(modes ...string) map[string]any {
	return map[string]any{
		"modes": modes,
		"mode_state_template": `{{ value_json["system_mode"] if value_json["operating_mode"] == 'manual' else ` +
			`{'schedule': 'auto', 'pause': 'off'}.get(value_json["operating_mode"], 'off') }}`,
		"mode_command_template": `{% if value in ['heat', 'cool'] %}{"operating_mode": "manual", "system_mode": "{{ value }}"}` +
			`{% else %}{"operating_mode": "{{ 'schedule' if value == 'auto' else 'pause' }}"}{% endif %}`,
	}
}
