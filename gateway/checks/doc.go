// Package checks judges a house: whether all is well, else what is wrong, why, and what
// mends it. [Look] is a pure function of what is known of the house; it asks nobody and
// keeps nothing.
//
// # The tree
//
// Each check names those that it depends on. One that is not well is explained by one of
// them that is not well either and at least as bad: a box without a network address
// explains that Home Assistant is away. Then its Cause is the check at the end of that
// chain, which is what a person has to mend. [Report.Problems] gives the causes, the worst
// first, each with its followers.
//
//	power
//	├ sticks ─ stick/ID … ─ devices ─ batteries
//	└ network ┬ clock ─ certificates
//	          ├ name
//	          ├ receivers
//	          ├ uplink/NAME …
//	          ├ homeassistant ─ documents
//	          └ update
//	space ┬ store ┬ broker ─ receivers, homeassistant
//	      │       └ backup
//	      └ update
//	temperature, memory, wear, access, start/N …
//
// The store depends on power and wear too, the broker on memory, and what needs the time on
// the clock.
//
// # Verdicts
//
// Bad is what does not work now, Warning what will not for long or not for all, Notice what
// a person may want to do one day. The verdict of the house is the worst of all checks;
// what is unknown, or not there, is no reason to worry.
//
// # Texts
//
// A [Text] is a format in English and its arguments: who shows it may translate the format.
// What others say, such as errors of sticks, is an argument and stays as it is.
package checks
