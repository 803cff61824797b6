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
// GET /api/openapi.json describes all calls, from the types that they take and answer with;
// /api shows that to people. All routes with the level that each takes are in
// testdata/routes.txt.
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
// rules. It is checked before a route is served; what takes more than its route, such as to
// end a session instead of a connection, is checked where it is done. The level of a user is
// looked up with each request, so that it can be taken away at once.
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
// below one; 16 MQTT connections of pages; 40 live pages; 4 captures, 4 traces that are kept
// and 4 that are followed, 4 who follow the log or journeys; 1,000 lines of the log; 64
// connections of each listener, 16 KiB of request header, 4 KiB of body unless the route takes
// more, 10 s for a request unless it takes longer; 1,500 devices, sticks and the box with 64
// KiB of state each; 100 clients, users, devices or events on a page.
package dashboard
