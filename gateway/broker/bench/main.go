// Bench compares Lintel's broker with others on one machine: every row of
// lintelctl bench, against each broker in turn, three times. Each row gets a
// broker that was just started, the calm ones five seconds before, and has nothing to do
// but that. It prints the
// medians as tables in Markdown and fails if Lintel lost, doubled or mixed up a
// message.
//
//	go run ./gateway/broker/bench [--short] [--row NAME]… [--broker NAME]…
//
// With --profile it runs Lintel alone and leaves a profile of what the processor
// did in all the rows, for the compiler.
//
// # Durable
//
// In the row durable a hundred publishers, each with ten messages of 128 bytes on
// their way, send 100,000 of them at QoS 1 to a hundred sessions whose clients are
// away, and these then come back. Lintel acknowledges what is on the disk; mochi
// with its Badger hook has written it without a sync; mosquitto-disk holds it in
// memory until its next snapshot, of which there is none in so short a time: only
// its CPU time is to be compared. If the bench is root, the broker's data are on a
// disk of their own, an ext4 on a loop device without read-ahead, as on the
// appliance. Bytes and flushes are what the kernel counts there, after it has
// written all that it kept back. Of the memory, mapped files are the part that the
// kernel can take back.
//
// # Wear
//
// With wear as its first argument it plays a day of a house instead, and prints
// what the day writes to the disk and what is lost at its end. It needs root. See
// wear.go for how a day is measured in a quarter of an hour.
//
//	go run ./gateway/broker/bench wear [--short] [--mix NAME]… [--broker NAME]…
//
// There is a table for each mix of QoS and RETAIN. MiB a day is all that the block
// device was told to write, of it tables what Badger wrote when it sorted; bytes
// per message are the same by the state of the house, at the house's own pace. The
// last columns are messages that were acknowledged and did not come, first
// without any accident, then when the broker was killed (kill -9), then when
// nothing could reach the device any more and the broker was started again on what
// was there. A broker that writes less than the size of what it acknowledges while
// nobody is there to take it has not kept it: these columns show that.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// rows are those of lintelctl bench.
var rows = []string{"pairs-qos0", "pairs-qos1", "pairs-qos2", "fan-in", "fan-out", "offline", "session", "durable", "retained", "idle", "calm",
	"pairs-qos0-tls", "calm-tls", "pairs-qos0-websocket", "calm-websocket"}

const (
	// rowTime bounds one row against one broker.
	rowTime = 5 * time.Minute
	// calmAfter passes before a broker is measured at the rate of a house, which has been
	// running for long: what it does at its start is no part of that.
	calmAfter = 5 * time.Second
)

func main() {
	if err := ownMounts(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: mounts of its own:", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "wear" {
		return runWear(ctx, args[1:])
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	short := flags.Bool("short", false, "small counts, once, Lintel alone unless brokers are named: is every message there, in order?")
	repetitions := flags.Int("repetitions", 3, "`times` that each row runs")
	profile := flags.String("profile", "", "leave a CPU profile of Lintel in this `file`")
	var chosenRows, chosenBrokers []string
	flags.Func("row", "`name` of a row; may be repeated (default all)", func(name string) error {
		if !slices.Contains(rows, name) {
			return fmt.Errorf("the rows are %s", strings.Join(rows, ", "))
		}
		chosenRows = append(chosenRows, name)
		return nil
	})
	flags.Func("broker", "`name` of a broker; may be repeated (default all)", func(name string) error {
		if !slices.ContainsFunc(brokers, func(b broker) bool { return b.name == name }) {
			return errors.New("the brokers are lintel, mosquitto, mosquitto-nodelay, mochi, mosquitto-disk and mochi-badger")
		}
		chosenBrokers = append(chosenBrokers, name)
		return nil
	})
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected %q", flags.Arg(0))
	}
	if *short {
		*repetitions = 1
		if chosenBrokers == nil {
			chosenBrokers = []string{"lintel"}
		}
	}
	if *profile != "" {
		*repetitions, chosenBrokers = 1, []string{"lintel"}
	}
	if chosenRows == nil {
		chosenRows = rows
	}
	var field []broker
	for _, b := range brokers {
		if chosenBrokers == nil || slices.Contains(chosenBrokers, b.name) {
			field = append(field, b)
		}
	}
	place, err := prepare(ctx, field)
	if err != nil {
		return err
	}
	defer os.RemoveAll(place.scratch)
	place.profiling = *profile != ""

	// What was measured until something went wrong is printed all the same.
	var all results
	broken := func() error {
		for repetition := range *repetitions {
			for _, row := range chosenRows {
				for _, b := range field {
					if chosenBrokers == nil && !b.runs(row) {
						continue
					}
					fmt.Fprintf(os.Stderr, "%s %d/%d %s %s\n", time.Now().Format(time.TimeOnly), repetition+1, *repetitions, row, b.name)
					measured, err := place.measure(ctx, b, row, *short)
					if err != nil {
						return fmt.Errorf("%s, %s: %w", row, b.name, err)
					}
					for _, r := range measured {
						all.add(b.name, r)
					}
				}
			}
		}
		return nil
	}()
	fmt.Printf("`go run ./gateway/broker/bench%s`, %s, %d × %s %s/%s, %s\n\n", strings.Join(append([]string{""}, args...), " "),
		time.Now().Format(time.DateOnly), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, place.versions())
	all.print(os.Stdout)
	if broken != nil {
		return broken
	}
	if faults := all.faults("lintel"); faults != nil {
		return fmt.Errorf("lintel failed:\n  %s", strings.Join(faults, "\n  "))
	}
	if *profile != "" {
		return place.mergeProfiles(ctx, *profile)
	}
	return nil
}

// place is where everything is while the bench runs.
type place struct {
	scratch     string // programs, configurations, certificates, data; removed in the end
	certificate string
	key         string
	mosquitto   string // path; empty if it does not take part
	mochi       bool   // takes part
	profiling   bool   // Lintel leaves CPU profiles in scratch
	profiles    int    // so many
}

// prepare builds the programs and makes a certificate. The programs are the
// bench's own: those in bin may be built anew while it runs.
func prepare(ctx context.Context, field []broker) (_ *place, err error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	root := strings.TrimSpace(string(out))
	if err != nil || root == "" {
		return nil, errors.New("run it inside the Lintel repository, with go in the path")
	}
	p := &place{}
	if p.scratch, err = os.MkdirTemp("", "lintel-bench"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(p.scratch)
		}
	}()
	if err := build(ctx, root, p.scratch+"/", "./cmd/lintel", "./cmd/lintelctl"); err != nil {
		return nil, err
	}
	for _, b := range field {
		switch b.name {
		case "mochi", "mochi-badger":
			p.mochi = true
			if err := build(ctx, filepath.Join(root, "gateway/broker/bench/mochi"), p.scratch+"/", "."); err != nil {
				return nil, err
			}
		case "mosquitto", "mosquitto-nodelay", "mosquitto-disk":
			if p.mosquitto, err = findMosquitto(); err != nil {
				return nil, err
			}
		}
	}
	// Brokers inherit the limit; 10,000 connections need as many descriptors.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("getrlimit: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("setrlimit: %w", err)
	}
	return p, p.makeCertificate()
}

func build(ctx context.Context, dir, output string, packages ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-o", output}, packages...)...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", strings.Join(packages, " "), err)
	}
	return nil
}

// findMosquitto looks where Debian puts it, which is not in everybody's path.
func findMosquitto() (string, error) {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("mosquitto is missing; it is in the Debian package mosquitto (apt-get install mosquitto). Without it: --broker lintel --broker mochi")
}

// versions names what was measured.
func (p *place) versions() string {
	names := []string{"lintel"}
	if p.mosquitto != "" {
		out, _ := exec.Command(p.mosquitto, "-h").Output() // exits with 1 or 3
		line, _, _ := strings.Cut(string(out), "\n")
		names = append(names, line)
	}
	if p.mochi {
		names = append(names, "mochi-mqtt v2.7.9") // as in mochi/go.mod
	}
	return strings.Join(names, ", ")
}

// measure runs one row against a broker that it starts for it.
func (p *place) measure(ctx context.Context, b broker, row string, short bool) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, rowTime)
	defer cancel()
	parent := p.scratch
	var d *disk
	if row == "durable" && !short {
		var err error
		if d, err = newDisk(p.scratch, b.name+"-disk"); err == nil {
			defer d.close()
			parent = d.folder
		} else if err != errNotRoot {
			return nil, err
		}
	}
	running, err := p.start(ctx, b, parent)
	if err != nil {
		return nil, err
	}
	defer running.stop()
	if strings.HasPrefix(row, "calm") && !short {
		select {
		case <-time.After(calmAfter):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	args := []string{"bench", "--row", row, "--pid", strconv.Itoa(running.pid()),
		"--broker", running.tcp, "--tls", running.tls, "--websocket", running.websocket}
	if d != nil {
		args = append(args, "--disk", d.folder)
	}
	if short {
		args = append(args, "--short")
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(p.scratch, "lintelctl"), args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	var measured []result
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var r result
		if err := decoder.Decode(&r); err != nil {
			return nil, fmt.Errorf("lintelctl bench printed %.200q: %w", out, err)
		}
		measured = append(measured, r)
	}
	if len(measured) == 0 { // else the failure is in a result, and goes into the table
		return nil, fmt.Errorf("lintelctl bench: %w: %s", err, &said)
	}
	return measured, nil
}

// mergeProfiles makes one profile of those of all rows.
func (p *place) mergeProfiles(ctx context.Context, name string) error {
	args := []string{"tool", "pprof", "-proto", "-output", name}
	for n := range p.profiles {
		args = append(args, p.profileName(n))
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

func (p *place) profileName(n int) string {
	return filepath.Join(p.scratch, fmt.Sprintf("%d.pprof", n))
}
