// Package mdns makes the box known on the local network, and others known to it:
// an [Advertiser] answers for the host name (RFC 6762) and advertises services
// (RFC 6763), a [Browser] looks for services of others.
//
// Two responders share UDP port 5353. github.com/grandcat/zeroconf answers for
// the services. It never answers for the host name, does not probe, and sends
// its announcements without the authoritative bit, so the responder of this
// package does the rest: A, AAAA, reverse PTR and NSEC of the host name with
// the addresses of the link on which a query came in, probing and conflict
// resolution for the host and the service instances, and announcements and
// goodbyes of everything. Both follow the interfaces. What another host takes
// back of this one's, as the loser of a conflict does when it says goodbye to
// its old names, is announced again before it counts.
//
// The browser has sockets of its own. zeroconf's browsing is not used: what it once
// found it never looks at again, it wants a service with its addresses in one packet,
// and a reader that is late stops it. The browser asks after one second, two, four and
// so on up to an hour, and for each record again at 80, 85, 90 and 95 percent of its
// lifetime; a service is there while it has a PTR, an SRV and an address record. It
// keeps the links apart, forgets those that are gone, and doubts what it knows of a
// link whose addresses have changed. What it finds was said by strangers, without any
// proof.
//
// # Goroutines
//
// [Advertiser.Run] owns them all and returns when they are done, except that
// zeroconf's announcing goroutine outlives its server by up to 3.2 seconds.
// One goroutine holds the whole state of the responder and takes packets,
// interface changes and timers one at a time, so there are no locks; two read
// the sockets, one watches the interfaces, one keeps the zeroconf servers. Only
// the name in use is shared, atomically. [Browser.Run] is the same without
// zeroconf; what was found is shared, atomically too.
//
// # Limits
//
// A packet over 9000 bytes, with more than 256 questions or that does not parse
// is dropped. A record is multicast at most once a second on a
// link, whoever asks (four times a second to defend a name that is being
// probed for); unicast answers are at most 100 a second, and go to addresses of
// the link only. A link has at most eight addresses of each family. A service
// is registered anew at most every five seconds. A conflict over a name that was
// claimed within ten seconds is looked into when those are over.
//
// The browser keeps at most 32 instances of a type on a link, eight addresses of
// each family of a host, and 2048 bytes of text of an instance; nothing for longer
// than 75 minutes. It sends at most one query a second on a link, of one Ethernet
// frame. Names and texts with control characters or without UTF-8 are left out, and
// so are addresses of the internet that are not on the link.
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
