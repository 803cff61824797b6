package dashboard

import (
	"net/http"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/checks"
	"lintel/gateway/clock"
	"lintel/gateway/homeassistant"
	"lintel/gateway/network"
	"lintel/gateway/update"
	"lintel/serialbridge/journey"
	"lintel/serialbridge/zigbee/z2m"
)

// call is what the API tells of a route: see [Server.openAPI]. A parameter of the query that
// is not here is refused.
type call struct {
	about string // what it does, a sentence without its point
	query []parameter
	// in and out are values of the types that it takes and answers with, which need not be
	// filled: a struct, or [media], [form], [either] or [fields]. nil is {} for in, and
	// nothing for out.
	in, out any
	done    int // status of the answer if all goes well; 0: 200, or 204 where out is nil
}

// describedCalls are all calls of the API, by the pattern of their route.
func describedCalls() map[string]call {
	brokerAt := struct {
		User     string   `json:"user"`
		Password string   `json:"password,omitempty"`
		Hosts    []string `json:"hosts,omitempty"`
		Port     string   `json:"port,omitempty"`
	}{}
	networkOut := struct {
		network.Status
		Clock *clock.Status `json:"clock,omitempty"`
	}{}
	calls := map[string]call{
		"GET /api/openapi.json": {about: "This description", out: object{}},
		"GET /api/status":       {about: "What the box knows of itself: broker, sticks, devices, clients and what else is on the network", out: Status{}},
		"GET /api/checks":       {about: "Whether all is well, and if not, why, and what mends it", out: checks.Report{}},

		"GET /api/welcome":  {about: "How far the first visit is", out: welcomeState{}},
		"POST /api/welcome": {about: "Names the box, or skips or resumes a step of the first visit", in: welcomeRequest{}, out: welcomeState{}},
		"GET /api/journey": {about: "The last messages of a device or a topic, each with all that became of it; with follow also those that come", query: []parameter{
			{"device", "dsmr_1", "Of this device"}, {"topic", "zigbee2mqtt/#", "Of topics that match"}, {"follow", true, "As server-sent events, which go on"}},
			out: either{struct {
				Journeys []journey.Journey `json:"journeys"`
			}{}, media("text/event-stream")}},

		"GET /api/support": {about: "What a supporter needs to know of the box, without secrets", out: media("application/zip")},
		"POST /api/reset":  {about: "Takes the box from its owner: admins, logins of people and API tokens go", in: resetRequest{}},
		"GET /api/trace": {about: "What goes on from now on between the broker and some clients, as server-sent events, which go on", query: []parameter{
			{"client", "garden-1", "Of this client"}, {"topic", "garden/#", "Of topics that match"}, {"address", "192.0.2.7", "Of this address"},
			{"payload", true, "With payloads, of topics that who asks may receive"}, {"format", "text", "text or nothing"}},
			out: either{media("text/event-stream"), media("text/plain; charset=utf-8")}},

		"GET /api/simulate":           {about: "The sticks that are played for trying out, and those that can be", out: simulateAnswer{}},
		"POST /api/simulate":          {about: "Plays a stick", in: simulateRequest{"dsmr"}, out: simulateAnswer{}},
		"DELETE /api/simulate/{kind}": {about: "Takes a played stick away"},

		// Who may do what.
		"GET /api/claim": {about: "Whether somebody owns the box", out: struct {
			Claimed bool   `json:"claimed"`
			Name    string `json:"name"`
		}{}},
		"POST /api/claim": {about: "Claims the box: its first admin, and a login for Home Assistant. From its own network only", done: http.StatusCreated,
			in: struct {
				Password string `json:"password" api:"required"`
				Name     string `json:"name"`
			}{"correct horse battery", "Cellar"},
			out: struct {
				User          string `json:"user"`
				HomeAssistant any    `json:"homeassistant"`
			}{HomeAssistant: brokerAt}},
		"POST /api/login": {about: "Begins a session, whose cookie is in the answer", in: loginRequest{"admin", "correct horse battery"}, out: struct {
			User  string       `json:"user"`
			Level access.Level `json:"level"`
		}{"admin", access.Admin}},
		"POST /api/logout": {about: "Ends the session"},
		"GET /api/users": {about: "All users", out: struct {
			Users []User `json:"users"`
		}{}},
		"POST /api/users": {about: "A new user. One of whom only the name is told is a device with topics of its own", in: userRequest{}, out: userAnswer{}, done: http.StatusCreated},
		"POST /api/users/import": {about: "New users from a password file of mosquitto", query: []parameter{{"role", []string{"device"}, "What they may do"}},
			in: media("text/plain"), done: http.StatusCreated, out: struct {
				Imported []string `json:"imported"`
			}{}},
		"GET /api/users/{name}":    {about: "A user", out: userAnswer{}},
		"PATCH /api/users/{name}":  {about: "Changes what is sent", in: userChange{}, out: userAnswer{}},
		"DELETE /api/users/{name}": {about: "Deletes a user, whose clients are disconnected"},
		"GET /api/certificates": {about: "The client certificates that the box has issued", out: struct {
			Certificates []Certificate `json:"certificates"`
		}{}},
		"POST /api/certificates":            {about: "A new client certificate, and its key, shown this once", in: certificateRequest{Name: "garden"}, out: issued{}, done: http.StatusCreated},
		"DELETE /api/certificates/{serial}": {about: "Revokes a certificate, and disconnects who came with it", out: Certificate{}},
		"GET /api/tokens": {about: "The API tokens, without their secrets", out: struct {
			Tokens []Token `json:"tokens"`
		}{}},
		"POST /api/tokens": {about: "A new API token, shown this once", in: tokenRequest{"grafana", access.Viewer}, done: http.StatusCreated, out: struct {
			Name  string `json:"name"`
			Token string `json:"token"`
		}{}},
		"DELETE /api/tokens/{name}": {about: "Revokes an API token"},
		"GET /api/sessions": {about: "Who is logged in to the pages", out: struct {
			Sessions []Session `json:"sessions"`
		}{}},
		"DELETE /api/sessions/{id}": {about: "Ends a session"},
		"GET /api/explain": {about: "What somebody may do, and the rule that says so", out: Verdict{}, query: []parameter{
			{"user", "garden", "Name of the user; empty is somebody who is not logged in"}, {"client", "garden-1", "Client identifier"},
			{"action", "publish", "publish, subscribe or receive"}, {"topic", "garden/water", "Topic or filter"}}},
		"GET /api/denials": {about: "What clients were refused lately, the newest first", query: []parameter{
			{"client", "garden-1", "Of this client alone"}, {"user", "garden", "Of this user alone"}},
			out: struct {
				Denials []access.Denial `json:"denials"`
			}{}},
		"GET /api/audit": {about: "What happened at the door, the newest first", query: []parameter{
			{"kind", "login refused", "Of this kind"}, {"user", "garden", "Of this user"}, {"address", "192.0.2.0/24", "From this address or network"},
			{"q", "admin", "Search for"}, {"format", "csv", "jsonl or csv, else JSON"}},
			out: either{struct {
				Events []access.Event `json:"events"`
			}{}, media("application/jsonl"), media("text/csv; charset=utf-8")}},
		"POST /api/access/reload": {about: "Reads the role file again"},
		"GET /api/roles":          {about: "The role file, its roles and its earlier versions", out: RoleFile{}},
		"PUT /api/roles":          {about: "Replaces the role file", out: RoleFile{}, in: roleFileRequest{}},
		"POST /api/roles/preview": {about: "What a change of the roles would do", in: roleChange{}, out: rolePreview{}},
		"POST /api/roles/restore": {about: "Puts an earlier version of the role file back", out: RoleFile{}, in: restoreRequest{1}},
		"GET /api/roles/{name}":   {about: "A role", out: Role{}},
		"PUT /api/roles/{name}":   {about: "Makes or changes a role", out: Role{}, in: roleRequest{}},
		"DELETE /api/roles/{name}": {about: "Takes a role away",
			query: []parameter{{"version", "a1b2c3", "The version of the role file that was looked at; another is refused"}}},
		"GET /api/access/observed": {about: "What a user did lately; without a user those who did anything", query: []parameter{
			{"user", "garden", "Name of the user"}, {"days", 7, "How many days, 30 at most"}}, out: object{}},
		"POST /api/access/propose": {about: "The least rules by what a user did", in: proposeRequest{User: "garden"}, out: Proposal{}},

		// Devices.
		"GET /api/devices": {about: "Devices and what they say, 100 on a page", out: deviceList{}, query: []parameter{
			{"q", "kitchen", "Search for"}, {"show", "all", "all, online, offline or battery"}, {"stick", "lintel_stick_1", "Of this stick alone"},
			{"sort", "name", "name, seen, battery or signal"}, {"page", 1, "Page, from 1"}}},
		"GET /api/devices/{id}": {about: "A device and its properties", out: deviceAnswer{}},
		"GET /api/devices/{id}/history": {about: "What a property was lately", out: historyAnswer{}, query: []parameter{
			{"property", "temperature", "Key of the property"}, {"span", "hour", "hour or day"}}},
		"POST /api/devices/{id}/set": {about: "Has a device set a property", in: setRequest{}, out: commanded{}},
		"PATCH /api/devices/{id}":    {about: "Gives a device another name or icon", in: deviceChange{}, out: deviceAnswer{}},
		"DELETE /api/devices/{id}":   {about: "Takes a device away", query: []parameter{{"force", true, "Though it does not answer"}}},
		"GET /api/capture": {about: "What goes over the port of a stick from now on", out: media("text/plain; charset=utf-8"), query: []parameter{
			{"stick", "0403_6001_A1", "Its id, see /api/status"}, {"seconds", 60, "How long, 3600 at most"}}},

		// The broker.
		"GET /api/broker": {about: "How the broker is doing", out: BrokerState{}},
		"GET /api/clients": {about: "Clients of the broker, 100 on a page", query: []parameter{{"q", "garden", "Search for"}, {"page", 1, "Page, from 1"}}, out: struct {
			Clients  []BrokerClient `json:"clients"`
			Page     int            `json:"page"`
			Pages    int            `json:"pages"`
			Matching int            `json:"matching"`
		}{}},
		"GET /api/clients/{id...}":    {about: "A client with its subscriptions and queue", out: BrokerClientDetail{}},
		"DELETE /api/clients/{id...}": {about: "Disconnects a client", query: []parameter{{"session", true, "Ends its session too: what is queued for it is gone"}}},
		"GET /api/topics": {about: "Topics and what came last on each, or with Accept: text/event-stream what changes", query: []parameter{
			{"topic", "zigbee2mqtt", "Below this topic"}, {"depth", 2, "Levels, 8 at most"}, {"filter", "+/lamp/#", "Of topics that match"}, {"q", "lamp", "Search for"},
			{"strict", "", "A filter # leaves out topics that begin with $"}, {"open", []string{"zigbee2mqtt"}, "Levels whose changes are to be told"},
			{"since", "17", "Number of the last event that was heard"}, {"epoch", "ABCDEFGH", "Of that event"}},
			out: either{object{}, media("text/event-stream")}},
		"GET /api/retained/{topic...}": {about: "The message that is retained on a topic", out: Retained{}},
		"DELETE /api/retained/{topic...}": {about: "Deletes the message that is retained on a topic", query: []parameter{{"below", true, "And those below it"}}, out: struct {
			Deleted int `json:"deleted"`
		}{}},
		"POST /api/publish": {about: "Publishes a message, with the rights of who asks", in: publishRequest{Topic: "garden/water", Payload: "on"}},

		// Zigbee.
		"GET /api/zigbee":                              {about: "The Zigbee network", out: z2m.NetworkState{}},
		"GET /api/zigbee/devices":                      {about: "The devices of the Zigbee network", out: z2m.Overview{}},
		"GET /api/zigbee/devices/{ieee}":               {about: "A device of the Zigbee network with all that is known of it", out: z2m.DeviceDetail{}},
		"GET /api/zigbee/joining":                      {about: "Devices that are joining, and what was asked of them", out: []z2m.Joining{}},
		"GET /api/zigbee/groups":                       {about: "Groups of devices", out: []z2m.GroupDetail{}},
		"GET /api/zigbee/firmware":                     {about: "Firmware of the devices, and what there is for them", out: []z2m.Firmwares{}},
		"GET /api/zigbee/images":                       {about: "Files with firmware that the box has", out: []Firmware{}},
		"POST /api/zigbee/images":                      {about: "Keeps a file with firmware", in: media(uploadType), out: Firmware{}, done: http.StatusCreated},
		"DELETE /api/zigbee/images/{name}":             {about: "Deletes one"},
		"GET /api/zigbee/map":                          {about: "The map of the network that was made last", out: z2m.NetworkMap{}},
		"POST /api/zigbee/backup":                      {about: "A backup of the coordinator, in the form of zigpy's open coordinator backup. The network key is in it", out: object{}},
		"POST /api/zigbee/permit":                      {about: "Opens the network for new devices, or closes it (0)", in: permitRequest{}, out: permitAnswer{}},
		"GET /api/zigbee/learn/{ieee}":                 {about: "The datapoints of a Tuya device that nobody has described", out: z2m.Lesson{}},
		"POST /api/zigbee/learn/{ieee}":                {about: "Says what these are", in: z2m.Teaching{}},
		"GET /api/zigbee/learn/{ieee}/definition.toml": {about: "That as a file", out: media("application/toml; charset=utf-8")},
		"GET /api/zigbee/acts":                         {about: "What is being done with the network, and was lately", out: []z2m.Act{}},
		"GET /api/zigbee/acts/{id}":                    {about: "One of these", out: z2m.Act{}},
		"DELETE /api/zigbee/acts/{id}":                 {about: "Gives it up"},

		// Home Assistant.
		"GET /api/homeassistant": {about: "The Home Assistants: their logins, and those on the network", out: struct {
			Logins []HomeAssistantLogin  `json:"logins"`
			Found  []homeassistant.Found `json:"found"`
		}{}},
		"POST /api/homeassistant/connect": {about: "Begins to connect a Home Assistant: says where somebody has to log in", in: connectRequest{}, out: struct {
			Authorize string `json:"authorize"`
		}{}},
		"POST /api" + homeassistant.CallbackPath: {about: "Connects it with what came back from there", in: callbackRequest{}, done: http.StatusCreated, out: struct {
			Connection homeassistant.Connection `json:"connection"`
		}{}},
		"POST /api/homeassistant/login": {about: "A login for a Home Assistant, and its password, shown this once", done: http.StatusCreated, out: struct {
			User     string   `json:"user"`
			Password string   `json:"password"`
			Hosts    []string `json:"hosts"`
			Port     string   `json:"port"`
		}{}},
		"GET /api/homeassistant/bridge": {about: "Bridge mode: where it leads and how it is doing; {} if it is off", out: struct {
			Settings *BridgeSettings `json:"settings,omitempty"`
			Status   any             `json:"status,omitempty"`
		}{}},
		"POST /api/homeassistant/bridge":   {about: "Tries the settings of bridge mode, and keeps them if they are good", in: BridgeSettings{}, out: Bridge{}},
		"DELETE /api/homeassistant/bridge": {about: "Ends bridge mode", query: []parameter{{"clear", true, "Takes the devices from that Home Assistant first"}}},
		"GET /api/pair": {about: "Which box this is", out: struct {
			pairedBox
			Claimed bool `json:"claimed"`
		}{}},
		"POST /api/pair": {about: "A login at the broker for who knows the code. From the network of the box only", in: pairRequest{"12345678", "homeassistant"}, out: struct {
			pairedBox
			Host     string `json:"host"`
			Port     int    `json:"port"`
			Username string `json:"username"`
			Password string `json:"password"`
		}{}},
		"POST /api/pair/code": {about: "A new code: good for some minutes, one use and five tries", done: http.StatusCreated, out: struct {
			Code    string `json:"code"`
			Seconds int    `json:"seconds"`
		}{"12345678", 300}},

		// The box.
		"GET /api/network":          {about: "Addresses of the box, its settings, those on trial, and the clock", out: networkOut},
		"POST /api/network":         {about: "Tries settings: without a confirmation they go back by themselves", in: network.Addresses{}, out: networkOut},
		"POST /api/network/confirm": {about: "Keeps the settings on trial", out: networkOut},
		"POST /api/network/revert":  {about: "Takes them back now", out: networkOut},
		"POST /api/backup": {about: "A backup of the box, encrypted if there is a passphrase", in: struct {
			Passphrase string `json:"passphrase"`
			Small      bool   `json:"small"`
		}{"correct horse", true}, out: media("application/octet-stream")},
		"POST /api/restore": {about: "Starts the box again with a backup. For everybody in its network as long as it is unclaimed, else for admins",
			in: form{{"passphrase", "That of the backup", false}, {"file", "The backup", true}}, out: struct {
				Restored string `json:"restored"`
			}{}},
		"GET /api/settings":          {about: "The configuration", out: SettingsState{}},
		"PATCH /api/settings":        {about: "Changes settings; with try, tells what would change", in: settingsRequest{}, out: SettingsResult{}},
		"GET /api/settings/versions": {about: "What the configuration was before, the newest first", out: []SettingsVersion{}},
		"POST /api/settings/undo":    {about: "Puts an earlier configuration back", in: undoRequest{Number: 1}, out: SettingsResult{}},
		"POST /api/settings/restart": {about: "Starts the house again, so that all settings have their effect", done: http.StatusAccepted},
		"GET /api/update":            {about: "Which version runs and which there is, and what is being done", out: update.Status{}},
		"POST /api/update/check":     {about: "Asks the feed for new versions", out: update.Status{}},
		"POST /api/update/install":   {about: "Begins to install what is available", out: update.Status{}, done: http.StatusAccepted},
		"POST /api/update/upload":    {about: "Installs a bundle", in: media(uploadType), out: update.Status{}, done: http.StatusAccepted},
		"POST /api/update/cancel":    {about: "Ends an installation", out: update.Status{}, done: http.StatusAccepted},
		"POST /api/update/restart":   {about: "Restarts the box", out: update.Status{}, done: http.StatusAccepted},
		"GET /api/log": {about: "The last lines of the log, with follow also those that come", query: []parameter{
			{"level", "warn", "debug, info, warn or error, and above"}, {"q", "meter", "Lines with this text"},
			{"attribute", "client", "Lines with this attribute"}, {"value", "garden-1", "And with this text in it"}, {"lines", 100, "How many, 1000 at most"}, {"follow", true, "As server-sent events, which go on"}},
			out: either{struct {
				Lines []LogLine `json:"lines"`
			}{}, media("text/event-stream")}},
	}
	for _, a := range zigbeeActs() {
		calls["POST /api/zigbee/"+a.name] = call{about: "Does " + a.name + " in the Zigbee network. 202 says that it goes on", in: fields(a.fields), out: z2m.Act{}}
	}
	return calls
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

// What calls take that nothing else needs.

type loginRequest struct {
	User     string `json:"user" api:"required"`
	Password string `json:"password" api:"required"`
}

type userRequest struct {
	Name string `json:"name" api:"required"`
	userChange
}

type certificateRequest struct {
	Name string `json:"name" api:"required"`
	CSR  string `json:"csr"` // PEM; empty: the box makes the key
}

type tokenRequest struct {
	Name  string       `json:"name" api:"required"`
	Level access.Level `json:"level" api:"required"`
}

type roleFileRequest struct {
	Text    string `json:"text"`
	Version string `json:"version"`
}

type roleRequest struct {
	Rules   []access.RuleSpec `json:"rules"`
	Text    string            `json:"text"`
	Version string            `json:"version"`
}

type restoreRequest struct {
	Number int `json:"number" api:"required"`
}

type proposeRequest struct {
	User string `json:"user" api:"required"`
	Role string `json:"role"` // empty: one after the user
	Days int    `json:"days"` // 0: a week
}

type welcomeRequest struct {
	Name    *string `json:"name"`   // of the box
	Skip    *string `json:"skip"`   // a step
	Resume  *string `json:"resume"` // a step
	Dismiss *bool   `json:"dismiss"`
}

type resetRequest struct {
	Confirm string `json:"confirm"` // the name of the box
}

type simulateRequest struct {
	Kind string `json:"kind" api:"required"`
}

type publishRequest struct {
	Topic   string `json:"topic" api:"required"`
	Payload string `json:"payload"`
	QoS     byte   `json:"qos"`
	Retain  bool   `json:"retain"`
}

type settingsRequest struct {
	Base     string         `json:"base"` // that of the settings that were looked at; another is refused
	Settings map[string]any `json:"settings" api:"required"`
	Try      bool           `json:"try"`
}

type undoRequest struct {
	Number int  `json:"number" api:"required"`
	Try    bool `json:"try"`
}

type setRequest struct {
	Key   *string `json:"key" api:"required"`
	Value any     `json:"value" api:"required"`
}

type permitRequest struct {
	Seconds *float64 `json:"seconds" api:"required"`
	Via     string   `json:"via"` // the device through which alone; empty: all of them
}

type permitAnswer struct {
	OpenUntil *time.Time `json:"open_until"`
}

type callbackRequest struct {
	State string `json:"state" api:"required"`
	Code  string `json:"code" api:"required"`
}

type pairRequest struct {
	Code   string `json:"code" api:"required"`
	Client string `json:"client" api:"required"`
}
