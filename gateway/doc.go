// Package gateway composes the house: it opens the store, starts the broker, the
// serial bridges, Home Assistant discovery, mDNS and the pages, and stops them in the
// right order. It knows every package and only the commands know it.
//
// # Contract
//
// [Run] takes the configuration as it was read, and blocks until its context ends, a part
// of the house fails, or somebody has asked for a restart.
//
// Listeners open when users, rules and sessions are loaded, and when the files were
// obeyed that a person put on the card. The role file is read again when it is asked
// for; clients stay connected. Who is deleted, disabled or has another password is
// disconnected.
package gateway
