package homeassistant

import (
	"strconv"
	"strings"

	"lintel/serialbridge"
)

// maxTriggers is how many of the things that can happen are offered in the editor of
// automations; the entity has all of them.
const maxTriggers = 32

// triggerTypes are the words for which Home Assistant has sentences in all languages.
var triggerTypes = map[string]string{
	"single": "button_short_press", "press": "button_short_press", "pressed": "button_short_press", "click": "button_short_press",
	"release": "button_short_release", "released": "button_short_release",
	"long": "button_long_press", "hold": "button_long_press", "long_press": "button_long_press",
	"long_release": "button_long_release", "hold_release": "button_long_release",
	"double": "button_double_press", "triple": "button_triple_press", "quadruple": "button_quadruple_press", "quintuple": "button_quintuple_press",
}

// addTriggers adds a device trigger for each thing that can happen, so that it can be
// chosen in the editor of automations without knowing of entities. Their keys hold a
// '-', which those of properties do not.
func addTriggers(components map[string]component, p serialbridge.Property, t topics) {
	name := text(p.Name)
	if name == "" {
		name = nameOf(p.Key)
	}
	known := make(map[string]bool)
	for i, option := range p.Options[:min(len(p.Options), maxTriggers)] {
		kind := triggerTypes[strings.ToLower(option)]
		if kind == "" || known[kind] {
			kind = option
		}
		// Automations keep the type and the subtype.
		if known[kind] || text(kind) == "" {
			continue
		}
		known[kind] = true
		key := p.Key + "-" + slug(option)
		if _, taken := components[key]; taken {
			key += "-" + strconv.Itoa(i)
		}
		components[key] = component{
			"p": "device_automation", "atype": "trigger", "type": kind, "stype": name,
			"t": t.own(), "pl": option, "val_tpl": "{{ value_json.event_type }}",
		}
	}
}
