// Package simulator makes sticks that are not there: each is a pty behind a
// stable path, on which something speaks as the real thing would. The gateway's
// demo mode and the tests of drivers use it.
//
// A [Meter] is a smart meter with a P1 port (DSMR 5) in a house that has three
// phases, solar panels and gas. What it counts is a pure function of the time,
// so that it goes on where it was after a restart; its totals are the exact
// integral of the powers it tells.
//
// Every stick can fail on purpose: send damaged bytes, fall silent, be pulled
// out and put back.
//
// # Contract
//
// The methods of a stick are safe for concurrent use. Run blocks, starts no
// goroutine, and leaves neither the pty nor the link behind. A reader that is
// absent or slow never blocks a stick: like a serial adapter, it loses what it
// could not deliver, but whole telegrams at a time.
package simulator
