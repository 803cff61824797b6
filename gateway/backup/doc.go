// Package backup keeps a box: what a person would have to set up again, and what the house has in
// its store. Another box goes on with it in the place of the first.
//
// # Format
//
// A tar archive, so that a person can look into it with what is everywhere. Its members,
// in this order:
//
//	lintel-box.json   the manifest: format, box, version, time, the files with their SHA-256
//	files/NAME        each file of the manifest: the configuration, roles, schemas, keys, tls/
//	store/NNNNNNNN    pieces of a backup of the store (package persist), 1 MiB each but the last
//	end.json          how many pieces there are and the SHA-256 of the manifest and of the store's backup
//
// The store's backup comes in pieces because tar wants to know sizes before bytes and the
// box does not make copies of its store on the card to find out. With a passphrase all
// that is within the age format, as a backup of a store alone is.
//
// A box that this is restored on takes the identity of the old one: Home
// Assistant, devices and radios go on with it as before.
//
// # Contract
//
// What is read is believed only when it is whole: [Stage] checks all of it, with the sums, before
// anything of the box is touched. [Finish] ends what it has begun, whenever the power fails.
package backup
