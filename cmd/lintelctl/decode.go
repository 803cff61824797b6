//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"lintel/gateway/settings"
	"lintel/serialbridge"
)

func decodeCommand() command {
	return command{
		name:  "decode",
		args:  "PROTOCOL [FILE]",
		short: "what a stick said, a JSON object a line",
		long: `It reads the raw bytes of a stick, or a capture, from a file or its standard input, and prints what the
driver makes of them. Damaged frames are counted on standard error.`,
		define: decode,
	}
}

// decode reads the raw bytes of a stick, or a capture of it, and prints what its driver makes of
// them, a JSON object a line:
//
//	{"device":"dsmr_…","values":{"power_import":0.244,…}}
//
// Damaged frames are counted on the diagnostics output.
func decode(flags *flag.FlagSet) action {
	config := flags.String("config", "", "configuration `file` of the box, for keys of meters and settings of ports")
	return func(call *call, args []string) error {
		in, out, diagnostics := call.in, call.out, call.diagnostics
		if len(args) < 1 || len(args) > 2 {
			return fmt.Errorf("decode takes a protocol and at most one file: %w", errUsage)
		}
		c := settings.Default()
		if *config != "" {
			var err error
			if c, err = settings.Load(*config); err != nil {
				return err
			}
		}
		var drivers []serialbridge.Driver
		var known []string
		for _, d := range c.Serial.Drivers(settings.Radio{}) {
			if d.NewDecoder != nil {
				drivers, known = append(drivers, d), append(known, d.Protocol)
			}
		}
		i := slices.Index(known, args[0])
		if i < 0 {
			return fmt.Errorf("there is no protocol %q to decode, but %s: %w", args[0], strings.Join(known, ", "), errUsage)
		}
		if len(args) == 2 {
			f, err := os.Open(args[1])
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		lines := bufio.NewWriter(out)
		sink := &lineSink{out: lines, damaged: make(map[string]int), ignored: make(map[string]int), memory: make(map[string]string)}
		decoder := drivers[i].NewDecoder(sink)
		said := bufio.NewReaderSize(in, 4096)
		head, _ := said.Peek(32)
		take := func(data []byte, at time.Time) error {
			decoder.Decode(data, at)
			if sink.err == nil {
				// Whoever pipes a live stick in sees each reading at once.
				sink.err = lines.Flush()
			}
			return sink.err
		}
		var err error
		if serialbridge.IsCapture(head) {
			err = serialbridge.ReadCapture(said, func(c serialbridge.Chunk) error {
				if c.Kind == serialbridge.Received || c.Kind == serialbridge.Sent && drivers[i].BothWays {
					return take(c.Data, c.Time)
				}
				return nil
			})
		} else {
			err = decodeBytes(said, take)
		}
		if err != nil && sink.err == nil {
			return fmt.Errorf("read: %w", err)
		}
		if sink.err != nil {
			return fmt.Errorf("write: %w", sink.err)
		}
		fmt.Fprint(diagnostics, counted(sink.readings, "reading"))
		for _, reason := range slices.Sorted(maps.Keys(sink.damaged)) {
			fmt.Fprintf(diagnostics, ", %d damaged (%s)", sink.damaged[reason], reason)
		}
		fmt.Fprintln(diagnostics)
		for _, reason := range slices.Sorted(maps.Keys(sink.ignored)) {
			fmt.Fprintf(diagnostics, "%s: %s\n", counted(sink.ignored[reason], "time"), reason)
		}
		return nil
	}
}

// counted says how many there are of something.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// decodeBytes gives take the bytes of a stick as they come.
func decodeBytes(in io.Reader, take func([]byte, time.Time) error) error {
	buf := make([]byte, 4096)
	for {
		n, err := in.Read(buf)
		if terr := take(buf[:n], time.Now()); terr != nil {
			return terr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// lineSink prints readings.
type lineSink struct {
	out      io.Writer
	readings int
	damaged  map[string]int
	ignored  map[string]int
	memory   map[string]string
	err      error
}

func (s *lineSink) Device(serialbridge.Device) {}

func (s *lineSink) Gone(string) {}

func (s *lineSink) Reading(r serialbridge.Reading) {
	s.readings++
	line, err := json.Marshal(struct {
		Device string         `json:"device"`
		Values map[string]any `json:"values"`
	}{r.Device, r.Values})
	if err == nil {
		_, err = fmt.Fprintf(s.out, "%s\n", line)
	}
	if s.err == nil {
		s.err = err
	}
}

func (s *lineSink) Damaged(reason string) { s.damaged[reason]++ }

func (s *lineSink) Ignored(reason string) { s.ignored[reason]++ }

func (s *lineSink) Recall() map[string]string { return maps.Clone(s.memory) }

func (s *lineSink) Remember(key, value string) { s.memory[key] = value }
