package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// command is something that lintelctl does. The help, the man page and the completions of
// the shells are made of what stands here.
type command struct {
	name  string
	args  string   // what stands beside the flags; empty: nothing may
	short string   // one line
	long  string   // paragraphs of the help and of the man page; may be empty
	words []string // of the first argument, for completions

	// define adds the flags and returns what the command does when they are parsed.
	define func(flags *flag.FlagSet) action
}

// action does what a command is for. Flags may stand before, between and behind args.
type action func(c *call, args []string) error

// call is what a command has around it.
type call struct {
	in               io.Reader
	out, diagnostics io.Writer
}

// commands are all that there are. A command of a file of its own adds its row here, or to
// onLinux if it needs what only builds there.
func commands() []command {
	all := slices.Concat([]command{
		backupCommand(),
		captureCommand(),
		usersCommand(),
		discoverCommand(),
		explainCommand(),
		flashCommand(),
		logCommand(),
		traceCommand(),
		provisionCommand(),
		pubCommand(),
		restoreCommand(),
		subCommand(),
		supportCommand(),
		updateCommand(),
		completionCommand(),
		manCommand(),
		versionCommand(),
	}, onLinux())
	slices.SortFunc(all, func(a, b command) int { return cmp.Compare(a.name, b.name) })
	return all
}

// errUsage says that the call was wrong; the status is then 2.
var errUsage = errors.New("see lintelctl help")

// statusError is an error with an exit status of its own.
type statusError struct {
	status int
	err    error // nil: there is nothing to be said
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// run does what the arguments say.
func run(args []string, in io.Reader, out, diagnostics io.Writer) error {
	if len(args) == 0 {
		writeUsage(diagnostics)
		return errUsage
	}
	name := args[0]
	switch name {
	case "--version":
		name = "version"
	case "help", "-h", "--help":
		if len(args) == 1 {
			writeUsage(out)
			return nil
		}
		name, args = args[1], []string{args[1], "--help"}
		diagnostics = out // who asks for help wants to page through it
	case "record": // as capture was called
		name = "capture"
	}
	all := commands()
	i := slices.IndexFunc(all, func(k command) bool { return k.name == name })
	if i < 0 {
		return fmt.Errorf("there is no command %q: %w", name, errUsage)
	}
	return all[i].run(args[1:], &call{in, out, diagnostics})
}

// run parses the flags and does what the command is for.
func (k *command) run(args []string, c *call) error {
	flags := flag.NewFlagSet("lintelctl "+k.name, flag.ContinueOnError)
	do := k.define(flags)
	flags.SetOutput(c.diagnostics)
	flags.Usage = func() { k.writeHelp(c.diagnostics) }
	others, err := parse(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return errUsage // the flags have said what is wrong
	case k.args == "" && len(others) > 0:
		return fmt.Errorf("unexpected %q: %w", others[0], errUsage)
	}
	return do(c, others)
}

// parse parses flags, which may stand before, between and behind the other arguments, and
// returns those. Behind -- there are no flags.
func parse(flags *flag.FlagSet, args []string) (others []string, err error) {
	for len(args) > 0 {
		before := len(args)
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		rest := flags.Args()
		if n := before - len(rest); n > 0 && args[n-1] == "--" {
			return append(others, rest...), nil
		}
		if args = rest; len(args) > 0 {
			others, args = append(others, args[0]), args[1:]
		}
	}
	return others, nil
}

// interruptible returns a context that ends when somebody interrupts the command. A second
// time ends the program.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
