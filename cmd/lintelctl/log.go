package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxEvent bounds a line of server-sent events, in bytes.
const maxEvent = 256 << 10

// logLine is a line of the log of a box.
type logLine struct {
	Number  uint64            `json:"number"`
	Time    time.Time         `json:"time"`
	Level   slog.Level        `json:"level"`
	Message string            `json:"message"`
	Values  map[string]string `json:"values,omitempty"`
}

func logCommand() command {
	return command{
		name:  "log",
		short: "the last lines of the log of a box, and those that come",
		long: `The box keeps the last thousand lines since its start, of the level that its configuration says
(log.level). The token is of level operator or above.

	lintelctl log --box http://lintel.local --follow --level warn`,
		define: showLog,
	}
}

// showLog prints the log of a box.
func showLog(flags *flag.FlagSet) action {
	b := boxFlags(flags)
	asJSON := jsonFlag(flags)
	level := flags.String("level", "", "lines of this `level` and above only: debug, info, warn or error")
	lines := flags.Int("lines", 100, "`number` of last lines")
	follow := flags.Bool("follow", false, "go on with those that come, until interrupted")
	return func(c *call, _ []string) error {
		if err := b.check(); err != nil {
			return err
		}
		query := url.Values{"level": {*level}, "lines": {fmt.Sprint(*lines)}}
		say := func(l logLine) error {
			if *asJSON {
				return writeJSON(c.out, l)
			}
			return writeLogLine(c.out, l)
		}
		if !*follow {
			var said struct{ Lines []logLine }
			if err := b.call("GET", "/api/log?"+query.Encode(), "", nil, &said); err != nil {
				return err
			}
			for _, l := range said.Lines {
				if err := say(l); err != nil {
					return err
				}
			}
			return nil
		}
		query.Set("follow", "true")
		ctx, stop := interruptible()
		defer stop()
		return events(ctx, b, "/api/log?"+query.Encode(), say)
	}
}

// writeLogLine writes a line as a person reads it. What comes of devices is quoted, so that it
// cannot do anything to a terminal.
func writeLogLine(w io.Writer, l logLine) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-5s %s", l.Time.Local().Format("2006-01-02 15:04:05.000"), l.Level, printable(l.Message))
	for _, key := range slices.Sorted(maps.Keys(l.Values)) {
		value := l.Values[key]
		if quoted := printable(value); quoted != value || strings.ContainsAny(value, " =") || value == "" {
			value = fmt.Sprintf("%q", value)
		}
		fmt.Fprintf(&b, " %s=%s", printable(key), value)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// events calls take with the value of each server-sent event of a box, until ctx ends, which
// is no error, or the box has enough.
func events[T any](ctx context.Context, b *box, path string, take func(T) error) error {
	answer, err := b.do(ctx, "GET", path, "", nil)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var v T
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			return fmt.Errorf("the box says something else than is expected, is it of another version than this command? %w", err)
		}
		if err := take(v); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the box is gone: %w", err)
	}
	return fmt.Errorf("the box has ended it")
}
