package gateway

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lintel/gateway/openmetrics"
	"lintel/hardware"
)

// ready reports whether clients are let in: the store is loaded and works, the listeners of the
// broker are served, and the box has an owner.
func (g *gateway) ready() bool {
	return g.Health() == nil && int(g.serving.Load()) == len(g.brokers) && g.access.claim.Claimed()
}

// writeMetrics tells what the pages do not know: of the machine and of this program.
func (g *gateway) writeMetrics(m *openmetrics.Writer) {
	g.writeMachine(m)
	m.Family("lintel_logins_refused_total", openmetrics.Counter, "Logins that were refused")
	m.Sample(float64(g.access.audit.Refusals()))
	m.Family("lintel_backup_timestamp_seconds", openmetrics.Gauge, "When the store was last backed up; 0: never")
	if last := g.store.LastBackup(); last.IsZero() {
		m.Sample(0)
	} else {
		m.Sample(float64(last.Unix()))
	}
	m.Family("lintel_clock_known", openmetrics.Gauge, "Whether the clock is known to be right")
	m.Bool(g.clockKnown())
	if g.browser != nil {
		m.Family("lintel_mdns_dropped_total", openmetrics.Counter, "Packets and records of mDNS that were of no use, by reason")
		dropped := g.browser.Dropped()
		for _, reason := range slices.Sorted(maps.Keys(dropped)) {
			m.Sample(float64(dropped[reason]), "reason", reason)
		}
	}
	g.writeSyslog(m)
	writeProcess(m)
	writeRuntime(m)
}

// writeMachine leaves out what the machine does not tell.
func (g *gateway) writeMachine(m *openmetrics.Writer) {
	gauge := func(name, help string, value float64) {
		m.Family(name, openmetrics.Gauge, help)
		m.Sample(value)
	}
	v := g.readMachine()
	if t := v.vitals.Temperature; t != 0 {
		gauge("lintel_machine_temperature_celsius", "Temperature of the processor", t)
	}
	if v.vitals.Uptime > 0 {
		gauge("lintel_machine_uptime_seconds", "Time since the machine was started", v.vitals.Uptime.Seconds())
		gauge("lintel_machine_load1", "Processes that run or wait for the disk, on average of the last minute", v.vitals.Load)
	}
	if v.vitals.MemoryTotal > 0 {
		gauge("lintel_machine_memory_bytes", "Memory of the machine", float64(v.vitals.MemoryTotal))
		gauge("lintel_machine_memory_available_bytes", "Memory that programs can have", float64(v.vitals.MemoryAvailable))
		gauge("lintel_machine_memory_stalled_ratio", "Part of the last minute in which something waited for memory", v.vitals.MemoryStalled/100)
	}
	if v.knowsPower {
		writeTrouble := func(name, help string, t hardware.Trouble) {
			m.Family(name, openmetrics.Gauge, help)
			for _, one := range []hardware.Trouble{hardware.UnderVoltage, hardware.FrequencyCapped, hardware.Throttled, hardware.TemperatureLimit} {
				m.Bool(t&one != 0, "trouble", strings.ReplaceAll(one.String(), " ", "_"))
			}
		}
		writeTrouble("lintel_machine_throttled", "Why a Raspberry Pi is slower than it could be", v.now)
		writeTrouble("lintel_machine_throttled_since_start", "The same at any time since the start", v.been)
	}
	if v.total > 0 {
		gauge("lintel_machine_disk_bytes", "Size of the file system of the data", float64(v.total))
		gauge("lintel_machine_disk_free_bytes", "Free of it", float64(v.free))
	}
	if v.disk.Written > 0 {
		m.Family("lintel_machine_disk_written_bytes_total", openmetrics.Counter, "Written to the disk since the machine was started, by all programs")
		m.Sample(float64(v.disk.Written))
	}
	if v.perDay > 0 {
		gauge("lintel_machine_disk_written_per_day_bytes", "Written to the disk in a day, by the last one that the box ran", v.perDay*1e9)
	}
	if v.disk.LifeUsed > 0 {
		gauge("lintel_machine_disk_life_used_ratio", "Part of the life of an eMMC that it takes to be used", float64(v.disk.LifeUsed)/100)
	}
}

// writeProcess tells of this process, by the names that all clients of Prometheus use.
func writeProcess(m *openmetrics.Writer) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err == nil {
		m.Family("process_cpu_seconds_total", openmetrics.Counter, "Time of processors that this program has used")
		m.Sample(float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9)
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil { // proc_pid_statm(5): size, resident, in pages
		if fields := strings.Fields(string(text)); len(fields) >= 2 {
			if pages, err := strconv.ParseUint(fields[1], 10, 52); err == nil {
				m.Family("process_resident_memory_bytes", openmetrics.Gauge, "Memory that this program occupies")
				m.Sample(float64(pages) * float64(os.Getpagesize()))
			}
		}
	}
	if files, err := os.ReadDir(filepath.Join("/proc/self/fd")); err == nil {
		m.Family("process_open_fds", openmetrics.Gauge, "Files and sockets that this program has open")
		m.Sample(float64(len(files)))
	}
}

// runtimeMetrics are those of runtime/metrics that are told, by the names that the Go client of
// Prometheus has for them where it has any.
var runtimeMetrics = []struct {
	key, name, help string
	kind            openmetrics.Type
}{
	{"/sched/goroutines:goroutines", "go_goroutines", "Goroutines", openmetrics.Gauge},
	{"/memory/classes/heap/objects:bytes", "go_memstats_heap_alloc_bytes", "Memory of objects", openmetrics.Gauge},
	{"/memory/classes/total:bytes", "go_memstats_sys_bytes", "Memory that the Go runtime has from the system", openmetrics.Gauge},
	{"/gc/heap/live:bytes", "go_gc_heap_live_bytes", "Memory of objects that the last collection has kept", openmetrics.Gauge},
	{"/gc/gomemlimit:bytes", "go_gc_gomemlimit_bytes", "Memory that the collector keeps below", openmetrics.Gauge},
	{"/gc/heap/allocs:bytes", "go_memstats_alloc_bytes_total", "Memory allocated", openmetrics.Counter},
	{"/gc/cycles/total:gc-cycles", "go_gc_cycles_total", "Collections", openmetrics.Counter},
	{"/cpu/classes/gc/total:cpu-seconds", "go_cpu_classes_gc_total_cpu_seconds_total", "Time of processors for collections, about", openmetrics.Counter},
}

func writeRuntime(m *openmetrics.Writer) {
	m.Family("go_info", openmetrics.Info, "Which Go this program is made with")
	m.Sample(1, "version", runtime.Version())
	samples := make([]metrics.Sample, len(runtimeMetrics))
	for i, r := range runtimeMetrics {
		samples[i].Name = r.key
	}
	metrics.Read(samples)
	for i, r := range runtimeMetrics {
		value := 0.0
		switch v := samples[i].Value; v.Kind() {
		case metrics.KindUint64:
			value = float64(v.Uint64())
		case metrics.KindFloat64:
			value = v.Float64()
		default:
			continue // this Go does not tell
		}
		m.Family(r.name, r.kind, r.help)
		m.Sample(value)
	}
}
