package dashboard

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/serialbridge/zigbee/z2m"
)

// zigbeeAct is something that can be done with the Zigbee network: a call of the API, a form
// of its pages, and a request of the bridge.
type zigbeeAct struct {
	name    string // of the path below /api/zigbee/ and /zigbee-act/
	level   access.Level
	fields  []actField
	request string                                     // empty: the name
	body    func(fields map[string]any) map[string]any // nil: the fields as they are
	example map[string]any                             // of a call
}

// actField is something that is said of an act.
type actField struct {
	name     string
	kind     actKind
	required bool
}

type actKind uint8

const (
	actText   actKind = iota
	actNumber         // in a form its digits
	actFlag           // in a form anything
	actList           // of texts; in a form several values, or one with commas between
	actObject         // in a form as JSON
	actAny            // a text or a number, such as the endpoint "left" or 2
)

const (
	// actTime is how long a call waits for the end of an act, which else goes on by itself: less
	// than an answer may take.
	actTime = 5 * time.Second
	// maxAct bounds what is said of an act in bytes: the coordinator's backup of 1,000 devices
	// is the most.
	maxAct     = 512 << 10
	maxActText = 1024
)

// zigbeeActs is all that can be done.
func zigbeeActs() []zigbeeAct {
	text := func(name string) actField { return actField{name, actText, true} }
	maybe := func(name string, kind actKind) actField { return actField{name, kind, false} }
	number := func(name string) actField { return actField{name, actNumber, true} }
	of := func(fields ...actField) []actField { return fields }
	id := text("id")
	scene := func(command string) func(map[string]any) map[string]any {
		return func(f map[string]any) map[string]any {
			s := map[string]any{"ID": f["scene"]}
			if name, ok := f["name"]; ok {
				s["name"] = name
			}
			return map[string]any{"id": f["id"], "command": map[string]any{command: s}}
		}
	}
	const operator, admin = access.Operator, access.Admin
	binding := of(text("from"), maybe("from_endpoint", actAny), text("to"), maybe("to_endpoint", actAny), maybe("clusters", actList))
	return []zigbeeAct{
		{name: "install_code", level: admin, request: "install_code/add", fields: of(text("value")),
			example: map[string]any{"value": "00124B0022E10001|83FED3407A939723A5C639B26916D505C3B5"}},
		{name: "map", level: operator, request: "networkmap",
			body: func(map[string]any) map[string]any { return map[string]any{"type": "raw"} }},
		{name: "energy_scan", level: admin},
		{name: "coordinator_check", level: admin},
		{name: "channel", level: admin, fields: of(number("channel")), example: map[string]any{"channel": 15}},
		{name: "restore", level: admin, fields: of(text("backup"), maybe("words", actText)), example: map[string]any{"backup": "{…}"}},

		{name: "device/rename", level: admin, fields: of(text("from"), text("to"), maybe("homeassistant_rename", actFlag)),
			example: map[string]any{"from": "0x00178801061a2b3c", "to": "kitchen lamp"}},
		{name: "device/remove", level: admin, fields: of(id, maybe("force", actFlag), maybe("block", actFlag))},
		{name: "device/interview", level: admin, fields: of(id)},
		{name: "device/configure", level: admin, fields: of(id)},
		{name: "device/bind", level: admin, fields: binding, example: map[string]any{"from": "remote", "to": "kitchen lamp", "clusters": []string{"genOnOff"}}},
		{name: "device/unbind", level: admin, fields: binding, example: map[string]any{"from": "remote", "to": "kitchen lamp"}},
		{name: "device/reporting/configure", level: admin, fields: of(id, actField{"endpoint", actAny, true}, text("cluster"), text("attribute"),
			number("minimum_report_interval"), number("maximum_report_interval"), maybe("reportable_change", actNumber)),
			example: map[string]any{"id": "kitchen lamp", "endpoint": 11, "cluster": "genOnOff", "attribute": "onOff", "minimum_report_interval": 0, "maximum_report_interval": 3600}},
		{name: "device/command", level: admin, fields: of(id, maybe("endpoint", actAny), actField{"command", actObject, true}),
			example: map[string]any{"id": "kitchen lamp", "command": map[string]any{"read": map[string]any{"cluster": "genBasic", "attributes": []string{"modelId"}}}}},
		{name: "device/read", level: admin, request: "device/command", fields: of(id, maybe("endpoint", actAny), text("cluster"), actField{"attributes", actList, true}),
			body: func(f map[string]any) map[string]any {
				return rawCommand(f, "read", map[string]any{"cluster": f["cluster"], "attributes": f["attributes"]})
			},
			example: map[string]any{"id": "kitchen lamp", "cluster": "genBasic", "attributes": []string{"modelId"}}},
		{name: "device/write", level: admin, request: "device/command", fields: of(id, maybe("endpoint", actAny), text("cluster"), text("attribute"), actField{"value", actAny, true}),
			body: func(f map[string]any) map[string]any {
				return rawCommand(f, "write", map[string]any{"cluster": f["cluster"], "payload": map[string]any{f["attribute"].(string): f["value"]}})
			},
			example: map[string]any{"id": "kitchen lamp", "cluster": "genOnOff", "attribute": "startUpOnOff", "value": 1}},

		{name: "group/add", level: admin, fields: of(text("friendly_name"), maybe("id", actNumber)), example: map[string]any{"friendly_name": "upstairs"}},
		{name: "group/remove", level: admin, fields: of(id, maybe("force", actFlag))},
		{name: "group/rename", level: admin, fields: of(text("from"), text("to")), example: map[string]any{"from": "upstairs", "to": "attic"}},
		{name: "group/members/add", level: admin, fields: of(text("group"), text("device"), maybe("endpoint", actAny)), example: map[string]any{"group": "upstairs", "device": "kitchen lamp"}},
		{name: "group/members/remove", level: admin, fields: of(text("group"), text("device"), maybe("endpoint", actAny)), example: map[string]any{"group": "upstairs", "device": "kitchen lamp"}},
		{name: "group/state", level: operator, request: "group/command", fields: of(id, text("state")),
			body: func(f map[string]any) map[string]any {
				return map[string]any{"id": f["id"], "command": map[string]any{"state": f["state"]}}
			},
			example: map[string]any{"id": "upstairs", "state": "ON"}},
		{name: "group/scene/recall", level: operator, request: "group/command", fields: of(id, number("scene")),
			body: func(f map[string]any) map[string]any {
				return map[string]any{"id": f["id"], "command": map[string]any{"scene_recall": f["scene"]}}
			},
			example: map[string]any{"id": "upstairs", "scene": 1}},
		{name: "group/scene/store", level: admin, request: "group/command", fields: of(id, number("scene"), maybe("name", actText)), body: scene("scene_store"),
			example: map[string]any{"id": "upstairs", "scene": 1, "name": "evening"}},
		{name: "group/scene/remove", level: admin, request: "group/command", fields: of(id, number("scene")),
			body: func(f map[string]any) map[string]any {
				return map[string]any{"id": f["id"], "command": map[string]any{"scene_remove": f["scene"]}}
			},
			example: map[string]any{"id": "upstairs", "scene": 1}},

		{name: "firmware/check", level: operator, request: "device/ota_update/check", fields: of(id)},
		{name: "firmware/install", level: admin, request: "device/ota_update/update", fields: of(id)},
		{name: "firmware/cancel", level: admin, request: "device/ota_update/update/abort", fields: of(id)},
		{name: "firmware/schedule", level: admin, request: "device/ota_update/schedule", fields: of(id)},
		{name: "firmware/unschedule", level: admin, request: "device/ota_update/unschedule", fields: of(id)},
	}
}

// rawCommand is a command that reaches any cluster of any device.
func rawCommand(f map[string]any, key string, value map[string]any) map[string]any {
	body := map[string]any{"id": f["id"], "command": map[string]any{key: value}}
	if endpoint, ok := f["endpoint"]; ok {
		body["endpoint"] = endpoint
	}
	return body
}

// actRoutes are the calls and the forms of all acts.
func (s *Server) actRoutes() []route {
	all := []route{
		{pattern: "GET /api/zigbee/acts", level: access.Viewer, serve: s.listActs},
		{pattern: "GET /api/zigbee/acts/{id}", level: access.Viewer, serve: s.showAct},
		{pattern: "DELETE /api/zigbee/acts/{id}", level: access.Admin, serve: s.cancelActCall},
		{pattern: "POST /zigbee-act/cancel", level: access.Admin, serve: s.cancelActForm},
		{pattern: "POST /zigbee-act/open", level: access.Admin, serve: s.openForm},
	}
	for _, a := range zigbeeActs() {
		all = append(all,
			route{pattern: "POST /api/zigbee/" + a.name, level: a.level, body: maxAct, serve: func(w http.ResponseWriter, r *request) { s.actCall(w, r, a) }},
			route{pattern: "POST /zigbee-act/" + a.name, level: a.level, body: maxAct, serve: func(w http.ResponseWriter, r *request) { s.actForm(w, r, a) }})
	}
	return all
}

// actCall does an act. It answers 202 if it is not done yet.
func (s *Server) actCall(w http.ResponseWriter, r *request, a zigbeeAct) {
	fields := make(map[string]any)
	err := decode(r, &fields)
	if err == nil {
		err = a.check(fields)
	}
	var done z2m.Act
	if err == nil {
		done, err = s.act(r, a, fields)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	code := http.StatusOK
	if done.Ended == nil {
		code = http.StatusAccepted
	}
	s.answer(w, code, done)
}

// act has the bridge do an act, and waits a while for its end.
func (s *Server) act(r *request, a zigbeeAct, fields map[string]any) (z2m.Act, error) {
	if a.body != nil {
		fields = a.body(fields)
	}
	name := a.request
	if name == "" {
		name = a.name
	}
	ctx, cancel := context.WithTimeout(r.Context(), actTime)
	defer cancel()
	return s.o.ZigbeeNetwork.Bridge().Do(ctx, r.user, name, fields)
}

// check says what is wrong with what was said of an act.
func (a *zigbeeAct) check(fields map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		i := slices.IndexFunc(a.fields, func(f actField) bool { return f.name == name })
		if i < 0 {
			return wrong(name, "There is no field %.40q here.", name)
		}
		switch v := fields[name].(type) {
		case nil:
			delete(fields, name)
			continue
		case string:
			if longest := maxActText; len(v) > longest && name != "backup" {
				return wrong(name, "%s is longer than %d bytes.", name, longest)
			}
		}
		if f := a.fields[i]; !f.kind.is(fields[name]) {
			return f.wrong()
		}
	}
	for _, f := range a.fields {
		if v, ok := fields[f.name]; f.required && (!ok || v == "") {
			return wrong(f.name, "Say %s too.", f.name)
		}
	}
	return nil
}

func (k actKind) is(v any) bool {
	switch k {
	case actText:
		_, ok := v.(string)
		return ok
	case actNumber:
		_, ok := v.(float64)
		return ok
	case actFlag:
		_, ok := v.(bool)
		return ok
	case actObject:
		_, ok := v.(map[string]any)
		return ok
	case actList:
		list, ok := v.([]any)
		return ok && len(list) <= 100 && !slices.ContainsFunc(list, func(x any) bool { t, ok := x.(string); return !ok || len(t) > maxActText })
	}
	switch v.(type) {
	case string, float64, bool:
		return true
	}
	return false
}

// wrong says what the field must be.
func (f actField) wrong() *problem {
	switch f.kind {
	case actText:
		return wrong(f.name, "%s must be a text.", f.name)
	case actNumber:
		return wrong(f.name, "%s must be a number.", f.name)
	case actFlag:
		return wrong(f.name, "%s must be true or false.", f.name)
	case actList:
		return wrong(f.name, "%s must be a list of texts, 100 at most.", f.name)
	case actObject:
		return wrong(f.name, "%s must be an object.", f.name)
	}
	return wrong(f.name, "%s must be a text or a number.", f.name)
}

// actForm does an act and leads back to the page that it came from, which shows how it goes.
func (s *Server) actForm(w http.ResponseWriter, r *request, a zigbeeAct) {
	err := parse(r)
	var fields map[string]any
	if err == nil {
		fields, err = a.read(r.PostForm)
	}
	if err == nil {
		err = a.check(fields)
	}
	var done z2m.Act
	if err == nil {
		done, err = s.act(r, a, fields)
	}
	if err != nil && done.ID == 0 {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r.Request, backTo(r.PostFormValue("back"), done.ID), http.StatusSeeOther)
}

// endpointFields are the fields that an endpoint has which is chosen together with its device.
var endpointFields = map[string]string{"id": "endpoint", "device": "endpoint", "from": "from_endpoint", "to": "to_endpoint"}

// read turns a form into what a call would have said. Empty fields say nothing. A device may
// have its endpoint with it, as in DEVICE#ENDPOINT: no name has that in it.
func (a *zigbeeAct) read(form url.Values) (map[string]any, error) {
	fields := make(map[string]any)
	for name, endpoint := range endpointFields {
		if !slices.ContainsFunc(a.fields, func(f actField) bool { return f.name == endpoint }) {
			continue
		}
		if device, number, ok := strings.Cut(form.Get(name), "#"); ok {
			form.Set(name, device)
			form.Set(endpoint, number)
		}
	}
	for _, f := range a.fields {
		text := strings.TrimSpace(form.Get(f.name))
		if text == "" {
			continue
		}
		switch f.kind {
		case actText:
			fields[f.name] = text
		case actNumber:
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, f.wrong()
			}
			fields[f.name] = n
		case actFlag:
			fields[f.name] = true
		case actList:
			list := []any{}
			for _, value := range form[f.name] {
				for part := range strings.SplitSeq(value, ",") {
					if part = strings.TrimSpace(part); part != "" {
						list = append(list, part)
					}
				}
			}
			fields[f.name] = list
		case actObject:
			var object map[string]any
			if err := json.Unmarshal([]byte(text), &object); err != nil {
				return nil, f.wrong()
			}
			fields[f.name] = object
		default:
			fields[f.name] = text
			if n, err := strconv.ParseFloat(text, 64); err == nil && f.name == "value" {
				fields[f.name] = n
			} else if f.name == "value" && (text == "true" || text == "false") {
				fields[f.name] = text == "true"
			}
		}
	}
	return fields, nil
}

// backTo is where a form of the Zigbee pages leads: to one of ours, which shows the act.
func backTo(path string, act uint64) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || strings.Contains(path, `\`) ||
		!strings.HasPrefix(u.Path, "/zigbee") && !strings.HasPrefix(u.Path, "/devices/") {
		u = &url.URL{Path: "/zigbee"}
	}
	q := u.Query()
	q.Set("act", strconv.FormatUint(act, 10))
	u.RawQuery = q.Encode()
	u.Fragment = ""
	return u.String()
}

func (s *Server) listActs(w http.ResponseWriter, _ *request) {
	s.answer(w, http.StatusOK, s.o.ZigbeeNetwork.Bridge().Acts())
}

// actID is the act that a text names; 0: none.
func actID(text string) uint64 {
	id, _ := strconv.ParseUint(text, 10, 64)
	return id
}

func (s *Server) showAct(w http.ResponseWriter, r *request) {
	a, err := s.o.ZigbeeNetwork.Bridge().Act(actID(r.PathValue("id")))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, http.StatusOK, a)
}

func (s *Server) cancelActCall(w http.ResponseWriter, r *request) {
	if err := s.o.ZigbeeNetwork.Bridge().CancelAct(actID(r.PathValue("id"))); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) cancelActForm(w http.ResponseWriter, r *request) {
	err := parse(r)
	id := actID(r.PostFormValue("act"))
	if err == nil {
		err = s.o.ZigbeeNetwork.Bridge().CancelAct(id)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r.Request, backTo(r.PostFormValue("back"), id), http.StatusSeeOther)
}
