package fakehome

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// usualFields are those of the form of the broker.
func usualFields() []Field {
	text := map[string]any{"text": map[string]any{"type": "text"}}
	return []Field{
		{Name: "broker", Required: true, Selector: text},
		{Name: "port", Required: true, Default: 1883, Selector: map[string]any{"number": map[string]any{"min": 1, "max": 65535, "mode": "box"}}},
		{Name: "username", Optional: true, Selector: text},
		{Name: "password", Optional: true, Selector: map[string]any{"text": map[string]any{"type": "password"}}},
	}
}

// fields are those of the form as it is now.
func (b Behaviour) fields() []Field {
	return append(slices.DeleteFunc(usualFields(), func(f Field) bool { return f.Name == b.Lacks }), b.Fields...)
}

func form(id string, fields []Field, errors map[string]string) map[string]any {
	return map[string]any{"type": "form", "flow_id": id, "handler": "mqtt", "step_id": "broker", "data_schema": fields,
		"errors": errors, "description_placeholders": nil, "last_step": nil, "preview": nil}
}

func abort(id, reason string) map[string]any {
	return map[string]any{"type": "abort", "flow_id": id, "handler": "mqtt", "reason": reason, "description_placeholders": nil}
}

func (s *Site) startFlow(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Handler string `json:"handler"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.Handler != "mqtt" {
		replyMessage(w, http.StatusNotFound, "Invalid handler specified", "")
		return
	}
	b, id := s.now(), strings.ToLower(rand.Text())
	if b.Abort != "" {
		reply(w, http.StatusOK, abort(id, b.Abort))
		return
	}
	if _, ok := s.home.Configured(); ok { // one entry only
		reply(w, http.StatusOK, abort(id, "single_instance_allowed"))
		return
	}
	f := &flow{step: "broker"}
	answer := form(id, b.fields(), map[string]string{})
	if b.Supervised { // from components/mqtt/config_flow.py
		f.step = "user"
		answer = map[string]any{"type": "menu", "flow_id": id, "handler": "mqtt", "step_id": "user", "data_schema": nil,
			"menu_options": []string{"addon", "broker"}, "description_placeholders": nil}
	}
	s.mu.Lock()
	s.flows[id] = f
	s.mu.Unlock()
	reply(w, http.StatusOK, answer)
}

func (s *Site) deleteFlow(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	_, ok := s.flows[r.PathValue("id")]
	delete(s.flows, r.PathValue("id"))
	s.mu.Unlock()
	if !ok {
		replyMessage(w, http.StatusNotFound, "Invalid flow specified", "")
		return
	}
	replyMessage(w, http.StatusOK, "Flow aborted", "")
}

func (s *Site) configureFlow(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	var in map[string]any
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		replyMessage(w, http.StatusBadRequest, "Invalid JSON specified", "")
		return
	}
	s.mu.Lock()
	b := s.behaviour
	var f flow
	was, ok := s.flows[id]
	if ok {
		f = *was
		switch {
		case f.step != "user":
			was.tried = true
		case in["next_step_id"] == "broker":
			was.step = "broker"
		}
	}
	s.mu.Unlock()
	if !ok {
		replyMessage(w, http.StatusNotFound, "Invalid flow specified", "")
		return
	}
	if f.step == "user" {
		if in["next_step_id"] != "broker" {
			reply(w, http.StatusBadRequest, map[string]any{"errors": map[string]any{"next_step_id": "value must be one of ['addon', 'broker']"}})
			return
		}
		reply(w, http.StatusOK, form(id, b.fields(), map[string]string{}))
		return
	}
	fields := b.fields()
	if f.tried {
		fields = nil // the trap: a form that comes back takes nothing any more
	}
	if wrong := check(fields, in); len(wrong) > 0 {
		reply(w, http.StatusBadRequest, map[string]any{"errors": wrong})
		return
	}
	if b.Errors != nil {
		reply(w, http.StatusOK, form(id, []Field{}, b.Errors))
		return
	}
	text := func(key string) string { s, _ := in[key].(string); return s }
	port, _ := in["port"].(float64)
	e := Entry{Broker: text("broker"), Port: int(port), Username: text("username"), Password: text("password")}
	if err := s.home.Try(r.Context(), e); err != nil {
		reply(w, http.StatusOK, form(id, []Field{}, map[string]string{"base": "cannot_connect"}))
		return
	}
	s.mu.Lock()
	delete(s.flows, id)
	s.mu.Unlock()
	state := b.State
	if state == "" {
		state = "loaded"
	}
	s.home.Configure(e)
	reply(w, http.StatusOK, map[string]any{"type": "create_entry", "flow_id": id, "handler": "mqtt", "title": e.Broker, "version": 2,
		"result": map[string]any{"entry_id": strings.ToLower(rand.Text()), "domain": "mqtt", "title": e.Broker, "source": "user", "state": state}})
}

// check is what voluptuous says of the data of a form.
func check(fields []Field, data map[string]any) map[string]any {
	wrong := make(map[string]any)
	var extra []string
	for name := range data {
		if !slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name }) {
			extra = append(extra, "extra keys not allowed @ data['"+name+"']")
		}
	}
	if len(extra) > 0 {
		slices.Sort(extra)
		wrong["base"] = extra
	}
	for _, f := range fields {
		if _, ok := data[f.Name]; !ok && f.Required && f.Default == nil {
			wrong[f.Name] = "required key not provided"
		}
	}
	return wrong
}
