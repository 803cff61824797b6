package zigbee

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

var errPulled = errors.New("pulled")

func TestFormsOnTheQuietestChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.stick.energy = map[uint8]uint8{11: 200, 15: 90, 20: 40, 25: 80}
		})
		defer w.end()
		synctest.Wait()
		info, p, running := w.Info()
		if !running || info.IEEEAddress != stickIEEE || p.Channel != 20 || p.NetworkKey == [16]byte{} || p.ExtendedPANID == [8]byte{} || p.PANID == 0 {
			t.Errorf("%+v, %s, %t", info, p, running)
		}
		if got := w.stick.told(); !slices.Equal(got, []string{"form", "scan", "channel", "backup"}) {
			t.Errorf("the stick was told %q", got)
		}
		if _, ok := w.memory.get(memoryBackup); !ok {
			t.Error("there is no backup")
		}
	})
}

func TestFormsWhatIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		form := Parameters{PANID: 0x1a62, ExtendedPANID: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, Channel: 15, NetworkKey: [16]byte{1, 3, 5}}
		w := newWorld(t, func(w *world) { w.options.Form = form })
		defer w.end()
		synctest.Wait()
		if _, p, _ := w.Info(); p != form {
			t.Errorf("formed %s", p)
		}
	})
}

func TestStickPulledAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		w.stick.damaged = map[string]uint64{"line": 3}
		w.stick.pull(errPulled)
		if err := <-w.served; !errors.Is(err, errPulled) {
			t.Errorf("Serve returns %v", err)
		}
		synctest.Wait()
		if _, _, running := w.Info(); running || w.diary.count("stopped") != 1 || !w.stick.closed {
			t.Error("the network still runs")
		}
		if _, err := w.Request(context.Background(), plugIEEE, on); !errors.Is(err, ErrNoStick) {
			t.Errorf("a request without a stick: %v", err)
		}
		again := newStick()
		again.network, again.devices = w.stick.network, w.stick.devices
		again.damaged = map[string]uint64{"line": 4}
		w.plugIn(context.Background(), again)
		synctest.Wait()
		if got := again.told(); got[0] != "resume" || again.restored != nil {
			t.Errorf("the stick was told %q", got)
		}
		if _, err := w.Request(context.Background(), plugIEEE, on); err != nil {
			t.Errorf("after the stick is back: %v", err)
		}
		if got := w.Counters().Damaged["line"]; got != 7 {
			t.Errorf("damaged on the line of both sticks: %d", got)
		}
		w.stick.report(d, 1, 6, zcl.Attribute{ID: 0, Type: zcl.Boolean, Value: true})
		other := newStick()
		if err := w.Serve(context.Background(), other); !errors.Is(err, errBusy) || !other.closed {
			t.Errorf("a second stick: %v", err)
		}
		again.pull(errPulled)
	})
}

func TestPulledStickEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		defer w.end()
		d.silent.Store(true)
		done := make(chan error)
		start := time.Now()
		go func() {
			_, err := w.Request(context.Background(), plugIEEE, on)
			done <- err
		}()
		synctest.Wait()
		w.stick.pull(errPulled)
		if err := <-done; !errors.Is(err, ErrNoStick) || time.Since(start) > 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestFreshStickIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := joined(t, plug)
		defer w.end()
		key := LinkKey{Key: [16]byte{7}, RxCounter: 1, TxCounter: 50}
		w.stick.backup = []BackupDevice{{IEEEAddress: plugIEEE, NetworkAddress: 0x1111, LinkKey: &key}}
		w.stick.counter = 5000
		if _, err := w.Backup(context.Background()); err != nil {
			t.Fatal(err)
		}
		_, before, _ := w.Info()
		time.Sleep(10 * time.Hour)
		w.stick.pull(errPulled)
		<-w.served
		fresh := newStick()
		fresh.info.IEEEAddress = 0x00124b00000000ff
		fresh.devices = w.stick.devices
		w.plugIn(context.Background(), fresh)
		synctest.Wait()
		info, p, running := w.Info()
		if !running || p != before || info.IEEEAddress != stickIEEE || fresh.told()[0] != "restore" {
			t.Errorf("%+v, %s instead of %s, %t, %q", info, p, before, running, fresh.told())
		}
		if b := fresh.restored; b.FrameCounter < 5000+10*3600+counterReserve || b.Devices[0].LinkKey.TxCounter != 50+counterReserve || key.TxCounter != 50 {
			t.Errorf("restored %+v", b)
		}
		if _, err := w.Request(context.Background(), plugIEEE, on); err != nil {
			t.Error(err)
		}
		// A third stick goes on from there: counters never go back.
		counter := fresh.restored.FrameCounter
		fresh.pull(errPulled)
		<-w.served
		third := newStick()
		third.info.CanRestore = false
		w.plugIn(context.Background(), third)
		if err := <-w.served; err == nil || !strings.Contains(err.Error(), "cannot take over") {
			t.Errorf("a stick that cannot: %v", err)
		}
		fourth := newStick()
		w.plugIn(context.Background(), fourth)
		synctest.Wait()
		if b := fourth.restored; b == nil || b.FrameCounter <= counter {
			t.Errorf("restored %+v after %d", b, counter)
		}
		fourth.pull(errPulled)
	})
}

func TestStickOfBeforeIsBroughtUpToDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := joined(t, plug)
		defer w.end()
		first := w.stick
		first.pull(errPulled)
		<-w.served
		second := newStick()
		second.devices = first.devices
		w.plugIn(context.Background(), second)
		time.Sleep(time.Hour)
		second.pull(errPulled)
		<-w.served
		first.done = make(chan struct{})
		w.plugIn(context.Background(), first)
		if err := <-w.served; !errors.Is(err, ErrReopen) {
			t.Errorf("Serve returns %v", err)
		}
		w.plugIn(context.Background(), first)
		synctest.Wait()
		if first.counter <= second.counter || first.restored == nil {
			t.Errorf("the first stick counts from %d, the second was at %d", first.counter, second.counter)
		}
		if _, _, running := w.Info(); !running {
			t.Error("the network does not run")
		}
		first.pull(errPulled)
	})
}

func foreign() *stick {
	s := newStick()
	s.network = &Parameters{PANID: 0xbeef, ExtendedPANID: [8]byte{9, 9}, Channel: 25, NetworkKey: [16]byte{9}}
	return s
}

func TestForeignStick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := joined(t, plug)
		_, ours, _ := w.Info()
		w.stick.pull(errPulled)
		<-w.served
		s := foreign()
		w.plugIn(context.Background(), s)
		err := <-w.served
		if err == nil || !strings.Contains(err.Error(), "take_over") || !strings.Contains(err.Error(), "0xbeef") || len(s.told()) != 0 {
			t.Errorf("a stick of another network: %v, it was told %q", err, s.told())
		}
		w.stick.report(d, 1, 6, zcl.Attribute{ID: 0, Type: zcl.Boolean, Value: true})
		if w.Counters().Strays != 1 {
			t.Error("what a stick tells that is not used counts")
		}
		w.end()

		w.options.TakeOver, w.stick = true, foreign()
		w.boot()
		synctest.Wait()
		if _, p, running := w.Info(); !running || !p.same(ours) || w.stick.told()[0] != "restore" {
			t.Errorf("%s, %t, %q", p, running, w.stick.told())
		}
		w.end()
	})
}

func TestStickBringsItsNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.stick = foreign()
			plug(w.stick)
			w.stick.backup = []BackupDevice{{IEEEAddress: plugIEEE, NetworkAddress: 0x1111}, {IEEEAddress: stickIEEE}}
		})
		defer w.end()
		synctest.Wait()
		if got := w.stick.told(); !slices.Equal(got, []string{"resume", "backup"}) {
			t.Errorf("the stick was told %q", got)
		}
		if d, ok := w.Device(plugIEEE); !ok || d.Interview != Pending || len(w.Devices()) != 1 {
			t.Errorf("devices %+v", w.Devices())
		}
		// It is interviewed as soon as it says something.
		w.stick.report(w.stick.devices[0x1111], 1, 6, zcl.Attribute{ID: 0, Type: zcl.Boolean, Value: true})
		time.Sleep(time.Minute)
		synctest.Wait()
		if d, _ := w.Device(plugIEEE); d.Interview != Successful || d.ModelID != "Plug" {
			t.Errorf("device %+v", d)
		}
	})
}

func TestRestoreOfAnotherNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := joined(t, plug)
		defer w.end()
		ctx := context.Background()
		_, ours, _ := w.Info()
		b := &Backup{Parameters: *foreign().network, Coordinator: 5, FrameCounter: 7, Devices: []BackupDevice{{IEEEAddress: doorIEEE, NetworkAddress: 0x2222}}}
		for _, words := range []string{"", "yes"} {
			if err := w.Restore(ctx, b, words); err == nil || !strings.Contains(err.Error(), restoreWords(b)) {
				t.Errorf("with %q: %v", words, err)
			}
		}
		done := make(chan error, 1)
		go func() { done <- w.Restore(ctx, b, restoreWords(b)) }()
		if err := <-w.served; !errors.Is(err, ErrReopen) {
			t.Errorf("Serve returns %v", err)
		}
		again := newStick()
		again.network = &ours
		w.plugIn(ctx, again)
		if err := <-done; err != nil {
			t.Errorf("Restore: %v", err)
		}
		synctest.Wait()
		if _, p, _ := w.Info(); p != b.Parameters || again.told()[0] != "restore" {
			t.Errorf("the network is %s, the stick was told %q", p, again.told())
		}
		if _, ok := w.Device(doorIEEE); !ok {
			t.Error("the devices of the backup are not known")
		}
		var kept Backup
		text, _ := w.memory.get(memoryReplaced)
		if err := kept.UnmarshalJSON([]byte(text)); err != nil || !kept.same(ours) {
			t.Errorf("the backup of the network before is %+v, %v", kept, err)
		}
		again.pull(errPulled)
	})
}

func TestOldBackupOfThisNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := joined(t, plug)
		defer w.end()
		ctx := context.Background()
		old, err := w.Backup(ctx)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		w.stick.counter = 90000
		if _, err := w.Backup(ctx); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- w.Restore(ctx, old, "") }()
		<-w.served
		w.stick.done = make(chan struct{})
		w.plugIn(ctx, w.stick)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := w.stick.restored.FrameCounter; got <= 90000 {
			t.Errorf("the counter went back to %d", got)
		}
		w.stick.pull(errPulled)
	})
}

func TestChangeChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		if err := w.ChangeChannel(context.Background(), 27); err == nil {
			t.Error("channel 27")
		}
		w.stick.forget()
		if err := w.ChangeChannel(context.Background(), 25); err != nil {
			t.Error(err)
		}
		if _, p, _ := w.Info(); p.Channel != 25 || !slices.Equal(w.stick.told(), []string{"backup", "channel", "backup"}) {
			t.Errorf("channel %d, the stick was told %q", p.Channel, w.stick.told())
		}
		w.end()
		w.stick.done = make(chan struct{})
		w.boot()
		synctest.Wait()
		if _, p, running := w.Info(); !running || p.Channel != 25 {
			t.Errorf("after a restart: channel %d, %t", p.Channel, running)
		}
	})
}

func TestNightlyBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		synctest.Wait()
		w.stick.forget()
		time.Sleep(10 * 24 * time.Hour)
		synctest.Wait()
		if got := len(w.stick.told()); got < 9 || got > 11 {
			t.Errorf("%d backups in ten days", got)
		}
		var b Backup
		text, _ := w.memory.get(memoryBackup)
		if err := b.UnmarshalJSON([]byte(text)); err != nil || b.Date.Hour() != backupHour {
			t.Errorf("the last backup is of %s, %v", b.Date, err)
		}
	})
}

func TestDevicesWithKeysStayInTheBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := joined(t, plug)
		defer w.end()
		ctx := context.Background()
		key := &LinkKey{Key: [16]byte{7}}
		w.stick.backup = []BackupDevice{
			{IEEEAddress: plugIEEE, NetworkAddress: UnknownAddress, LinkKey: key},
			{IEEEAddress: doorIEEE, NetworkAddress: 0x2222, LinkKey: key}, // in no database
		}
		if _, err := w.Backup(ctx); err != nil {
			t.Fatal(err)
		}
		w.stick.backup = nil
		missing, err := w.MissingRouters(ctx)
		if err != nil || !slices.Equal(missing, []IEEEAddress{plugIEEE}) {
			t.Errorf("missing %v, %v", missing, err)
		}
		b, err := w.Backup(ctx)
		if err != nil || len(b.Devices) != 1 || b.Devices[0].IEEEAddress != plugIEEE || *b.Devices[0].LinkKey != *key || b.Devices[0].NetworkAddress != 0x1111 {
			t.Errorf("%+v, %v", b, err)
		}
	})
}
