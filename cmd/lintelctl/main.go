// Lintelctl is the tool for the workstation of somebody who looks after Lintel boxes:
// it finds them, writes their cards, and speaks with them and their broker.
//
// On Linux it has commands beyond those that it has on macOS and Windows: see onLinux.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

// version is set when a release is built.
var version = "dev"

func main() {
	err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	status, say := exitStatus(err)
	if say != nil {
		fmt.Fprintln(os.Stderr, "lintelctl:", say)
	}
	os.Exit(status)
}

// exitStatus returns the status that an error ends the program with, and what is said of
// it; nil: nothing.
func exitStatus(err error) (status int, say error) {
	if special, ok := errors.AsType[*statusError](err); ok {
		return special.status, special.err
	}
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, errUsage):
		return 2, err
	}
	return 1, err
}

func versionCommand() command {
	return command{name: "version", short: "which version this is", define: func(*flag.FlagSet) action {
		return func(c *call, _ []string) error {
			fmt.Fprintln(c.out, "lintelctl", version)
			return nil
		}
	}}
}
