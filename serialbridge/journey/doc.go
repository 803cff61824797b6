// Package journey follows single messages through the house while somebody watches: from
// the bytes at a stick by way of a frame and a reading to a topic and all who receive it,
// and from a command to the bytes at the stick and the answer.
//
// A message that is followed has a number, which travels with it: as
// [lintel/gateway/mqtt.Message].Trace through the broker, in a context where something is
// sent. The number of what nobody watches is 0, and everything that is done with 0 is
// nothing: a box that nobody looks at spends the look at one pointer on it.
//
// # Contract
//
// A [Book] has at most 8 watches with the last 50 journeys of each, of 64 stages with at most
// 256 bytes and 1024 characters each; what is more is counted. Its methods may be called
// from any goroutine; it starts none. Its lock is taken last and held for as long as a stage is
// put in its place. Times have a monotonic clock.
package journey
