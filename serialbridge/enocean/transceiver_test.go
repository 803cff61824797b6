package enocean

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// line is a port of a transceiver.
type line struct{ *drivertest.Port }

// sent returns the packets that were written since the last call.
func (l line) sent(t *testing.T) []packet {
	t.Helper()
	var ps []packet
	f := deframer{damaged: func(reason string) { t.Errorf("sent %s", reason) }}
	f.take = func(p packet) { ps = append(ps, packet{p.kind, slices.Clone(p.data), slices.Clone(p.optional)}) }
	for _, b := range l.Sent() {
		f.next(b, received)
	}
	return ps
}

const testBase senderID = 0xFF9A0000

var idBase = packet{response, []byte{returnOK, 0xFF, 0x9A, 0, 0}, []byte{10}}.bytes()

// start runs the driver within a synctest bubble.
func start(t *testing.T, memory map[string]string) (l line, r *recorder, commands chan serialbridge.Command, end func() error) {
	t.Helper()
	l, r, commands = line{drivertest.NewPort()}, &recorder{Memory: memory}, make(chan serialbridge.Command)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- Driver().Run(ctx, l, r, commands) }()
	return l, r, commands, func() error {
		cancel()
		l.Close()
		return <-result
	}
}

// telegrams returns the radio telegrams that were written since the last call.
func (l line) telegrams(t *testing.T) []telegram {
	t.Helper()
	var got []telegram
	for _, p := range l.sent(t) {
		tg, ok := parseTelegram(p)
		if !ok {
			t.Fatalf("sent %+v", p)
		}
		got = append(got, tg)
	}
	return got
}

func equalTelegrams(a, b []telegram) bool {
	return slices.EqualFunc(a, b, func(a, b telegram) bool {
		return a.rorg == b.rorg && slices.Equal(a.payload, b.payload) && a.sender == b.sender && a.status == b.status
	})
}

// measurements ask an actuator for energy and power.
var measurements = []telegram{
	{rorg: vld, payload: []byte{6, 0x1E}, sender: testBase},
	{rorg: vld, payload: []byte{6, 0x3E}, sender: testBase},
}

// Who has told energy or power is asked again and again, others once.
func TestRunMeasures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, _, end := start(t, map[string]string{"01020304": "D2-01-0B 03E", "01020305": "D2-01-01 03E", "01020306": "A5-02-05 00D"})
		defer end()
		l.Say(idBase)
		<-time.After(10 * queryPause)
		synctest.Wait()
		if ps := l.sent(t); len(ps) != 1+6 {
			t.Errorf("sent %v", ps)
		}
		l.Say(sent(vld, 0, 7, 0x60, 0, 0, 0, 60))
		<-time.After(2*measureEvery + 10*queryPause)
		synctest.Wait()
		if got, want := l.telegrams(t), append(measurements, measurements...); !equalTelegrams(got, want) {
			t.Errorf("sent %+v, want %+v", got, want)
		}
		if len(r.Readings) != 2 || r.Readings[1].Values["power"] != 60.0 { // the first one is that of Learn
			t.Errorf("%+v", r.Readings)
		}
	})
}

const gatewayID = "enocean_FF9A0000"

// uteQueryOf returns a query of an actuator that wants an answer.
func uteQueryOf(first, typ byte) []byte {
	return telegram{rorg: ute, payload: []byte{first, 0xFF, 0x3E, 0, typ, 1, 0xD2}, sender: testSender}.packet(broadcast).bytes()
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, commands, end := start(t, nil)
		synctest.Wait()
		if ps := l.sent(t); len(ps) != 1 || ps[0].kind != commonCommand || !slices.Equal(ps[0].data, []byte{readIDBase}) {
			t.Fatalf("sent %v, want CO_RD_IDBASE", ps)
		}
		l.Say(idBase)
		synctest.Wait()
		if gateway, ok := r.Devices[gatewayID]; !ok || len(gateway.Properties) != 1+4*rockers || !gateway.WhenUsed {
			t.Fatalf("devices %+v", r.Devices)
		}

		// A new stick learns, but takes no actuator over unasked.
		query := uteQueryOf(0xA0, 1)
		l.Say(query)
		synctest.Wait()
		if ps := l.sent(t); len(ps) != 0 || len(r.Devices) != 1 || len(r.Overheard) != 1 {
			t.Fatalf("answered %v, devices %v, ignored %q", ps, r.Devices, r.Overheard)
		}
		commands <- serialbridge.Command{Device: gatewayID, Key: "learn", Value: true}
		l.Say(query)
		synctest.Wait()
		ps := l.sent(t)
		if len(ps) != 2 {
			t.Fatalf("sent %v", ps)
		}
		answer, ok := parseTelegram(ps[0])
		if !ok || answer.sender != testBase || answer.rorg != ute || !slices.Equal(answer.payload, []byte{0x91, 0xFF, 0x3E, 0, 1, 1, 0xD2}) ||
			!slices.Equal(ps[0].optional, []byte{3, 1, 2, 3, 4, 0xFF, 0}) {
			t.Errorf("answer %+v", ps[0])
		}
		if status, _ := parseTelegram(ps[1]); !slices.Equal(status.payload, []byte{3, 0x1E}) {
			t.Errorf("query %+v", ps[1])
		}
		<-time.After(learnTime) // of the bubble
		synctest.Wait()
		if got, want := l.telegrams(t), measurements; !equalTelegrams(got, want) {
			t.Errorf("sent %+v, want %+v", got, want)
		}
		l.Say(query)
		l.Say(uteQueryOf(0xA0, 2))
		synctest.Wait()
		if ps := l.sent(t); len(ps) != 0 || r.Memory["01020304"] != "D2-01-01 03E" {
			t.Errorf("answered later: %v, remembered %q", ps, r.Memory)
		}

		commands <- serialbridge.Command{Device: "enocean_01020304", Key: "output", Value: true}
		commands <- serialbridge.Command{Device: "enocean_01020304", Key: "nothing", Value: true}
		commands <- serialbridge.Command{Device: "enocean_05060708", Key: "output", Value: true}
		commands <- serialbridge.Command{Device: gatewayID, Key: "rocker_2_bo", Value: true}
		synctest.Wait()
		want := []telegram{
			{rorg: vld, payload: []byte{1, 0, 100}, sender: testBase},
			{rorg: rps, payload: []byte{0x70}, sender: testBase + 2, status: 0x30},
			{rorg: rps, payload: []byte{0x00}, sender: testBase + 2, status: 0x20},
		}
		if got := l.telegrams(t); !equalTelegrams(got, want) {
			t.Errorf("sent %+v, want %+v", got, want)
		}
		if err := end(); !errors.Is(err, context.Canceled) && !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}

// Learn is on for ten minutes, at first by itself; then strangers are passed over.
func TestRunLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, commands, end := start(t, nil)
		defer end()
		l.Say(idBase)
		synctest.Wait()
		press := func(id senderID) {
			l.Say(telegram{rorg: rps, payload: []byte{0x10}, sender: id, status: 0x30}.packet(broadcast).bytes())
			synctest.Wait()
		}
		switchedTo := func() any {
			for _, reading := range slices.Backward(r.Readings) {
				if v, ok := reading.Values[learnKey]; ok {
					return v
				}
			}
			return nil
		}
		if switchedTo() != true {
			t.Error("a new stick does not learn")
		}
		press(1)
		<-time.After(learnTime)
		synctest.Wait()
		if switchedTo() != false {
			t.Error("learns for ever")
		}
		press(2) // a neighbour's
		press(1)
		if len(r.Devices) != 2 || len(r.Readings) != 4 {
			t.Errorf("devices %v, readings %v", r.Devices, r.Readings)
		}
		if want := "00000002 is a rocker switch that was not learned: to learn it, turn on Learn at the transceiver and use it"; !slices.Equal(r.Overheard, []string{want}) {
			t.Errorf("ignored %q", r.Overheard)
		}
		commands <- serialbridge.Command{Device: gatewayID, Key: "learn", Value: true}
		press(2)
		if len(r.Devices) != 3 || switchedTo() != true {
			t.Errorf("devices %v", r.Devices)
		}
		commands <- serialbridge.Command{Device: gatewayID, Key: "learn", Value: false}
		press(3)
		if len(r.Devices) != 3 || switchedTo() != false {
			t.Errorf("devices %v", r.Devices)
		}
		// Turned on twice it ends ten minutes after the second time.
		commands <- serialbridge.Command{Device: gatewayID, Key: "learn", Value: true}
		<-time.After(learnTime - time.Second)
		commands <- serialbridge.Command{Device: gatewayID, Key: "learn", Value: true}
		<-time.After(learnTime - time.Second)
		press(3)
		if len(r.Devices) != 4 {
			t.Errorf("devices %v", r.Devices)
		}
	})
}

// What was learned is there at the next start, until it is forgotten.
func TestRunRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, commands, end := start(t, map[string]string{"01020304": "D2-01-03 03E", "00298979": "F6-02-00 000"})
		defer end()
		synctest.Wait()
		l.sent(t)
		if len(r.Devices) != 2 || len(r.Readings) != 0 {
			t.Fatalf("devices %v, readings %v", r.Devices, r.Readings)
		}
		commands <- serialbridge.Command{Device: "enocean_01020304", Key: "light", Value: object{"state": "ON"}} // too early
		l.Say(idBase)
		<-time.After(10 * queryPause)
		synctest.Wait()
		if got, want := l.telegrams(t), append([]telegram{{rorg: vld, payload: []byte{3, 0x1E}, sender: testBase}}, measurements...); !equalTelegrams(got, want) {
			t.Errorf("sent %+v, want %+v", got, want)
		}
		commands <- serialbridge.Command{Device: "enocean_01020304", Key: "light", Value: object{"brightness": 128.0}}
		synctest.Wait()
		if got, want := l.telegrams(t), []telegram{{rorg: vld, payload: []byte{1, 0, 50}, sender: testBase}}; !equalTelegrams(got, want) {
			t.Errorf("sent %+v, want %+v", got, want)
		}
		rocker := telegram{rorg: rps, payload: []byte{0x10}, sender: 0x00298979, status: 0x30}.packet(broadcast).bytes()
		l.Say(rocker)
		synctest.Wait()
		n := len(r.Readings)
		commands <- serialbridge.Command{Device: "enocean_00298979", Key: "forget", Value: true}
		l.Say(rocker)
		synctest.Wait()
		_, remembered := r.Memory["00298979"]
		_, there := r.Devices["enocean_00298979"]
		if remembered || there || len(r.Readings) != n || len(r.Overheard) != 1 {
			t.Errorf("not forgotten: %v %v %q", r.Memory, r.Devices, r.Overheard)
		}
		// An actuator that asks to be forgotten is, while somebody teaches.
		l.Say(uteQueryOf(0x90, 3))
		synctest.Wait()
		if len(r.Memory) != 1 {
			t.Errorf("forgotten by anybody: %v", r.Memory)
		}
		commands <- serialbridge.Command{Device: gatewayID, Key: "learn", Value: true}
		l.Say(uteQueryOf(0x90, 3))
		synctest.Wait()
		want := []telegram{{rorg: ute, payload: []byte{0xA1, 0xFF, 0x3E, 0, 3, 1, 0xD2}, sender: testBase}}
		if got := l.telegrams(t); len(r.Memory) != 0 || !equalTelegrams(got, want) {
			t.Errorf("remembers %v, sent %+v", r.Memory, got)
		}
	})
}

func TestRunMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, _, end := start(t, nil)
		// A base ID that no transceiver has is none.
		l.Say(packet{response, []byte{returnOK, 1, 2, 3, 4}, []byte{10}}.bytes())
		<-time.After(answerTime*attempts + time.Second) // of the bubble
		synctest.Wait()
		if ps := l.sent(t); len(ps) != attempts {
			t.Errorf("asked %d times", len(ps))
		}
		if err := end(); !errors.Is(err, errMute) {
			t.Error(err)
		}
		if len(r.Devices) > 0 {
			t.Errorf("devices %v", r.Devices)
		}
	})
}

func TestRunUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _, end := start(t, nil)
		l.Say(idBase)
		l.Close()
		synctest.Wait()
		if err := end(); !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}
