package znp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"lintel/serialbridge"
)

const (
	// answerTime is how long a response may take. Sticks answer within
	// milliseconds, but not while they erase a page of flash.
	answerTime = 6 * time.Second
	// startTime is that of commands that start a network.
	startTime = 40 * time.Second
	// pingTime is that of a ping, which only makes sure.
	pingTime = time.Second
	// attempts at a command that may be repeated.
	attempts = 3
	// maxPings is how many pings a stick may leave unanswered.
	maxPings = 5

	// maxWaiting bounds who waits for asynchronous commands at once: one
	// for each device that is asked something.
	maxWaiting = 512
)

// errMute is what a person reads when a stick does not answer any more.
var errMute = errors.New("the stick does not answer any more: unplug it, wait a moment and plug it in again")

var (
	// errTimeout says that no response has come.
	errTimeout = errors.New("no answer from the stick")
	// errDamaged says that one has come that is none.
	errDamaged = errors.New("the answer of the stick is damaged: check cable and speed")
)

// isLost says that nobody knows whether the stick has done what it was told.
func isLost(err error) bool { return errors.Is(err, errTimeout) || errors.Is(err, errDamaged) }

// A link is the talk with the stick: one synchronous command at a time, and what
// comes by itself.
type link struct {
	port serialbridge.Port
	log  *slog.Logger
	// hear is called by the reader with what comes by itself, before those
	// who wait for it go on. data is good until it returns.
	hear func(c command, data []byte)

	// turn is held by who may send. unsure says that a response may be on its
	// way that nobody waits for any more.
	turn   chan struct{}
	unsure bool
	out    []byte

	done   chan struct{}
	reader sync.WaitGroup

	mu      sync.Mutex
	err     error
	pending *pending
	waiting []*wait
	damaged uint64
	first   []byte // the first bytes that were heard, until the stick is known
	known   bool
}

// pending is the synchronous command that waits for its response.
type pending struct {
	command command
	answer  chan reply
}

type reply struct {
	data []byte
	err  error
}

// maxFirst bounds what is kept to tell what kind of stick this is.
const maxFirst = 1024

func newLink(port serialbridge.Port, log *slog.Logger, hear func(command, []byte)) *link {
	return &link{
		port: port,
		log:  log,
		hear: hear,
		turn: make(chan struct{}, 1),
		done: make(chan struct{}),
	}
}

// read takes what the stick says until the port fails.
func (l *link) read() {
	var d deframer
	buf := make([]byte, 1024)
	for {
		n, err := l.port.Read(buf)
		if n > 0 {
			l.note(buf[:n])
			d.push(buf[:n], time.Now())
			for f, ok := d.next(); ok; f, ok = d.next() {
				l.dispatch(f)
			}
			l.mu.Lock()
			l.damaged = d.damaged
			l.mu.Unlock()
		}
		if err != nil {
			l.fail(fmt.Errorf("zigbee stick: %w", err))
			return
		}
	}
}

// note keeps the first bytes.
func (l *link) note(data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if room := maxFirst - len(l.first); !l.known && room > 0 {
		l.first = append(l.first, data[:min(room, len(data))]...)
	}
}

// dispatch hands a frame to who waits for it.
func (l *link) dispatch(f frame) {
	switch f.command & typeMask {
	case response:
		l.respond(f)
	case asynchronous:
		l.hear(f.command, f.data)
		l.mu.Lock()
		for i := 0; i < len(l.waiting); i++ {
			if w := l.waiting[i]; w.command == f.command && (w.match == nil || w.match(f.data)) {
				w.data <- append([]byte(nil), f.data...) // has room for one
				l.drop(i)
				i--
			}
		}
		l.mu.Unlock()
	}
}

// respond hands a response to the command that waits for it.
func (l *link) respond(f frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pending
	switch {
	case p == nil:
	case f.command == p.command.answer():
		l.pending = nil
		p.answer <- reply{data: append([]byte(nil), f.data...)}
		return
	case f.command == rpcError && len(f.data) >= 3 &&
		command(f.data[1])<<8|command(f.data[2]) == p.command:
		l.pending = nil
		p.answer <- reply{err: &unknownError{p.command, f.data[0]}}
		return
	}
	l.log.Debug("a response that nobody waits for", "command", uint16(f.command))
}

// fail ends the talk. The first error counts.
func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		close(l.done)
	}
}

func (l *link) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// close ends the talk and waits for the reader.
func (l *link) close() error {
	l.fail(fmt.Errorf("zigbee stick: %w", os.ErrClosed))
	err := l.port.Close()
	l.reader.Wait()
	return err
}

// request sends a command and returns the data of its response. It repeats the
// command when no response comes; it is for those that do the same when they are
// done twice.
func (l *link) request(ctx context.Context, c command, data []byte) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		answer, err := l.once(ctx, c, data, answerTime)
		if !isLost(err) || attempt == attempts {
			return answer, err
		}
		l.log.Debug("no response, once more", "command", uint16(c), "err", err)
	}
}

// once sends a command a single time.
func (l *link) once(ctx context.Context, c command, data []byte, patience time.Duration) ([]byte, error) {
	if len(data) > maxData {
		return nil, fmt.Errorf("%d bytes do not fit into a command of the stick", len(data))
	}
	if err := l.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer l.passTurn()
	if err := l.makeSure(ctx); err != nil {
		return nil, err
	}
	answer, err := l.exchange(ctx, c, data, patience)
	if err == nil && !c.wellFormed(answer) {
		err = fmt.Errorf("command %04x: %w", uint16(c&^typeMask), errDamaged)
	}
	return answer, err
}

// do is request for commands whose response is a status.
func (l *link) do(ctx context.Context, c command, data []byte, fine ...uint8) error {
	answer, err := l.request(ctx, c, data)
	if err != nil {
		return err
	}
	return checkStatus(c, answer, fine...)
}

// checkStatus makes an error of a status that is neither success nor one of fine.
func checkStatus(c command, answer []byte, fine ...uint8) error {
	for _, s := range fine {
		if answer[0] == s {
			return nil
		}
	}
	if answer[0] != statusSuccess {
		return &statusError{c, answer[0]}
	}
	return nil
}

// tell sends a command that has no response.
func (l *link) tell(ctx context.Context, c command, data []byte) error {
	if err := l.takeTurn(ctx); err != nil {
		return err
	}
	defer l.passTurn()
	return l.write(c, data)
}

func (l *link) takeTurn(ctx context.Context) error {
	if err := l.failure(); err != nil {
		return err
	}
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return l.failure()
	}
}

func (l *link) passTurn() { <-l.turn }

// makeSure finds the end of what was asked and given up: the response of a ping
// comes after all others. Without it a late response would be taken for that
// of the next command of the same kind. If there is none, the stick may wait for the
// rest of a frame whose length was damaged; then it is given as much as that
// can be. The turn is held.
func (l *link) makeSure(ctx context.Context) error {
	for attempt := 1; l.unsure; attempt++ {
		if attempt > 1 {
			if _, err := l.port.Write(make([]byte, maxData+frameExtra)); err != nil {
				return l.broken(err)
			}
		}
		_, err := l.exchange(ctx, sysPing, nil, pingTime)
		switch {
		case err == nil:
			l.unsure = false
		case !errors.Is(err, errTimeout):
			return err
		case attempt == maxPings:
			l.fail(errMute)
			return errMute
		}
	}
	return nil
}

// exchange sends a command and waits for its response. The turn is held.
func (l *link) exchange(ctx context.Context, c command, data []byte, patience time.Duration) ([]byte, error) {
	p := &pending{c, make(chan reply, 1)}
	l.mu.Lock()
	l.pending = p
	l.mu.Unlock()
	if err := l.write(c, data); err != nil {
		return nil, err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var err error
	select {
	case r := <-p.answer:
		return r.data, r.err
	case <-timer.C:
		err = errTimeout
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.done:
		err = l.failure()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == p {
		l.pending = nil
		l.unsure = true
		return nil, err
	}
	r := <-p.answer // it has just come
	return r.data, r.err
}

// write sends a frame. The turn is held.
func (l *link) write(c command, data []byte) error {
	l.out = appendFrame(l.out[:0], c, data)
	if _, err := l.port.Write(l.out); err != nil {
		return l.broken(err)
	}
	return nil
}

// broken ends the talk because the port has failed.
func (l *link) broken(err error) error {
	err = fmt.Errorf("zigbee stick: %w", err)
	l.fail(err)
	return err
}

// sleep waits, unless something ends.
func (l *link) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return l.failure()
	}
}
