package fakehome

import (
	"errors"
	"testing"
)

// TestTemplate: what Home Assistant makes of the templates that its documents use.
func TestTemplate(t *testing.T) {
	for _, tt := range []struct{ template, payload, want string }{
		{`{{ value_json.get('a') }}`, `{"a":21.50}`, "21.5"},
		{`{{ value_json.get('a') }}`, `{"a":26}`, "26"},
		{`{{ value_json.get('a') }}`, `{"a":26.0}`, "26.0"},
		{`{{ value_json.get('a') }}`, `{}`, "None"},
		{`{{ value_json.get('a') }}`, `{"a":1e-7}`, "1e-07"},
		{`{{ {true: 'ON', false: 'OFF'}.get(value_json.get('a')) }}`, `{"a":true}`, "ON"},
		{`{{ {true: 'ON', false: 'OFF'}.get(value_json.get('a')) }}`, `{"a":null}`, "None"},
		{`{{ value_json["a b"] }}`, `{"a b":"x"}`, "x"},
		{`{"k":{{ value | to_json }}}`, `a "b"`, `{"k":"a \"b\""}`},
		{`{ "p": {{ value }} }`, `7`, `{ "p": 7 }`},
		{`{% if value_json["a"] %}true{% else %}false{% endif %}`, `{"a":false}`, "false"},
		{`{% if value == 'a' %}1{% elif value == 'b' %}2{% else %}3{% endif %}`, `b`, "2"},
		{`{% set values = {None:None,'heat':'heating'} %}{{ values[value_json["s"]] }}`, `{"s":null}`, "None"},
		{`{% set values = {None:None,'heat':'heating'} %}{{ values[value_json["s"]] }}`, `{"s":"heat"}`, "heating"},
		{`{{ 'a' if value_json.x > 0 else 'b' }}`, `{"x":0}`, "b"},
		{`{{ value_json["m"] if value_json["m"] in ['on', 'auto'] else 'None' | default('None') }}`, `{"m":"low"}`, "None"},
		{`{{ {'off':0, 'low':1}[value_json["m"]] | default('None') }}`, `{"m":"odd"}`, "None"},
		{`{{ value_json.permit_join | lower }}`, `{"permit_join":true}`, "true"},
		{`{{ value_json["u"] | default('',True) | string | truncate(5, True, '', 0) }}`, `{"u":[1,"a"]}`, `[1, '`},
		{`{{ {'v': u.x, 'in_progress': value == 'updating', 'p': 1 if u.p is defined else none} | to_json }}`, `{}`, "error"},
		{`{% set u = value_json['update'] %}{{ {'v': u.v | string, 'p': u.p if u.p is defined else none} | to_json }}`, `{"update":{"v":7}}`, `{"v":"7","p":null}`},
		{`{{ not value_json.a is none and value_json.a is not none }}`, `{"a":0}`, "True"},
		{`{{ (value | float) / 2 + 1 }}`, `3`, "2.5"},
		{`{{ 7 // 2 ~ '-' ~ 7 % 2 }}`, ``, "3-1"},
		{`{{ -value_json.a }}`, `{"a":3}`, "-3"},
		{`{{ value_json.missing }}`, `{"a":3}`, "warning"},
		{`{{ value_json.a }}`, `no json`, "error"},
		{`{{ value_json.items }}`, `{"items":3}`, "error"},
		{`{{ value_json.a.b.c }}`, `{}`, "error"},
		{`{{ value | base64_decode }}`, ``, "error"},
		{`{% for x in value_json %}{% endfor %}`, `[]`, "error"},
		{`{{ 7 | length }}`, ``, "error"},
		{`{{ 1 < 2 < 3 }}`, ``, "error"},
		{`{{ value`, ``, "error"},
		{`{% if value %}`, ``, "error"},
		{`{% endif %}`, ``, "error"},
	} {
		got, warnings, err := render(tt.template, valueVariables(tt.payload))
		switch {
		case err != nil:
			got = "error"
			if !errors.Is(err, errTemplate) {
				t.Errorf("%s: %v", tt.template, err)
			}
		case len(warnings) > 0:
			got = "warning"
		}
		if got != tt.want {
			t.Errorf("%s of %s is %q (%v), want %q", tt.template, tt.payload, got, err, tt.want)
		}
	}
}

// FuzzTemplate: no template and no payload makes it panic or go on for ever.
func FuzzTemplate(f *testing.F) {
	f.Add(`{% set m = value_json["a"] | default('') %}{% if m in ['a'] %}{{ m }}{% elif not m %}{{ {1: [2, -3.5]}.get(1)[0] ~ "x" }}{% endif %}`, `{"a":[1,{"b":null}]}`)
	f.Add(`{{ value | truncate(3, True, '', 0) | float(0) | round(2) }}{# no #}`, `12.345`)
	f.Fuzz(func(t *testing.T, template, payload string) {
		out, _, err := render(template, valueVariables(payload))
		if err != nil && out != "" {
			t.Errorf("%q with %v", out, err)
		}
	})
}
