package dashboard

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/uplink"
	"lintel/serialbridge"
)

// Status is what the page and GET /api/status tell.
type Status struct {
	Name      string    `json:"name"`
	Version   string    `json:"version"`
	Time      time.Time `json:"time"`
	Problem   string    `json:"problem,omitempty"` // why /healthz says 503
	Losses    []string  `json:"losses,omitempty"`  // what is known to be lost of what was stored
	Notices   []string  `json:"notices,omitempty"` // what else a person should look after
	Addresses []string  `json:"addresses"`
	Broker    Counters  `json:"broker"`
	Machine   []Fact    `json:"machine"`
	Sticks    []Stick   `json:"sticks"`
	Devices   []Device  `json:"devices"`
	Clients   []Client  `json:"clients"`

	Uplinks []uplink.Status `json:"uplinks"`

	Neighbours []Neighbour `json:"neighbours"`
}

// Counters are the broker's, since its start.
type Counters struct {
	UptimeSeconds       int64  `json:"uptime_seconds"`
	ClientsConnected    int    `json:"clients_connected"`
	Sessions            int    `json:"sessions"`
	Subscriptions       int    `json:"subscriptions"`
	Retained            int    `json:"retained"`
	PublishReceived     uint64 `json:"publish_received"`
	PublishSent         uint64 `json:"publish_sent"`
	PublishDropped      uint64 `json:"publish_dropped"`
	BytesReceived       uint64 `json:"bytes_received"`
	BytesSent           uint64 `json:"bytes_sent"`
	MalformedPackets    uint64 `json:"malformed_packets"`
	ConnectionsAccepted uint64 `json:"connections_accepted"`

	// Of the store: what it wrote, and what it need not write because it was
	// acknowledged, or replaced, before its turn came.
	StoreGroups         uint64 `json:"store_groups"`
	StoreBytesWritten   uint64 `json:"store_bytes_written"`
	StoreBytesElided    uint64 `json:"store_bytes_elided"`
	StoreBytesCoalesced uint64 `json:"store_bytes_coalesced"`
	StoreCommitP50      int64  `json:"store_commit_p50_microseconds"` // powers of two
	StoreCommitP99      int64  `json:"store_commit_p99_microseconds"`
}

// Fact is something that is known of the machine.
type Fact struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Short   string `json:"short,omitempty"`   // what is bad about it, in two or three words
	Problem string `json:"problem,omitempty"` // and what to do, a sentence
}

// Stick is a dongle.
type Stick struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Protocol string            `json:"protocol,omitempty"`
	Evidence string            `json:"evidence,omitempty"`
	State    string            `json:"state"`
	Since    time.Time         `json:"since"`
	Error    string            `json:"error,omitempty"`
	Frames   uint64            `json:"frames"`
	Damaged  map[string]uint64 `json:"damaged,omitempty"`
	Ignored  map[string]uint64 `json:"ignored,omitempty"`   // whole frames that nothing can be made of
	BySocket bool              `json:"by_socket,omitempty"` // it is known by the socket that it is in
	Devices  []string          `json:"devices"`
}

// Device is a device and its last values.
type Device struct {
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	Vendor       string         `json:"vendor,omitempty"`
	Model        string         `json:"model,omitempty"`
	Via          string         `json:"via,omitempty"`
	Availability string         `json:"availability,omitempty"`
	Heard        *time.Time     `json:"heard,omitempty"`
	Values       map[string]any `json:"values,omitempty"`
}

// Client is a session of the broker.
type Client struct {
	ID            string    `json:"id"`
	Version       byte      `json:"version"`
	Connected     bool      `json:"connected"`
	Address       string    `json:"address,omitempty"`
	Since         time.Time `json:"since"`
	Persistent    bool      `json:"persistent"`
	Subscriptions int       `json:"subscriptions"`
	Queued        int       `json:"queued"`
	Dropped       uint64    `json:"dropped"`
}

// status asks everybody.
func (s *Server) status() Status {
	st := Status{
		Name:      s.o.Name,
		Version:   s.o.Version,
		Losses:    s.o.Losses(),
		Notices:   s.o.Notices(),
		Machine:   append([]Fact{}, s.o.Machine()...),
		Time:      time.Now(),
		Addresses: append([]string{}, s.o.Addresses()...),
		Broker:    counters(s.o.Stats()),
		Sticks:    []Stick{},
		Devices:   []Device{},
		Clients:   []Client{},
		Uplinks:   append([]uplink.Status{}, s.o.Uplinks()...),

		Neighbours: append([]Neighbour{}, s.o.Neighbours()...),
	}
	if err := s.o.Healthy(); err != nil {
		st.Problem = err.Error()
	}
	st.Sticks = append(st.Sticks, s.sticks()...)
	for _, d := range s.o.Devices() {
		v := s.values.get(d.ID)
		device := Device{
			ID: d.ID, Name: cmp.Or(d.Name, d.ID), Vendor: d.Vendor, Model: d.Model, Via: d.Via,
			Availability: v.availability, Values: v.values,
		}
		if !v.at.IsZero() {
			device.Heard = &v.at
		}
		st.Devices = append(st.Devices, device)
	}
	for _, c := range s.o.Clients() {
		st.Clients = append(st.Clients, Client{
			ID: c.ID, Version: c.Version, Connected: c.Connected, Address: c.RemoteAddr, Since: c.Since,
			Persistent: c.Persistent, Subscriptions: c.Subscriptions, Queued: c.Queued, Dropped: c.Dropped,
		})
	}
	slices.SortFunc(st.Clients, func(a, b Client) int {
		return cmp.Or(first(a.Connected, b.Connected), cmp.Compare(a.ID, b.ID))
	})
	return st
}

// sticks are the dongles.
func (s *Server) sticks() (all []Stick) {
	for _, k := range s.o.Sticks() {
		all = append(all, Stick{
			ID: k.ID, Name: stickName(k), Protocol: k.Protocol, Evidence: k.Evidence, State: string(k.State),
			Since: k.Since, Error: k.Err, Frames: k.Frames, Damaged: k.Damaged, Ignored: k.Ignored, BySocket: k.BySocket,
			Devices: append([]string{}, k.Devices...),
		})
	}
	return all
}

func counters(s broker.Stats) Counters {
	return Counters{
		UptimeSeconds:       int64(s.Uptime.Seconds()),
		ClientsConnected:    s.ClientsConnected,
		Sessions:            s.Sessions,
		Subscriptions:       s.Subscriptions,
		Retained:            s.Retained,
		PublishReceived:     s.PublishReceived,
		PublishSent:         s.PublishSent,
		PublishDropped:      s.PublishDropped,
		BytesReceived:       s.BytesReceived,
		BytesSent:           s.BytesSent,
		MalformedPackets:    s.MalformedPackets,
		ConnectionsAccepted: s.ConnectionsAccepted,
		StoreGroups:         s.Store.Groups,
		StoreBytesWritten:   s.Store.BytesWritten,
		StoreBytesElided:    s.Store.BytesElided,
		StoreBytesCoalesced: s.Store.BytesCoalesced,
		StoreCommitP50:      s.Store.Commits.Quantile(0.5).Microseconds(),
		StoreCommitP99:      s.Store.Commits.Quantile(0.99).Microseconds(),
	}
}

// stickName is what a person knows a stick by: never the device node if there
// is better, because it differs from boot to boot.
func stickName(k serialbridge.StickStatus) string {
	name := strings.TrimSpace(k.USB.Manufacturer + " " + k.USB.Product)
	return cmp.Or(name, k.ID, k.Port)
}
