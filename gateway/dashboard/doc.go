// Package dashboard serves the pages of the box and its JSON API: what is plugged in,
// what it says, how the broker is doing, and who may do what.
//
//	/         whether all is well, what is not and what mends it; the sticks, and what happened last
//	/welcome  the first visit: five steps from the claim to the first device
//	/claim    how a new box gets its owner
//	/login    and POST /logout
//	/broker   throughput, who does not keep up, shared subscriptions, limits; /clients: who is connected, and why not
//	/topics   the tree of topics and what is retained; /publish: publish and subscribe, by
//	/mqtt     MQTT over WebSocket for the page, with the rights of who is logged in
//	/users    logins of devices and of people, when and from where they came last
//	/users/NAME  the rights of one, its password, what it really does, and the least rules for that
//	/roles    the roles and their rules, the role file, and its earlier versions
//	/roles/NAME  the rules of one: what a change would take or give whom, before it is saved
//	/network  the addresses of the box, and whether it knows the time
//	/backup   a backup of the whole box, and the restore of one, on a box that nobody has claimed too
//	/access   who may do what and why, what was refused lately, and the rule that would allow it
//	/tokens   API tokens, sessions of the pages, client certificates
//	/audit    what happened at the door
//	/zigbee               the Zigbee network: who may join, interviews step by step, channels, backup of the stick
//	/zigbee-map           who hears whom
//	/zigbee-groups, /zigbee-groups/ID    groups and their scenes
//	/zigbee-firmware      firmware of devices, over the radio
//	/zigbee-devices       the Zigbee devices, and what those tell that nobody has described
//	/zigbee-devices/IEEE/technical  endpoints, clusters, bindings and reporting of a device
//	/zigbee-devices/IEEE  gives names to what such a device tells
//	/update   new versions of the box: what there is, how a trial is going, upload, restart
//	/journey  single messages of a device or topic, from the radio to all who receive them; /journey/ABOUT of one
//	/trace    traces of clients, topics or addresses: start, look on, download as text or JSON lines
//	/homeassistant        the ways by which Home Assistant gets to know the box
//	/homeassistant/lintel.zip  the custom integration for Home Assistant, for everybody
//	/ca.pem   the certificate of the box's own authority
//	/settings the configuration file: its keys by section, what a change would change, earlier versions
//	/log      the last lines of the log, and those that come
//	/support  a support bundle, and what programs watch the box by; /grafana.json is a dashboard of it
//	/reset    takes the box from its owner
//	/healthz  200 "ok" when the house works, else 503 "not ok", for everybody
//	/readyz   200 "ready" when clients are let in too, else 503 "not ready", for everybody
//	/metrics  all that is counted, for Prometheus, as text or OpenMetrics: for the level viewer,
//	          or for everybody in the box's network if the configuration says so
//
// # The JSON API
//
//	GET    /api/status             the status
//	GET    /api/checks             whether all is well: {"verdict", "checks": [{"id", "name", "verdict", "why", "after",
//	                               "cause", "mend": {"label", "method", "path", "fields", "level"}}]}; see package checks
//	GET    /api/claim              whether the box is claimed
//	POST   /api/claim              {"password", "name"}: claims it
//	GET    /api/welcome            how far the first visit is: {"steps": [{"id", "done", "skipped"}], "complete", "dismissed"}
//	POST   /api/welcome            any of "name" of the box, "skip" or "resume" and the id of a step, "dismiss"; the same
//	POST   /api/login              {"user", "password"}: a session, as a cookie
//	POST   /api/logout
//	GET    /api/users              all users
//	POST   /api/users              {"name"}: a device; with "password", "roles", "topics", "page", "scram": anybody
//	GET    /api/users/NAME
//	PATCH  /api/users/NAME         any of "password" or "generate", "roles", "topics", "page", "disabled", "scram"
//	DELETE /api/users/NAME
//	POST   /api/users/import?role=ROLE  a password file of mosquitto, as text/plain
//	GET    /api/certificates       client certificates that the box has issued
//	POST   /api/certificates       {"name"}: a new one, and its key, shown this once; with "csr" in PEM there is none
//	DELETE /api/certificates/SERIAL  revokes one, which disconnects who came with it
//	GET    /api/tokens             API tokens
//	POST   /api/tokens             {"name", "level"}: a new one, shown this once
//	DELETE /api/tokens/NAME
//	GET    /api/sessions           who is logged in to the pages
//	DELETE /api/sessions/ID
//	GET    /api/explain?user=&client=&action=&topic=  the verdict, and the rule that gave it
//	GET    /api/roles              the roles, their rules and users, the role file as text, and its earlier versions
//	PUT    /api/roles              {"text", "version"}: the whole role file; with the version that was read, nobody else's change is lost
//	GET    /api/roles/NAME
//	PUT    /api/roles/NAME         {"rules": [{"allow" or "deny": [ACTION], "topic": [FILTER], "qos", "retain", "payload"}]}, or {"text"} as in
//	                               the role file: a new role, or one written anew; in force at once; a mistake is told with its line
//	DELETE /api/roles/NAME         that nobody has
//	POST   /api/roles/preview      {"name", "rules" or "text", or "delete": true}, or {"file"}: whom that would take or give what
//	POST   /api/roles/restore      {"number"}: an earlier version of the role file
//	GET    /api/access/observed?user=&days=  what a user was seen to do; without user, of whom anything is known
//	POST   /api/access/propose     {"user", "role", "days"}: the least rules that let a user go on, and what is allowed today beyond that
//	GET    /api/denials?client=&user=  what was refused lately, the newest first: logins, and what clients wanted
//	GET    /api/audit?kind=&user=&address=&q=&format=  what happened at the door, the newest first; as JSON lines
//	                               or for spreadsheets with format=jsonl or csv
//	GET    /api/log?level=&lines=&q=&attribute=&value=  the last lines of the log, those with a text and with an attribute
//	                               whose value has another in it; with follow=true as server-sent events, and those that come
//	GET    /api/journey?device=    or topic=, a filter: the last messages of a device or topic, each with its stages and
//	                               their times, since the first of these calls; with follow=true as server-sent events
//	GET    /api/trace?client=&topic=&address=&payload=true  what happens in the broker to a client, a topic filter or an address,
//	                               for 15 minutes at most, as server-sent events; as lines with format=text
//	POST   /api/access/reload      reads the role file again
//	GET    /api/broker             counters, throughput of the last hour, listeners, limits, who is slow, shared subscriptions
//	GET    /api/clients?q=&page=   sessions of the broker, 100 at a time, with what was sent, waits and was dropped
//	GET    /api/clients/ID         one, with its subscriptions, its will and, for operators, what it was refused
//	DELETE /api/clients/ID?session=true  disconnects it; with session, for admins, ends its session
//	GET    /api/topics?topic=&depth=&filter=&q=  the tree of topics, as far as who asks may receive them; as
//	                               text/event-stream with open= for each level that is open, what changes
//	GET    /api/retained/TOPIC     a retained message
//	DELETE /api/retained/TOPIC?below=true  deletes it; with below, for admins, all below it
//	POST   /api/publish            {"topic", "payload", "qos", "retain"}: with the rights of who asks
//	GET    /api/network            the addresses of the Ethernet port, its settings, those on trial, and the time servers
//	POST   /api/network            {"ipv4", "gateway", "dns", "ipv6", "ipv6_gateway"}: tries them; see package network
//	POST   /api/network/confirm    {}: keeps those on trial, which else go back by themselves
//	POST   /api/network/revert     {}: takes them back now
//	POST   /api/backup             {"passphrase", "small"}: a backup of the box, encrypted with a passphrase
//	POST   /api/restore            multipart/form-data: passphrase, then file: the box starts again with this backup;
//	                               in its own network for everybody as long as it is unclaimed
//	GET    /api/devices?q=&show=&stick=&sort=&page=  devices of all bridges, 100 a page; show is all, online,
//	                               offline or battery (low), stick a stick's id, sort is name, seen, battery or signal
//	GET    /api/devices/ID         one with its properties, their values and how they are set
//	GET    /api/devices/ID/history?property=KEY&span=hour|day  what a number was: the last of each minute for an hour,
//	                               the mean of each ten minutes for a day; since the start of the box, in memory alone
//	POST   /api/devices/ID/set     {"key", "value"}: publishes it to the set topic of the device, if the user may, and
//	                               waits up to 3 s: {"key", "value", "confirmed"}, what the device says then
//	PATCH  /api/devices/ID         any of "name" and "icon" (mdi:NAME), here and in Home Assistant
//	DELETE /api/devices/ID?force=  takes it away; with force=true a Zigbee device that does not answer too
//	GET    /api/simulate           simulated sticks: those that play, and the kinds that there are
//	POST   /api/simulate           {"kind"}: plugs one in; it is gone after a restart
//	DELETE /api/simulate/KIND      pulls it, with all that there is of its devices
//	GET    /api/zigbee             the Zigbee network: channel, stick, until when it is open, health
//	GET    /api/zigbee/devices     its devices
//	GET    /api/zigbee/devices/IEEE  a device: endpoints, clusters, bindings, reporting, groups, firmware
//	GET    /api/zigbee/joining     the last interviews, step by step
//	GET    /api/zigbee/groups      groups with members and scenes
//	GET    /api/zigbee/firmware    devices that take firmware over the radio, and what there is for them
//	GET    /api/zigbee/map         the last map: who hears whom
//	GET    /api/zigbee/images      firmware that was uploaded for devices; POST adds a file, as application/octet-stream
//	DELETE /api/zigbee/images/NAME
//	POST   /api/zigbee/backup      {}: the coordinator's backup, with the network key
//	POST   /api/zigbee/NAME        does something, and answers with an act: 202 if it goes on. NAME and what is said:
//	                               install_code {"value"}; map {}; energy_scan {}; coordinator_check {};
//	                               channel {"channel"}; restore {"backup", "words"};
//	                               device/rename {"from", "to"}; device/remove {"id", "force", "block"};
//	                               device/interview, device/configure {"id"};
//	                               device/bind, device/unbind {"from", "from_endpoint", "to", "to_endpoint", "clusters"};
//	                               device/reporting/configure {"id", "endpoint", "cluster", "attribute",
//	                               "minimum_report_interval", "maximum_report_interval", "reportable_change"};
//	                               device/command {"id", "endpoint", "command"}; device/read {"id", "endpoint", "cluster",
//	                               "attributes"}; device/write {"id", "endpoint", "cluster", "attribute", "value"};
//	                               group/add {"friendly_name", "id"}; group/remove {"id", "force"}; group/rename {"from", "to"};
//	                               group/members/add, group/members/remove {"group", "device", "endpoint"};
//	                               group/state {"id", "state"}; group/scene/recall, group/scene/remove {"id", "scene"};
//	                               group/scene/store {"id", "scene", "name"};
//	                               firmware/check, firmware/install, firmware/cancel, firmware/schedule,
//	                               firmware/unschedule {"id"}
//	GET    /api/zigbee/acts        what is being done, and the last that was
//	GET    /api/zigbee/acts/ID     one of them
//	DELETE /api/zigbee/acts/ID     gives it up
//	POST   /api/zigbee/permit      {"seconds", "via"}: opens it for new devices, 254 s at most; 0 closes it
//	GET    /api/zigbee/learn/IEEE  the datapoints of a Tuya device that nobody has described
//	POST   /api/zigbee/learn/IEEE  what they are: {"model", "vendor", "description", "datapoints": [{"dp", "name",
//	                               "kind", "divisor", "unit", "values", "settable"}]}; without a name it is taken away
//	GET    /api/zigbee/learn/IEEE/definition.toml  that as a file, see serialbridge/zigbee/README.md
//	GET    /api/settings           the configuration file: each key with its value, default and meaning, without secrets
//	PATCH  /api/settings           {"settings": {"mqtt.max_inflight": 50}}: changes it; null is the default. "base" of the GET
//	                               refuses what somebody else has changed meanwhile; "try" only tells what would change:
//	                               {"diff": lines, "waiting": keys that take a restart}
//	GET    /api/settings/versions  what it was before, the newest first
//	POST   /api/settings/undo      {"number", "try"}: has it be as an earlier version
//	GET    /api/support            a support bundle, a zip without secrets
//	POST   /api/reset              {"confirm": name of the box}: takes the box from its owner, as the file lintel-reset does
//	POST   /api/settings/restart   {}: restarts Lintel, not the box; 202
//	GET    /api/update             which version runs and which there is, what is being done: an update.Status
//	POST   /api/update/check       {}: asks the feed; the same
//	POST   /api/update/install     {}: begins to install what is available; 202 and the same
//	POST   /api/update/upload      a bundle as application/octet-stream: installs it; 202 and the same when all of it was
//	                               written and read back and the box is about to restart
//	POST   /api/update/cancel      {}: ends an installation
//	POST   /api/update/restart     {}: restarts the box; 202
//	GET    /api/homeassistant        the Home Assistants: their logins, whether they are here, and those in the network
//	POST   /api/homeassistant/connect   {"found"} or {"address"}, with "fingerprint" of a certificate that was compared:
//	                               {"authorize"}, where to log in; that leads to /homeassistant/callback of the host of this call
//	POST   /api/homeassistant/callback  {"state", "code"} that came there: connects it; only for who has begun it
//	GET    /api/homeassistant/bridge    bridge mode: where it leads and how it is doing; {} if it is off
//	POST   /api/homeassistant/bridge    {"host", "port", "tls", "fingerprint", "user", "password"}: tries them out and keeps them
//	DELETE /api/homeassistant/bridge?clear=true  ends it; with clear the devices go from that Home Assistant
//	POST   /api/homeassistant/login  {}: a login for one, and its password, shown this once
//	GET    /api/pair               which box this is: {"id", "name", "model", "version", "claimed"}, for everybody
//	POST   /api/pair               {"code", "client": "homeassistant"}: a login of its own for who knows the code, for
//	                               everybody in the box's network: {"host", "port", "username", "password"} and which
//	                               box this is; a problem document has a "reason": wrong_code, no_code, wait,
//	                               unclaimed, no_listener, no_login, far or busy
//	POST   /api/pair/code          {}: a new code, {"code", "seconds"}: good for that long, one use and five tries
//
// What is sent is JSON with Content-Type: application/json, POST without anything to say
// too. What is not done is answered with a problem document (RFC 9457), see [Problem]: its
// detail is a sentence that says what to do next, its errors name each field of the body,
// as a JSON pointer, and each parameter or header that is wrong. Names that a call does not
// know are refused. A program shows an API token as Authorization: Bearer TOKEN. A password that the box has made is in the
// answer that makes it, and nowhere else.
//
// # Who may do what
//
// Until somebody has claimed the box there is nothing but the claim. Then each route
// takes a level: viewer sees, operator acts and asks why, admin changes users, tokens and
// rules. routes, in route.go, is the list, and it is checked there and nowhere else. The
// level of a user is looked up with each request, so that it can be taken away at once.
//
// A browser has a session, see [access.Sessions]. Its cookie is HttpOnly and SameSite=Lax;
// over TLS it is Secure and called __Host-lintel, which nobody can set without TLS. The
// last admin who can log in cannot be deleted, disabled or lowered.
//
// What a page of another site can have a browser do is refused:
//
//   - Whatever is not GET or HEAD and comes from another origin, by Sec-Fetch-Site or Origin
//     ([http.CrossOriginProtection]), the claim and the login too. GET changes nothing, but for
//     the one below.
//   - What comes for a name that is not one of the box, an IP address or localhost: 421. So
//     nobody can lead a name of their own here (DNS rebinding).
//   - Calls without their Content-Type, which a form cannot have.
//
// GET /mqtt is MQTT over WebSocket. Browsers let pages of other sites open one, and send our
// cookie along: so it takes an Origin that is the one of the request. The connection is that
// of the user of the session, whatever its CONNECT says, with the rights that the user has
// at the broker, and ends within a second of the session. There are 16 at most.
//
// GET /homeassistant/callback connects a Home Assistant, which sends the browser there from a
// page of another site. Browsers send our cookie along when the whole page goes over by a
// GET (SameSite=Lax), so it takes the session of an admin as everything else does; and it
// takes the state, 130 random bits that only the browser was told which has begun the same
// with a POST, that is good once, for ten minutes, and for that session alone. A page that
// leads a browser there by itself has no state, and one of another session is worth nothing:
// nobody can have an admin finish what somebody else began.
//
// Without TLS others in the network can read along. Where the pages are over TLS too, those
// without it lead there; they stay, for who does not trust the box's authority yet.
//
// POST /api/pair gives a login at the broker to who has no login here, but knows the code
// that an admin has shown, see [access.Pairing]; from the network of the box only. The
// audit log tells of each try.
//
// The first claim is taken from the network of the box only. Failed logins have to wait,
// see [access.Lockout]; passwords are checked one at a time. The answer is the same
// whether there is such a user or not.
//
// # Contract
//
// [Server.Run] owns the goroutines of the HTTP server and runs [access.Sessions]. The
// functions of [Options] are called from several of them at the same time. Last values
// come from the state topics, as any client would see them; the subscription's handler
// takes a lock and nothing else.
//
// Everything that is shown comes from devices, clients and people and is hostile: pages
// are made by html/template and forbid scripts and styles that are not files of ours, and
// framing.
//
// # How a page is made
//
// Templates are in html, style sheet and ES modules in static, translations in text. A page
// works by links and forms; modules make it live (see livePage), ask before something
// dangerous, and draw what HTML cannot. All that a page says by itself is in the catalogue,
// whose keys are the English texts: text/LANGUAGE/*.json.
//
// What changes something goes on when the browser goes away meanwhile, for 30 s at most.
//
// While somebody looks at the topics there is a client in the process that subscribes to all
// of them, and for a minute after; else no message costs anything. An open page gets what
// changes on the levels that are open, 6 KiB a second at most, however much happens.
//
// Limits: 6 trees of topics (admins share one) of 20,000 topics and 8 MiB, 200 levels right
// below one; 16 MQTT connections of pages; 64 KiB of a message that is published here; 40 live
// pages; 64 connections of each listener, 16 KiB of request header, 4 KiB of body
// (64 KiB for a user or a certificate, 128 KiB for datapoints, 512 KiB for what is done with the Zigbee network, 1 MiB for an import, 501 MiB for an update, which may take as long as it
// goes on), 10 s for a request, 1,000 lines of the log with four who follow it, 1,000
// devices with 64 KiB of state each, 200 clients, users, certificates or events on a page.
package dashboard
