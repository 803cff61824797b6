package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
)

// maxPasswordFile bounds a password file of mosquitto, in bytes.
const maxPasswordFile = 1 << 20

// boxUser is a user in the JSON of the box.
type boxUser struct {
	Name     string   `json:"name"`
	Roles    []string `json:"roles"`
	Topics   []string `json:"topics"`
	Page     string   `json:"page"`
	Disabled bool     `json:"disabled"`
}

func usersCommand() command {
	return command{
		name:  "users",
		args:  "list|add NAME|password NAME|delete NAME|import FILE",
		short: "who is let in by a box",
		long: `Add and password print the password that the box makes up, unless --password-file has one. Import
reads a password file of mosquitto, all of it or nothing. The token is of level admin.

	lintelctl users add shed --roles device --topics 'shed/#'
	lintelctl users list
	lintelctl users import /etc/mosquitto/passwd`,
		words:  []string{"list", "add", "password", "delete", "import"},
		define: users,
	}
}

// users looks after the users of a box.
func users(flags *flag.FlagSet) action {
	b := boxFlags(flags)
	asJSON := jsonFlag(flags)
	roles := flags.String("roles", "", "with add: names of `roles`, with commas between them")
	topics := flags.String("topics", "", "with add: topic `filters` that are the user's own, with commas between them")
	page := flags.String("page", "", "with add: `level` on the pages, viewer, operator or admin; empty: none")
	passwordFile := flags.String("password-file", "", "with add and password: `file` with the password, - for the standard input (default: the box makes one up and it is printed)")
	return func(c *call, others []string) error {
		if err := b.check(); err != nil {
			return err
		}
		if len(others) == 0 {
			return fmt.Errorf("say what to do: list, add, password, delete or import: %w", errUsage)
		}
		command, others := others[0], others[1:]
		wanted := map[string]string{"list": "", "add": "a name", "password": "a name", "delete": "a name", "import": "a file"}
		what, known := wanted[command]
		switch {
		case !known:
			return fmt.Errorf("users has no command %q: %w", command, errUsage)
		case what == "" && len(others) > 0:
			return fmt.Errorf("unexpected %q: %w", others[0], errUsage)
		case what != "" && len(others) != 1:
			return fmt.Errorf("users %s takes %s: %w", command, what, errUsage)
		}
		switch command {
		case "list":
			return listUsers(b, c.out, *asJSON)
		case "delete":
			return b.call("DELETE", "/api/users/"+url.PathEscape(others[0]), "", nil, nil)
		case "import":
			return importUsers(b, others[0], c.in, c.out, *asJSON)
		}
		user := map[string]any{"generate": true}
		if *passwordFile != "" {
			text, err := readInput(*passwordFile, 4<<10, c.in)
			if err != nil {
				return err
			}
			user = map[string]any{"password": strings.TrimRight(string(text), "\r\n")}
		}
		method, path := "PATCH", "/api/users/"+url.PathEscape(others[0])
		if command == "add" {
			method, path = "POST", "/api/users"
			user["name"] = others[0]
			user["roles"], user["topics"], user["page"] = list(*roles), list(*topics), *page
		}
		var made struct{ Password string }
		if err := b.send(method, path, user, &made); err != nil {
			return err
		}
		switch {
		case *asJSON:
			return writeJSON(c.out, struct {
				Name     string `json:"name"`
				Password string `json:"password,omitempty"`
			}{others[0], made.Password})
		case made.Password != "":
			fmt.Fprintln(c.out, made.Password)
		}
		return nil
	}
}

// list splits what has commas between its parts.
func list(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, ",")
}

func listUsers(b *box, out io.Writer, asJSON bool) error {
	var answer struct{ Users []boxUser }
	if err := b.call("GET", "/api/users", "", nil, &answer); err != nil {
		return err
	}
	if asJSON {
		return writeJSON(out, answer.Users)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tROLES\tTOPICS\tPAGES\t")
	for _, u := range answer.Users {
		state := ""
		if u.Disabled {
			state = "disabled"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", u.Name, cmp.Or(strings.Join(u.Roles, ","), "-"), cmp.Or(strings.Join(u.Topics, ","), "-"), cmp.Or(u.Page, "-"), state)
	}
	return table.Flush()
}

func importUsers(b *box, name string, in io.Reader, out io.Writer, asJSON bool) error {
	text, err := readInput(name, maxPasswordFile, in)
	if err != nil {
		return err
	}
	var answer struct{ Imported []string }
	if err := b.call("POST", "/api/users/import", "text/plain", text, &answer); err != nil {
		return err
	}
	if asJSON {
		return writeJSON(out, answer.Imported)
	}
	fmt.Fprintf(out, "%d users imported\n", len(answer.Imported))
	return nil
}

// readInput reads a file of at most limit bytes; - is in.
func readInput(name string, limit int64, in io.Reader) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s: larger than %d KiB", name, limit>>10)
	}
	return text, err
}
