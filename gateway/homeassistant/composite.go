package homeassistant

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"lintel/serialbridge"
)

// composite fills in a component of a kind that is several things in one. Such a
// property is commanded on a topic of its own, with a word or an object.
func (c component) composite(p serialbridge.Property, t topics) error {
	switch p.Kind {
	case serialbridge.Light:
		return c.light(p, t)
	case serialbridge.Cover:
		c.cover(p, t)
	case serialbridge.Valve:
		c.valve(p, t)
	case serialbridge.Climate:
		return c.climate(p, t)
	case serialbridge.Lock:
		c.lock(p, t)
	case serialbridge.Fan:
		return c.fan(p, t)
	case serialbridge.Siren:
		c.siren(p, t)
	default:
		return fmt.Errorf("unknown kind %q", p.Kind)
	}
	return nil
}

// member is the expression of one member of a property's value.
func member(p serialbridge.Property, name string) string {
	return "(value_json.get('" + p.Key + "') or {}).get('" + name + "')"
}

// shown renders a member; None is what every platform takes as unknown.
func shown(p serialbridge.Property, name string) string { return "{{ " + member(p, name) + " }}" }

// ifKnown renders nothing where None would be taken for a bad number.
func ifKnown(p serialbridge.Property, name string) string {
	return "{% set v = " + member(p, name) + " %}{{ '' if v is none else v }}"
}

// set is a command that sets one member; its value is a number or the word true or
// false.
func set(name string) string { return `{"` + name + `":{{ value }}}` }

// setWord is a command that sets one member to a text.
func setWord(name string) string { return `{"` + name + `":{{ value | to_json }}}` }

// light is in the schema json, which reads and writes one object. It cannot be found
// inside of another one: it has a topic of its own.
func (c component) light(p serialbridge.Property, t topics) error {
	c["p"], c["schema"] = "light", "json"
	c["stat_t"], c["cmd_t"] = t.own(), t.command()
	var modes []string
	switch {
	case p.Has(serialbridge.RGBW):
		modes = append(modes, "rgbw")
	case p.Has(serialbridge.RGB):
		modes = append(modes, "rgb")
	}
	if p.Has(serialbridge.ColorTemperature) {
		if !(p.Min >= 1 && p.Min < p.Max) {
			return fmt.Errorf("color temperatures from %v to %v kelvin", p.Min, p.Max)
		}
		modes = append(modes, "color_temp")
		c["clr_temp_k"], c["min_k"], c["max_k"] = true, int(p.Min), int(math.Ceil(p.Max))
	}
	switch {
	case len(modes) > 0: // all others have brightness too
		c["brightness"] = true
	case p.Has(serialbridge.Brightness):
		c["brightness"] = true
		modes = []string{"brightness"}
	default:
		modes = []string{"onoff"}
	}
	c["sup_clrm"] = modes
	if len(p.Options) > 0 {
		c["effect"], c["fx_list"] = true, p.Options
	}
	// Both are taken for granted where nothing is said.
	c["flsh"], c["trns"] = false, p.Has(serialbridge.Transition)
	return nil
}

func (c component) cover(p serialbridge.Property, t topics) {
	c["p"], c["cmd_t"] = "cover", t.command()
	c["pl_open"], c["pl_cls"], c["pl_stop"] = "open", "close", nil
	if p.Has(serialbridge.Stop) {
		c["pl_stop"], c["pl_stop_tilt"] = "stop", "stop"
	}
	c["stat_t"], c["val_tpl"] = t.state(), shown(p, "state")
	if p.Has(serialbridge.Position) {
		// A blind that tells its position alone is open or closed all the same.
		c["val_tpl"] = "{% set c = value_json.get('" + p.Key + "') or {} %}{% set at = c.get('position') %}" +
			"{{ c.get('state') or (none if at is none else 'closed' if at == 0 else 'open') }}"
		c["pos_t"], c["pos_tpl"] = t.state(), ifKnown(p, "position")
		c["set_pos_t"], c["set_pos_tpl"] = t.command(), set("position")
	}
	if p.Has(serialbridge.Tilt) {
		c["tilt_status_t"], c["tilt_status_tpl"] = t.state(), ifKnown(p, "tilt")
		c["tilt_cmd_t"], c["tilt_cmd_tpl"] = t.command(), set("tilt")
	}
}

func (c component) valve(p serialbridge.Property, t topics) {
	c["p"], c["cmd_t"], c["stat_t"] = "valve", t.command(), t.state()
	if p.Has(serialbridge.Stop) {
		c["pl_stop"] = "stop"
	}
	if !p.Has(serialbridge.Position) {
		c["pl_open"], c["pl_cls"] = "open", "close"
		// Home Assistant knows no valve that has stopped half-way.
		c["val_tpl"] = "{% set s = " + member(p, "state") + " %}{{ 'open' if s == 'stopped' else s }}"
		return
	}
	// The position and the word to stop come through one template. Without a
	// position there must be no object.
	c["pos"] = true
	c["cmd_tpl"] = `{% if value == 'stop' %}stop{% else %}{"position":{{ value }}}{% endif %}`
	c["val_tpl"] = "{% set v = value_json.get('" + p.Key + "') or {} %}" +
		"{% if v.get('position') is not none %}{{ {'position': v.get('position'), 'state': v.get('state')} | to_json }}{% endif %}"
}

// climateModes are those that Home Assistant knows; it does not show another one.
var climateModes = []string{"off", "heat", "cool", "heat_cool", "auto", "dry", "fan_only"}

func (c component) climate(p serialbridge.Property, t topics) error {
	c["p"] = "climate"
	if len(p.Options) == 0 {
		return errors.New("a climate without modes")
	}
	for _, mode := range p.Options {
		if !slices.Contains(climateModes, mode) {
			return fmt.Errorf("there is no mode %q in Home Assistant", mode)
		}
	}
	c["modes"], c["mode_cmd_t"], c["mode_cmd_tpl"] = p.Options, t.command(), setWord("mode")
	c["mode_stat_t"], c["mode_stat_tpl"] = t.state(), shown(p, "mode")
	temperature := func(has bool, key, name string) {
		if has {
			c[key+"_cmd_t"], c[key+"_cmd_tpl"] = t.command(), set(name)
			c[key+"_stat_t"], c[key+"_stat_tpl"] = t.state(), shown(p, name)
		}
	}
	temperature(p.Has(serialbridge.Setpoint), "temp", "temperature")
	temperature(p.Has(serialbridge.SetpointRange), "temp_lo", "temperature_low")
	temperature(p.Has(serialbridge.SetpointRange), "temp_hi", "temperature_high")
	if p.Has(serialbridge.Setpoint) || p.Has(serialbridge.SetpointRange) {
		if !(p.Min < p.Max) {
			return fmt.Errorf("temperatures from %v to %v", p.Min, p.Max)
		}
		c["min_temp"], c["max_temp"] = p.Min, p.Max
		if p.Step > 0 {
			c["temp_step"] = p.Step
		}
	}
	c["temp_unit"] = "C"
	if p.Unit == "°F" {
		c["temp_unit"] = "F"
	}
	switch p.Precision {
	case 0:
		c["precision"] = 1
	case 1:
		c["precision"] = 0.1
	}
	read := func(f serialbridge.Feature, key string) {
		if p.Has(f) {
			c[key+"_t"], c[key+"_tpl"] = t.state(), shown(p, string(f))
		}
	}
	read(serialbridge.RoomTemperature, "curr_temp")
	read(serialbridge.RoomHumidity, "curr_hum")
	read(serialbridge.Action, "act")
	if presets := slices.DeleteFunc(slices.Clone(p.Presets), func(s string) bool { return s == "none" }); len(presets) > 0 {
		c["pr_modes"], c["pr_mode_cmd_t"], c["pr_mode_cmd_tpl"] = presets, t.command(), setWord("preset")
		c["pr_mode_stat_t"], c["pr_mode_val_tpl"] = t.state(), shown(p, "preset")
	}
	return nil
}

func (c component) lock(p serialbridge.Property, t topics) {
	c["p"], c["cmd_t"], c["stat_t"], c["val_tpl"] = "lock", t.command(), t.state(), shown(p, "state")
	c["pl_lock"], c["pl_unlk"] = "lock", "unlock"
	if p.Has(serialbridge.Latch) {
		c["pl_open"] = "open"
	}
	c["stat_locked"], c["stat_locking"], c["stat_jam"] = "locked", "locking", "jammed"
	c["stat_unlocked"], c["stat_unlocking"] = "unlocked", "unlocking"
	c["stat_open"], c["stat_opening"] = "open", "opening"
}

func (c component) fan(p serialbridge.Property, t topics) error {
	c["p"], c["cmd_t"], c["stat_t"], c["stat_val_tpl"] = "fan", t.command(), t.state(), shown(p, "state")
	switch {
	case p.Max == 0:
	case p.Max < 2 || p.Max != math.Trunc(p.Max):
		return fmt.Errorf("a fan of %v speeds", p.Max)
	default:
		c["spd_rng_min"], c["spd_rng_max"] = 1, p.Max
		c["pct_cmd_t"], c["pct_cmd_tpl"] = t.command(), set("speed")
		c["pct_stat_t"], c["pct_val_tpl"] = t.state(), shown(p, "speed")
	}
	if len(p.Presets) > 0 {
		if slices.Contains(p.Presets, "None") {
			return errors.New(`"None" cannot be a preset: it says that there is none`)
		}
		c["pr_modes"], c["pr_mode_cmd_t"], c["pr_mode_cmd_tpl"] = p.Presets, t.command(), setWord("preset")
		c["pr_mode_stat_t"], c["pr_mode_val_tpl"] = t.state(), shown(p, "preset")
	}
	if p.Has(serialbridge.Oscillation) {
		c["pl_osc_on"], c["pl_osc_off"] = "true", "false"
		c["osc_cmd_t"], c["osc_cmd_tpl"] = t.command(), set("oscillating")
		c["osc_stat_t"], c["osc_val_tpl"] = t.state(), "{{ {true: 'true', false: 'false'}.get("+member(p, "oscillating")+") }}"
	}
	if p.Has(serialbridge.Direction) {
		c["dir_cmd_t"], c["dir_cmd_tpl"] = t.command(), setWord("direction")
		c["dir_stat_t"], c["dir_val_tpl"] = t.state(), shown(p, "direction")
	}
	return nil
}

// siren commands by an object of its own accord.
func (c component) siren(p serialbridge.Property, t topics) {
	c["p"], c["cmd_t"], c["stat_t"], c["stat_val_tpl"] = "siren", t.command(), t.state(), shown(p, "state")
	c["stat_on"], c["stat_off"] = "ON", "OFF"
	c["sup_dur"], c["sup_vol"] = p.Has(serialbridge.Duration), p.Has(serialbridge.Volume)
	if len(p.Options) > 0 {
		c["av_tones"] = p.Options
	}
}
