package main

import (
	"flag"
	"fmt"
)

func supportCommand() command {
	return command{
		name:  "support",
		args:  "FILE",
		short: "a support bundle of a box, for who is to help",
		long: `A zip with the configuration, status, checks, metrics and log of the box, without passwords, keys, tokens and what
devices measure. Names of devices, clients and users, topics and addresses are in it: look through it
before you give it away. The token is of level admin.

	lintelctl support --box http://lintel.local lintel-support.zip`,
		define: runSupport,
	}
}

func runSupport(flags *flag.FlagSet) action {
	b := boxFlags(flags)
	asJSON := jsonFlag(flags)
	return func(c *call, args []string) error {
		if err := b.check(); err != nil {
			return err
		}
		if len(args) != 1 {
			return fmt.Errorf("name the file to write: %w", errUsage)
		}
		ctx, stop := interruptible()
		defer stop()
		answer, err := b.do(ctx, "GET", "/api/support", "", nil)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		return keepAnswer(c, args[0], answer.Body, *asJSON)
	}
}
