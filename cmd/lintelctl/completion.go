package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

func completionCommand() command {
	return command{
		name:  "completion",
		args:  "bash|zsh|fish",
		short: "write completions for a shell",
		long: `Where a shell looks for them:

	lintelctl completion bash > /etc/bash_completion.d/lintelctl
	lintelctl completion zsh > "${fpath[1]}/_lintelctl"
	lintelctl completion fish > ~/.config/fish/completions/lintelctl.fish`,
		words: []string{"bash", "zsh", "fish"},
		define: func(*flag.FlagSet) action {
			return func(c *call, args []string) error {
				if len(args) != 1 {
					return fmt.Errorf("completion takes the name of a shell: %w", errUsage)
				}
				switch args[0] {
				case "bash":
					return writeBash(c.out)
				case "zsh":
					return writeZsh(c.out)
				case "fish":
					return writeFish(c.out)
				}
				return fmt.Errorf("there are no completions for %q, but for bash, zsh and fish: %w", args[0], errUsage)
			}
		},
	}
}

// flagCalls are the flags of a command as they are written.
func (k *command) flagCalls() []string {
	var out []string
	for _, f := range k.flags() {
		call, _, _ := strings.Cut(f.call(), " ")
		out = append(out, call)
	}
	return out
}

func writeBash(w io.Writer) error {
	var names []string
	var b strings.Builder
	b.WriteString("# Completions of lintelctl for bash.\n_lintelctl() {\n\tlocal word=${COMP_WORDS[COMP_CWORD]} words=\n\tCOMPREPLY=()\n\tcase ${COMP_WORDS[1]} in\n")
	for _, k := range commands() {
		names = append(names, k.name)
		fmt.Fprintf(&b, "\t%s) words='%s' ;;\n", k.name, strings.Join(append(k.flagCalls(), k.words...), " "))
	}
	fmt.Fprintf(&b, "\tesac\n\t((COMP_CWORD == 1)) && words='%s help'\n", strings.Join(names, " "))
	b.WriteString("\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n}\ncomplete -o default -F _lintelctl lintelctl\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeZsh(w io.Writer) error {
	var b strings.Builder
	b.WriteString("#compdef lintelctl\n# Completions of lintelctl for zsh.\n_lintelctl() {\n\tif ((CURRENT == 2)); then\n\t\tlocal -a commands=(\n")
	for _, k := range commands() {
		fmt.Fprintf(&b, "\t\t\t%s\n", shellQuote(k.name+":"+strings.ReplaceAll(k.short, ":", `\:`)))
	}
	b.WriteString("\t\t)\n\t\t_describe command commands\n\t\treturn\n\tfi\n\tcase $words[2] in\n")
	for _, k := range commands() {
		fmt.Fprintf(&b, "\t%s)\n\t\t_alternative ", k.name)
		if words := append(k.flagCalls(), k.words...); len(words) > 0 {
			fmt.Fprintf(&b, "%s ", shellQuote("words:word:("+strings.Join(words, " ")+")"))
		}
		b.WriteString("'files:file:_files' ;;\n")
	}
	b.WriteString("\tesac\n}\n_lintelctl \"$@\"\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFish(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Completions of lintelctl for fish.\n")
	for _, k := range commands() {
		fmt.Fprintf(&b, "complete -c lintelctl -n __fish_use_subcommand -f -a %s -d %s\n", k.name, fishQuote(k.short))
		seen := " -n '__fish_seen_subcommand_from " + k.name + "'"
		for _, f := range k.flags() {
			length, value := "-l", " -r"
			if len(f.name) == 1 {
				length = "-s"
			}
			if f.switches {
				value = ""
			}
			fmt.Fprintf(&b, "complete -c lintelctl%s %s %s%s -d %s\n", seen, length, f.name, value, fishQuote(f.text))
		}
		if len(k.words) > 0 {
			fmt.Fprintf(&b, "complete -c lintelctl%s -a %s\n", seen, fishQuote(strings.Join(k.words, " ")))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shellQuote quotes for the shells of POSIX and zsh.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishQuote quotes for fish, where a backslash counts within quotes too.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
