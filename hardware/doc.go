// Package hardware tells what machine this is and what is plugged into it:
// the board, its temperature and power, the wear of its card, its light, the
// serial ports behind USB. Everything is read below a root that the caller gives,
// so that a test can show it another machine. It is written for Linux.
//
// # Contract
//
// What begins with Read reads files and keeps nothing, and may be called from any
// goroutine. What the files of the machine do not tell stays empty. WatchSerialPorts
// blocks, owns its goroutines, and calls its callback from one goroutine. LED.Blink
// blocks; a light blinks for one caller at a time. FeedWatchdog and GrowDisk block.
// Strings that come from a device are bounded and free of control characters.
package hardware
