package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"lintel/serialbridge/simulator"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/zigbeehouse"
)

// simulate plugs in a stick that is not there, until it is interrupted.
func simulate(args []string, diagnostics io.Writer) error {
	flags := flag.NewFlagSet("lintelctl simulate", flag.ContinueOnError)
	flags.SetOutput(diagnostics)
	var f simulator.Faults
	number := flags.Uint64("number", 1, "`number` of the device, which tells it from others of its kind")
	flags.Float64Var(&f.Noise, "noise", 0, "`share` of the frames before which random bytes come, such as 0.1")
	flags.Float64Var(&f.Cut, "cut", 0, "`share` of the frames that are cut")
	flags.Float64Var(&f.Flip, "flip", 0, "`share` of the frames in which a bit is wrong")
	flags.Float64Var(&f.Sum, "sum", 0, "`share` of the frames whose checksum is wrong")
	flags.BoolVar(&f.Double, "double", false, "talk twice as often")
	flags.DurationVar(&f.Slow, "slow", 0, "`pause` between two bytes, such as 5ms")
	kinds := append(simulator.Kinds(), zigbeehouse.Kinds...)
	flags.Usage = func() {
		fmt.Fprintf(diagnostics, "lintelctl simulate [flags] KIND PATH plugs a simulated stick in at PATH until it is\ninterrupted; PATH may be tcp:HOST:PORT for a Zigbee one. KIND is one of %s.\n\n",
			strings.Join(kinds, ", "))
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return errUsage
	}
	if flags.NArg() != 2 {
		return fmt.Errorf("simulate takes a kind (%s) and a path: %w", strings.Join(kinds, ", "), errUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if zigbeehouse.Known(flags.Arg(0)) {
		if f != (simulator.Faults{}) {
			return fmt.Errorf("a Zigbee stick takes no faults: %w", errUsage)
		}
		house, err := zigbeehouse.New(zigbeehouse.Options{Kind: flags.Arg(0), At: flags.Arg(1), Seed: *number, Air: air.Options{Seed: *number, Drift: 20 * time.Second}})
		if err != nil {
			return err
		}
		fmt.Fprintf(diagnostics, "a %s stick with %d devices is at %s\n", flags.Arg(0), len(house.Air.Devices()), flags.Arg(1))
		return house.Run(ctx)
	}
	device, err := simulator.NewDevice(flags.Arg(0), *number)
	if err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	stick := simulator.New(simulator.Options{Link: flags.Arg(1), Device: device, Seed: *number})
	stick.SetFaults(f)
	fmt.Fprintf(diagnostics, "a stick that speaks %s is at %s\n", device.Protocol, flags.Arg(1))
	return stick.Run(ctx)
}
