// Package mdns makes the box known on the local network: it answers for the
// host name (RFC 6762) and advertises services (RFC 6763).
//
// Two responders share UDP port 5353. github.com/grandcat/zeroconf answers for
// the services. It never answers for the host name, does not probe, and sends
// its announcements without the authoritative bit, so the responder of this
// package does the rest: A, AAAA, reverse PTR and NSEC of the host name with
// the addresses of the link on which a query came in, probing and conflict
// resolution for the host and the service instances, and announcements and
// goodbyes of everything. Both follow the interfaces.
//
// [Browser] looks for what others advertise, on sockets of its own. zeroconf's own
// browsing is not used: what it once found it never looks at again, it wants a
// service with its addresses in one packet, and a reader that is late stops it.
//
// # Goroutines
//
// [Advertiser.Run] owns them all and returns when they are done, except that
// zeroconf's announcing goroutine outlives its server by up to 3.2 seconds.
// One goroutine holds the whole state of the responder and takes packets,
// interface changes and timers one at a time, so there are no locks; two read
// the sockets, one watches the interfaces, one keeps the zeroconf servers. Only
// the name in use and the counters are shared, atomically.
//
// # Limits
//
// A packet over 9000 bytes, with more than 256 questions or that does not parse
// is counted and dropped. A record is multicast at most once a second on a
// link, whoever asks (four times a second to defend a name that is being
// probed for); unicast answers are at most 100 a second, and go to addresses of
// the link only. A link has at most eight addresses of each family. A service
// is registered anew at most every five seconds.
//
// The responder does not delay answers to wait for the rest of a known-answer
// list (the TC bit, RFC 6762 section 7.2): everything it answers with is unique
// to this host, so that an answer too many is the worst that happens. A query
// sent to this host's own address instead of the group reaches only the newest
// of the sockets on port 5353, which is mostly zeroconf's.
//
// zeroconf writes its complaints to the standard logger of package log; a
// program that logs elsewhere redirects that one.
package mdns
