package dashboard

import (
	"time"

	"lintel/gateway/access"
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

// fields are those of a JSON object that no struct describes.
type fields []actField

// schema describes the fields.
func (f fields) schema() object {
	properties, required := make(object), []any{}
	for _, field := range f {
		kind := object{"type": "string"}
		switch field.kind {
		case actNumber:
			kind = object{"type": "number"}
		case actFlag:
			kind = object{"type": "boolean"}
		case actList:
			kind = object{"type": "array", "items": object{"type": "string"}}
		case actObject:
			kind = object{"type": "object"}
		case actAny:
			kind = object{"type": []any{"string", "number", "boolean"}}
		}
		properties[field.name] = kind
		if field.required {
			required = append(required, field.name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}
