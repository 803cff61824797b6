// Package clock learns the time from NTP servers and sets the clock of the machine. A
// Raspberry Pi has none with a battery: it starts in 1970.
//
// # What is believed
//
// Each round asks all servers, by the client's part of SNTP (RFC 4330, RFC 5905 §14). An answer
// counts if it repeats the 64 random bits of the question, so that only who has seen that can
// have made it, if its server says that it is synchronised, by no more than 15 steps, and if it is
// off by no more than [maxDistance] by its own account and by the time that it took. Each says that the clock is
// off by so much, more or less; what is believed is where most of these intervals overlap
// (Marzullo's algorithm), if that is more than half of them. One server alone out of several is believed
// when it says the same for three rounds.
//
// The clock is never set back behind [Options.Floor], the newest time that the box has
// stored: who could do that could bring expired certificates and sessions back. Once it
// is set, it is set anew by more than ten minutes only if the next round says so too.
//
// Differences up to [stepLimit] are slewed, so that nobody sees a jump; larger ones are set.
// The kernel is told that the clock is synchronised, and forgets that by itself after some nine hours
// without an answer, since the possible error grows; it is the one place that everybody asks.
// A clock with a battery is read at the start, and set when the time is known.
//
// # Contract
//
// [Client.Run] owns its goroutines; Status may be called from any. A round asks at most 16
// addresses, each once, and reads 16 datagrams at most for an answer. Rounds are 64 s to 34 min
// apart once the time is known; before that 2 s, then longer and longer. A server that says that it is asked too
// often (kiss of death RATE) is asked less; one that says that it does not want to (DENY, RSTR), not
// for a day.
package clock
