package devices

import (
	"slices"

	"lintel/serialbridge/zigbee"
)

// What devices show that nobody has described: the exposes that the generator of
// zigbee2mqtt makes for the clusters of actuators, in its order.

const all = Published | Settable | Gettable

func binaryExpose(name string, access Access, on, off any, description string) *Expose {
	return &Expose{Type: "binary", Name: name, Property: name, Access: access, ValueOn: on, ValueOff: off, Description: description}
}

func enumExpose(name string, access Access, description string, values ...string) *Expose {
	e := &Expose{Type: "enum", Name: name, Property: name, Access: access, Description: description}
	for _, v := range values {
		e.Values = append(e.Values, v)
	}
	return e
}

func numericExpose(name string, access Access, unit, description string, bounds ...float64) *Expose {
	e := &Expose{Type: "numeric", Name: name, Property: name, Access: access, Unit: unit, Description: description}
	for i, to := range []**float64{&e.ValueMin, &e.ValueMax, &e.ValueStep} {
		if i < len(bounds) {
			*to = &bounds[i]
		}
	}
	return e
}

func compositeExpose(name, property string, access Access, description string, features ...*Expose) *Expose {
	return &Expose{Type: "composite", Name: name, Property: property, Access: access, Description: description, Features: features}
}

func generatePowerOn() *Expose {
	e := enumExpose("power_on_behavior", all, "Controls the behavior when the device is powered on after power loss",
		"off", "on", "toggle", "previous")
	e.Label, e.Category = "Power-on behavior", "config"
	return e
}

// isLight says that an endpoint is no mere switch.
func isLight(e *zigbee.Endpoint) bool {
	return slices.Contains(e.Input, clusterLevel) || slices.Contains(e.Input, clusterColor)
}

func generateSwitch(c *Context, endpoint uint8) []*Expose {
	if isLight(c.Device.Endpoint(endpoint)) {
		return nil
	}
	state := binaryExpose("state", all, "ON", "OFF", "On/off state of the switch")
	state.ValueToggle = "TOGGLE"
	return []*Expose{{Type: "switch", Features: []*Expose{state}}, generatePowerOn()}
}

// The bits of ColorCapabilities (table 5-8). A lamp that does not tell them may be
// able to do all.
const (
	canHue          = 1 << 0
	canEnhancedHue  = 1 << 1
	canXY           = 1 << 3
	canTemperature  = 1 << 4
	anyColor        = 31
	coolestAnywhere = 150
	warmestAnywhere = 500
)

func generateLight(c *Context, endpoint uint8) []*Expose {
	e := c.Device.Endpoint(endpoint)
	if !isLight(e) {
		return nil
	}
	number := func(id uint16, usual float64) float64 {
		if v, ok := c.Attribute(endpoint, clusterColor, id); ok {
			if f, ok := numeric(v); ok {
				return f
			}
		}
		return usual
	}
	var can int
	if slices.Contains(e.Input, clusterColor) {
		can = int(number(attrColorCapabilities, anyColor))
	}
	state := binaryExpose("state", all, "ON", "OFF", "On/off state of this light")
	state.ValueToggle = "TOGGLE"
	features := []*Expose{state, numericExpose("brightness", all, "", "Brightness of this light", 0, maximumBrightness)}
	if can&canTemperature != 0 {
		low, high := number(attrColorTempMin, coolestAnywhere), number(attrColorTempMax, warmestAnywhere)
		presets := temperaturePresetList(low, high)
		now := numericExpose("color_temp", all, "mired", "Color temperature of this light", low, high)
		now.Presets = presets
		start := numericExpose("color_temp_startup", all, "mired", "Color temperature after cold power on of this light", low, high)
		start.Presets = append(slices.Clone(presets), Preset{
			Name: "previous", Value: float64(previousTemperature), Description: "Restore previous color_temp on cold power on",
		})
		features = append(features, now, start)
	}
	effects := []string{"blink", "breathe", "okay", "channel_change", "finish_effect", "stop_effect"}
	if can&canXY != 0 {
		place := compositeExpose("color_xy", "color", all, "Color of this light in the CIE 1931 color space (x/y)",
			numericExpose("x", all, "", ""), numericExpose("y", all, "", ""))
		place.Label = "Color (X/Y)"
		features = append(features, place)
		if can&canHue != 0 {
			hue := compositeExpose("color_hs", "color", all, "Color of this light expressed as hue/saturation",
				numericExpose("hue", all, "", ""), numericExpose("saturation", all, "", ""))
			hue.Label = "Color (HS)"
			features = append(features, hue)
		}
		if can&canEnhancedHue != 0 {
			c.Definition.setQuirk("supportsEnhancedHue", true)
		}
		effects = append(effects, "colorloop", "stop_colorloop")
	}
	return []*Expose{
		{Type: "light", Features: features},
		enumExpose("effect", Settable, "Triggers an effect on the light (e.g. make light blink for a few seconds)", effects...),
		generatePowerOn(),
	}
}

func (d *Definition) setQuirk(name string, value any) {
	if d.Quirks == nil {
		d.Quirks = make(map[string]any)
	}
	d.Quirks[name] = value
}

func temperaturePresetList(low, high float64) []Preset {
	var presets []Preset
	for _, p := range []Preset{
		{"coolest", low, "Coolest temperature supported"},
		{"cool", 250.0, "Cool temperature (250 mireds / 4000 Kelvin)"},
		{"neutral", 370.0, "Neutral temperature (370 mireds / 2700 Kelvin)"},
		{"warm", 454.0, "Warm temperature (454 mireds / 2200 Kelvin)"},
		{"warmest", high, "Warmest temperature supported"},
	} {
		if v := p.Value.(float64); v >= low && v <= high {
			presets = append(presets, p)
		}
	}
	return presets
}

func generateIdentify(*Context, uint8) []*Expose {
	e := enumExpose("identify", Settable, "Initiate device identification", "identify")
	e.Category = "config"
	return []*Expose{e}
}

func generateBallast(*Context, uint8) []*Expose {
	return []*Expose{
		numericExpose("ballast_minimum_level", all, "", "Specifies the minimum light output of the ballast", 1, 254),
		numericExpose("ballast_maximum_level", all, "", "Specifies the maximum light output of the ballast", 1, 254),
	}
}

func generateCover(*Context, uint8) []*Expose {
	return []*Expose{{Type: "cover", Features: []*Expose{
		enumExpose("state", Published|Settable, "", "OPEN", "CLOSE", "STOP"),
		numericExpose("position", all, "%", "Position of this cover", 0, 100),
		numericExpose("tilt", all, "%", "Tilt of this cover", 0, 100),
	}}}
}

func generateLock(c *Context, endpoint uint8) []*Expose {
	c.Definition.setQuirk("pinCodeCount", float64(pinUsers(c)))
	pin := numericExpose("pin_code", Settable, "", "Pincode to set, set pincode to null to clear")
	pin.Label = "PIN code"
	kinds := enumExpose("user_type", Settable, "Type of user: unrestricted is the owner (default)",
		"unrestricted", "year_day_schedule", "week_day_schedule", "master", "non_access")
	return []*Expose{
		{Type: "lock", Features: []*Expose{
			binaryExpose("state", all, "LOCK", "UNLOCK", "State of the lock"),
			enumExpose("lock_state", Published, "Actual state of the lock", lockStates...),
		}},
		compositeExpose("pin_code", "pin_code", all, "",
			numericExpose("user", Settable, "", "User ID to set or clear the pincode for"), kinds,
			binaryExpose("user_enabled", Settable, true, false, "Whether the user is enabled/disabled"), pin),
		enumExpose("action", Published, "Triggered action on the lock", lockOperations...),
		enumExpose("action_source_name", Published, "Source of the triggered action on the lock", "keypad", "rfid", "manual", "rf"),
		numericExpose("action_user", Published, "", "ID of user that triggered the action on the lock"),
		numericExpose("auto_relock_time", all, "s",
			"The number of seconds to wait after unlocking a lock before it automatically locks again. 0=disabled", 0, 3600),
		enumExpose("sound_volume", all, "Sound volume of the lock", soundVolumes...),
	}
}

func generateFan(c *Context, endpoint uint8) []*Expose {
	// A thermostat's fan is a part of it.
	if slices.Contains(c.Device.Endpoint(endpoint).Input, clusterThermostat) {
		return nil
	}
	state := binaryExpose("state", all, "ON", "OFF", "On/off state of this fan")
	state.Property = "state"
	mode := enumExpose("mode", all, "Mode of this fan", fanModes...)
	mode.Property = "fan_mode"
	return []*Expose{{Type: "fan", Features: []*Expose{state, mode}}}
}

func generateThermostatUI(*Context, uint8) []*Expose {
	return []*Expose{
		enumExpose("temperature_display_mode", all, "Temperature display mode", temperatureDisplays...),
		enumExpose("keypad_lockout", all, "Keypad lockout mode", keypadLockouts...),
	}
}

// generateThermostat goes by what ControlSequenceOfOperation says that it can do
// (table 6-19); one that does not tell heats.
func generateThermostat(c *Context, endpoint uint8) []*Expose {
	sequence := 2.0
	if v, ok := c.Attribute(endpoint, clusterThermostat, 0x001b); ok {
		sequence, _ = numeric(v)
	}
	heats, cools := sequence >= 2, sequence < 2 || sequence >= 4 && sequence <= 5
	features := []*Expose{numericExpose("local_temperature", Published|Gettable, "°C", "Current temperature measured on the device")}
	modes, running := []string{"off"}, []string{"idle"}
	add := func(mode, property string) {
		features = append(features, numericExpose(property, all, "°C", "Temperature setpoint", 7, 30, 0.5))
		modes, running = append(modes, mode), append(running, mode)
	}
	if heats {
		add("heat", "occupied_heating_setpoint")
	}
	if cools {
		add("cool", "occupied_cooling_setpoint")
	}
	if heats && cools {
		modes = append(modes, "auto")
	}
	features = append(features,
		enumExpose("system_mode", all, "Mode of this device", modes...),
		enumExpose("running_state", Published|Gettable, "The current running state", running...))
	if slices.Contains(c.Device.Endpoint(endpoint).Input, clusterFan) {
		features = append(features, enumExpose("fan_mode", all, "Mode of the fan", "off", "low", "medium", "high", "auto"))
	}
	return []*Expose{{Type: "climate", Features: features}}
}

func generateWarning(*Context, uint8) []*Expose {
	levels := []string{"low", "medium", "high", "very_high"}
	return []*Expose{compositeExpose("warning", "warning", Settable, "",
		enumExpose("mode", Settable, "Mode of the warning (sound effect)",
			"stop", "burglar", "fire", "emergency", "police_panic", "fire_panic", "emergency_panic"),
		enumExpose("level", Settable, "Sound level", levels...),
		enumExpose("strobe_level", Settable, "Intensity of the strobe", levels...),
		binaryExpose("strobe", Settable, true, false, "Turn on/off the strobe (light) during warning"),
		numericExpose("strobe_duty_cycle", Settable, "", "Length of the flash cycle", 0, 10),
		numericExpose("duration", Settable, "s", "Duration in seconds of the alarm"),
	)}
}

func generateActions(actions []string) []*Expose {
	e := enumExpose("action", Published, "Triggered action (e.g. a button click)", actions...)
	e.Category = "diagnostic"
	return []*Expose{e}
}
