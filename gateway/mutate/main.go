// Command mutate breaks what keeps promises, in one place at a time, and looks
// whether a test notices.
//
//	go run ./gateway/mutate               all mutations
//	go run ./gateway/mutate --short       the first one of each area
//	go run ./gateway/mutate --only NAME   one of them, an area, or those whose names begin with NAME
//
// A mutation is what a careless hand could do: a sync that is off, an
// acknowledgement too early, a rule that lets more in, a checksum that nobody
// compares. It is applied by the overlay of the go command: the tree itself is never
// changed. Then the tests run that are said to notice, and at least one of them has to
// fail. Before, they run on the tree as it is: a test that is red anyway notices nothing.
//
// It prints a table in Markdown, and ends with status 1 if a mutation survives, if it
// does not compile, which is not the work of a test, or if a test is red without it.
// When the code under a mutation changes, TestTable says so, in make test: fit the
// mutation to it.
//
// Some tests of the network need root and the packages of make deps: where they are
// skipped, their mutations are not noticed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// parallel is how many mutations are under way. Compiler and linker use more than one
// core each, and tests that have to wait for one do not notice more.
const parallel = 2

func main() {
	only := flag.String("only", "", "the mutation of this `name`, those of an area, or those that begin with it")
	short := flag.Bool("short", false, "the first mutation of each area")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, chosen(*only, *short)); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// chosen returns the mutations that were asked for.
func chosen(only string, short bool) []mutation {
	var list []mutation
	for _, a := range areas {
		of := a.mutations
		if short {
			of = of[:1]
		}
		if a.name == only {
			return of
		}
		list = append(list, of...)
	}
	exact := slices.IndexFunc(list, func(m mutation) bool { return m.name == only })
	if exact >= 0 {
		return list[exact : exact+1]
	}
	return slices.DeleteFunc(list, func(m mutation) bool { return !strings.HasPrefix(m.name, only) })
}

// run tries the mutations and prints what came out.
func run(ctx context.Context, w io.Writer, list []mutation) error {
	if len(list) == 0 {
		return errors.New("there is no such mutation")
	}
	b, err := newBench(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	already, err := b.tryAsItIs(ctx, list)
	if err != nil {
		return err
	}
	if len(already) > 0 {
		return fmt.Errorf("red without any mutation: %s", strings.Join(already, ", "))
	}
	results := make([]result, len(list))
	each(len(list), func(i int) {
		results[i] = b.try(ctx, list[i])
		fmt.Fprintf(os.Stderr, "%s: %s\n", list[i].name, results[i])
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return report(w, list, results)
}

// each calls f for the numbers below n, some at a time.
func each(n int, f func(i int)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i := range n {
		slots <- struct{}{}
		group.Go(func() {
			f(i)
			<-slots
		})
	}
	group.Wait()
}

// report prints the table. The error says which mutations no test has noticed.
func report(w io.Writer, list []mutation, results []result) error {
	fmt.Fprintf(w, "# Mutations\n\nPrinted by `make mutate`, which applies each and runs the tests that are to notice it.\n\n")
	fmt.Fprintf(w, "| mutation of | what is broken, and what is lost | test that went red | s |\n|---|---|---|---|\n")
	var bad []string
	for i, m := range list {
		r := results[i]
		fmt.Fprintf(w, "| `%s` %s | %s | %s | %.0f |\n", m.in, m.name, m.loses, r, r.took.Round(time.Second).Seconds())
		if r.verdict != red {
			bad = append(bad, m.name)
		}
	}
	fmt.Fprintf(w, "\n%d mutations, %d noticed.\n", len(list), len(list)-len(bad))
	if len(bad) > 0 {
		return fmt.Errorf("not noticed by a test: %s", strings.Join(bad, ", "))
	}
	return nil
}
