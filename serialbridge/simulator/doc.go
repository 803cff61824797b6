// Package simulator makes sticks that are not there: each is a pty behind a
// stable path, and behind it is a device that speaks as the real one would. The
// gateway's demo mode and the tests of drivers use it.
//
// A [Device] talks by itself, answers what it is asked, or both; there is one for
// each protocol of the house, and [NewDevice] knows them by name. What they say is
// written here a second time, from the descriptions of the protocols, so that it
// shares no mistake with the drivers that read it. Each frame carries a number
// that counts up in one of its values.
//
// A [P1Meter] is a smart meter in a house that has three phases, solar panels and
// gas. What it counts is a pure function of the time, so that it goes on where
// it was after a restart; its totals are the exact integral of the powers it
// tells.
//
// Every [Stick] can fail on purpose: put noise between the frames, damage them, be
// slow, fall silent, be pulled out and put back, or have something else connected
// to it. [Options].Sent tells what became of each frame.
//
// # Contract
//
// The methods of a stick are safe for concurrent use. Run blocks, starts no
// goroutine, and leaves neither the pty nor the link behind. A reader that is
// absent or slow never blocks a stick: like a serial adapter, it loses what it
// could not deliver, but whole frames at a time. The functions of a device
// are called by one goroutine at a time; a device is behind one stick only.
package simulator
