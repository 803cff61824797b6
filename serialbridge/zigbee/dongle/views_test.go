package dongle

import (
	"errors"
	"testing"
	"testing/synctest"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Bytes of one attempt never reach the next, and a view that is closed reads nothing.
func TestViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSocket(hardware.SerialPort{}, 0)
		split := newSplitter(s)
		first := split.open()
		inside{s}.Write([]byte("of the first"))
		synctest.Wait()
		second := split.open()
		inside{s}.Write([]byte("second"))
		b := make([]byte, 3)
		var got []byte
		for len(got) < len("second") {
			n, err := second.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b[:n]...)
		}
		if string(got) != "second" {
			t.Errorf("the second view reads %q", got)
		}
		for {
			if _, err := first.Read(b); err != nil {
				break // after what it had got
			}
		}
		ended := make(chan error, 1)
		go func() { _, err := second.Read(b); ended <- err }()
		synctest.Wait()
		second.Close()
		if err := <-ended; err == nil {
			t.Error("a closed view reads on")
		}
		if _, err := s.Write([]byte("x")); err != nil {
			t.Errorf("closing a view has closed the port: %v", err)
		}
		// Nobody reads it: the reader of the port must not stand still for that.
		full := split.open()
		for range 200 {
			inside{s}.Write([]byte("x"))
			synctest.Wait()
		}
		third := split.open()
		inside{s}.Write([]byte("third"))
		synctest.Wait()
		n, err := third.Read(make([]byte, 64))
		if err != nil || n == 0 {
			t.Errorf("%d, %v", n, err)
		}
		full.Close()
		s.end(serialbridge.ErrUnplugged)
		for err = nil; err == nil; {
			_, err = third.Read(b)
		}
		if !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
		if _, err := split.open().Read(b); !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}
