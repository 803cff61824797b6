// Package clock learns the time from NTP servers and sets the clock of the machine.
package clock
