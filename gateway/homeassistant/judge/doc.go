// Package judge says what Home Assistant makes of a discovery message, without Home
// Assistant: whether it takes it, which keys vanish without a word, which components
// of a device are lost, and what is taken and goes wrong later. None of that is ever
// shown to a user, so whatever makes such messages is held against this package in
// tests.
//
// The keys of each component, their abbreviations, device classes and units are in
// schema.json; they and the rules are facts of Home Assistant 2026.2. Judged are the
// 28 components of that version.
//
// # Contract
//
// [Judge] is pure. It takes any bytes; what is longer than 1 MiB is refused unread.
package judge
