package enocean

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge"
)

const (
	// readIDBase is the common command CO_RD_IDBASE (ESP3 2.5.8).
	readIDBase = 0x08
	// returnOK is the code of a response that says yes (ESP3 2.2).
	returnOK = 0x00

	// answerTime is how long the transceiver may take; ESP3 1.6.1 says half
	// a second.
	answerTime = 2 * time.Second
	// attempts to get the base ID.
	attempts = 3
	// learnTime is how long senders are learned after Learn was turned on:
	// enough to walk to each with a ladder.
	learnTime = 10 * time.Minute
	// queryPause is between two questions to actuators.
	queryPause = 500 * time.Millisecond
	// measureEvery is how often actuators that measure are asked: many say
	// nothing of it by themselves.
	measureEvery = 5 * time.Minute
	// maxQuestions may wait: state, energy and power of each actuator.
	maxQuestions = 3 * maxSenders
	// rockers are the switches that the transceiver can be. 128 IDs from
	// the base ID on are its own (ESP3 2.5.7).
	rockers = 8
)

var errMute = errors.New("the transceiver does not tell its base ID: unplug it, wait a moment and plug it in again")

// A transceiver is a stick that is spoken with.
type transceiver struct {
	port    serialbridge.Port
	sink    serialbridge.Sink
	decoder *decoder

	base   senderID // zero until it is known
	failed error    // of a write while bytes were decoded

	closing   *time.Timer // ends the learning
	asking    *time.Timer // for the next question
	questions []question  // that are to be asked, one after the other
}

// A question is a telegram for an actuator that wants an answer.
type question struct {
	of      senderID
	payload []byte
}

func newTransceiver(port serialbridge.Port, sink serialbridge.Sink, known map[profileID]*profile) *transceiver {
	x := &transceiver{port: port, sink: sink, decoder: newDecoder(sink, known, true)}
	x.decoder.learn = &window{}
	x.decoder.onResponse = x.answered
	x.decoder.onQuery = x.asked
	return x
}

// run speaks with the transceiver until ctx ends or the port fails.
func (x *transceiver) run(ctx context.Context, commands <-chan serialbridge.Command) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	incoming := serialbridge.Hear(ctx, x.port)

	patience := time.NewTicker(answerTime)
	defer patience.Stop()
	x.closing = time.NewTimer(learnTime)
	x.closing.Stop()
	defer x.closing.Stop()
	x.asking = time.NewTimer(queryPause)
	x.asking.Stop()
	defer x.asking.Stop()
	measure := time.NewTicker(measureEvery)
	defer measure.Stop()
	tries := 0
	for ctx.Err() == nil {
		if x.base == 0 && tries == 0 {
			tries++
			if err := x.send(packet{commonCommand, []byte{readIDBase}, nil}); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case h := <-incoming:
			x.decoder.Decode(h.Data, time.Now())
			if x.failed != nil {
				return x.failed
			}
			if h.Err != nil {
				return h.Err
			}
		case <-patience.C:
			if x.base != 0 {
				patience.Stop()
				break
			}
			if tries == attempts {
				return errMute
			}
			tries++
			if err := x.send(packet{commonCommand, []byte{readIDBase}, nil}); err != nil {
				return err
			}
		case <-x.closing.C:
			x.learn(false, false)
		case <-x.asking.C:
			if err := x.ask(); err != nil {
				return err
			}
		case <-measure.C:
			x.enquire(func(s *sender) [][]byte {
				if !s.measures {
					return nil
				}
				return queryMeasurements()
			})
		case c := <-commands:
			if err := x.command(c); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (x *transceiver) send(p packet) error {
	_, err := x.port.Write(p.bytes())
	return err
}

// answered takes a response. Only CO_RD_IDBASE has one with data: the base ID,
// and how often it may still be changed.
func (x *transceiver) answered(p packet) {
	if x.base != 0 || len(p.data) != 5 || p.data[0] != returnOK {
		return
	}
	base := senderID(binary.BigEndian.Uint32(p.data[1:]))
	// Base IDs lie between FF800000 and FFFFFF80 (ESP3 2.5.7).
	if base < 0xFF800000 || base > 0xFFFFFF80 {
		return
	}
	x.base = base
	x.sink.Device(x.device())
	// A stick that was just bought begins with it. It only listens, then.
	x.learn(len(x.decoder.senders) == 0, false)
	x.enquire(func(s *sender) [][]byte {
		e, _ := executorOf(s.profile)
		return e.queries()
	})
}

// enquire plans to ask all actuators that were learned, those questions that about
// returns for each.
func (x *transceiver) enquire(about func(*sender) [][]byte) {
	if len(x.questions) > 0 {
		return // some are still being asked
	}
	for _, id := range slices.Sorted(maps.Keys(x.decoder.senders)) {
		s := x.decoder.senders[id]
		if _, executes := executorOf(s.profile); !executes {
			continue
		}
		for _, payload := range about(s) {
			x.plan(question{id, payload})
		}
	}
}

// plan puts a question behind those that wait.
func (x *transceiver) plan(q question) {
	if len(x.questions) == 0 {
		x.asking.Reset(queryPause)
	}
	if len(x.questions) < maxQuestions {
		x.questions = append(x.questions, q)
	}
}

// ask asks the next question.
func (x *transceiver) ask() error {
	if len(x.questions) == 0 {
		return nil
	}
	q := x.questions[0]
	x.questions = x.questions[1:]
	x.asking.Reset(queryPause)
	return x.send(telegram{rorg: vld, payload: q.payload, sender: x.base}.packet(q.of))
}

// learn begins or ends the learning.
func (x *transceiver) learn(on, byHand bool) {
	now := time.Now()
	*x.decoder.learn = window{}
	x.closing.Stop()
	if on {
		*x.decoder.learn = window{now.Add(learnTime), byHand}
		x.closing.Reset(learnTime)
	}
	x.sink.Reading(serialbridge.Reading{Device: x.device().ID, Time: now, Values: map[string]any{learnKey: on}})
}

const learnKey = "learn"

// device is the transceiver itself.
func (x *transceiver) device() serialbridge.Device {
	d := serialbridge.Device{
		ID:           "enocean_" + x.base.String(),
		Name:         "EnOcean transceiver",
		Vendor:       "EnOcean",
		SerialNumber: x.base.String(),
		WhenUsed:     true,
		Properties: []serialbridge.Property{
			{Key: learnKey, Name: "Learn", Kind: serialbridge.Switch, Category: serialbridge.Config, Precision: -1},
		},
	}
	for n := 1; n <= rockers; n++ {
		for _, b := range buttons {
			d.Properties = append(d.Properties, serialbridge.Property{
				Key:  rockerKey(n, b),
				Name: fmt.Sprintf("Rocker %d %s", n, strings.ToUpper(b)),
				Kind: serialbridge.Button, Precision: -1,
			})
		}
	}
	return d
}

func rockerKey(n int, button string) string { return fmt.Sprintf("rocker_%d_%s", n, button) }

// asked takes a query of somebody who was taught or forgotten. The answer has to
// come within 700 ms (EEP 2.6.7, "UTE").
func (x *transceiver) asked(t telegram, q uteQuery) {
	if x.base == 0 || !q.answer || !x.decoder.learning() || !x.decoder.learn.byHand || x.failed != nil {
		return
	}
	first := byte(uteAccepted)
	if q.deletion {
		first = uteDeleted
	}
	x.failed = x.send(telegram{rorg: ute, payload: answerTo(t.payload, first), sender: x.base}.packet(t.sender))
	if e, executes := executorOf(q.profile); x.failed == nil && executes && !q.deletion {
		queries := e.queries()
		x.failed = x.send(telegram{rorg: vld, payload: queries[0], sender: x.base}.packet(t.sender))
		for _, payload := range queries[1:] {
			x.plan(question{t.sender, payload})
		}
	}
}

// command does what is wanted. The supervisor has checked it against what the
// device was announced with; what is not possible all the same is passed over.
func (x *transceiver) command(c serialbridge.Command) error {
	if x.base == 0 {
		return nil
	}
	if c.Device == x.device().ID {
		if on, ok := c.Value.(bool); ok && c.Key == learnKey {
			x.learn(on, true)
			return nil
		}
		return x.press(c.Key)
	}
	for _, s := range x.decoder.senders {
		if s.device.ID != c.Device {
			continue
		}
		if c.Key == serialbridge.ForgetButton().Key {
			x.decoder.forget(s)
			return nil
		}
		e, executes := executorOf(s.profile)
		if !executes {
			return nil
		}
		if payload, ok := e.command(c.Key, c.Value, s); ok {
			return x.send(telegram{rorg: vld, payload: payload, sender: x.base}.packet(s.id))
		}
	}
	return nil
}

// press presses a button of the transceiver's device.
func (x *transceiver) press(key string) error {
	for n := 1; n <= rockers; n++ {
		for i, b := range buttons {
			if key != rockerKey(n, b) {
				continue
			}
			// As a hand does it: down, which acts, and up.
			t := telegram{rorg: rps, sender: x.base + senderID(n)}
			t.payload, t.status = []byte{byte(i)<<5 | 0x10}, statusT21|statusNU
			if err := x.send(t.packet(broadcast)); err != nil {
				return err
			}
			t.payload, t.status = []byte{0}, statusT21
			return x.send(t.packet(broadcast))
		}
	}
	return nil
}
