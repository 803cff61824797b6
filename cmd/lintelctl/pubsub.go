package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"lintel/gateway/mqtt"
)

// maxPayload bounds what is published of an input, in bytes.
const maxPayload = 16 << 20

func pubCommand() command {
	return command{
		name:  "pub",
		args:  "TOPIC [MESSAGE]",
		short: "publish a message, or each line of the standard input",
		long: `Without MESSAGE what the standard input says is published, as a whole or with --lines each line. With QoS 1
and 2 it ends when the broker has acknowledged. The exit status is the code by which a broker refuses.

	lintelctl pub --broker mqtt://lintel.local --user shed lintel/lamp/set ON`,
		define: pub,
	}
}

// pub publishes.
func pub(flags *flag.FlagSet) action {
	l := loginFlags(flags)
	retain := flags.Bool("retain", false, "the broker is to keep it as the last value of the topic; an empty one takes that away")
	lines := flags.Bool("lines", false, "publish each line of the standard input")
	file := flags.String("file", "", "publish what is in this `file`")
	null := flags.Bool("null", false, "publish an empty message")
	return func(c *call, args []string) error {
		ways := 0
		for _, way := range []bool{len(args) == 2, *lines, *file != "", *null} {
			if way {
				ways++
			}
		}
		switch {
		case len(args) < 1 || len(args) > 2:
			return fmt.Errorf("pub takes a topic and a message: %w", errUsage)
		case !mqtt.ValidTopicName(args[0]):
			return fmt.Errorf("%q is no topic to publish to: it has no wildcards: %w", args[0], errUsage)
		case ways > 1:
			return fmt.Errorf("MESSAGE, --lines, --file and --null are one of them: %w", errUsage)
		}
		m := mqtt.Publish{QoS: mqtt.QoS(l.qos), Retain: *retain, Topic: []byte(args[0])}
		var err error
		switch {
		case len(args) == 2:
			m.Payload = []byte(args[1])
		case *file != "":
			m.Payload, err = readInput(*file, maxPayload, c.in)
		case !*lines && !*null:
			m.Payload, err = readInput("-", maxPayload, c.in)
		}
		if err != nil {
			return err
		}
		ctx, stop := interruptible()
		defer stop()
		client, err := l.connect(ctx)
		if err != nil {
			return err
		}
		defer client.disconnect()
		if !*lines {
			return client.publish(m)
		}
		in := bufio.NewScanner(c.in)
		in.Buffer(nil, maxPayload)
		for in.Scan() && err == nil && ctx.Err() == nil {
			m.Payload = in.Bytes()
			err = client.publish(m)
		}
		return errors.Join(err, in.Err())
	}
}

// waited is the status of mosquitto_sub when its time is over.
const waited = 27

func subCommand() command {
	return command{
		name:  "sub",
		args:  "FILTER...",
		short: "print the messages of topics as they come",
		long: `It ends when it is interrupted, with status 0; after --count messages; or after --wait seconds, with
status 27 if --count says how many there should have been. The exit status is the code by which a broker refuses.

	lintelctl sub --broker mqtt://lintel.local --user shed --topics 'lintel/#'`,
		define: sub,
	}
}

// errEnough ends a subscription.
var errEnough = errors.New("enough")

// sub prints messages.
func sub(flags *flag.FlagSet) action {
	l := loginFlags(flags)
	asJSON := flags.Bool("json", false, "print a JSON object a message: time, topic, qos, retain, payload, or payload_base64 where it is no text")
	count := flags.Int("count", 0, "end after this `number` of messages")
	wait := flags.Float64("wait", 0, "end after so many `seconds`")
	topics := flags.Bool("topics", false, "print the topic before each message")
	live := flags.Bool("live", false, "leave out what the broker had kept of before")
	kept := flags.Bool("retained", false, "only what the broker had kept of before")
	return func(c *call, filters []string) error {
		switch {
		case len(filters) == 0:
			return fmt.Errorf("sub takes topic filters, such as 'lintel/#': %w", errUsage)
		case *live && *kept:
			return fmt.Errorf("--live and --retained together leave nothing: %w", errUsage)
		case *count < 0 || *wait < 0 || *wait > 1e9:
			return fmt.Errorf("--count and --wait are not negative: %w", errUsage)
		}
		for _, f := range filters {
			if _, filter, ok := mqtt.SplitShared(f); !ok || !mqtt.ValidFilter(filter) {
				return fmt.Errorf("%q is no topic filter: %w", f, errUsage)
			}
		}
		ctx, stop := interruptible()
		defer stop()
		client, err := l.connect(ctx)
		if err != nil {
			return err
		}
		defer client.disconnect()
		var until time.Time
		if *wait > 0 {
			until = time.Now().Add(time.Duration(*wait * float64(time.Second)))
		}
		seen := 0
		take := func(m *mqtt.Publish) error {
			if *live && m.Retain || *kept && !m.Retain {
				return nil
			}
			if err := writeMessage(c.out, m, *asJSON, *topics); err != nil {
				return err
			}
			if seen++; seen == *count {
				return errEnough
			}
			return nil
		}
		options := mqtt.SubscriptionOptions(l.qos)
		if err = client.subscribe(filters, options, take); err == nil {
			err = client.receive(until, take)
		}
		switch {
		case errors.Is(err, errEnough), ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) && *wait > 0:
			if *count > 0 {
				return &statusError{status: waited}
			}
			return nil
		}
		return err
	}
}

// writeMessage prints a message.
func writeMessage(w io.Writer, m *mqtt.Publish, asJSON, topics bool) error {
	if !asJSON {
		text := ""
		if topics {
			text = string(m.Topic) + " "
		}
		_, err := fmt.Fprintf(w, "%s%s\n", text, m.Payload)
		return err
	}
	v := struct {
		Time    time.Time   `json:"time"`
		Topic   string      `json:"topic"`
		QoS     mqtt.QoS    `json:"qos"`
		Retain  bool        `json:"retain"`
		Payload *string     `json:"payload,omitempty"`
		Base64  []byte      `json:"payload_base64,omitempty"`
		User    [][2]string `json:"user_properties,omitempty"`
		Content string      `json:"content_type,omitempty"`
	}{Time: time.Now(), Topic: string(m.Topic), QoS: m.QoS, Retain: m.Retain}
	if utf8.Valid(m.Payload) {
		text := string(m.Payload)
		v.Payload = &text
	} else {
		v.Base64 = m.Payload
	}
	properties, err := mqtt.DecodeProperties(m.Properties)
	if err != nil {
		return err
	}
	v.Content = strings.ToValidUTF8(properties.Text(mqtt.ContentType), "\uFFFD")
	for _, p := range properties.User() {
		v.User = append(v.User, [2]string{p.Name, p.Value})
	}
	return writeJSON(w, v)
}
