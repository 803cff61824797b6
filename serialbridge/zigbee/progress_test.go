package zigbee

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// steps are those of an interview as a person reads them: what has failed has a reason.
func steps(p InterviewProgress) (list []string) {
	for _, s := range p.Steps {
		text := string(s.Kind)
		if s.Endpoint != 0 {
			text += fmt.Sprint(" ", s.Endpoint)
		}
		switch {
		case s.Error != "":
			text += ": " + s.Error
		case s.Ended == nil:
			text += " …"
		}
		list = append(list, text)
	}
	return list
}

func TestInterviewIsSeenStepByStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		d := door(w.stick)
		d.attributes[clusterIASZone][0] = zcl.Attribute{Type: zcl.Enum8, Value: uint64(1)} // it has enrolled before
		d.attributes[clusterIASZone][0x10] = zcl.Attribute{Type: zcl.IEEE, Value: uint64(stickIEEE)}
		d.asleep.Store(true)
		w.stick.event(Joined{d.ieee, d.address, 0})
		synctest.Wait()
		got := w.Interviews()
		if len(got) != 1 || got[0].IEEEAddress != doorIEEE || got[0].State != InProgress || got[0].Ended != nil ||
			!slices.Equal(steps(got[0]), []string{"joined", "node …"}) {
			t.Fatalf("while it is asked: %+v", got)
		}
		d.asleep.Store(false)
		w.join(d)
		got = w.Interviews()
		if want := []string{"joined", "node", "endpoints", "endpoint 1", "basic 1", "enrol 1"}; got[0].State != Successful || !slices.Equal(steps(got[0]), want) {
			t.Errorf("at the end: %s, %q, want %q", got[0].State, steps(got[0]), want)
		}

		silent := plug(w.stick)
		silent.silent.Store(true)
		w.join(silent)
		for got = w.Interviews(); got[0].State == InProgress && time.Since(got[0].Began) < 2*interviewTimeout; got = w.Interviews() {
			time.Sleep(time.Second)
		}
		last := got[0].Steps[len(got[0].Steps)-1]
		if len(got) != 2 || got[0].IEEEAddress != plugIEEE || got[0].State != Failed || !strings.Contains(got[0].Error, "does not answer") ||
			last.Kind != StepNode || !strings.Contains(last.Error, "wake it up") {
			t.Errorf("a silent one: %+v", got[0])
		}
		why := got[0].Error
		for got = w.Interviews(); got[0].State == Failed; got = w.Interviews() {
			time.Sleep(time.Second)
		}
		if got[0].Before != why {
			t.Errorf("when it is asked once more it is said that before %q, want %q", got[0].Before, why)
		}
	})
}

// TestInterviewsAreBounded: of all the devices of a large network the last ones are remembered,
// and what is under way is.
func TestInterviewsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		for i := range 3 * maxInterviews {
			w.stick.event(Joined{plugIEEE + 100 + IEEEAddress(i), NetworkAddress(0x1000 + i), 0})
		}
		synctest.Wait()
		if got := w.Interviews(); len(got) != maxInterviews {
			t.Errorf("%d interviews are remembered", len(got))
		}
	})
}

func TestOpenThroughOneRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		w.join(plug(w.stick))
		via := plugIEEE
		if err := w.PermitJoin(t.Context(), time.Minute, &via); err != nil || w.PermitJoinVia() != plugIEEE {
			t.Errorf("open through %s: %v", w.PermitJoinVia(), err)
		}
		if err := w.PermitJoin(t.Context(), time.Minute, nil); err != nil || w.PermitJoinVia() != 0 {
			t.Errorf("open everywhere, but through %s: %v", w.PermitJoinVia(), err)
		}
		_ = w.PermitJoin(t.Context(), time.Minute, &via)
		time.Sleep(2 * time.Minute)
		if w.PermitJoinVia() != 0 {
			t.Error("closed, but through a router")
		}
	})
}
