package airquality

import (
	"context"
	"time"

	"lintel/serialbridge"
)

const (
	// askInterval is how often a sensor is asked. The air of a room does not
	// change faster, and the sensors measure every 1 to 5 seconds.
	askInterval = 10 * time.Second
	// askPatience is how long an answer may take; all are sent within 50 ms.
	askPatience = time.Second
	// serialTries is how often a sensor that answers is asked for its serial
	// number.
	serialTries = 3
)

// A question is what is sent, and which answers count as its answer: the number
// of all that came up to now.
type question struct {
	request []byte
	answers func() uint64
}

// A conversation is a sensor that is asked.
type conversation struct {
	*serialbridge.Dialogue
}

// converse begins to talk with a sensor whose frames are of the decoder's forms.
func (d *decoder) converse(ctx context.Context, port serialbridge.Port, mute string) *conversation {
	return &conversation{&serialbridge.Dialogue{
		Port: port, Sink: d.sink, Decoder: d, Incoming: serialbridge.Hear(ctx, port),
		Valid: func() uint64 { return d.valid }, Mute: mute,
	}}
}

func (c *conversation) ask(ctx context.Context, q question) (bool, error) {
	before := q.answers()
	return c.Ask(ctx, q.request, askPatience, func() bool { return q.answers() > before })
}

// identify asks for the serial number until the sensor tells it, or answers the
// other question but not this one.
func (c *conversation) identify(ctx context.Context, serial, other question) error {
	for tries := 0; tries < serialTries; {
		told, err := c.ask(ctx, serial)
		if told || err != nil {
			return err
		}
		alive, err := c.ask(ctx, other)
		if err != nil {
			return err
		}
		if alive {
			tries++
		}
	}
	return nil
}

// repeat asks the same again and again, and does what is wanted in between.
func (c *conversation) repeat(ctx context.Context, round func() error, commands <-chan serialbridge.Command, do func(serialbridge.Command) error) error {
	for {
		next := time.Now().Add(askInterval)
		if err := round(); err != nil {
			return err
		}
		for time.Now().Before(next) {
			command, err := c.Rest(ctx, next, commands)
			if err == nil && command != nil {
				err = do(*command)
			}
			if err != nil {
				return err
			}
		}
	}
}

// button is something that a sensor can be told to do.
func button(key, name string) serialbridge.Property {
	return serialbridge.Property{Key: key, Name: name, Kind: serialbridge.Button, Category: serialbridge.Config, Precision: -1}
}

// problem is whether a sensor says that it is in trouble.
func problem() serialbridge.Property {
	return serialbridge.Flag("problem", "Problem", "problem").AsDiagnostic()
}

// carbonDioxide is in ppm.
func carbonDioxide() serialbridge.Property {
	return serialbridge.Measured("carbon_dioxide", "CO\u2082", "ppm", "carbon_dioxide", 0)
}
