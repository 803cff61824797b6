package main

import (
	"strings"
	"testing"
)

func TestTables(t *testing.T) {
	var all results
	for i, cpu := range []float64{2, 9, 1} {
		all.add("lintel", result{Row: "pairs-qos0", Deliveries: 1000, Seconds: 1, Rate: 1000 * float64(i+1), CPUPerMillion: cpu, Duplicated: uint64(i)})
		all.add("mosquitto", result{Row: "pairs-qos0", Deliveries: 1000, Seconds: 1, Rate: 500, CPUPerMillion: 8})
		all.add("lintel", result{Row: "calm", Deliveries: 1000, Seconds: 10, CPU: 1, Latency: &latencies{P50: 100 * cpu, P99: 200, P999: 300}})
		all.add("mochi", result{Row: "pairs-qos0", Error: "it fell over"})
		all.add("mochi", result{Row: "calm", Skipped: "no such listener"})
		all.add("mosquitto", result{Row: "calm", Deliveries: 1000, Seconds: 10, CPU: 2, Latency: &latencies{P50: 150}})
		all.add("lintel", result{Row: "retained-slow", Deliveries: 10, Bystander: &latencies{P50: 1000, P99: 2000, Max: 1000 * float64(i)}})
		all.add("lintel", result{Row: "durable-store", Deliveries: 1000, Rate: 4000, CPUPerMillion: 10, Latency: &latencies{P50: 2000, P99: 4000},
			Disk: &diskUse{Written: 500_000, Flushes: 20}, Resident: 64 << 20, ResidentFiles: 32 << 20})
		all.add("mochi-badger", result{Row: "durable-store", Deliveries: 1000, Rate: 2000, CPUPerMillion: 50})
		all.add("lintel", result{Row: "idle", Deliveries: 10, Seconds: 1, KiBPerConnection: 4.25})
	}
	var out strings.Builder
	all.print(&out)
	for _, want := range []string{
		"| pairs-qos0 | lintel | 2.0 | 2.00 | 0.25 | 0 | 3 | 0 | 0 |\n| pairs-qos0 | mosquitto | 0.5 | 8.00 | 1.00 | 0 | 0 | 0 | 0 |\n| pairs-qos0 | mochi | failed: it fell over |  |",
		"| calm | mochi | skipped: no such listener |",
		"| calm | lintel | 200 | 200 | 300 | 10.0 | 0.50 |\n",
		"| retained-slow | lintel | 1.0 | 2.0 | 2.0 | 0.0 | 0 |\n",
		"| durable-store | lintel | 4.0 | 10.00 | 2.00 | 0.20 | 2.0 | 4.0 | 500 | 20.0 | 64 | 32 |\n| durable-store | mochi-badger | 2.0 | 50.00 | 1.00 | 1.00 |  |  | not measured: needs root",
		"| idle | lintel | 4.2 | 0.0 | 0.0 |\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
	columns := 0
	for line := range strings.Lines(out.String()) {
		switch n := strings.Count(line, "|"); {
		case n == 0:
			columns = 0
		case columns == 0:
			columns = n
		case n != columns:
			t.Errorf("%d columns instead of %d: %s", n-1, columns-1, line)
		}
	}
}

func TestFaults(t *testing.T) {
	var all results
	all.add("lintel", result{Row: "fan-in", Deliveries: 5})
	all.add("mosquitto", result{Row: "fan-in", Deliveries: 5, Lost: 1})
	if faults := all.faults("lintel"); faults != nil {
		t.Errorf("faults of others: %q", faults)
	}
	for _, wrong := range []result{
		{Deliveries: 5, Lost: 1}, {Deliveries: 5, Duplicated: 1}, {Deliveries: 5, Reordered: 1}, {Deliveries: 5, Stray: 1},
		{Error: "refused"}, {Skipped: "no listener"}, {},
	} {
		var all results
		all.add("lintel", result{Row: "fan-in", Deliveries: 5})
		all.add("lintel", wrong)
		if faults := all.faults("lintel"); len(faults) != 1 {
			t.Errorf("%+v: faults %q", wrong, faults)
		}
	}
}
