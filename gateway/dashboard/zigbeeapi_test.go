package dashboard

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"lintel/serialbridge/zigbee/z2m"
)

// TestZigbeeActs: what is said in a form and in a call does the same, and is checked field by
// field.
func TestZigbeeActs(t *testing.T) {
	g := newGate(t)
	a := g.want(200, browse{path: "/api/zigbee/group/add", as: "admin", json: `{"friendly_name":"upstairs","id":7}`})
	var act z2m.Act
	if err := json.Unmarshal([]byte(a.body), &act); err != nil || act.State != z2m.Done || act.By != "admin" || act.Request != "group/add" {
		t.Errorf("%v, %s", err, a.body)
	}
	a = g.want(303, browse{path: "/zigbee-act/group/rename", as: "admin", form: url.Values{"from": {"upstairs"}, "to": {" attic "}, "back": {"/zigbee-groups?page=2#x"}}})
	if a.location() != "/zigbee-groups?act=2&page=2" {
		t.Errorf("led to %s", a.location())
	}
	if groups := g.zigbee().bridge.Groups(); len(groups) != 1 || groups[0].Name != "attic" || groups[0].ID != 7 {
		t.Errorf("%+v", groups)
	}
	// One that has failed is shown on the page that it came from, and answered to a call.
	a = g.want(303, browse{path: "/zigbee-act/group/rename", as: "admin", form: url.Values{"from": {"nobody"}, "to": {"x"}}})
	if a.location() != "/zigbee?act=3" {
		t.Errorf("led to %s", a.location())
	}
	if a := g.want(200, browse{path: "/api/zigbee/acts/3", as: "vera"}); !strings.Contains(a.body, "does not exist") || !strings.Contains(a.body, `"failed"`) {
		t.Error(a.body)
	}
	if a := g.want(409, browse{path: "/api/zigbee/group/rename", as: "admin", json: `{"from":"nobody","to":"x"}`}); !strings.Contains(a.body, "Group 'nobody' does not exist.") {
		t.Error(a.body)
	}
	for call, says := range map[string]string{
		`{"friendly_name":1}`:                  "friendly_name must be a text",
		`{"friendly_name":"x","id":"one"}`:     "id must be a number",
		`{"friendly_name":"x","colour":"red"}`: `no field \"colour\"`,
		`{}`:                                   "Say friendly_name too",
		`{"friendly_name":null}`:               "Say friendly_name too",
		`{"friendly_name":""}`:                 "Say friendly_name too",
		`[]`:                                   "send an object",
		`{"friendly_name":"` + strings.Repeat("x", maxActText+1) + `"}`: "longer than",
	} {
		if a := g.want(400, browse{path: "/api/zigbee/group/add", as: "admin", json: call}); !strings.Contains(a.body, says) {
			t.Errorf("%.60s: %s, want %q", call, a.body, says)
		}
	}
	g.want(413, browse{path: "/api/zigbee/restore", as: "admin", json: `{"backup":"` + strings.Repeat("x", maxAct) + `"}`})
	for form, says := range map[string]string{"endpoint=1": "Say ", "id=x&cluster=c&attribute=a&endpoint=1&minimum_report_interval=soon": "must be a number"} {
		values, _ := url.ParseQuery(form)
		if a := g.want(400, browse{path: "/zigbee-act/device/reporting/configure", as: "admin", form: values}); !strings.Contains(a.body, says) {
			t.Errorf("%s: %s", form, a.body)
		}
	}
	if len(g.zigbee().bridge.Acts()) != 4 {
		t.Errorf("something was begun that was refused: %+v", g.zigbee().bridge.Acts())
	}
}

func TestZigbeeFormsLeadNowhereElse(t *testing.T) {
	for path, want := range map[string]string{
		"/zigbee-map":                 "/zigbee-map?act=1",
		"/devices/0x0?tab=zigbee":     "/devices/0x0?act=1&tab=zigbee",
		"":                            "/zigbee?act=1",
		"//evil.example/zigbee":       "/zigbee?act=1",
		"https://evil.example/zigbee": "/zigbee?act=1",
		`/zigbee\evil.example`:        "/zigbee?act=1",
		"/users":                      "/zigbee?act=1",
		"javascript:alert(1)":         "/zigbee?act=1",
	} {
		if got := backTo(path, 1); got != want {
			t.Errorf("%s leads to %s, want %s", path, got, want)
		}
	}
}
