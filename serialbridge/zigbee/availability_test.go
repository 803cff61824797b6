package zigbee

import (
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

var (
	mains     = Availability{Enabled: true, Timeout: 10 * time.Minute, MaxJitter: 30 * time.Second, Backoff: true}
	batteries = Availability{Enabled: true, Timeout: 1500 * time.Minute}
)

func pings(d *thing) (count int) {
	for _, f := range d.got() {
		if f.Type == zcl.Global && f.Command == zcl.ReadAttributes {
			count++
		}
	}
	return count
}

func TestMainsDeviceIsPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		w.SetAvailability(plugIEEE, mains)
		synctest.Wait()
		if !w.Available(plugIEEE) || w.diary.count("online") != 1 {
			t.Error("a device that has just spoken is not there")
		}
		time.Sleep(9 * time.Minute)
		w.stick.report(d, 1, 6, zcl.Attribute{ID: 0, Type: zcl.Boolean, Value: true})
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if got := pings(d); got != 0 {
			t.Errorf("a device that speaks was pinged %d times", got)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := pings(d); got != 1 || !w.Available(plugIEEE) {
			t.Errorf("a device that answers was pinged %d times", got)
		}
		// Silent: two pings of ten seconds, three seconds between them.
		d.silent.Store(true)
		d.clear()
		start := time.Now()
		for w.Available(plugIEEE) && time.Since(start) < time.Hour {
			time.Sleep(time.Second)
		}
		if got := time.Since(start); got < 8*time.Minute || got > 12*time.Minute || pings(d) != 2 {
			t.Errorf("offline after %s and %d pings", got, pings(d))
		}
		// From then on one ping each after 15, 30, 60 … minutes.
		var waits []time.Duration
		for range 3 {
			before := pings(d)
			start := time.Now()
			for pings(d) == before && time.Since(start) < 5*time.Hour {
				time.Sleep(10 * time.Second)
			}
			waits = append(waits, time.Since(start))
		}
		for i, want := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour} {
			// The jitter grows with the time-out; a ping takes ten seconds, and so does looking.
			if waits[i] < want || waits[i] > want+want/20+30*time.Second {
				t.Errorf("pings after %v", waits)
			}
		}
		w.stick.report(d, 2, 6, zcl.Attribute{ID: 0, Type: zcl.Boolean, Value: false})
		synctest.Wait()
		if !w.Available(plugIEEE) || w.diary.count("online") != 2 || w.diary.count("offline") != 1 {
			t.Errorf("online %d times, offline %d times", w.diary.count("online"), w.diary.count("offline"))
		}
	})
}

func TestPingsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		a := mains
		a.PauseOnBackoffGreaterThan = 3
		w.SetAvailability(plugIEEE, a)
		d.silent.Store(true)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		before := pings(d)
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if got := pings(d) - before; before == 0 || got != 0 {
			t.Errorf("%d pings, then %d more", before, got)
		}
	})
}

func TestBatteryDeviceIsNotPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, door)
		defer w.end()
		w.SetAvailability(doorIEEE, batteries)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if !w.Available(doorIEEE) {
			t.Error("offline within a day")
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if w.Available(doorIEEE) || pings(d) != 0 || w.diary.count("offline") != 1 {
			t.Errorf("after 26 hours: available %t, %d pings", w.Available(doorIEEE), pings(d))
		}
		w.stick.report(d, 2, 1, zcl.Attribute{ID: 0x21, Type: zcl.Uint8, Value: uint64(90)})
		time.Sleep(26 * time.Hour)
		synctest.Wait()
		if w.diary.count("online") != 2 || w.diary.count("offline") != 2 {
			t.Errorf("online %d times, offline %d times", w.diary.count("online"), w.diary.count("offline"))
		}
		w.SetAvailability(doorIEEE, Availability{})
		if !w.Available(doorIEEE) {
			t.Error("a device that nobody looks after is offline")
		}
	})
}

func TestWithoutStickNobodyIsToBlame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := joined(t, plug)
		defer w.end()
		w.SetAvailability(plugIEEE, mains)
		w.stick.pull(errPulled)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if !w.Available(plugIEEE) {
			t.Error("a device is offline since the stick was pulled")
		}
	})
}
