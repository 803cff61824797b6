// Package hardware tells what machine this is and what is plugged into it:
// the board, its temperature, the serial ports behind USB. Everything is read
// below a root that the caller gives, so that a test can show it another
// machine.
package hardware
