package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// writeUsage writes what there is.
func writeUsage(w io.Writer) {
	fmt.Fprint(w, "Lintelctl looks after Lintel boxes.\n\n")
	for _, k := range commands() {
		fmt.Fprintf(w, "  %-18s%s\n", k.name, k.short)
	}
	fmt.Fprint(w, "\nlintelctl COMMAND --help tells more of each.\n")
}

// call returns how the command is called.
func (k *command) call() string {
	return strings.TrimSpace("lintelctl " + k.name + " [FLAGS] " + k.args)
}

// writeHelp writes all that is known of a command.
func (k *command) writeHelp(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n%s.\n", k.call(), capital(k.short))
	if k.long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(k.long))
	}
	if flags := k.flags(); len(flags) > 0 {
		fmt.Fprint(w, "\nFlags:\n\n")
		for _, f := range flags {
			fmt.Fprintf(w, "  %s\n\t%s\n", f.call(), f.text)
		}
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// flagInfo is a flag as it is told of.
type flagInfo struct {
	name, value, text string
	switches          bool // it takes no value
}

// call returns how the flag is written.
func (f *flagInfo) call() string {
	dashes := "--"
	if len(f.name) == 1 {
		dashes = "-"
	}
	return strings.TrimSpace(dashes + f.name + " " + f.value)
}

// flags returns the flags of the command by their names.
func (k *command) flags() []flagInfo {
	set := flag.NewFlagSet(k.name, flag.ContinueOnError)
	k.define(set)
	var out []flagInfo
	set.VisitAll(func(f *flag.Flag) {
		i := flagInfo{name: f.Name}
		i.value, i.text = flag.UnquoteUsage(f)
		b, ok := f.Value.(interface{ IsBoolFlag() bool })
		i.switches = ok && b.IsBoolFlag()
		switch {
		case i.switches:
			i.value = ""
		case i.value != "":
			i.value = strings.ToUpper(i.value)
		}
		switch f.DefValue {
		case "", "false", "0", "0s":
		default:
			i.text += " (default " + f.DefValue + ")"
		}
		out = append(out, i)
	})
	return out
}
