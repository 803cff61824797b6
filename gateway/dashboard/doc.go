// Package dashboard serves the status page: what is plugged in, what it says,
// who is connected, how the broker is doing.
//
//	GET /            the page, for people
//	GET /api/status  the same as JSON
//	GET /healthz     200 when the house works, 503 and the reason when not
//
// # Contract
//
// [Server.Run] owns the goroutines of the HTTP server. The functions of
// [Options] are called from several of them at the same time. Last values come
// from the state topics, as any client would see them; the subscription's
// handler takes a lock and nothing else.
//
// Everything that is shown comes from devices and clients and is hostile: pages
// are made by html/template, forbid scripts, inline styles and framing.
//
// Limits: 64 connections, 16 KiB of request header, 10 s for a request, 1,000
// devices with 64 KiB of state each, 200 clients on the page.
package dashboard
