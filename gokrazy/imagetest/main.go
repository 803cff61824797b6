// Command imagetest boots the images that gokrazy/build.sh made, in QEMU,
// plugs meters into them and checks that an independent MQTT client sees what
// the meters say, that Home Assistant is told about it, and that nothing of it
// is lost when the power fails.
//
//	go run ./gokrazy/imagetest            all boards
//	go run ./gokrazy/imagetest raspi3b    one of them
//	go run ./gokrazy/imagetest --kill 10  kill virt ten times under load
//	go run ./gokrazy/imagetest --long     all boards, and what takes long
//	go run ./gokrazy/imagetest --update-kill 40  kill virt forty times during updates
//
// virt is updated too, from a feed and by uploads: to a version that holds while clients
// are connected, and to versions that do not hold.
//
// With --kill the clients of package witness load the broker until QEMU is killed
// at a random moment, and look after the next boot what it has kept. With --update-kill
// it is killed at random moments of an update: each time the box has to start, and to
// finish the update or to return.
//
// It runs from the root of the repository, reads out/*.img and leaves its disks
// and console logs in out/imagetest. Everything listens on 127.0.0.1.
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
	"slices"
	"strings"
	"syscall"
	"time"
)

// QEMU emulates every instruction: on two busy cores a boot that usually takes
// half a minute may take some.
const (
	bootTimeout     = 5 * time.Minute
	meterTimeout    = 3 * time.Minute // from plugging in to Home Assistant
	retainedTimeout = time.Minute

	// States are retained messages of QoS 0. The broker spares the card and
	// writes them every ten seconds; the emulated one may be slow at it.
	stateWritten = 25 * time.Second

	allTimeout  = time.Hour       // for each test
	killTimeout = 5 * time.Minute // for each round

	fewUpdateKills   = 2 // of the test
	usualUpdateKills = 4 // with --long
)

func main() {
	// The children ask the kernel to be killed when the thread that started
	// them ends. The main thread lasts as long as the process.
	runtime.LockOSThread()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.IntVar(&o.kills, "kill", 0, "kill the board this `number` of times under load, instead of the test (default board virt)")
	flag.IntVar(&o.updateKills, "update-kill", 0, "kill the board this `number` of times while it is updated, instead of the test (default board virt)")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64(), "of what is random, as an earlier run has printed it")
	flag.BoolVar(&o.long, "long", false, "also what takes long: see README.md")
	flag.StringVar(&o.only, "only", "", "the `test` to do: boot, update, rescue or cut (default all)")
	flag.Parse()
	o.names = flag.Args()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "imagetest:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	names       []string // of boards
	kills       int
	updateKills int
	seed        uint64
	only        string
	long        bool
}

func run(ctx context.Context, o options) error {
	if err := checkNeeds(); err != nil {
		return err
	}
	names := o.names
	if o.kills+o.updateKills > 0 && len(names) == 0 {
		names = []string{"virt"}
	}
	var selected []board
	for _, b := range boards {
		if len(names) == 0 && (o.long || !b.long) {
			selected = append(selected, b)
		}
	}
	for _, name := range names {
		b, err := boardNamed(name)
		if err != nil {
			return err
		}
		selected = append(selected, b)
	}
	meters, err := readMeters("gokrazy/imagetest/testdata")
	if err != nil {
		return err
	}
	for _, b := range selected {
		start := time.Now()
		if err := o.test(ctx, b, meters); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		fmt.Printf("%s: passed in %.0f s\n", b.name, time.Since(start).Seconds())
	}
	return nil
}

// test does with a board what the command line says.
func (o options) test(ctx context.Context, b board, meters meters) error {
	switch {
	case o.kills > 0:
		ctx, cancel := context.WithTimeout(ctx, allTimeout+time.Duration(o.kills)*killTimeout)
		defer cancel()
		return killUnderLoad(ctx, b, o.kills)
	case o.updateKills > 0:
		return killUpdates(ctx, b, o.updateKills, o.seed)
	}
	if err := b.printSize(); err != nil {
		return err
	}
	updateKills := fewUpdateKills
	if o.long {
		updateKills = usualUpdateKills
	}
	for _, t := range []struct {
		name    string
		updates bool // takes a board that can be updated
		run     func(context.Context) error
	}{
		{"boot", false, func(ctx context.Context) error { return testBoard(ctx, b, meters) }},
		{"update", true, func(ctx context.Context) error { return testUpdates(ctx, b, meters) }},
		{"rescue", true, func(ctx context.Context) error { return testRescue(ctx, b) }},
		{"cut", true, func(ctx context.Context) error { return killUpdates(ctx, b, updateKills, o.seed) }},
	} {
		if t.updates && !b.updates || o.only != "" && o.only != t.name {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, allTimeout)
		err := t.run(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// checkNeeds names all packages that are missing, at once.
func checkNeeds() error {
	var packages []string
	for _, need := range []struct{ command, pkg string }{
		{"qemu-system-aarch64", "qemu-system-arm"},
		{"qemu-system-x86_64", "qemu-system-x86"},
		{"mcopy", "mtools"},
		{"debugfs", "e2fsprogs"},
		{"e2fsck", "e2fsprogs"},
		{"mosquitto_sub", "mosquitto-clients"},
	} {
		if _, err := exec.LookPath(need.command); err != nil {
			if !slices.Contains(packages, need.pkg) {
				packages = append(packages, need.pkg)
			}
		}
	}
	if _, err := os.Stat(firmware); err != nil {
		packages = append(packages, "qemu-efi-aarch64")
	}
	if _, err := os.Stat(pcFirmware); err != nil {
		packages = append(packages, "ovmf")
	}
	if len(packages) > 0 {
		return errors.New("missing: apt-get install " + strings.Join(packages, " "))
	}
	return nil
}

// testBoard boots the board twice from the same card: the first time it is
// stopped as by pulling the plug.
func testBoard(ctx context.Context, b board, meters meters) error {
	dir, err := b.flash(ctx, "")
	if err != nil {
		return err
	}
	if b.preseed {
		if err := putBootFile(ctx, dir, "lintel-preseed.toml", preseed()); err != nil {
			return err
		}
	}
	marker := fmt.Sprintf("acknowledged at %d", time.Now().UnixNano())
	err = b.boot(ctx, dir, settings{sticks: len(captures)}, func(m *machine) error {
		if err := m.awaitPage(ctx); err != nil {
			return err
		}
		if err := m.claim(ctx); err != nil {
			return err
		}
		client, err := m.subscribe(ctx)
		if err != nil {
			return err
		}
		defer client.close()

		for i, telegram := range meters.telegrams {
			unplug, err := m.plugIn(ctx, i, telegram)
			if err != nil {
				return err
			}
			defer unplug()
		}
		plugged := time.Now()
		if err := client.await(ctx, meterTimeout, meters.seen); err != nil {
			return err
		}
		fmt.Printf("%s: the states and discovery documents of the meters are right %.1f s after they were plugged in\n", b.name, time.Since(plugged).Seconds())

		if err := m.run(ctx, stateWritten); err != nil {
			return err
		}
		// The last act before the power fails: what is acknowledged
		// now must be there afterwards.
		return m.publishRetained(ctx, markerTopic, marker)
	})
	if err != nil {
		return err
	}
	fmt.Printf("%s: pulled the plug\n", b.name)

	return b.boot(ctx, dir, settings{sticks: len(captures)}, func(m *machine) error {
		if err := m.checkClaimed(ctx); err != nil {
			return err
		}
		client, err := m.subscribe(ctx)
		if err != nil {
			return err
		}
		defer client.close()
		err = client.await(ctx, retainedTimeout, func(seen map[string]message) error {
			if got := seen[markerTopic].Payload; got != marker {
				return fmt.Errorf("%s was acknowledged as %q before the power failed, and now is %q", markerTopic, marker, got)
			}
			return meters.seen(seen)
		})
		if err != nil {
			return err
		}
		fmt.Printf("%s: state, discovery and the acknowledged message are there without the meters\n", b.name)
		return nil
	})
}
