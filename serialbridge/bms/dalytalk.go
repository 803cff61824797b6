package bms

import (
	"context"
	"time"

	"lintel/serialbridge"
)

const (
	// dalyInterval is how often a battery is asked everything. A round takes
	// about a second at 9600 baud.
	dalyInterval = 5 * time.Second
	// dalyPatience is how long an answer may take, that of 16 frames too.
	dalyPatience = 500 * time.Millisecond
	// dalyQuiet is how long the line has to be quiet before the next question:
	// some boards send all 16 frames of cells, and both ways may be one pair of
	// wires.
	dalyQuiet = 50 * time.Millisecond
	// dalyMaxFrames is more than any answer has.
	dalyMaxFrames = 32
	// dalyTries is how often a battery that answers is asked for its code.
	dalyTries = 5
)

const dalyMute = "the battery does not answer: wake it up (charge it, or press its key), check that RX and TX, or A and B, " +
	"are not swapped, and that it is at 9600 baud; a newer board that speaks Modbus (frames that begin with D2) is not meant here"

// A dalyTalk is a battery that is spoken with.
type dalyTalk struct {
	*serialbridge.Dialogue
	decoder *dalyDecoder
	address byte // that we speak from
}

// run asks the battery for its code, and then for all else again and again.
// A Daly BMS takes no commands that its maker has written down.
func (o DalyOptions) run(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	decoder := newDalyDecoder(sink, o)
	t := &dalyTalk{&serialbridge.Dialogue{
		Port: port, Sink: sink, Decoder: decoder, Incoming: serialbridge.Hear(ctx, port),
		Valid: func() uint64 { return decoder.valid }, Mute: dalyMute,
	}, decoder, dalyHost}
	if err := t.identify(ctx); err != nil {
		return err
	}
	rated := false
	for {
		next := time.Now().Add(dalyInterval)
		if decoder.cells == 0 {
			if _, err := t.ask(ctx, dalyCounts); err != nil { // it takes two
				return err
			}
		}
		for _, command := range dalyRound {
			if decoder.frames(command) == 0 {
				continue // no sensors, or cells are not known yet
			}
			if _, err := t.ask(ctx, command); err != nil {
				return err
			}
		}
		if !rated {
			var err error
			if rated, err = t.ask(ctx, dalyRated); err != nil {
				return err
			}
			rated = rated || decoder.answers[dalyCounts] > dalyTries // old boards do not know it
		}
		for time.Now().Before(next) {
			if _, err := t.Rest(ctx, next, commands); err != nil {
				return err
			}
		}
	}
}

// identify asks for the battery's code until it is sure of it, or the battery
// answers something else but not this.
func (t *dalyTalk) identify(ctx context.Context) error {
	for tries := 0; tries < dalyTries && !t.decoder.settled(); {
		answered, err := t.ask(ctx, dalyCode)
		if err != nil {
			return err
		}
		if !answered {
			if answered, err = t.ask(ctx, dalyMOSFETs); err != nil {
				return err
			}
		}
		if answered {
			tries++
			continue
		}
		t.address ^= dalyHost ^ dalyBluetooth
	}
	return nil
}

func (t *dalyTalk) ask(ctx context.Context, command byte) (bool, error) {
	want := t.decoder.answers[command] + uint64(t.decoder.frames(command))
	ok, err := t.Ask(ctx, dalyQuestion(t.address, command), dalyPatience, func() bool {
		return t.decoder.answers[command] >= want
	})
	for range dalyMaxFrames {
		before := t.decoder.valid
		if err == nil {
			_, err = t.Rest(ctx, time.Now().Add(dalyQuiet), nil)
		}
		if err != nil || t.decoder.valid == before {
			break
		}
	}
	return ok, err
}
