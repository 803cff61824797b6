// Package settings is what a person wants of the box: the configuration file lintel.toml, the page
// that changes it, and the files that are put on the card before a start.
//
// # Contract
//
// [Config] is a plain value: whoever has one owns it. [Load] reads it once, at the start. A key that
// is not known, of the wrong type or with a value that cannot work is an error with file, line and
// what is right; README.md has all keys, and what it says of one is on the page.
//
// [Change] and [Page] write the file whole or not at all, leave alone what they do not change, and
// keep what it was before beside it (versions.go). What is secret in it is shown nowhere.
//
// [ReadCard] takes what lintel-preseed.toml and the files of Raspberry Pi Imager say into the file,
// before that is read; [Card.Obey] claims or resets the box by them when the store is open.
package settings
