package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
)

func traceCommand() command {
	return command{
		name:  "trace",
		short: "what happens in the broker of a box to a client, a topic or an address",
		long: `It tells each packet that comes and goes, who is let in and who is refused, and what becomes of each
message: who gets it, for whom it waits, who may not have it, where it is dropped and why, what the
store did with it, and who has acknowledged it. It goes on until it is interrupted, for 15 minutes at
most. What is not said leaves nothing out, and all that is said has to hold. The token is of level
operator or above; payloads are shown of topics that it may receive, which takes the level admin.

	lintelctl trace --box http://lintel.local --client kitchen
	lintelctl trace --box http://lintel.local --topic 'zigbee2mqtt/#' --payload
	lintelctl trace --box http://lintel.local --address 192.168.1.20 --json`,
		define: runTrace,
	}
}

// runTrace prints a trace of a box.
func runTrace(flags *flag.FlagSet) action {
	b := boxFlags(flags)
	asJSON := jsonFlag(flags)
	client := flags.String("client", "", "what happens to the client with this `id`")
	topic := flags.String("topic", "", "what happens to topics that match this `filter`")
	address := flags.String("address", "", "what happens to clients from this `IP` address, or network such as 192.168.1.0/24")
	payload := flags.Bool("payload", false, "with the first 256 bytes of payloads")
	return func(c *call, _ []string) error {
		if err := b.check(); err != nil {
			return err
		}
		if *client == "" && *topic == "" && *address == "" {
			return fmt.Errorf("say --client, --topic or --address: %w", errUsage)
		}
		query := url.Values{"client": {*client}, "topic": {*topic}, "address": {*address}, "payload": {fmt.Sprint(*payload)}}
		ctx, stop := interruptible()
		defer stop()
		if *asJSON {
			return events(ctx, b, "/api/trace?"+query.Encode(), func(e json.RawMessage) error { return writeJSON(c.out, e) })
		}
		query.Set("format", "text") // which the box has quoted where it has to be
		err := b.stream(ctx, "/api/trace?"+query.Encode(), c.out)
		if ctx.Err() != nil {
			return nil // whoever interrupts it has enough
		}
		return err
	}
}
