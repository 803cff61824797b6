// Lintelctl is the tool for the workstation of somebody who looks after a
// Lintel box.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// version is set when a release is built.
var version = "dev"

const usage = `Lintelctl looks after Lintel boxes.

	lintelctl decode [--config FILE] PROTOCOL [FILE]
	                                   what a stick said, a JSON object a line
	lintelctl zigbee-decode --model M --manufacturer N --cluster C
	                                   what ZCL frames of a device mean, hexadecimal, one a line; zigbee-decode --help
	lintelctl zigbee-discovery --model M --manufacturer N
	                                   what Home Assistant is told of a device; zigbee-discovery --help
	lintelctl record [STICK]           what goes over the port of a stick of a box, for decode; record --help
	lintelctl simulate KIND PATH       a stick that is not there, with faults; simulate --help
	lintelctl bench [--broker ADDRESS] what a broker on this machine can bear; bench --help
	lintelctl users list|add NAME|password NAME|delete NAME|import FILE
	                                   who is let in by a box; users --help
	lintelctl explain publish|subscribe|receive TOPIC
	                                   what somebody may do on a box, and why; explain --help
	lintelctl version

`

// errUsage says that the call was wrong; the status is then 2.
var errUsage = errors.New("see lintelctl help")

func main() {
	err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "lintelctl:", err)
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(args []string, in io.Reader, out, diagnostics io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(diagnostics, usage)
		return errUsage
	}
	switch args[0] {
	case "decode":
		return decode(args[1:], in, out, diagnostics)
	case "zigbee-decode":
		return zigbeeDecode(args[1:], in, out, diagnostics)
	case "zigbee-discovery":
		return zigbeeDiscovery(args[1:], out, diagnostics)
	case "record":
		return record(args[1:], out, diagnostics)
	case "simulate":
		return simulate(args[1:], diagnostics)
	case "bench":
		return runBench(args[1:], out, diagnostics)
	case "users":
		return users(args[1:], in, out, diagnostics)
	case "explain":
		return explain(args[1:], out, diagnostics)
	case "version", "--version":
		fmt.Fprintln(out, "lintelctl", version)
	case "help", "-h", "--help":
		fmt.Fprint(out, usage)
	default:
		return fmt.Errorf("there is no command %q: %w", args[0], errUsage)
	}
	return nil
}
