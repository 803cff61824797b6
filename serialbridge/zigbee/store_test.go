package zigbee

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

func TestTheCardIsSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		joins := w.store.written()
		if joins > 25 {
			t.Errorf("a join is %d writes", joins)
		}
		// A meter that reports every five seconds for a day.
		for i := range 24 * 3600 / 5 {
			w.stick.report(d, uint8(i), 0x0b04, zcl.Attribute{ID: 0x050b, Type: zcl.Int16, Value: i % 3000})
			time.Sleep(5 * time.Second)
		}
		synctest.Wait()
		if got := w.store.written() - joins; got > 24*4+1 {
			t.Errorf("17,280 reports are %d writes", got)
		}
		w.stick.report(d, 7, 0x0b04, zcl.Attribute{ID: 0x050b, Type: zcl.Int16, Value: 1234})
		last := time.Now()
		w.end()
		kept, _ := w.store.get(plugIEEE.String())
		if !kept.LastSeen.Equal(last) || kept.Endpoints[0].Attributes[0x0b04][0x050b] != int64(1234) {
			t.Errorf("at the end the store holds %+v", kept)
		}
		// Nothing more is written while nobody speaks.
		puts := w.store.written()
		w.stick = nil
		w.boot()
		time.Sleep(24 * time.Hour)
		w.end()
		if w.store.written() != puts {
			t.Errorf("%d writes of silence", w.store.written()-puts)
		}
	})
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		if err := errors.Join(w.AddToGroup(context.Background(), plugIEEE, 1, 5), w.SetBlocked(context.Background(), 99, true)); err != nil {
			t.Fatal(err)
		}
		w.stick.report(d, 1, 0x0402, zcl.Attribute{ID: 0, Type: zcl.Int16, Value: -5})
		synctest.Wait()
		before, _ := w.Device(plugIEEE)
		w.end()
		asked := len(w.stick.asked)
		w.stick.done = make(chan struct{})
		w.boot()
		synctest.Wait()
		after, ok := w.Device(plugIEEE)
		// Of the program's own time are the counters, and the reading of its clock.
		before.Messages, before.Revision, after.LastSeen = 0, after.Revision, before.LastSeen
		if !ok || !reflect.DeepEqual(before, after) {
			t.Errorf("after the restart\n%+v, before\n%+v", after, before)
		}
		if len(w.stick.asked) != asked || !w.blocked[99] {
			t.Error("a device was asked something, or the blocked ones are forgotten")
		}
		w.end()
	})
}

func TestInterviewGoesOnAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		synctest.Wait()
		d := door(w.stick)
		d.attributes[clusterIASZone][0] = zcl.Attribute{Type: zcl.Enum8, Value: uint64(1)}
		d.attributes[clusterIASZone][0x10] = zcl.Attribute{Type: zcl.IEEE, Value: uint64(stickIEEE)}
		d.asleep.Store(true)
		w.stick.event(Joined{d.ieee, d.address, 0})
		time.Sleep(time.Minute)
		w.end()
		w.stick.done = make(chan struct{})
		w.boot()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got, _ := w.Device(doorIEEE); got.Interview == Successful {
			t.Fatal("the interview of a sleeping device has succeeded")
		}
		d.asleep.Store(false)
		w.stick.report(d, 1, 1, zcl.Attribute{ID: 0x21, Type: zcl.Uint8, Value: uint64(90)})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, _ := w.Device(doorIEEE); got.Interview != Successful || got.ModelID != "Door" {
			t.Errorf("device %+v", got)
		}
		w.end()
	})
}

func TestFullCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		w.store.refuse(errors.New("no space"))
		if err := w.SetConfigured(plugIEEE, "later"); err != nil {
			t.Error(err)
		}
		w.stick.report(d, 1, 0x0402, zcl.Attribute{ID: 0, Type: zcl.Int16, Value: 1})
		synctest.Wait()
		if got := w.Counters(); got.StoreErrors == 0 {
			t.Errorf("counters %+v", got)
		}
		w.store.refuse(nil)
		time.Sleep(keepEvery)
		synctest.Wait()
		if kept, _ := w.store.get(plugIEEE.String()); kept.Configured != "later" {
			t.Errorf("the store holds %+v", kept)
		}
		w.end()
	})
}

func TestAttributesSurvive(t *testing.T) {
	a := Attributes{
		6:      {0: true, 1: false},
		0x0402: {0: int64(-525), 1: uint64(math.MaxUint64), 2: 21.5, 3: "Zimmer \"1\"", 4: []byte{0, 255}, 5: ""},
		0x000c: {0x55: math.Inf(1)},
	}
	text, err := json.Marshal(Endpoint{Attributes: a})
	if err != nil {
		t.Fatal(err)
	}
	var e Endpoint
	if err := json.Unmarshal(text, &e); err != nil || !reflect.DeepEqual(e.Attributes, a) {
		t.Errorf("%v has become %v, %v", a, e.Attributes, err)
	}
	a = Attributes{1: {2: zcl.List{Type: zcl.Uint8, Items: []any{uint64(1)}}, 3: uint64(1)}}
	text, _ = json.Marshal(a)
	if string(text) != `{"1":{"3":1}}` {
		t.Errorf("a list is %s", text)
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add([]byte(`{"6":{"0":true,"1":"i-5","2":"f1.5","3":"x00ff","4":"sx","5":7}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var a, again Attributes
		if json.Unmarshal(data, &a) != nil {
			return
		}
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
}
