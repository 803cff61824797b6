package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"
)

func captureCommand() command {
	return command{
		name:  "capture",
		args:  "[STICK]",
		short: "what goes over the port of a stick of a box, for decode and replay",
		long: `It is text with its times, until it is interrupted or the time is over. Without STICK the only one of
the box is meant. The token is of level operator or above. A capture may hold what is nobody else's
business: look at it before you give it away. The command record is the same.

	lintelctl capture --box http://lintel.local --for 60 0403:6001:A1B2C3D4:00 > capture.txt
	lintelctl decode dsmr capture.txt`,
		define: runCapture,
	}
}

// runCapture writes a capture of a stick of a box.
func runCapture(flags *flag.FlagSet) action {
	b := boxFlags(flags)
	seconds := flags.Int("for", 60, "`seconds` to record")
	return func(c *call, sticks []string) error {
		if err := b.check(); err != nil {
			return err
		}
		if len(sticks) > 1 {
			return fmt.Errorf("capture takes one stick: %w", errUsage)
		}
		if len(sticks) == 0 {
			var status struct{ Sticks []struct{ ID string } }
			if err := b.call("GET", "/api/status", "", nil, &status); err != nil {
				return err
			}
			for _, s := range status.Sticks {
				sticks = append(sticks, s.ID)
			}
			if len(sticks) != 1 {
				return fmt.Errorf("the box has %d sticks (%s): say which one", len(sticks), strings.Join(sticks, ", "))
			}
		}
		ctx, stop := interruptible()
		defer stop()
		query := url.Values{"stick": {sticks[0]}, "seconds": {fmt.Sprint(*seconds)}}
		err := b.stream(ctx, "/api/capture?"+query.Encode(), c.out)
		if ctx.Err() != nil {
			return nil // whoever interrupts it has enough
		}
		return err
	}
}

// stream copies the answer to a GET to out as it comes.
func (b *box) stream(ctx context.Context, path string, out io.Writer) error {
	answer, err := b.do(ctx, "GET", path, "", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(out, answer.Body); err != nil {
		return fmt.Errorf("the capture is cut: %w", err)
	}
	return nil
}
