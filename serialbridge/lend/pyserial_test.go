package lend

import (
	"io"
	"net"
	"os/exec"
	"slices"
	"testing"

	"lintel/serialbridge/drivertest"
)

// pyserial is a client that others wrote.
func TestPyserial(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err == nil {
		err = exec.Command(python, "-c", "import serial").Run()
	}
	if err != nil {
		t.Skip("needs pyserial: apt-get install python3-serial")
	}
	l := lend(t, Options{RFC2217: true, Line: "9600 8N1"})
	go io.Copy(l.far, l.heard) // the stick says what it is told
	_, port, _ := net.SplitHostPort(l.address)
	if out, err := exec.Command(python, "testdata/rfc2217.py", port).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l.sink.await(t, "the end of the lease", func(r drivertest.Recorder) bool {
		last := lastOf(r)
		return last[keyClient] == "" && last[keySent] != int64(0)
	})
	if r := l.sink.soFar(); len(r.Damage)+len(r.Overheard) != 0 {
		t.Errorf("damaged %q, ignored %q", r.Damage, r.Overheard)
	}
	// Each setting is made by itself; the last one is the configured one again.
	var got []string
	l.stick.mu.Lock()
	for _, line := range l.stick.lines {
		got = append(got, line.String())
	}
	l.stick.mu.Unlock()
	want := []string{
		"19200 8N1", "19200 8E1", "19200 8E2",
		"250000 8E2", "250000 8N2", "250000 8N1",
		"9600 8N1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
}
