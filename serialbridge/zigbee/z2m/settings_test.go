package z2m

import (
	"strings"
	"testing"
)

func TestSchema(t *testing.T) {
	for _, schema := range []func(){func() { configSchema() }, func() { deviceSchema() }, func() { groupSchema() }} {
		schema()
	}
	all := plain(defaults())
	if err := validate(configSchema, all); err != nil {
		t.Errorf("the defaults do not fit: %v", err)
	}
	for _, c := range []struct{ change, wrong string }{
		{`{"advanced":{"output":"xml"}}`, "/advanced/output"},
		{`{"advanced":{"channel":"x"}}`, "/advanced/channel"},
		{`{"advanced":{"channel":27}}`, "/advanced/channel"},
		{`{"blocklist":["door"]}`, "/blocklist/0"},
		{`{"mqtt":{"base_topic":"x"}}`, "base_topic"},
		{`{"availability":{"active":{"timeout":0}}}`, "/availability/active/timeout"},
	} {
		change, _ := decode([]byte(c.change))
		if err := validate(configSchema, change); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: error is %v, want one about %s", c.change, err, c.wrong)
		}
	}
}

func TestSettingsOf(t *testing.T) {
	change, _ := decode([]byte(`{"advanced":{"last_seen":"epoch","cache_state":false},"availability":{"active":{"timeout":3}}}`))
	s, err := settingsOf(change.(map[string]any))
	if err != nil {
		t.Fatal(err)
	}
	if s.Advanced.LastSeen != "epoch" || s.Advanced.CacheState || s.Advanced.Output != "json" {
		t.Errorf("advanced is %+v", s.Advanced)
	}
	if a := s.Availability.Active; a.Timeout != 3 || a.MaxJitter != 30_000 || !a.Backoff {
		t.Errorf("availability.active is %+v", a)
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"lamp", "living lamp", "workshop/meter", "l1", "a/b2", "Küche"} {
		if err := checkName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "/a", "a/", "a+b", "a#", "a/1", "a/b/12", "a\nb", strings.Repeat("x", 2000)} {
		if checkName(name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
}
