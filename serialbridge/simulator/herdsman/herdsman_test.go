package herdsman

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// Addresses in the tests.
const (
	coordinator zigbee.IEEEAddress = 0x00124b0009d80ba7
	lamp        zigbee.IEEEAddress = 0x00178801061a2b3c
	climate     zigbee.IEEEAddress = 0x00124b0022e10001
	wall        zigbee.IEEEAddress = 0xa4c138d2f0000005
	contact     zigbee.IEEEAddress = 0x00124b0022e10006
	weather     zigbee.IEEEAddress = 0x00158d000077000f // it has no link key of its own
)

// world is a network with those devices in it.
type world struct {
	*air.Network
	happened chan struct{} // a frame was sent
}

// house returns a world that no device has joined yet.
func house(t *testing.T) *world {
	t.Helper()
	n := &world{happened: make(chan struct{}, 1)}
	n.Network = air.New(air.Options{Latency: time.Millisecond, Sent: func(air.Record) {
		select {
		case n.happened <- struct{}{}:
		default:
		}
	}})
	for _, d := range air.Household() {
		if slices.Contains([]zigbee.IEEEAddress{lamp, climate, wall, contact, weather}, d.IEEEAddress) {
			d.Poll = time.Second
			if err := n.Add(d); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = n.Run(ctx) // it ends with ctx
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return n
}

// eventually waits until something is so.
func (n *world) eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for !so() {
		select {
		case <-n.happened:
		case <-timeout:
			t.Fatalf("it is never so that %s", what)
		}
	}
}

// network is the network that herdsman is to form.
func network(f family, path, folder string) settings {
	return settings{
		Path: path, Adapter: f.adapter, Folder: folder,
		PANID: 0x1a62, ExtendedPANID: "dddddddddddddddd", Channel: 15, NetworkKey: "01030507090b0d0f00020406080a0c0d",
	}
}

// populate lets all devices join and be interviewed.
func (h *herdsman) populate(n *world) {
	h.Helper()
	h.ask(nil, "permit", map[string]any{"seconds": 254})
	for _, d := range n.Devices() {
		if err := n.Join(d.IEEEAddress); err != nil {
			h.Fatal(err)
		}
		h.interviewed(d.IEEEAddress)
	}
}

// temperature sets up that the climate sensor reports.
func (h *herdsman) temperature() {
	h.Helper()
	for _, cluster := range []string{"msTemperatureMeasurement", "msRelativeHumidity"} {
		h.ask(nil, "bind", map[string]any{"device": climate, "endpoint": 1, "cluster": cluster})
		h.ask(nil, "report", map[string]any{"device": climate, "endpoint": 1, "cluster": cluster,
			"attribute": "measuredValue", "least": 0, "most": 3600, "change": 10})
	}
}

// works checks that devices and herdsman hear each other.
func (h *herdsman) works(n *world, celsius int, on bool) {
	h.Helper()
	for _, d := range n.Devices() {
		if err := n.Doubts(d.IEEEAddress); err != nil {
			h.Errorf("%s does not believe the coordinator: %v", d.IEEEAddress, err)
		}
	}
	if err := n.Set(climate, 1, 0x0402, 0, celsius); err != nil {
		h.Fatal(err)
	}
	want := `{"measuredValue":` + strconv.Itoa(celsius) + `}`
	if got := h.reported(climate, "msTemperatureMeasurement"); got != want {
		h.Errorf("the report says %s, not %s", got, want)
	}
	command := map[bool]string{true: "on", false: "off"}[on]
	h.ask(nil, "command", map[string]any{"device": lamp, "endpoint": 11, "cluster": "genOnOff", "command": command})
	if got, _ := n.Attribute(lamp, 11, 6, 0); got != on {
		h.Errorf("the lamp is %v after %s", got, command)
	}
}

func TestHerdsman(t *testing.T) {
	installed(t)
	for _, f := range tested(families) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			n := house(t)
			s, unhandled := f.make(n.Network, coordinator)
			path, off := onTCP(t, s)
			folder := t.TempDir()

			h, began := run(t, network(f, path, folder))
			if began != "reset" {
				t.Errorf("on a blank stick it says %q, not that it has formed the network", began)
			}
			h.populate(n)
			h.known()
			h.temperature()
			h.works(n, 1850, false)
			h.group(n)
			h.enrolled(n)
			h.greenPower(n)
			h.ask(nil, "backup", nil)
			h.finish(unhandled)

			h, began = run(t, network(f, path, folder))
			if began != "resumed" {
				t.Errorf("the second time it says %q", began)
			}
			h.works(n, 1900, true)
			h.missing()
			h.finish(unhandled)

			off()
			// It gives a stick with Z-Stack the address of the one before; one
			// with EZSP must have it.
			address := coordinator
			if f.adapter == "zstack" {
				address++
			}
			blank, unhandled := f.make(n.Network, address)
			path, _ = onTCP(t, blank)
			h, began = run(t, network(f, path, folder))
			if began != "restored" {
				t.Errorf("on a blank stick it says %q", began)
			}
			h.works(n, 2000, false)
			if err := n.Rejoin(lamp); err != nil {
				t.Fatal(err)
			}
			h.await("that the lamp is back", func(e event) bool { return e.Event == "announced" && e.Device == lamp })
			h.works(n, 2050, true)
			h.finish(unhandled)
		})
	}
}

// The same through a serial port, where Node sets the line.
func TestHerdsmanSerial(t *testing.T) {
	installed(t)
	for _, f := range families[:2] {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			n := house(t)
			s, unhandled := f.make(n.Network, coordinator)
			path, _ := onPTY(t, s)
			h, began := run(t, network(f, path, t.TempDir()))
			if began != "reset" {
				t.Errorf("on a blank stick it says %q", began)
			}
			h.ask(nil, "permit", map[string]any{"seconds": 254})
			if err := n.Join(lamp); err != nil {
				t.Fatal(err)
			}
			h.interviewed(lamp)
			h.finish(unhandled)
		})
	}
}

// finish stops herdsman and sees what remains.
func (h *herdsman) finish(unhandled func() []string) {
	h.Helper()
	h.stop()
	if list := unhandled(); len(list) > 0 {
		h.Errorf("commands that the stick does not know: %s", strings.Join(list, ", "))
	}
	if list := h.complaints(); len(list) > 0 {
		h.Errorf("herdsman complains:\n%s", strings.Join(list, "\n"))
	}
}

// known checks what the interviews have found.
func (h *herdsman) known() {
	h.Helper()
	var devices []struct {
		Device zigbee.IEEEAddress
		Type   string
		Model  string
		Maker  string
		Power  string
	}
	h.ask(&devices, "devices", nil)
	found := make(map[zigbee.IEEEAddress]string)
	for _, d := range devices {
		found[d.Device] = strings.Join([]string{d.Type, d.Model, d.Maker, d.Power}, ", ")
	}
	for d, want := range map[zigbee.IEEEAddress]string{
		lamp:    "Router, LCA001, Signify Netherlands B.V., Mains (single phase)",
		climate: "EndDevice, TH01, eWeLink, Battery",
		wall:    "Router, TS0002, _TZ3000_18ejxno0, Mains (single phase)",
		contact: "EndDevice, DS01, eWeLink, Battery",
		weather: "EndDevice, lumi.weather, LUMI, Battery",
	} {
		if found[d] != want {
			h.Errorf("%s is %q, not %q", d, found[d], want)
		}
	}
}

// group switches lamp and wall switch together.
func (h *herdsman) group(n *world) {
	h.Helper()
	h.ask(nil, "group", map[string]any{"device": lamp, "endpoint": 11, "group": 5})
	h.ask(nil, "group", map[string]any{"device": wall, "endpoint": 2, "group": 5})
	h.ask(nil, "groupcast", map[string]any{"group": 5, "cluster": "genOnOff", "command": "on"})
	for _, of := range []struct {
		device   zigbee.IEEEAddress
		endpoint uint8
		want     bool
	}{{lamp, 11, true}, {wall, 2, true}, {wall, 1, false}} {
		n.eventually(h.T, fmt.Sprintf("endpoint %d of %s switches with the group or without it", of.endpoint, of.device),
			func() bool { on, _ := n.Attribute(of.device, of.endpoint, 6, 0); return on == of.want })
	}
}

// enrolled opens the contact, which herdsman has enrolled in the interview.
func (h *herdsman) enrolled(n *world) {
	h.Helper()
	if err := n.Trigger(contact, "open"); err != nil {
		h.Fatal(err)
	}
	e := h.await("the alarm of the contact", func(e event) bool {
		return e.Event == "message" && e.Device == contact && e.Type == "commandStatusChangeNotification"
	})
	if !strings.Contains(string(e.Data), `"zonestatus":1`) {
		h.Errorf("the alarm says %s", e.Data)
	}
}

// greenPower teaches a switch without a battery, and presses it.
func (h *herdsman) greenPower(n *world) {
	h.Helper()
	const source = 0x01718c2f
	if err := n.AddGreenPower(source, [16]byte{1, 2, 3}); err != nil {
		h.Fatal(err)
	}
	h.ask(nil, "permit", map[string]any{"seconds": 254}) // now there are routers to hear it
	n.eventually(h.T, "the routers listen for switches", func() bool { return n.Teach(source) == nil })
	h.await("that the switch is known", func(e event) bool { return e.Event == "joined" && e.Device == source })
	n.eventually(h.T, "the routers know the switch", func() bool { return n.Paired(source) })
	if err := n.PressGreenPower(source, 0x22); err != nil {
		h.Fatal(err)
	}
	e := h.await("the press of the switch", func(e event) bool {
		return e.Event == "message" && e.Device == source && e.Type == "commandNotification"
	})
	if !strings.Contains(string(e.Data), `"commandID":34`) {
		h.Errorf("the press says %s", e.Data)
	}
}

// missing checks that the stick knows every router.
func (h *herdsman) missing() {
	h.Helper()
	if h.adapter == "zstack" {
		var routers []string
		h.ask(&routers, "missing", nil)
		if len(routers) > 0 {
			h.Errorf("routers that the stick does not know: %v", routers)
		}
	}
}

// backup reads what herdsman has backed up into a folder.
func backup(t *testing.T, folder string) *zigbee.Backup {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "coordinator_backup.json"))
	if err != nil {
		t.Fatal(err)
	}
	b := new(zigbee.Backup)
	if err := b.UnmarshalJSON(data); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	if hex.EncodeToString(b.NetworkKey[:]) != "01030507090b0d0f00020406080a0c0d" {
		t.Errorf("the network key of the backup is %x", b.NetworkKey)
	}
	return b
}
