package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// result is what lintelctl bench prints, as far as the tables need it.
type result struct {
	Row        string
	Skipped    string
	Error      string
	Deliveries uint64
	Seconds    float64
	Rate       float64 `json:"deliveries_per_second"`

	CPU           float64 `json:"broker_cpu_seconds"`
	CPUPerMillion float64 `json:"broker_cpu_seconds_per_million"`

	OwnTurn float64 `json:"generator_longest_turn_us"`

	Lost, Duplicated, Reordered, Stray uint64

	Latency, Bystander *latencies

	Resident         float64 `json:"resident_bytes"`
	ResidentFiles    float64 `json:"resident_file_bytes"`
	ResidentBefore   float64 `json:"resident_bytes_before"`
	KiBPerConnection float64 `json:"kib_per_connection"`
	Written          float64 `json:"written_bytes"`

	Disk *diskUse
}

type diskUse struct {
	Written float64 `json:"written_bytes"`
	Flushes float64
}

type latencies struct {
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
}

// entry is a broker in a row.
type entry struct {
	row, broker string
	results     []result // one a repetition
}

// results are all entries in the order in which they came up; rows together.
type results struct{ entries []*entry }

func (all *results) add(broker string, r result) {
	at := len(all.entries)
	for i, e := range all.entries {
		if e.row == r.Row {
			if e.broker == broker {
				e.results = append(e.results, r)
				return
			}
			at = i + 1
		}
	}
	all.entries = slices.Insert(all.entries, at, &entry{r.Row, broker, []result{r}})
}

func (all *results) find(row, broker string) *entry {
	for _, e := range all.entries {
		if e.row == row && e.broker == broker {
			return e
		}
	}
	return nil
}

// median is that of the repetitions that worked, the lower of two.
func (e *entry) median(value func(result) float64) float64 {
	var values []float64
	for _, r := range e.results {
		if r.Error == "" {
			values = append(values, value(r))
		}
	}
	if values == nil {
		return 0
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// greatest is the greatest of all repetitions.
func (e *entry) greatest(value func(result) float64) float64 {
	m := 0.0
	for _, r := range e.results {
		m = max(m, value(r))
	}
	return m
}

// trouble is why there are no figures, or only of some repetitions.
func (e *entry) trouble() string {
	for _, r := range e.results {
		switch {
		case r.Skipped != "":
			return "skipped: " + r.Skipped
		case r.Error != "":
			return "failed: " + r.Error
		}
	}
	return ""
}

// ratio is a median relative to that of another broker in the same row.
func (all *results) ratio(e *entry, to string, value func(result) float64) string {
	base := all.find(e.row, to)
	if base == nil || base.median(value) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", e.median(value)/base.median(value))
}

// usage is the part of a core that a broker used.
func usage(r result) float64 {
	if r.Seconds == 0 {
		return 0
	}
	return 100 * r.CPU / r.Seconds
}

// print prints the tables: first what there is to every row, then what only
// some have.
func (all *results) print(w io.Writer) {
	table(w, all.entries, []string{"row", "broker", "thousand/s", "CPU s per million", "to mosquitto", "lost", "duplicated", "reordered", "RSS MiB"}, func(e *entry) []string {
		if e.row == "idle" {
			return nil
		}
		if t := e.trouble(); t != "" {
			return []string{t}
		}
		count := func(value func(result) uint64) string {
			var n uint64
			for _, r := range e.results {
				n += value(r)
			}
			return fmt.Sprint(n)
		}
		perMillion := func(r result) float64 { return r.CPUPerMillion }
		return []string{
			fmt.Sprintf("%.1f", e.median(func(r result) float64 { return r.Rate })/1000),
			fmt.Sprintf("%.2f", e.median(perMillion)),
			all.ratio(e, "mosquitto", perMillion),
			count(func(r result) uint64 { return r.Lost }),
			count(func(r result) uint64 { return r.Duplicated }),
			count(func(r result) uint64 { return r.Reordered }),
			fmt.Sprintf("%.0f", e.median(func(r result) float64 { return r.Resident / (1 << 20) })),
		}
	})
	table(w, all.entries, []string{"calm rate", "broker", "p50 µs", "p99 µs", "p99.9 µs", "CPU % of a core", "to mosquitto"}, func(e *entry) []string {
		if e.results[0].Latency == nil || !strings.HasPrefix(e.row, "calm") {
			return nil
		}
		at := func(value func(*latencies) float64) string {
			return fmt.Sprintf("%.0f", e.median(func(r result) float64 { return value(r.Latency) }))
		}
		return []string{
			at(func(l *latencies) float64 { return l.P50 }),
			at(func(l *latencies) float64 { return l.P99 }),
			at(func(l *latencies) float64 { return l.P999 }),
			fmt.Sprintf("%.1f", e.median(usage)),
			all.ratio(e, "mosquitto", usage),
		}
	})
	table(w, all.entries, []string{"acknowledged when on the disk?", "broker", "thousand/s", "CPU s per million", "rate to mochi-badger", "CPU to mochi-badger", "p50 ms", "p99 ms", "bytes to disk per message", "flushes per 1000", "RSS MiB", "of it mapped files"}, func(e *entry) []string {
		if !strings.HasPrefix(e.row, "durable") || e.trouble() != "" {
			return nil
		}
		rate := func(r result) float64 { return r.Rate }
		perMillion := func(r result) float64 { return r.CPUPerMillion }
		cells := []string{
			fmt.Sprintf("%.1f", e.median(rate)/1000),
			fmt.Sprintf("%.2f", e.median(perMillion)),
			all.ratio(e, "mochi-badger", rate),
			all.ratio(e, "mochi-badger", perMillion),
			"", "", "not measured: needs root, and not --short", "",
			fmt.Sprintf("%.0f", e.median(func(r result) float64 { return r.Resident / (1 << 20) })),
			fmt.Sprintf("%.0f", e.median(func(r result) float64 { return r.ResidentFiles / (1 << 20) })),
		}
		if e.results[0].Latency != nil {
			cells[4] = fmt.Sprintf("%.1f", e.median(func(r result) float64 { return r.Latency.P50 / 1000 }))
			cells[5] = fmt.Sprintf("%.1f", e.median(func(r result) float64 { return r.Latency.P99 / 1000 }))
		}
		if e.results[0].Disk != nil {
			cells[6] = fmt.Sprintf("%.0f", e.median(func(r result) float64 { return r.Disk.Written / float64(max(r.Deliveries, 1)) }))
			cells[7] = fmt.Sprintf("%.1f", e.median(func(r result) float64 { return r.Disk.Flushes / float64(max(r.Deliveries, 1)) * 1000 }))
		}
		return cells
	})
	table(w, all.entries, []string{"idle connections", "broker", "KiB each", "MiB before", "CPU % of a core"}, func(e *entry) []string {
		if e.row != "idle" || e.trouble() != "" {
			return nil
		}
		return []string{
			fmt.Sprintf("%.1f", e.median(func(r result) float64 { return r.KiBPerConnection })),
			fmt.Sprintf("%.1f", e.median(func(r result) float64 { return r.ResidentBefore / (1 << 20) })),
			fmt.Sprintf("%.1f", e.median(usage)),
		}
	})
	table(w, all.entries, []string{"what others feel", "broker", "p50 ms", "p99 ms", "longest ms, of all runs", "generator's longest turn ms", "bytes to disk per message"}, func(e *entry) []string {
		first := e.results[0]
		if e.trouble() != "" || first.Bystander == nil && e.row != "offline-store" && e.row != "session-store" && !strings.HasSuffix(e.row, "-set") {
			return nil
		}
		at := func(value func(*latencies) float64, of func(func(result) float64) float64) string {
			if first.Bystander == nil {
				return ""
			}
			return fmt.Sprintf("%.1f", of(func(r result) float64 {
				if r.Bystander == nil {
					return 0
				}
				return value(r.Bystander) / 1000
			}))
		}
		return []string{
			at(func(l *latencies) float64 { return l.P50 }, e.median),
			at(func(l *latencies) float64 { return l.P99 }, e.median),
			at(func(l *latencies) float64 { return l.Max }, e.greatest),
			at(func(*latencies) float64 { return 0 }, func(func(result) float64) float64 {
				return e.greatest(func(r result) float64 { return r.OwnTurn / 1000 })
			}),
			fmt.Sprintf("%.0f", e.median(func(r result) float64 { return r.Written / float64(max(r.Deliveries, 1)) })),
		}
	})
}

// table prints the entries for which cells returns any. Columns beyond the cells
// stay empty.
func table(w io.Writer, entries []*entry, head []string, cells func(*entry) []string) {
	begun := false
	for _, e := range entries {
		c := cells(e)
		if c == nil {
			continue
		}
		if !begun {
			begun = true
			fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
		}
		line := append([]string{e.row, e.broker}, c...)
		for len(line) < len(head) {
			line = append(line, "")
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | "))
	}
	if begun {
		fmt.Fprintln(w)
	}
}

// faults are what may not happen to a broker.
func (all *results) faults(broker string) (faults []string) {
	for _, e := range all.entries {
		if e.broker != broker {
			continue
		}
		for _, r := range e.results {
			switch {
			case r.Error != "":
				faults = append(faults, fmt.Sprintf("%s: %s", r.Row, r.Error))
			case r.Skipped != "":
				faults = append(faults, fmt.Sprintf("%s: skipped: %s", r.Row, r.Skipped))
			case r.Lost+r.Duplicated+r.Reordered+r.Stray > 0:
				faults = append(faults, fmt.Sprintf("%s: %d lost, %d duplicated, %d reordered, %d stray", r.Row, r.Lost, r.Duplicated, r.Reordered, r.Stray))
			case r.Deliveries == 0:
				faults = append(faults, fmt.Sprintf("%s: nothing was delivered", r.Row))
			}
		}
	}
	return faults
}
