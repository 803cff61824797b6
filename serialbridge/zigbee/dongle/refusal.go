package dongle

import (
	"errors"
	"fmt"

	"lintel/serialbridge/zigbee/ezsp"
	"lintel/serialbridge/zigbee/znp"
)

// refusal is why a stick was not opened: of several attempts, the reason that says most.
type refusal struct {
	reason error
	weight int
	radios int // bits: which were tried
}

// What reasons say, from nothing to the most.
const (
	saysNothing  = iota
	saysNoise    // there is something, and perhaps the speed is wrong
	saysAnother  // it is of another kind, as far as that is known
	saysItsFault // it is of the kind that was tried
)

func (r *refusal) add(err error) {
	weight := saysAnother
	radio := 1
	var late ezspError
	switch {
	case errors.Is(err, znp.ErrSilent):
		weight = saysNothing
	case errors.As(err, &late):
		radio = 2
		switch {
		case errors.Is(err, ezsp.ErrSilent):
			weight = saysNothing
		case errors.Is(err, ezsp.ErrNoise):
			weight = saysNoise
		default:
			weight = saysItsFault
		}
	}
	r.radios |= radio
	if r.reason == nil || weight > r.weight {
		r.reason, r.weight = err, weight
	}
}

// err is the reason in a sentence.
func (r *refusal) err() error {
	if r.weight == saysNothing && r.radios == 3 {
		return errors.New("no Zigbee coordinator answers, neither one of Texas Instruments (Z-Stack) nor one of Silicon Labs (EmberZNet): " +
			"check that the stick has such firmware, unplug it and plug it in again, or set radio, baud and flow of its port")
	}
	return fmt.Errorf("no Zigbee coordinator answers: %w", r.reason)
}

// ezspError is why a stick of Silicon Labs was not opened.
type ezspError struct{ error }

func (e ezspError) Unwrap() error { return e.error }
