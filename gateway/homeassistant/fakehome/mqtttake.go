package fakehome

import (
	"math"
	"slices"
	"strconv"
	"time"
)

func (e *entity) takeBinary(payload string, m message) {
	if payload == "" {
		return
	}
	e.alive()
	e.either(payload, e.text("payload_on", "ON"), e.text("payload_off", "OFF"), m)
	if delay := e.number("off_delay", 0); delay > 0 && e.state == "on" {
		e.expires++
		at := e.expires
		e.life.after(time.Duration(delay*float64(time.Second)), func() {
			if e.expires == at {
				e.state = "off"
			}
		})
	}
}

func (e *entity) takeSwitch(payload string, m message) {
	e.either(payload, e.text("state_on", e.text("payload_on", "ON")), e.text("state_off", e.text("payload_off", "OFF")), m)
}

func (e *entity) takeOnOff(payload string, m message) {
	if payload != "" {
		e.either(payload, e.text("payload_on", "ON"), e.text("payload_off", "OFF"), m)
	}
}

// takeSensor: a sensor with a unit, a state class or a class of numbers takes only numbers.
func (e *entity) takeSensor(payload string, m message) {
	class := e.text("device_class", "")
	text := class == "" || class == "enum" || class == "date" || class == "timestamp"
	numeric := !text || e.document.keys["unit_of_measurement"] != nil || e.document.keys["state_class"] != nil ||
		e.document.keys["suggested_display_precision"] != nil
	if payload == "" && numeric {
		return
	}
	e.alive()
	switch {
	case payload == none:
		e.state = nil
	case numeric:
		if _, err := strconv.ParseFloat(payload, 64); err != nil {
			e.complain(Payload, m, "%q is no number", payload)
			return
		}
		e.state = payload
	case class == "timestamp" || class == "date":
		if payload == "" {
			return
		}
		layout := time.RFC3339Nano
		if class == "date" {
			layout = time.DateOnly
		}
		if _, err := time.Parse(layout, payload); err != nil {
			e.complain(Payload, m, "%q is no %s", payload, class)
			return
		}
		e.state = payload
	case len(e.texts("options")) > 0 && !slices.Contains(e.texts("options"), payload):
		e.complain(Payload, m, "%q is none of the options", payload)
	case len([]rune(payload)) > 255:
		e.complain(Payload, m, "a state of more than 255 characters")
	default:
		e.state = payload
	}
}

func (e *entity) takeNumber(payload string, m message) {
	if payload == "" || payload == e.text("payload_reset", none) {
		e.state = nil
		return
	}
	f, err := strconv.ParseFloat(payload, 64)
	switch {
	case err != nil:
		e.complain(Payload, m, "%q is no number", payload)
	case f < e.number("min", 1) || f > e.number("max", 100):
		e.complain(Payload, m, "%v is out of range", f)
	default:
		e.state = payload
	}
}

func (e *entity) takeText(payload string, m message) {
	n := float64(len([]rune(payload)))
	if n < e.number("min", 0) || n > e.number("max", 255) {
		e.complain(Payload, m, "a text of %v characters", n)
		return
	}
	e.state = payload
}

func (e *entity) takeLock(payload string, m message) {
	states := map[string]string{
		e.text("state_locked", "LOCKED"): "locked", e.text("state_unlocked", "UNLOCKED"): "unlocked",
		e.text("state_locking", "LOCKING"): "locking", e.text("state_unlocking", "UNLOCKING"): "unlocking",
		e.text("state_open", "OPEN"): "open", e.text("state_opening", "OPENING"): "opening", e.text("state_jammed", "JAMMED"): "jammed",
	}
	switch state, ok := states[payload]; {
	case payload == "":
	case payload == e.text("payload_reset", none):
		e.state = nil
	case !ok:
		e.complain(Payload, m, "%q is no state of a lock", payload)
	default:
		e.state = state
	}
}

func (e *entity) takeCover(payload string, m message) {
	states := map[string]string{
		e.text("state_opening", "opening"): "opening", e.text("state_closing", "closing"): "closing",
		e.text("state_open", "open"): "open", e.text("state_closed", "closed"): "closed",
	}
	switch state, ok := states[payload]; {
	case payload == "":
	case payload == e.text("state_stopped", "stopped"):
		if position, ok := e.attributes["current_position"]; ok && e.text("position_topic", "") != "" {
			e.state = openAt(position.(float64))
		} else if e.state == "closing" || e.state == "closed" {
			e.state = "closed"
		} else {
			e.state = "open"
		}
	case payload == none:
		e.state = nil
	case !ok:
		e.complain(Payload, m, "%q is no state of a cover", payload)
	default:
		e.state = state
	}
}

func openAt(position float64) string {
	if position == 0 {
		return "closed"
	}
	return "open"
}

// percent takes a number between two ends to 0 to 100.
func (e *entity) percent(payload, closed, open string, m message) (float64, bool) {
	f, err := strconv.ParseFloat(payload, 64)
	if err != nil {
		e.complain(Payload, m, "%q is no position", payload)
		return 0, false
	}
	from, to := e.number(closed, 0), e.number(open, 100)
	return math.Round(min(100, max(0, (f-from)/(to-from)*100))), true
}

func (e *entity) takePosition(payload string, m message) {
	if payload == "" {
		return
	}
	if payload == none { // which int() does not take; it is ignored with a warning
		e.complain(Payload, m, "a position that is not known")
		return
	}
	if p, ok := e.percent(payload, "position_closed", "position_open", m); ok {
		e.put("current_position", p)
		if e.text("state_topic", "") == "" {
			e.state = openAt(p)
		}
	}
}

func (e *entity) takeTilt(payload string, m message) {
	if payload == "" {
		return
	}
	if p, ok := e.percent(payload, "tilt_min", "tilt_max", m); ok {
		e.put("current_tilt_position", p)
	}
}

func (e *entity) takePercentage(payload string, m message) {
	if payload == "" {
		return
	}
	if payload == e.text("payload_reset_percentage", none) {
		e.put("percentage", nil)
		return
	}
	f, err := strconv.ParseFloat(payload, 64)
	low, high := e.number("speed_range_min", 1), e.number("speed_range_max", 100)
	p := math.Trunc((f - (low - 1)) / (high - low + 1) * 100)
	if err != nil || p < 0 || p > 100 {
		e.complain(Payload, m, "%q is no speed", payload)
		return
	}
	e.put("percentage", p)
}

func (e *entity) takeOscillation(payload string, m message) {
	switch payload {
	case "":
	case e.text("payload_oscillation_on", "oscillate_on"):
		e.put("oscillating", true)
	case e.text("payload_oscillation_off", "oscillate_off"):
		e.put("oscillating", false)
	default:
		e.complain(Payload, m, "%q is no oscillation", payload)
	}
}

func (e *entity) takeAction(payload string, m message) {
	if payload == "" || payload == none {
		return
	}
	if !slices.Contains([]string{"cooling", "defrosting", "drying", "fan", "heating", "idle", "off", "preheating"}, payload) {
		e.complain(Payload, m, "%q is no action of a climate", payload)
		return
	}
	e.put("hvac_action", payload)
}

func (e *entity) takeTracker(payload string, m message) {
	switch payload {
	case "":
	case e.text("payload_home", "home"):
		e.state = "home"
	case e.text("payload_not_home", "not_home"):
		e.state = "not_home"
	case e.text("payload_reset", none):
		e.state = nil
	default:
		e.state = payload
	}
}

func (e *entity) takeImage(_ string, m message) { e.state = time.Now().Format(time.RFC3339Nano) }

// takeNothing hears what an automation may wait for, and has no state.
func (e *entity) takeNothing(string, message) {}
