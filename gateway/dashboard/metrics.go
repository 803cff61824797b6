package dashboard

import (
	"cmp"
	_ "embed"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/openmetrics"
	"lintel/gateway/update"
	"lintel/persist"
	"lintel/serialbridge"
)

// How many series there may be. What devices, clients and users are called comes from strangers
// and changes: a label of each would have Prometheus grow for ever, so they are counted only.
// Sticks are plugged in by hand and are few.
const (
	maxStickSeries  = 32
	maxReasonSeries = 16 // of what is damaged, for each stick; the rest is "other"
)

// metricsRoutes are those of who watches the box.
func (s *Server) metricsRoutes() []route {
	all := []route{{pattern: "GET /readyz", level: nobody, unclaimed: true, serve: s.serveReady}}
	if s.o.Users == nil {
		return all
	}
	all = append(all, route{pattern: "GET /grafana.json", level: access.Viewer, serve: serveGrafana})
	if s.o.OpenMetrics {
		return append(all, route{pattern: "GET /metrics", level: nobody, serve: s.serveNearMetrics})
	}
	return append(all, route{pattern: "GET /metrics", level: access.Viewer, serve: s.serveMetrics})
}

// grafana is a dashboard of the metrics, to be imported into Grafana.
//
//go:embed grafana.json
var grafana []byte

func serveGrafana(w http.ResponseWriter, _ *request) {
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Content-Disposition", `attachment; filename="lintel-grafana.json"`)
	w.Write(grafana)
}

// serveReady tells whether clients are let in, and strangers no more than that.
func (s *Server) serveReady(w http.ResponseWriter, _ *request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	ready := s.o.Healthy() == nil && s.o.Ready()
	select {
	case <-s.ending:
		ready = false
	default:
	}
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte("not ready\n"))
		return
	}
	w.Write([]byte("ready\n"))
}

// serveMetrics answers with all that is counted.
func (s *Server) serveMetrics(w http.ResponseWriter, r *request) {
	m := openmetrics.Writer{OpenMetrics: openmetrics.Accepts(r.Header.Get("Accept"))}
	s.writeMetrics(&m)
	w.Header().Set("Content-Type", openmetrics.TextType)
	if m.OpenMetrics {
		w.Header().Set("Content-Type", openmetrics.OpenMetricsType)
	}
	w.Write(m.Bytes())
}

// serveNearMetrics does so for everybody in the box's network, and else for those of the level.
func (s *Server) serveNearMetrics(w http.ResponseWriter, r *request) {
	if !near(address(r.Request)) && !may(r.level, access.Viewer) {
		s.refuseLevel(w, r, access.Viewer)
		return
	}
	s.serveMetrics(w, r)
}

// writeMetrics writes down all that is counted.
func (s *Server) writeMetrics(m *openmetrics.Writer) {
	gauge := func(name, help string, value float64) {
		m.Family(name, openmetrics.Gauge, help)
		m.Sample(value)
	}
	m.Family("lintel_build_info", openmetrics.Info, "Which Lintel this is, on which board")
	m.Sample(1, "version", s.o.Version, "board", s.o.Model)
	m.Family("lintel_healthy", openmetrics.Gauge, "Whether the house works, as /healthz says")
	m.Bool(s.o.Healthy() == nil)
	m.Family("lintel_ready", openmetrics.Gauge, "Whether clients are let in, as /readyz says")
	m.Bool(s.o.Ready())
	gauge("lintel_losses", "Things known to be lost of what was stored", float64(len(s.o.Losses())))
	gauge("lintel_notices", "Things a person should look after", float64(len(s.o.Notices())))

	writeBroker(m, s.o.Stats())
	longest := 0
	for _, c := range s.o.Clients() {
		longest = max(longest, c.Queued)
	}
	gauge("lintel_longest_queue_messages", "Messages in the longest queue of one client", float64(longest))
	writeSticks(m, s.o.Sticks())
	s.writeDevices(m)
	s.writeZigbee(m)
	s.writeLinks(m)
	s.writeUpdate(m)
	s.meter.write(m)
	if s.o.Metrics != nil {
		s.o.Metrics(m)
	}
}

func writeBroker(m *openmetrics.Writer, s broker.Stats) {
	for _, x := range []struct {
		name, help string
		kind       openmetrics.Type
		value      float64
	}{
		{"lintel_uptime_seconds", "Time since the broker was started", openmetrics.Gauge, s.Uptime.Seconds()},
		{"lintel_clients_connected", "Clients on network connections", openmetrics.Gauge, float64(s.ClientsConnected)},
		{"lintel_sessions_expired_total", "Sessions that have expired", openmetrics.Counter, float64(s.SessionsExpired)},
		{"lintel_subscriptions", "Subscriptions of all sessions", openmetrics.Gauge, float64(s.Subscriptions)},
		{"lintel_shared_subscriptions", "Shared ones among them", openmetrics.Gauge, float64(s.SharedSubscriptions)},
		{"lintel_retained_messages", "Retained messages", openmetrics.Gauge, float64(s.Retained)},
		{"lintel_retained_bytes", "What retained messages take", openmetrics.Gauge, float64(s.RetainedBytes)},
		{"lintel_queued_messages", "Messages that wait in sessions, those in flight included", openmetrics.Gauge, float64(s.Queued)},
		{"lintel_queued_bytes", "What these take", openmetrics.Gauge, float64(s.QueuedBytes)},
		{"lintel_queued_memory_bytes", "What these take in memory", openmetrics.Gauge, float64(s.QueuedMemory)},
		{"lintel_connections_accepted_total", "Network connections, with or without a CONNECT", openmetrics.Counter, float64(s.ConnectionsAccepted)},
		{"lintel_connects_total", "CONNECT packets", openmetrics.Counter, float64(s.Connects)},
		{"lintel_packets_received_total", "Packets of all types that came", openmetrics.Counter, float64(s.PacketsReceived)},
		{"lintel_packets_sent_total", "Packets of all types that went", openmetrics.Counter, float64(s.PacketsSent)},
		{"lintel_messages_received_total", "Messages that clients have published", openmetrics.Counter, float64(s.PublishReceived)},
		{"lintel_messages_sent_total", "Messages that went to clients, one for each receiver", openmetrics.Counter, float64(s.PublishSent)},
		{"lintel_messages_dropped_total", "Messages that a receiver did not get; lintel_limit_exceeded_total tells of which limit", openmetrics.Counter, float64(s.PublishDropped)},
		{"lintel_payload_received_bytes_total", "Payload of messages that came", openmetrics.Counter, float64(s.PayloadReceived)},
		{"lintel_payload_sent_bytes_total", "Payload of messages that went", openmetrics.Counter, float64(s.PayloadSent)},
		{"lintel_network_received_bytes_total", "Bytes that came on MQTT connections", openmetrics.Counter, float64(s.BytesReceived)},
		{"lintel_network_sent_bytes_total", "Bytes that went on MQTT connections", openmetrics.Counter, float64(s.BytesSent)},
		{"lintel_malformed_packets_total", "Packets that were not as the standard has them", openmetrics.Counter, float64(s.MalformedPackets)},
		{"lintel_not_authorized_total", "Messages, subscriptions and wills that the rules have refused", openmetrics.Counter, float64(s.NotAuthorized)},
	} {
		m.Family(x.name, x.kind, x.help)
		m.Sample(x.value)
	}
	m.Family("lintel_sessions", openmetrics.Gauge, "Sessions by whether their client is connected")
	m.Sample(float64(s.Sessions-s.SessionsOffline), "state", "online")
	m.Sample(float64(s.SessionsOffline), "state", "offline")
	m.Family("lintel_limit_exceeded_total", openmetrics.Counter, "What went over a limit of the broker, by limit")
	for i, n := range s.Exceeded {
		m.Sample(float64(n), "limit", broker.Limit(i).String())
	}
	writeStore(m, s.Store)
}

// commitBounds are those of persist.Latencies from 0.5 ms on, in seconds: what is faster is one.
var commitBounds = func() (bounds []float64) {
	for i := firstCommit; i < len(persist.Latencies{})-1; i++ {
		bounds = append(bounds, float64(int64(1)<<i)/1e6)
	}
	return bounds
}()

const firstCommit = 9

func writeStore(m *openmetrics.Writer, s persist.Stats) {
	counts := make([]uint64, len(commitBounds)+1)
	for i, n := range s.Commits {
		counts[max(i-firstCommit, 0)] += n
	}
	m.Family("lintel_store_commit_seconds", openmetrics.Histogram, "Time that transactions of the store took to be on the disk")
	m.Buckets(commitBounds, counts, s.CommitTime.Seconds())
	for _, x := range []struct {
		name, help string
		kind       openmetrics.Type
		value      float64
	}{
		{"lintel_store_written_bytes_total", "Keys and values handed to the store's tables", openmetrics.Counter, float64(s.BytesWritten)},
		{"lintel_store_elided_bytes_total", "What need not be written because it was acknowledged in time", openmetrics.Counter, float64(s.BytesElided)},
		{"lintel_store_coalesced_bytes_total", "What need not be written because a later value took its place", openmetrics.Counter, float64(s.BytesCoalesced)},
		{"lintel_store_operations_total", "Operations dealt with, those that were not written included", openmetrics.Counter, float64(s.Operations)},
		{"lintel_store_backup_bytes_total", "Written to the box's own backups", openmetrics.Counter, float64(s.BackupBytes)},
		{"lintel_store_pending_operations", "Operations that wait for their transaction", openmetrics.Gauge, float64(s.PendingOperations)},
		{"lintel_store_entries", "Entries in the store", openmetrics.Gauge, float64(s.Entries)},
	} {
		m.Family(x.name, x.kind, x.help)
		m.Sample(x.value)
	}
}

func writeSticks(m *openmetrics.Writer, sticks []serialbridge.StickStatus) {
	m.Family("lintel_sticks", openmetrics.Gauge, "Sticks by what is being done with them")
	for _, state := range []serialbridge.StickState{serialbridge.Waiting, serialbridge.Listening, serialbridge.Online, serialbridge.Failed, serialbridge.Unknown} {
		n := 0
		for _, k := range sticks {
			if k.State == state {
				n++
			}
		}
		m.Sample(float64(n), "state", string(state))
	}
	sticks = sticks[:min(len(sticks), maxStickSeries)]
	m.Family("lintel_stick_online", openmetrics.Gauge, "Whether a stick is open and its driver at work")
	for _, k := range sticks {
		m.Bool(k.State == serialbridge.Online, "stick", k.ID, "protocol", k.Protocol)
	}
	m.Family("lintel_stick_retries", openmetrics.Gauge, "Failures in a row of a stick")
	for _, k := range sticks {
		m.Sample(float64(k.Retries), "stick", k.ID)
	}
	m.Family("lintel_stick_devices", openmetrics.Gauge, "Devices heard through a stick")
	for _, k := range sticks {
		m.Sample(float64(len(k.Devices)), "stick", k.ID)
	}
	m.Family("lintel_stick_frames_total", openmetrics.Counter, "Readings that a stick has passed on")
	for _, k := range sticks {
		m.Sample(float64(k.Frames), "stick", k.ID)
	}
	m.Family("lintel_stick_damaged_frames_total", openmetrics.Counter, "Frames of a stick that were thrown away, by reason")
	for _, k := range sticks {
		var other uint64
		for i, reason := range slices.Sorted(maps.Keys(k.Damaged)) {
			if i < maxReasonSeries {
				m.Sample(float64(k.Damaged[reason]), "stick", k.ID, "reason", reason)
			} else {
				other += k.Damaged[reason]
			}
		}
		if other > 0 {
			m.Sample(float64(other), "stick", k.ID, "reason", "other")
		}
	}
	m.Family("lintel_stick_ignored_frames_total", openmetrics.Counter, "Whole frames of a stick that nothing could be made of")
	for _, k := range sticks { // the reasons name devices
		var n uint64
		for _, of := range k.Ignored {
			n += of
		}
		m.Sample(float64(n), "stick", k.ID)
	}
}

// availabilities are what a device may be; empty: nobody knows.
var availabilities = []string{online, offline, ""}

func writeAvailabilities(m *openmetrics.Writer, counts map[string]int) {
	for _, a := range availabilities {
		m.Sample(float64(counts[a]), "availability", cmp.Or(a, "unknown"))
	}
}

func (s *Server) writeDevices(m *openmetrics.Writer) {
	counts := make(map[string]int)
	for _, d := range s.o.Devices() {
		a := s.values.get(d.ID).availability
		if !slices.Contains(availabilities, a) {
			a = ""
		}
		counts[a]++
	}
	m.Family("lintel_devices", openmetrics.Gauge, "Devices behind serial sticks, by availability")
	writeAvailabilities(m, counts)
}

func (s *Server) writeZigbee(m *openmetrics.Writer) {
	if s.o.ZigbeeNetwork == nil {
		return
	}
	o := s.o.ZigbeeNetwork.Overview()
	counts := make(map[string]int)
	links := make([]uint64, len(linkBounds)+1)
	sum, weak := 0.0, 0
	for _, d := range o.Devices {
		a := d.Availability
		if !slices.Contains(availabilities, a) {
			a = ""
		}
		counts[a]++
		if d.LinkQuality != nil {
			q := float64(*d.LinkQuality)
			i, _ := slices.BinarySearch(linkBounds, q)
			links[i]++
			sum += q
		}
		if d.Battery != nil && *d.Battery < lowBattery {
			weak++
		}
	}
	m.Family("lintel_zigbee_running", openmetrics.Gauge, "Whether a stick serves the Zigbee network")
	m.Bool(o.Running)
	m.Family("lintel_zigbee_open", openmetrics.Gauge, "Whether the Zigbee network is open for new devices")
	m.Bool(o.OpenUntil != nil)
	m.Family("lintel_zigbee_devices", openmetrics.Gauge, "Devices of the Zigbee network, by availability")
	writeAvailabilities(m, counts)
	m.Family("lintel_zigbee_low_batteries", openmetrics.Gauge, "Zigbee devices whose battery is below "+strconv.Itoa(lowBattery)+" %")
	m.Sample(float64(weak))
	m.Family("lintel_zigbee_devices_weak_link", openmetrics.Gauge, "Zigbee devices whose link quality, of 255, was not above a bound when they were last heard")
	var below uint64
	for i, bound := range linkBounds {
		below += links[i]
		m.Sample(float64(below), "quality", strconv.Itoa(int(bound)))
	}
	m.Family("lintel_zigbee_damaged_frames_total", openmetrics.Counter, "Frames of the Zigbee network that were thrown away, by reason")
	damaged := s.o.ZigbeeNetwork.Bridge().NetworkState().Counters.Damaged
	for _, reason := range slices.Sorted(maps.Keys(damaged)) {
		m.Sample(float64(damaged[reason]), "reason", reason)
	}
	m.Family("lintel_zigbee_link_quality", openmetrics.Gauge, "Link quality of the Zigbee devices on average, of 255")
	if n := below + links[len(linkBounds)]; n > 0 {
		m.Sample(sum / float64(n))
	}
}

var linkBounds = []float64{30, 60, 100}

// writeLinks tells of Home Assistant and of other brokers.
func (s *Server) writeLinks(m *openmetrics.Writer) {
	if s.o.HomeAssistant != nil {
		online := 0
		for _, l := range s.o.HomeAssistant.Logins() {
			if l.Online {
				online++
			}
		}
		m.Family("lintel_homeassistant_connected", openmetrics.Gauge, "Home Assistants that are here")
		m.Sample(float64(online))
	}
	uplinks := s.o.Uplinks() // at most 16, named by the owner
	m.Family("lintel_uplink_connected", openmetrics.Gauge, "Whether an uplink is connected")
	for _, u := range uplinks {
		m.Bool(u.Connected, "uplink", u.Name)
	}
	m.Family("lintel_uplink_waiting_messages", openmetrics.Gauge, "Messages that wait for the broker of an uplink")
	for _, u := range uplinks {
		m.Sample(float64(u.Waiting), "uplink", u.Name)
	}
	m.Family("lintel_uplink_messages_sent_total", openmetrics.Counter, "Messages sent to the broker of an uplink")
	for _, u := range uplinks {
		m.Sample(float64(u.Out), "uplink", u.Name)
	}
	m.Family("lintel_uplink_messages_received_total", openmetrics.Counter, "Messages that came from the broker of an uplink")
	for _, u := range uplinks {
		m.Sample(float64(u.In), "uplink", u.Name)
	}
	m.Family("lintel_uplink_messages_dropped_total", openmetrics.Counter, "Messages that an uplink left out")
	for _, u := range uplinks {
		m.Sample(float64(u.Dropped), "uplink", u.Name)
	}
}

func (s *Server) writeUpdate(m *openmetrics.Writer) {
	if s.o.Updater == nil {
		return
	}
	st := s.o.Updater.Status()
	m.Family("lintel_update_available", openmetrics.Gauge, "Whether there is a newer version than runs")
	m.Bool(st.Available != nil)
	m.Family("lintel_update_phase", openmetrics.Gauge, "What is being done about updates: 1 at the phase")
	for _, p := range []update.Phase{update.Idle, update.Checking, update.Downloading, update.Writing, update.Arming, update.Restarting, update.OnTrial, update.Committing} {
		m.Bool(st.Phase == p, "phase", string(p))
	}
	m.Family("lintel_update_checked_timestamp_seconds", openmetrics.Gauge, "When the feed was asked with success; 0: not since the start")
	if st.Checked.IsZero() {
		m.Sample(0)
	} else {
		m.Sample(float64(st.Checked.Unix()))
	}
}
