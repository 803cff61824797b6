package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// exitStatuses is what the statuses of the program mean.
const exitStatuses = `0	what was asked for was done
1	it was not done; the reason is on standard error
2	the call was wrong
3, 4, 5	pub and sub, MQTT 3.1.1: the broker is not available, user name or password is wrong, not authorized
27	sub: the seconds of --wait were over before --count messages had come
128 to 162	pub and sub: the reason code by which the broker refused (MQTT 5.0)`

func manCommand() command {
	return command{
		name:  "man",
		short: "write the manual page lintelctl(1)",
		define: func(*flag.FlagSet) action {
			return func(c *call, _ []string) error {
				return writeMan(c.out)
			}
		},
	}
}

// writeMan writes the manual page in the man macros (man(7)). It has no date: the same
// version is the same page.
func writeMan(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH LINTELCTL 1 \"\" \"lintelctl %s\" \"User Commands\"\n", roff(version))
	b.WriteString(".SH NAME\nlintelctl \\- look after Lintel boxes\n.SH SYNOPSIS\n.B lintelctl\n.I COMMAND\n[\\fIFLAGS\\fR] [\\fIARGUMENTS\\fR]\n")
	b.WriteString(".SH COMMANDS\n")
	for _, k := range commands() {
		fmt.Fprintf(&b, ".SS %s\n%s.\n", roff(k.call()), roff(capital(k.short)))
		if k.long != "" {
			for paragraph := range strings.SplitSeq(strings.TrimSpace(k.long), "\n\n") {
				if strings.HasPrefix(paragraph, "\t") {
					fmt.Fprintf(&b, ".PP\n.nf\n.RS\n%s\n.RE\n.fi\n", roffLines(paragraph))
				} else {
					fmt.Fprintf(&b, ".PP\n%s\n", roffLines(paragraph))
				}
			}
		}
		for _, f := range k.flags() {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(f.call()), roff(f.text))
		}
	}
	b.WriteString(".SH EXIT STATUS\n")
	for line := range strings.SplitSeq(exitStatuses, "\n") {
		status, what, _ := strings.Cut(line, "\t")
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(status), roff(what))
	}
	b.WriteString(".SH ENVIRONMENT\n.TP\n.B LINTEL_BOX\nURL of the box, unless \\-\\-box says it\n.TP\n.B LINTEL_TOKEN\nAPI token, unless \\-\\-token says it\n")
	_, err := io.WriteString(w, b.String())
	return err
}

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// roff returns a text of one line so that troff takes it as it is.
func roff(s string) string {
	s = roffEscapes.Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

// roffLines is roff for some lines.
func roffLines(s string) string {
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		lines = append(lines, roff(strings.TrimLeft(line, "\t ")))
	}
	return strings.Join(lines, "\n")
}
