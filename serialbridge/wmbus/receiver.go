package wmbus

import (
	"context"
	"errors"
	"strings"
	"time"

	"lintel/serialbridge"
)

const (
	// answerTime is how long a CUL may take to answer.
	answerTime = time.Second
	// attempts to get an answer of a CUL: it may be busy with what it hears.
	attempts = 3
	// dwell is how long is listened at one line while the receiver is not known.
	// Most meters speak every ten to thirty seconds.
	dwell = 40 * time.Second
	// patience is how long nothing may be heard before that is a fault.
	patience = 15 * time.Minute
)

var (
	errDeaf = errors.New("no meter was heard for a quarter of an hour: see that the receiver has its antenna and listens to mode T or C; " +
		"an AMB8465 has to put out frames with a head (command mode) or to be named in the options")
	errNoCUL  = errors.New("no CUL answers: see that culfw is on it, and which receiver is set")
	errNoMode = errors.New("the CUL cannot listen to wireless M-Bus: its firmware is without it, take a-culfw")
)

// A receiver is a stick that is run. A CUL has to be told to listen; the others are
// only listened to.
type receiver struct {
	port    serialbridge.Port
	decoder *decoder
	options Options

	answers []string // lines of the CUL that nobody has looked at yet
	in      <-chan serialbridge.Heard
	orders  <-chan serialbridge.Command
}

// maxAnswers bounds what is kept of what a CUL says.
const maxAnswers = 16

func newReceiver(port serialbridge.Port, sink serialbridge.Sink, o Options) *receiver {
	r := &receiver{port: port, decoder: newDecoder(sink, o), options: o}
	r.decoder.onLine = func(line string) {
		if len(r.answers) < maxAnswers {
			r.answers = append(r.answers, line)
		}
	}
	return r
}

// run listens until ctx ends or the port fails.
func (r *receiver) run(ctx context.Context, commands <-chan serialbridge.Command) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.in = serialbridge.Hear(ctx, r.port)
	r.orders = commands
	if r.options.Receiver == "" || r.options.Receiver == "cul" {
		there, err := r.isCUL(ctx)
		if err != nil {
			return err
		}
		if there {
			return r.runCUL(ctx)
		}
		if r.options.Receiver == "cul" {
			return errNoCUL
		}
	}
	return r.listen(ctx)
}

// listen goes through the lines until there are frames, and stays where they are.
func (r *receiver) listen(ctx context.Context) error {
	lines := r.options.lines()
	quiet := time.Duration(0)
	for {
		for _, line := range lines {
			if err := r.setLine(line); err != nil {
				return err
			}
			before := r.decoder.frames
			if err := r.hear(ctx, dwell); err != nil {
				return err
			}
			quiet += dwell
			for r.decoder.frames > before {
				quiet = 0
				before = r.decoder.frames
				if err := r.hearUntil(ctx, patience, func() bool { return r.decoder.frames > before }); err != nil {
					return err
				}
				if r.decoder.frames == before {
					return errDeaf
				}
			}
			if quiet >= patience {
				return errDeaf
			}
		}
	}
}

// isCUL asks for the version, "V": a CUL answers "V 1.67 CUL868". At that speed the
// others do not even hear a byte of their own.
func (r *receiver) isCUL(ctx context.Context) (bool, error) {
	if err := r.setLine(lineCUL); err != nil {
		return false, err
	}
	for range attempts {
		answer, err := r.ask(ctx, "V", func(line string) bool {
			return strings.HasPrefix(line, "V ") || strings.Contains(line, "CUL")
		})
		if answer != "" || err != nil {
			return answer != "", err
		}
	}
	return false, nil
}

// runCUL has the CUL listen and report telegrams with their signal strength.
func (r *receiver) runCUL(ctx context.Context) error {
	for {
		if err := r.setMode(ctx); err != nil {
			return err
		}
		// A CUL that was reset listens to nothing until it is told to. It is
		// told again when there was nothing for long.
		for heard := -1; r.decoder.frames != heard; {
			heard = r.decoder.frames
			if err := r.hearUntil(ctx, patience, func() bool { return r.decoder.frames > heard }); err != nil {
				return err
			}
		}
	}
}

// setMode sends "brc", "brt" or "brs", of which the CUL repeats what it does now, and
// "X21": report what is heard, with signal strength (culfw command reference).
func (r *receiver) setMode(ctx context.Context) error {
	modes := []string{"c", "t"}
	if r.options.Mode != "" {
		modes = []string{r.options.Mode}
	}
	for range attempts {
		for _, mode := range modes {
			want := strings.ToUpper(mode) + "MODE"
			answer, err := r.ask(ctx, "br"+mode, func(line string) bool { return line == want })
			if err != nil {
				return err
			}
			if answer != "" {
				_, err := r.port.Write([]byte("X21\r\n"))
				return err
			}
		}
	}
	return errNoMode
}

// ask sends a line and returns the first line of the answer that is right, if there
// is one in time.
func (r *receiver) ask(ctx context.Context, line string, right func(string) bool) (answer string, err error) {
	r.answers = r.answers[:0]
	if _, err := r.port.Write([]byte(line + "\r\n")); err != nil {
		return "", err
	}
	looked := 0
	err = r.hearUntil(ctx, answerTime, func() bool {
		for ; looked < len(r.answers) && answer == ""; looked++ {
			if right(r.answers[looked]) {
				answer = r.answers[looked]
			}
		}
		return answer != ""
	})
	return answer, err
}

func (r *receiver) setLine(line serialbridge.Line) error {
	r.decoder.flush(r.decoder.last)
	return r.port.SetLine(line)
}

// hear listens for that long.
func (r *receiver) hear(ctx context.Context, d time.Duration) error {
	return r.hearUntil(ctx, d, func() bool { return false })
}

// hearUntil listens for that long, or until done says so after something was heard.
func (r *receiver) hearUntil(ctx context.Context, d time.Duration, done func() bool) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case <-r.orders:
			// No meter takes commands. A closed channel is never handed in.
		case h := <-r.in:
			r.decoder.Decode(h.Data, time.Now())
			if h.Err != nil {
				return h.Err
			}
			if done() {
				return nil
			}
		}
	}
}
