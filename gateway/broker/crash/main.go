// Command crash pulls the plug of a broker at hundreds of moments and looks what
// is left.
//
//	go run ./gateway/broker/crash            the whole matrix, by root
//	go run ./gateway/broker/crash --short    a small one
//
// A FUSE server in this program holds a disk in memory; on its file is a loop
// device, on that ext4, and on that lintel runs, with clients that load it (see
// package witness). All writes and flushes that get to the disk are recorded, and
// for every client what it was told after how many of them.
//
// Then it takes moments of the recording at random. For each the disk is made as
// it may be if the power fails just then: with all that was flushed, and of the
// later writes none, all, or random pieces. The file system is mounted, lintel
// starts on it, and its clients go on where they were at that moment and compare.
// At last e2fsck looks at the file system.
//
// The control shows that this would find a loss: there the disk has lied, and
// what it was told to flush since an earlier moment is not on it. Each of those
// has to fail.
//
// What it mounts and makes is gone when the program ends, in whatever way. Of
// points that fail the first ones are kept in the folder --keep: the disk, and
// what lintel said.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// settings are what the flags say.
type settings struct {
	points   int
	controls int
	load     time.Duration
	pause    time.Duration
	seed     uint64
	keep     string
}

func main() {
	runtime.LockOSThread() // children end with the thread that started them
	var s settings
	short := flag.Bool("short", false, "fewer points, a shorter load; without what it needs no error unless LINTEL_NEED_ALL is set")
	flag.IntVar(&s.points, "points", 312, "`number` of crashes")
	flag.Uint64Var(&s.seed, "seed", 0, "of the random choices (default a random one)")
	flag.StringVar(&s.keep, "keep", "out/crash", "`folder` for what failed")
	flag.Parse()
	s.controls, s.load, s.pause = 8, 12*time.Second, 30*time.Millisecond
	if *short {
		s.points, s.controls, s.load = min(s.points, 24), 2, 4*time.Second
	}
	if s.seed == 0 {
		s.seed = rand.Uint64() >> 32
	}
	if missing := needs(); len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "crash: not run, this is missing: %s\n", strings.Join(missing, "; "))
		if *short && os.Getenv("LINTEL_NEED_ALL") == "" {
			return
		}
		os.Exit(1)
	}
	var err error
	switch dir := os.Getenv(dirVariable); dir {
	case "":
		err = goApart()
	case apart:
		err = supervise()
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, dir, s)
		stop()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		os.Exit(1) // it has said why
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// needs names what this machine lacks.
func needs() (missing []string) {
	if os.Geteuid() != 0 {
		missing = append(missing, "root: run it with sudo")
	}
	for _, device := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(device); err != nil {
			missing = append(missing, device+": modprobe fuse loop, or a machine that has it")
		}
	}
	for _, need := range []struct{ program, hint string }{
		{"mkfs.ext4", "apt-get install e2fsprogs"}, {"e2fsck", "apt-get install e2fsprogs"},
		{"mount", "apt-get install mount"}, {"losetup", "apt-get install mount"},
		{"findmnt", "apt-get install util-linux"}, {"blockdev", "apt-get install util-linux"},
		{"unshare", "apt-get install util-linux"},
		{"go", "put it into PATH"},
	} {
		if _, err := exec.LookPath(need.program); err != nil {
			missing = append(missing, need.program+": "+need.hint)
		}
	}
	return missing
}

// dirVariable is the environment variable that names the folder in which the
// supervised process works. It is apart in the one that supervises.
const (
	dirVariable = "LINTEL_CRASH_DIR"
	apart       = "apart"
)

// goApart starts this program again in a mount namespace of its own. Elsewhere a
// process that makes itself one takes a copy of what is mounted at that moment,
// and that file system stays as it is, with an old disk, until that process ends.
func goApart() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err
	}
	return syscall.Exec(unshare, append([]string{"unshare", "--mount", "--propagation", "private", self}, os.Args[1:]...),
		append(os.Environ(), dirVariable+"="+apart))
}

// supervise runs this program again and cleans up after it. The process with the
// disks cannot do that if it is killed. Nor may it be the last in the namespace:
// it would wait for its own disks to unmount what is on them, for ever.
func supervise() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lintel-crash-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer sweep(dir)
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), dirVariable+"="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	return cmd.Wait()
}

// run records once, and crashes often.
func run(ctx context.Context, dir string, s settings) error {
	b, err := newLab(ctx, dir, 2)
	if err != nil {
		return err
	}
	defer b.close()
	rec, err := b.stands[0].record(ctx, s.seed, s.load, s.pause)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	writes, flushes, size := 0, 0, 0
	for _, r := range rec.records {
		if r.data == nil {
			flushes++
		} else {
			writes++
			size += len(r.data)
		}
	}
	whole := rec.ledger.At(len(rec.records))
	fmt.Printf("crash: recorded %d acknowledged messages, %d writes of %.1f MB in all, %d flushes; %d tables and %d value logs\n",
		whole.Acknowledged(), writes, float64(size)/1e6, flushes, rec.tables, rec.logs)
	r := rand.New(rand.NewPCG(s.seed, 0))
	if err := b.matrix(ctx, rec, rec.choose(s.points, r), s); err != nil {
		return err
	}
	return b.control(ctx, rec, s.controls, r)
}
