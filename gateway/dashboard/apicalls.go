package dashboard

import (
	"net/http"

	"lintel/gateway/access"
	"lintel/gateway/homeassistant"
	"lintel/gateway/update"
	"lintel/serialbridge/zigbee/z2m"
)

const eventStream = media("text/event-stream")

// describedCalls is what the API tells of its calls, by the pattern of their route. What a
// call takes and answers with is here only where it is no JSON of one type, see [gives] and
// [takes], or where there is an example.
func describedCalls() map[string]call {
	calls := map[string]call{
		"GET /api/openapi.json": {about: "This description", out: object{}},
		"GET /api/status":       {about: "What the box knows of itself: broker, sticks, devices, clients and what else is on the network"},
		"GET /api/checks":       {about: "Whether all is well, and if not, why, and what mends it"},

		"GET /api/welcome":  {about: "How far the first visit is"},
		"POST /api/welcome": {about: "Names the box, or skips or resumes a step of the first visit"},
		"GET /api/journey": {about: "The last messages of a device or a topic, each with all that became of it; with follow also those that come", query: []parameter{
			{"device", "dsmr_1", "Of this device"}, {"topic", "zigbee2mqtt/#", "Of topics that match"}, {"follow", true, "As server-sent events, which go on"}},
			out: either{journeyList{}, eventStream}},

		"GET /api/support": {about: "What a supporter needs to know of the box, without secrets", out: media("application/zip")},
		"POST /api/reset":  {about: "Takes the box from its owner: admins, logins of people and API tokens go"},
		"GET /api/trace": {about: "What goes on from now on between the broker and some clients, as server-sent events, which go on", query: []parameter{
			{"client", "garden-1", "Of this client"}, {"topic", "garden/#", "Of topics that match"}, {"address", "192.0.2.7", "Of this address"},
			{"payload", true, "With payloads, of topics that who asks may receive"}, {"format", "text", "text or nothing"}},
			out: either{eventStream, media("text/plain; charset=utf-8")}},

		"GET /api/simulate":           {about: "The sticks that are played for trying out, and those that can be"},
		"POST /api/simulate":          {about: "Plays a stick", in: simulateRequest{"dsmr"}},
		"DELETE /api/simulate/{kind}": {about: "Takes a played stick away"},

		// Who may do what.
		"GET /api/claim": {about: "Whether somebody owns the box"},
		"POST /api/claim": {about: "Claims the box: its first admin, and a login for Home Assistant. From its own network only", done: http.StatusCreated,
			in: claimRequest{"correct horse battery", "Cellar"}, out: claimedAnswer{}},
		"POST /api/login": {about: "Begins a session, whose cookie is in the answer",
			in: loginRequest{"admin", "correct horse battery"}, out: loginAnswer{"admin", access.Admin}},
		"POST /api/logout": {about: "Ends the session"},
		"GET /api/users":   {about: "All users"},
		"POST /api/users":  {about: "A new user. One of whom only the name is told is a device with topics of its own", done: http.StatusCreated},
		"POST /api/users/import": {about: "New users from a password file of mosquitto", query: []parameter{{"role", []string{"device"}, "What they may do"}},
			done: http.StatusCreated},
		"GET /api/users/{name}":             {about: "A user"},
		"PATCH /api/users/{name}":           {about: "Changes what is sent"},
		"DELETE /api/users/{name}":          {about: "Deletes a user, whose clients are disconnected"},
		"GET /api/certificates":             {about: "The client certificates that the box has issued"},
		"POST /api/certificates":            {about: "A new client certificate, and its key, shown this once", in: certificateRequest{Name: "garden"}, done: http.StatusCreated},
		"DELETE /api/certificates/{serial}": {about: "Revokes a certificate, and disconnects who came with it"},
		"GET /api/tokens":                   {about: "The API tokens, without their secrets"},
		"POST /api/tokens":                  {about: "A new API token, shown this once", in: tokenRequest{"grafana", access.Viewer}, done: http.StatusCreated},
		"DELETE /api/tokens/{name}":         {about: "Revokes an API token"},
		"GET /api/sessions":                 {about: "Who is logged in to the pages"},
		"DELETE /api/sessions/{id}":         {about: "Ends a session"},
		"GET /api/explain": {about: "What somebody may do, and the rule that says so", query: []parameter{
			{"user", "garden", "Name of the user; empty is somebody who is not logged in"}, {"client", "garden-1", "Client identifier"},
			{"action", "publish", "publish, subscribe or receive"}, {"topic", "garden/water", "Topic or filter"}}},
		"GET /api/denials": {about: "What clients were refused lately, the newest first", query: []parameter{
			{"client", "garden-1", "Of this client alone"}, {"user", "garden", "Of this user alone"}}},
		"GET /api/audit": {about: "What happened at the door, the newest first", query: []parameter{
			{"kind", "login refused", "Of this kind"}, {"user", "garden", "Of this user"}, {"address", "192.0.2.0/24", "From this address or network"},
			{"q", "admin", "Search for"}, {"format", "csv", "jsonl or csv, else JSON"}},
			out: either{eventList{}, media("application/jsonl"), media("text/csv; charset=utf-8")}},
		"POST /api/access/reload": {about: "Reads the role file again"},
		"GET /api/roles":          {about: "The role file, its roles and its earlier versions"},
		"PUT /api/roles":          {about: "Replaces the role file"},
		"POST /api/roles/preview": {about: "What a change of the roles would do"},
		"POST /api/roles/restore": {about: "Puts an earlier version of the role file back", in: restoreRequest{1}},
		"GET /api/roles/{name}":   {about: "A role"},
		"PUT /api/roles/{name}":   {about: "Makes or changes a role"},
		"DELETE /api/roles/{name}": {about: "Takes a role away",
			query: []parameter{{"version", "a1b2c3", "The version of the role file that was looked at; another is refused"}}},
		"GET /api/access/observed": {about: "What a user did lately; without a user those who did anything", query: []parameter{
			{"user", "garden", "Name of the user"}, {"days", 7, "How many days, 30 at most"}}, out: object{}},
		"POST /api/access/propose": {about: "The least rules by what a user did", in: proposeRequest{User: "garden"}},

		// Devices.
		"GET /api/devices": {about: "Devices and what they say, 100 on a page", query: []parameter{
			{"q", "kitchen", "Search for"}, {"show", "all", "all, online, offline or battery"}, {"stick", "lintel_stick_1", "Of this stick alone"},
			{"sort", "name", "name, seen, battery or signal"}, {"page", 1, "Page, from 1"}}},
		"GET /api/devices/{id}": {about: "A device and its properties"},
		"GET /api/devices/{id}/history": {about: "What a property was lately", query: []parameter{
			{"property", "temperature", "Key of the property"}, {"span", "hour", "hour or day"}}},
		"POST /api/devices/{id}/set": {about: "Has a device set a property"},
		"PATCH /api/devices/{id}":    {about: "Gives a device another name or icon"},
		"DELETE /api/devices/{id}":   {about: "Takes a device away", query: []parameter{{"force", true, "Though it does not answer"}}},
		"GET /api/capture": {about: "What goes over the port of a stick from now on", out: media("text/plain; charset=utf-8"), query: []parameter{
			{"stick", "0403_6001_A1", "Its id, see /api/status"}, {"seconds", 60, "How long, 3600 at most"}}},

		// The broker.
		"GET /api/broker":             {about: "How the broker is doing"},
		"GET /api/clients":            {about: "Clients of the broker, 100 on a page", query: []parameter{{"q", "garden", "Search for"}, {"page", 1, "Page, from 1"}}},
		"GET /api/clients/{id...}":    {about: "A client with its subscriptions and queue"},
		"DELETE /api/clients/{id...}": {about: "Disconnects a client", query: []parameter{{"session", true, "Ends its session too: what is queued for it is gone"}}},
		"GET /api/topics": {about: "Topics and what came last on each, or with Accept: text/event-stream what changes", query: []parameter{
			{"topic", "zigbee2mqtt", "Below this topic"}, {"depth", 2, "Levels, 8 at most"}, {"filter", "+/lamp/#", "Of topics that match"}, {"q", "lamp", "Search for"},
			{"strict", "", "A filter # leaves out topics that begin with $"}, {"open", []string{"zigbee2mqtt"}, "Levels whose changes are to be told"},
			{"since", "17", "Number of the last event that was heard"}, {"epoch", "ABCDEFGH", "Of that event"}},
			out: either{object{}, eventStream}},
		"GET /api/retained/{topic...}":    {about: "The message that is retained on a topic"},
		"DELETE /api/retained/{topic...}": {about: "Deletes the message that is retained on a topic", query: []parameter{{"below", true, "And those below it"}}},
		"POST /api/publish":               {about: "Publishes a message, with the rights of who asks", in: publishRequest{Topic: "garden/water", Payload: "on"}},

		// Zigbee.
		"GET /api/zigbee":                              {about: "The Zigbee network"},
		"GET /api/zigbee/devices":                      {about: "The devices of the Zigbee network"},
		"GET /api/zigbee/devices/{ieee}":               {about: "A device of the Zigbee network with all that is known of it"},
		"GET /api/zigbee/joining":                      {about: "Devices that are joining, and what was asked of them"},
		"GET /api/zigbee/groups":                       {about: "Groups of devices"},
		"GET /api/zigbee/firmware":                     {about: "Firmware of the devices, and what there is for them"},
		"GET /api/zigbee/images":                       {about: "Files with firmware that the box has"},
		"POST /api/zigbee/images":                      {about: "Keeps a file with firmware", done: http.StatusCreated},
		"DELETE /api/zigbee/images/{name}":             {about: "Deletes one"},
		"GET /api/zigbee/map":                          {about: "The map of the network that was made last"},
		"POST /api/zigbee/backup":                      {about: "A backup of the coordinator, in the form of zigpy's open coordinator backup. The network key is in it", out: object{}},
		"POST /api/zigbee/permit":                      {about: "Opens the network for new devices, or closes it (0)"},
		"GET /api/zigbee/learn/{ieee}":                 {about: "The datapoints of a Tuya device that nobody has described"},
		"POST /api/zigbee/learn/{ieee}":                {about: "Says what these are; without a name one is taken away"},
		"GET /api/zigbee/learn/{ieee}/definition.toml": {about: "That as a file", out: media("application/toml; charset=utf-8")},
		"GET /api/zigbee/acts":                         {about: "What is being done with the network, and was lately"},
		"GET /api/zigbee/acts/{id}":                    {about: "One of these"},
		"DELETE /api/zigbee/acts/{id}":                 {about: "Gives it up"},

		// Home Assistant.
		"GET /api/homeassistant":                 {about: "The Home Assistants: their logins, and those on the network"},
		"POST /api/homeassistant/connect":        {about: "Begins to connect a Home Assistant: says where somebody has to log in"},
		"POST /api" + homeassistant.CallbackPath: {about: "Connects it with what came back from there", done: http.StatusCreated},
		"POST /api/homeassistant/login":          {about: "A login for a Home Assistant, and its password, shown this once", done: http.StatusCreated},
		"GET /api/homeassistant/bridge":          {about: "Bridge mode: where it leads and how it is doing; {} if it is off"},
		"POST /api/homeassistant/bridge":         {about: "Tries the settings of bridge mode, and keeps them if they are good"},
		"DELETE /api/homeassistant/bridge":       {about: "Ends bridge mode", query: []parameter{{"clear", true, "Takes the devices from that Home Assistant first"}}},
		"GET /api/pair":                          {about: "Which box this is"},
		"POST /api/pair": {about: "A login at the broker for who knows the code. From the network of the box only",
			in: pairRequest{"12345678", "homeassistant"}, out: pairedLogin{}},
		"POST /api/pair/code": {about: "A new code: good for some minutes, one use and five tries", done: http.StatusCreated, out: shownCode{"12345678", 300}},

		// The box.
		"GET /api/network":          {about: "Addresses of the box, its settings, those on trial, and the clock"},
		"POST /api/network":         {about: "Tries settings: without a confirmation they go back by themselves"},
		"POST /api/network/confirm": {about: "Keeps the settings on trial"},
		"POST /api/network/revert":  {about: "Takes them back now"},
		"POST /api/backup": {about: "A backup of the box, encrypted if there is a passphrase", in: backupRequest{"correct horse", true},
			out: media("application/octet-stream")},
		"POST /api/restore": {about: "Starts the box again with a backup. For everybody in its network as long as it is unclaimed, else for admins",
			in: form{{"passphrase", "That of the backup", false}, {"file", "The backup", true}}, out: restored{}},
		"GET /api/settings":          {about: "The configuration"},
		"PATCH /api/settings":        {about: "Changes settings, null is the default; with try, tells what would change"},
		"GET /api/settings/versions": {about: "What the configuration was before, the newest first"},
		"POST /api/settings/undo":    {about: "Puts an earlier configuration back", in: undoRequest{Number: 1}},
		"POST /api/settings/restart": {about: "Starts the house again, so that all settings have their effect", done: http.StatusAccepted},
		"GET /api/update":            {about: "Which version runs and which there is, and what is being done"},
		"POST /api/update/check":     {about: "Asks the feed for new versions"},
		"POST /api/update/install":   {about: "Begins to install what is available", done: http.StatusAccepted},
		"POST /api/update/upload":    {about: "Installs a bundle", out: update.Status{}, done: http.StatusAccepted},
		"POST /api/update/cancel":    {about: "Ends an installation", done: http.StatusAccepted},
		"POST /api/update/restart":   {about: "Restarts the box", done: http.StatusAccepted},
		"GET /api/log": {about: "The last lines of the log, with follow also those that come", query: []parameter{
			{"level", "warn", "debug, info, warn or error, and above"}, {"q", "meter", "Lines with this text"},
			{"attribute", "client", "Lines with this attribute"}, {"value", "garden-1", "And with this text in it"}, {"lines", 100, "How many, 1000 at most"}, {"follow", true, "As server-sent events, which go on"}},
			out: either{lineList{}, eventStream}},
	}
	for _, a := range zigbeeActs() {
		calls["POST /api/zigbee/"+a.name] = call{about: "Does " + a.name + " in the Zigbee network. 202 says that it goes on", in: fields(a.fields), out: z2m.Act{}, later: true}
	}
	return calls
}
