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

	"lintel/gateway/access"
	"lintel/serialbridge/zigbee/z2m"
)

// actRoutes are the calls and the forms of all acts.
func (s *Server) actRoutes() []route {
	all := []route{
		{pattern: "GET /api/zigbee/acts", level: access.Viewer, call: gives(s, s.listActs)},
		{pattern: "GET /api/zigbee/acts/{id}", level: access.Viewer, call: gives(s, s.showAct)},
		{pattern: "DELETE /api/zigbee/acts/{id}", level: access.Admin, call: does(s, s.cancelActCall)},
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
	fields, err := a.read(r.PostForm)
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

func (s *Server) listActs(*request) ([]z2m.Act, error) { return s.o.ZigbeeNetwork.Bridge().Acts(), nil }

// actID is the act that a text names; 0: none.
func actID(text string) uint64 {
	id, _ := strconv.ParseUint(text, 10, 64)
	return id
}

func (s *Server) showAct(r *request) (z2m.Act, error) {
	return s.o.ZigbeeNetwork.Bridge().Act(actID(r.PathValue("id")))
}

func (s *Server) cancelActCall(r *request) error {
	return s.o.ZigbeeNetwork.Bridge().CancelAct(actID(r.PathValue("id")))
}

func (s *Server) cancelActForm(w http.ResponseWriter, r *request) {
	id := actID(r.PostFormValue("act"))
	if err := s.o.ZigbeeNetwork.Bridge().CancelAct(id); err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r.Request, backTo(r.PostFormValue("back"), id), http.StatusSeeOther)
}
