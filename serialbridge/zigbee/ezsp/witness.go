package ezsp

import (
	"bytes"
	"errors"
	"fmt"
)

// Why a stick is not opened that is perhaps none of Silicon Labs'.
var (
	ErrSilent = errors.New("ezsp: nothing answers")
	ErrNoise  = errors.New("ezsp: the stick sends what is not of EZSP")
)

// A witness has heard what a stick said that does not answer as an EFR32 does.
type witness struct {
	heard []byte // the first of it
	total int
}

const maxHeard = 512

func (w *witness) hear(data []byte) {
	w.total += len(data)
	w.heard = append(w.heard, data[:min(len(data), maxHeard-len(w.heard))]...)
}

// verdict says in words what the stick may be, and what to do.
func (w *witness) verdict() error {
	switch {
	case w.total == 0:
		return fmt.Errorf("%w: check that the stick is a Silicon Labs one with EmberZNet firmware for a coordinator (NCP), and its baud rate and flow control", ErrSilent)
	case bytes.Contains(w.heard, []byte("Bootloader")), bytes.Contains(w.heard, []byte("BL >")):
		return errors.New("ezsp: the stick is in its boot loader and holds no firmware that runs: flash EmberZNet 7.4 or later")
	case isUNPI(w.heard):
		return errors.New("ezsp: the stick speaks Z-Stack (TI): set its radio to znp, or let it be found")
	case bytes.Contains(w.heard, []byte{0x7e, 0x80, 0x06, 0x00}), bytes.Contains(w.heard, []byte{0x7e, 0x81, 0x06, 0x00}):
		// Spinel, the protocol of OpenThread's radio co-processor, tells its reset.
		return errors.New("ezsp: the firmware of the stick is for Thread (OpenThread RCP): flash EmberZNet 7.4 or later as a Zigbee coordinator (NCP)")
	case bytes.Contains(w.heard, []byte{controlRSTACK, ashVersion}), bytes.Contains(w.heard, []byte{controlERROR, ashVersion}):
		return errors.New("ezsp: the stick does not come up when it is reset: unplug it, wait a moment and plug it in again")
	}
	return fmt.Errorf("%w (%x…): check its baud rate and flow control, or flash EmberZNet 7.4 or later", ErrNoise, w.heard[:min(len(w.heard), 8)])
}

// isUNPI finds a frame of TI's: its last byte is the XOR of what is between.
func isUNPI(b []byte) bool {
	for i := 0; i+4 < len(b); i++ {
		end := i + 4 + int(b[i+1])
		if b[i] != 0xfe || b[i+1] > 250 || end >= len(b) {
			continue
		}
		var fcs byte
		for _, c := range b[i+1 : end] {
			fcs ^= c
		}
		if fcs == b[end] {
			return true
		}
	}
	return false
}
