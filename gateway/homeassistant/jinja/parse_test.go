package jinja

import (
	"strings"
	"testing"
)

// TestParse: what compiles in Home Assistant, and what does not.
func TestParse(t *testing.T) {
	good := []string{
		"", "plain", "{", "{{ value }}", "{{value_json.get('a')}}", `{"a":{{ value | to_json }}}`,
		"{{ {true: 'ON', false: 'OFF'}.get(value_json.a) }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{- value -}}",
		"{% if a is defined and not b %}1{% elif c > 2 %}2{% else %}3{% endif %}", "{{ 1 if a else 2 }}", "{{ 'a' if b }}",
		"{% set x = a.b[0] | float(0) * 2.5 %}{{ x // 3 ** 2 ~ '}}' }}", "{# {{ #}", "{% for k, v in d.items() %}{{ k }}{% endfor %}",
		"{{ a | map(attribute='x') | join(', ') }}", "{{ a[1:2] }}", "{{ (1, 2)[0] }}", "{{ x is divisibleby 3 }}", "{{ a not in [1, 2,] }}",
		"{{ value|float|round(1) - 2 }}", `{{ "it's \" so" }}`, "{{ a.b.c(1, d=2, *e, **f) }}", "{% set ns.x = 1, 2 %}",
		"{{ 1, }}", "{% for x, in y %}{% else %}{% endfor %}", "{% set x %}{{ -a|abs }}{%- endset -%}",
	}
	bad := []string{
		"{{ value", "{{ }}", "{{ value_json.a | nofilter }}", "{{ 'a }}", "{{ a b }}", "{% if a %}", "{% endif %}", "{% else %}",
		"{{ (a }}", "{{ a) }}", "{{ [a) }}", "{{ a is notest }}", "{{ a..b }}", "{{ a + }}", "{% frob %}", "{# a", "{{ {1 2} }}",
		"{{ a = b }}", "{% set x, = y %}", "{{ a|first.b }}", "{{ f(1=2) }}", "{{ 1 if a is none if b else 2 }}", "{{ a is none is none }}",
		"{% if a %}{% else %}{% elif b %}{% endif %}", "{% if a %}{% else %}{% else %}{% endif %}", "{{ ? }}", "{{ 1x }}", "{{ and }}", "{% for in x %}{% endfor %}", "{% if a %}{% endfor %}", "{{ a(",
		"{{" + strings.Repeat("(", 200) + "1" + strings.Repeat(")", 200) + "}}",
	}
	for _, s := range good {
		if _, err := Parse(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range bad {
		if _, err := Parse(s); err == nil {
			t.Errorf("%.60s was taken", s)
		}
	}
}

// FuzzParse: whatever is in the braces, there is an answer.
func FuzzParse(f *testing.F) {
	f.Add("{{ {true: 'ON'}.get(value_json.a) | to_json }}{% if a %}{% endif %}")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Parse(text); err == nil && strings.HasPrefix(text, "{{") && !strings.Contains(text, "}") {
			t.Errorf("%q was taken", text)
		}
	})
}
