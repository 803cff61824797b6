// Package gateway composes the house: it reads the configuration, opens the
// store, starts the broker, the serial bridges, Home Assistant discovery, mDNS
// and the pages, and stops them in the right order. It knows every package and
// only the commands know it.
//
// # Contract
//
// The configuration is one TOML file, see README.md of this package. It is
// read once at the start. A key that is not known, of the wrong type or with a
// value that cannot work stops the start, with file, line and what is right.
// Config is a plain value: whoever has one owns it.
//
// Listeners open when users, rules and sessions are loaded, and when the files were
// obeyed that a person put on the card. The role file is read again when it is asked
// for; clients stay connected. Who is deleted, disabled or has another password is
// disconnected.
package gateway
