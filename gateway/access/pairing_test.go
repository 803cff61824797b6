package access

import (
	"errors"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// wrongCode returns a code that is not this one.
func wrongCode(code string) string {
	b := []byte(code)
	b[0] = '0' + (b[0]-'0'+1)%10
	return string(b)
}

func TestPairingCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pairing
		done := 0
		do := func() error { done++; return nil }
		if code, left := p.Current(); code != "" || left != 0 {
			t.Errorf("%q for %v before one was shown", code, left)
		}
		if err := p.Use("", do); !errors.Is(err, ErrNoPairingCode) {
			t.Errorf("without a code: %v", err)
		}
		code, left := p.Show()
		if !regexp.MustCompile(`^[0-9]{8}$`).MatchString(code) || left != 10*time.Minute {
			t.Errorf("%q for %v", code, left)
		}
		time.Sleep(9 * time.Minute)
		if again, left := p.Current(); again != code || left != time.Minute {
			t.Errorf("%q for %v, want %q", again, left, code)
		}
		if err := p.Use(wrongCode(code), do); !errors.Is(err, ErrWrongPairingCode) || done != 0 {
			t.Errorf("a wrong code: %v, done %d times", err, done)
		}
		if err := p.Use(" "+code[:4]+" "+code[4:6]+"-"+code[6:], do); err != nil || done != 1 {
			t.Errorf("as a person types it: %v, done %d times", err, done)
		}
		if err := p.Use(code, do); !errors.Is(err, ErrNoPairingCode) || done != 1 {
			t.Errorf("a second time: %v, done %d times", err, done)
		}
		code, _ = p.Show()
		time.Sleep(10 * time.Minute)
		if err := p.Use(code, do); !errors.Is(err, ErrNoPairingCode) || done != 1 {
			t.Errorf("after ten minutes: %v, done %d times", err, done)
		}
		if code, _ := p.Current(); code != "" {
			t.Errorf("%q is over and shown", code)
		}
	})
}

func TestPairingCodeIsVoidAfterFiveTries(t *testing.T) {
	var p Pairing
	do := func() error { t.Error("done with a wrong code"); return nil }
	code, _ := p.Show()
	for range 5 {
		if err := p.Use(wrongCode(code), do); !errors.Is(err, ErrWrongPairingCode) {
			t.Error(err)
		}
	}
	if err := p.Use(code, do); !errors.Is(err, ErrNoPairingCode) {
		t.Errorf("the sixth try: %v", err)
	}
	if code, _ := p.Current(); code != "" {
		t.Errorf("%q is void and shown", code)
	}
	again, _ := p.Show()
	done := false
	if err := p.Use(again, func() error { done = true; return nil }); err != nil || !done {
		t.Errorf("the code after it: %v", err)
	}
}

func TestPairingCodeOutlivesAFailure(t *testing.T) {
	var p Pairing
	code, _ := p.Show()
	failed := errors.New("store full")
	if err := p.Use(code, func() error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if err := p.Use(code, func() error { return nil }); err != nil {
		t.Error(err)
	}
}

// A code that is shown while the one before is being used stays good.
func TestPairingCodeShownMeanwhile(t *testing.T) {
	var p Pairing
	code, _ := p.Show()
	next := ""
	if err := p.Use(code, func() error { next, _ = p.Show(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := p.Use(next, func() error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestPairingCodeIsUsedOnce(t *testing.T) {
	var p Pairing
	code, _ := p.Show()
	var done atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { p.Use(code, func() error { done.Add(1); return nil }) })
	}
	all.Wait()
	if n := done.Load(); n != 1 {
		t.Errorf("used %d times", n)
	}
}
