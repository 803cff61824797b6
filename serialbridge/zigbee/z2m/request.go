package z2m

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lintel/serialbridge/zigbee"
)

// request is a message on bridge/request/NAME.
type request struct {
	name    string         // as it was spelled
	value   any            // JSON, or else the text
	body    map[string]any // empty if it is no object
	isBody  bool
	answers string // the name of the answer

	// Of an act, see Bridge.Begin; else nil.
	own      bool // it is not of zigbee2mqtt's: nothing is published
	progress func(done, of int)
	ended    func(data map[string]any, err error)
}

// handler does a request and returns the data of the answer.
type handler struct {
	do func(b *Bridge, ctx context.Context, r *request) (map[string]any, error)
	// quick says that it does not wait for the radio: those are done in order.
	quick bool
}

var errInvalidPayload = errors.New("Invalid payload")

// handlers are all requests, by name in lower case.
var handlers = map[string]handler{
	"permit_join":       {do: (*Bridge).permitJoin},
	"health_check":      {do: (*Bridge).healthCheck, quick: true},
	"coordinator_check": {do: (*Bridge).coordinatorCheck},
	"restart":           {do: (*Bridge).requestRestart, quick: true},
	"backup":            {do: (*Bridge).backup},
	"options":           {do: (*Bridge).options, quick: true},
	"install_code/add":  {do: (*Bridge).addInstallCode},
	"networkmap":        {do: (*Bridge).networkMap},

	"device/rename":              {do: (*Bridge).renameDevice, quick: true},
	"device/options":             {do: (*Bridge).deviceOptions, quick: true},
	"device/remove":              {do: (*Bridge).removeDevice},
	"device/configure":           {do: (*Bridge).requestConfigure},
	"device/interview":           {do: (*Bridge).interview},
	"device/configure_reporting": {do: (*Bridge).configureReporting},
	"device/reporting/configure": {do: (*Bridge).configureReporting},
	"device/reporting/read":      {do: (*Bridge).readReporting},
	"device/bind":                {do: (*Bridge).bind},
	"device/unbind":              {do: (*Bridge).unbind},
	"device/binds/clear":         {do: (*Bridge).clearBindings},

	"device/ota_update/check":              {do: (*Bridge).otaCheck},
	"device/ota_update/check/downgrade":    {do: (*Bridge).otaCheck},
	"device/ota_update/update":             {do: (*Bridge).otaUpdate},
	"device/ota_update/update/downgrade":   {do: (*Bridge).otaUpdate},
	"device/ota_update/update/abort":       {do: (*Bridge).otaAbort, quick: true},
	"device/ota_update/schedule":           {do: (*Bridge).otaSchedule, quick: true},
	"device/ota_update/schedule/downgrade": {do: (*Bridge).otaSchedule, quick: true},
	"device/ota_update/unschedule":         {do: (*Bridge).otaUnschedule, quick: true},

	"group/add":                {do: (*Bridge).addGroup, quick: true},
	"group/remove":             {do: (*Bridge).removeGroup},
	"group/rename":             {do: (*Bridge).renameGroup, quick: true},
	"group/options":            {do: (*Bridge).groupOptions, quick: true},
	"group/members/add":        {do: (*Bridge).addMember},
	"group/members/remove":     {do: (*Bridge).removeMember},
	"group/members/remove_all": {do: (*Bridge).removeFromAllGroups},

	"extension/save":   refused("there is no JavaScript here, and no extensions"),
	"extension/remove": refused("there is no JavaScript here, and no extensions"),
	"converter/save":   refused("there is no JavaScript here: describe a device in a TOML file instead"),
	"converter/remove": refused("there is no JavaScript here: describe a device in a TOML file instead"),
	"device/generate_external_definition": refused(
		"there is no JavaScript here: describe a device in a TOML file instead"),
	"touchlink/scan":          refused("Touchlink is not supported: reset the device and have it join"),
	"touchlink/identify":      refused("Touchlink is not supported: reset the device and have it join"),
	"touchlink/factory_reset": refused("Touchlink is not supported: reset the device by its own means, such as switching it off and on"),
	"action":                  refused("there are no actions here; send commands with NAME/set"),
}

func refused(why string) handler {
	return handler{quick: true, do: func(*Bridge, context.Context, *request) (map[string]any, error) { return nil, errors.New(why) }}
}

// request has a request done. One that nobody knows has no answer.
func (b *Bridge) request(name string, payload []byte) {
	h, ok := handlers[strings.ToLower(name)]
	if !ok {
		b.log.Debug("a request that nobody knows was ignored", "request", name)
		return
	}
	r := &request{name: name, answers: name, body: map[string]any{}}
	v, err := decode(payload)
	if err != nil {
		v = string(payload)
	}
	r.value = v
	if body, ok := v.(map[string]any); ok {
		r.body, r.isBody = body, true
	}
	if !b.jobs.add(r.key(h), func(ctx context.Context) { b.answer(ctx, h, r) }) {
		b.respond(r, nil, errBusy)
	}
}

var errBusy = errors.New("too many requests wait; try again later")

// key is what the requests have in common that are done one after the other.
func (r *request) key(h handler) string {
	if h.quick {
		return "requests"
	}
	for _, field := range []string{"id", "device", "from", "target"} {
		if id := textOf(r.body[field]); id != "" {
			return "request/" + id
		}
	}
	if !r.isBody && strings.HasPrefix(r.name, "device/") {
		return "request/" + textOf(r.value)
	}
	return "request/" + strings.ToLower(r.name)
}

func (b *Bridge) answer(ctx context.Context, h handler, r *request) {
	data, err := h.do(b, ctx, r)
	switch {
	case errors.Is(context.Cause(ctx), errGivenUp):
		err = errGivenUp
	case ctx.Err() != nil:
		if r.ended != nil {
			r.ended(nil, errors.New("Lintel was stopped meanwhile"))
		}
		return
	}
	if err == nil {
		err = b.saver.save(ctx)
	}
	b.respond(r, data, err)
}

// respond publishes the answer to a request.
func (b *Bridge) respond(r *request, data map[string]any, err error) {
	response := map[string]any{"status": "ok", "data": data}
	if r.ended != nil {
		r.ended(data, err)
	}
	if r.own {
		return
	}
	if data == nil {
		response["data"] = map[string]any{}
	}
	if err != nil {
		response["status"], response["error"], response["data"] = "error", sayError(err), map[string]any{}
		b.log.Error("a request has failed", "request", r.name, "err", sayError(err))
	}
	if transaction, ok := r.body["transaction"]; ok {
		response["transaction"] = transaction
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publish("bridge/response/"+r.answers, encode(response), false, 0, 0, nil, false)
}

// sayError is an error for people: without the names of packages.
func sayError(err error) string {
	text := err.Error()
	for _, name := range []string{"zigbee: ", "z2m: ", "zcl: "} {
		text = strings.ReplaceAll(text, name, "")
	}
	return text
}

// textOf is a name or a number as text.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// id is the field id, or the whole payload if that is a text or a number.
func (r *request) id() string {
	if r.isBody {
		return textOf(r.body["id"])
	}
	return strings.TrimSpace(textOf(r.value))
}

func (r *request) flag(key string) bool { return flag(r.body, key, false) }

// device finds the device that a request means. It is not the coordinator. The mutex
// is held.
func (b *Bridge) deviceOf(id string) (*device, error) {
	e, ok := b.resolve(id)
	if !ok || e.device == nil {
		return nil, fmt.Errorf("Device '%s' does not exist", id)
	}
	return e.device, nil
}

func (b *Bridge) groupOf(id string) (*group, error) {
	e, ok := b.resolve(id)
	if !ok || e.group == nil {
		return nil, fmt.Errorf("Group '%s' does not exist", id)
	}
	return e.group, nil
}

// endpointOf finds an endpoint of a device that a request means.
func endpointOf(d *device, v any) (*zigbee.Endpoint, error) {
	key := textOf(v)
	e := d.endpoint(key)
	if e == nil {
		if key == "" {
			key = "default"
		}
		return nil, fmt.Errorf("Device '%s' does not have endpoint '%s'", d.name(), key)
	}
	return e, nil
}
