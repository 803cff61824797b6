package simulator

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lintel/serialbridge"
)

// soakVariable in the environment makes the long form of TestSoak, and how long it
// takes: 10m.
const soakVariable = "LINTEL_SOAK"

const (
	soakSticks = 16 // at least: each kind of device is there
	// unread is how long ago a reader may not have taken when the stick is pulled
	// out.
	unread = 500 * time.Millisecond
	// broken is after which pause a driver may take a frame for broken off.
	broken = 250 * time.Millisecond
)

// Sixteen sticks with all faults, and one supervisor: what was sent whole is
// heard once, and nothing else is. The sticks are in another process, so that
// the processor time is the supervisor's.
func TestSoak(t *testing.T) {
	p := plan{Duration: 6 * time.Second, Phase: 750 * time.Millisecond}
	long := os.Getenv(soakVariable)
	if long != "" {
		duration, err := time.ParseDuration(long)
		if err != nil {
			t.Fatal(err)
		}
		p = plan{Duration: duration, Phase: 15 * time.Second}
	}
	dir := t.TempDir()
	o := serialbridge.Options{Root: t.TempDir()}
	heard := make([]*ear, max(soakSticks, len(protocols)))
	for i := range heard {
		kind := &protocols[i%len(protocols)]
		link := filepath.Join(dir, fmt.Sprintf("%02d-%s", i, kind.kind))
		stick := plannedStick{Kind: kind.kind, Number: uint64(i), Link: link, Interval: 50 * time.Millisecond}
		if long != "" {
			stick.Interval = kind.interval
		}
		p.Sticks = append(p.Sticks, stick)
		heard[i] = &ear{protocol: kind}
		driver := heard[i].tee(kind.driver())
		driver.Protocol += fmt.Sprint(i) // each stick has its own
		o.Drivers = append(o.Drivers, driver)
		o.Ports = append(o.Ports, serialbridge.NamedPort{Path: link, Protocol: driver.Protocol})
	}

	sticks := startSticks(t, p)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	before, start := cpu(t), time.Now()
	h := startHouse(t, o)
	ledgers := sticks.wait(t)
	quiet := time.NewTicker(300 * time.Millisecond)
	defer quiet.Stop()
	for last := -1; last != total(heard); {
		last = total(heard)
		<-quiet.C
	}
	for _, ear := range heard {
		await(t, "the last state of "+ear.protocol.kind, func() bool { return h.broker.shows(ear) })
	}
	status := h.Sticks()
	h.stop()
	used, elapsed := cpu(t)-before, time.Since(start)
	awaitNoLeak(t, goroutines, files)
	sticks.end(t)

	var all verdict
	for i, ear := range heard {
		v := judge(ear.protocol, ledgers[i], ear.counts)
		all.add(v)
		j := slices.IndexFunc(status, func(st serialbridge.StickStatus) bool { return st.ID == p.Sticks[i].Link })
		if j < 0 {
			t.Fatalf("no status of %s", p.Sticks[i].Link)
		}
		t.Logf("%-17s %v; damaged %v", ear.protocol.kind, v, status[j].Damaged)
		if status[j].Frames != uint64(ear.readings) {
			t.Errorf("%s: the status counts %d frames, of %d readings", ear.protocol.kind, status[j].Frames, ear.readings)
		}
		if len(v.missed) > 0 || len(v.invented) > 0 || len(v.believed) > 0 {
			t.Errorf("%s: sent whole but not heard: %d; heard but never sent: %d; damaged but heard: %d\n%s",
				ear.protocol.kind, v.missed, v.invented, v.believed, v.context)
		}
		if long != "" && v.sure < v.sent/8 || v.sure == 0 && ear.protocol.asked == 0 {
			t.Errorf("%s: only %d of %d frames say something", ear.protocol.kind, v.sure, v.sent)
		}
		if a := h.broker.get(ear.device, "availability"); ear.device != "" && a != "offline" {
			t.Errorf("%s: is %q in the end", ear.protocol.kind, a)
		}
	}
	share := 100 * used.Seconds() / elapsed.Seconds()
	t.Logf("all sticks: %v; %v of processor time in %v: %.2f %% of a core", all, used, elapsed.Round(time.Millisecond), share)
	// In the short form all talk twenty times as often as they should.
	if long != "" && !raceDetector && share >= 5 {
		t.Errorf("used %.2f %% of a core", share)
	}
}

// verdict is what became of the frames of a stick.
type verdict struct {
	sent     int // frames with a count
	lost     int // of these, nobody had the port open, or the stick was silent or slow
	damaged  int
	sure     int     // the others, but for those that may be missed
	heard    int     // readings with a count
	missed   []int64 // sure, but not heard
	invented []int64 // heard, but not sent, or sent once and heard twice
	believed []int64 // damaged, but heard
	context  string  // what was sent around the first of the missed
}

func (v verdict) String() string {
	return fmt.Sprintf("sent %d: lost %d, damaged %d, sure %d; heard %d, missed %d, invented %d, damaged but believed %d",
		v.sent, v.lost, v.damaged, v.sure, v.heard, len(v.missed), len(v.invented), len(v.believed))
}

func (v *verdict) add(w verdict) {
	v.sent += w.sent
	v.lost += w.lost
	v.damaged += w.damaged
	v.sure += w.sure
	v.heard += w.heard
	v.missed = append(v.missed, w.missed...)
	v.invented = append(v.invented, w.invented...)
	v.believed = append(v.believed, w.believed...)
}

// judge compares what was sent with the counts that were heard, both in order.
func judge(p *protocol, l ledger, counts []int64) verdict {
	v := verdict{heard: len(counts)}
	matched := make([]bool, len(l.Sent))
	next := 0
	for _, n := range counts {
		i := slices.IndexFunc(l.Sent[next:], func(s Sent) bool { return s.Frame.Count > 0 && p.shown(s.Frame.Count) == n })
		if i < 0 {
			v.invented = append(v.invented, n)
			continue
		}
		matched[next+i] = true
		next += i + 1
	}
	good, taught := 0, !p.teaches // since the port was opened
	var before Sent               // on the line
	for i, s := range l.Sent {
		if i > 0 && !s.Opened.Equal(l.Sent[i-1].Opened) {
			good, taught = 0, !p.teaches
		}
		pulled := slices.ContainsFunc(l.Unplugged, func(at time.Time) bool { return !s.Time.After(at) && at.Sub(s.Time) < unread })
		trouble := s.Noise > 0 || s.Pause > broken || before.Fault != Whole || before.Pause > broken
		if !s.Lost {
			before = s
		}
		if s.Frame.Count == 0 {
			continue
		}
		taught = taught || matched[i]
		v.sent++
		switch {
		case s.Lost:
			v.lost++
		case s.Fault != Whole:
			v.damaged++
		case trouble || pulled || s.Time.Sub(s.Opened) < p.settle:
		case good+1 < p.first || !taught:
			good++
		default:
			good++
			v.sure++
			if !matched[i] {
				v.missed = append(v.missed, s.Frame.Count)
				if len(v.missed) == 1 {
					v.context = l.around(i)
				}
			}
		}
		if matched[i] && (s.Lost || s.Fault != Whole) {
			v.believed = append(v.believed, s.Frame.Count)
		}
	}
	return v
}

// around tells what was sent around a frame.
func (l ledger) around(i int) string {
	var b strings.Builder
	for _, s := range l.Sent[max(0, i-5):min(len(l.Sent), i+5)] {
		fmt.Fprintf(&b, "%s: %d, lost %v, fault %q, noise %d, port open since %s\n", s.Time.Format("05.000"), s.Frame.Count,
			s.Lost, s.Fault, s.Noise, s.Opened.Format("05.000"))
	}
	return b.String()
}

// sticks is the process that has the sticks.
type sticks struct {
	cmd   *exec.Cmd
	stdin interface{ Close() error }
	out   *json.Decoder
}

// startSticks starts the sticks of a plan.
func startSticks(t *testing.T, p plan) *sticks {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	s := &sticks{cmd: exec.Command(self)}
	s.cmd.Env = append(os.Environ(), childVariable+"=1")
	s.cmd.Stderr = os.Stderr
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill() })
	if _, err := stdin.Write(append(text, '\n')); err != nil {
		t.Fatal(err)
	}
	s.stdin, s.out = stdin, json.NewDecoder(stdout)
	return s
}

// wait waits until the sticks are silent, and returns what each has sent.
func (s *sticks) wait(t *testing.T) []ledger {
	t.Helper()
	var ledgers []ledger
	if err := s.out.Decode(&ledgers); err != nil {
		t.Fatal(err)
	}
	return ledgers
}

// end lets the process unplug all sticks and end.
func (s *sticks) end(t *testing.T) {
	t.Helper()
	s.stdin.Close()
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the process with the sticks: %v", err)
	}
}

func total(ears []*ear) int {
	n := 0
	for _, e := range ears {
		e.mu.Lock()
		n += e.readings
		e.mu.Unlock()
	}
	return n
}

// cpu is the processor time that this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	return len(entries)
}

// awaitNoLeak waits until there are no more goroutines and descriptors than there
// were.
func awaitNoLeak(t *testing.T, goroutines, files int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for runtime.NumGoroutine() > goroutines || openFiles(t) > files {
		select {
		case <-tick.C:
		case <-late:
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Fatalf("%d goroutines of %d, %d descriptors of %d:\n%s",
				runtime.NumGoroutine(), goroutines, openFiles(t), files, strings.TrimSpace(string(stacks)))
		}
	}
}
