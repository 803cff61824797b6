//go:build linux

package main

import (
	"flag"
	"fmt"
	"strings"
	"time"

	"lintel/serialbridge/simulator"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/zigbeehouse"
)

func simulateCommand() command {
	kinds := append(simulator.Kinds(), zigbeehouse.Kinds...)
	return command{
		name:  "simulate",
		args:  "KIND PATH",
		short: "plug in a stick that is not there, with faults, until it is interrupted",
		long: "PATH may be tcp:HOST:PORT for a Zigbee one. KIND is one of " + strings.Join(kinds, ", ") + `.

	lintelctl simulate --noise 0.1 --sum 0.05 sml /tmp/meter`,
		words:  kinds,
		define: simulate,
	}
}

// simulate plugs in a stick that is not there, until it is interrupted.
func simulate(flags *flag.FlagSet) action {
	var f simulator.Faults
	number := flags.Uint64("number", 1, "`number` of the device, which tells it from others of its kind")
	flags.Float64Var(&f.Noise, "noise", 0, "`share` of the frames before which random bytes come, such as 0.1")
	flags.Float64Var(&f.Cut, "cut", 0, "`share` of the frames that are cut")
	flags.Float64Var(&f.Flip, "flip", 0, "`share` of the frames in which a bit is wrong")
	flags.Float64Var(&f.Sum, "sum", 0, "`share` of the frames whose checksum is wrong")
	flags.BoolVar(&f.Double, "double", false, "talk twice as often")
	flags.DurationVar(&f.Slow, "slow", 0, "`pause` between two bytes, such as 5ms")
	return func(c *call, args []string) error {
		if len(args) != 2 {
			return fmt.Errorf("simulate takes a kind (%s) and a path: %w", strings.Join(append(simulator.Kinds(), zigbeehouse.Kinds...), ", "), errUsage)
		}
		ctx, stop := interruptible()
		defer stop()
		if zigbeehouse.Known(args[0]) {
			if f != (simulator.Faults{}) {
				return fmt.Errorf("a Zigbee stick takes no faults: %w", errUsage)
			}
			house, err := zigbeehouse.New(zigbeehouse.Options{Kind: args[0], At: args[1], Seed: *number, Air: air.Options{Seed: *number, Drift: 20 * time.Second}})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.diagnostics, "a %s stick with %d devices is at %s\n", args[0], len(house.Air.Devices()), args[1])
			return house.Run(ctx)
		}
		device, err := simulator.NewDevice(args[0], *number)
		if err != nil {
			return fmt.Errorf("%w: %w", err, errUsage)
		}
		stick := simulator.New(simulator.Options{Link: args[1], Device: device, Seed: *number})
		stick.SetFaults(f)
		fmt.Fprintf(c.diagnostics, "a stick that speaks %s is at %s\n", device.Protocol, args[1])
		return stick.Run(ctx)
	}
}
