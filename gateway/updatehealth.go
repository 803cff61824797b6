package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/update"
	"lintel/persist"
	"lintel/serialbridge"
)

// alive is what lived in the house before an update. It stands in the record of the update
// and is read by the version that comes after: keys are added, and never change what they mean.
type alive struct {
	Address bool          `json:"address,omitempty"` // the box was on a network
	Sticks  []aliveStick  `json:"sticks,omitempty"`
	Clients []aliveClient `json:"clients,omitempty"`
	Devices []aliveDevice `json:"devices,omitempty"`
}

type aliveStick struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

type aliveClient struct {
	ID     string `json:"id"`
	User   string `json:"user,omitempty"`
	Steady bool   `json:"steady,omitempty"` // it is always there
}

type aliveDevice struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Via    string `json:"via,omitempty"`
	Steady bool   `json:"steady,omitempty"` // it is heard several times in the time of a trial
}

// Whose absence speaks against a version, and whose does not.
const (
	// A client is always there if it has been connected for half the time that the house
	// runs. A day without a break is enough for any: what people carry and switch off
	// does not stay for that long. Less than ten minutes tell nothing.
	steadyLeast = 10 * time.Minute
	steadyMost  = 24 * time.Hour

	// A device must be heard in a trial if it was silent for a third of that at most: it
	// would have missed three of its times. One that speaks each hour cannot tell anything.
	steadyTimes = 3

	maxAliveSticks  = 64
	maxAliveClients = 1000
	maxAliveID      = 128 // bytes; a client may call itself by more
	maxNamed        = 5   // of those that are missing, by their name
)

// needed is how many of those that are always there have to be back: where there are two or
// more a quarter, and one at least, may be away. People switch off a lamp or a computer at any moment.
func needed(of int) int {
	if of < 2 {
		return of
	}
	return of - max(1, of/4)
}

// houseHealth is the house as updates see it.
type houseHealth struct {
	g     *gateway
	pulse *pulse
	probe *persist.Bucket[string]
	start time.Time
}

func newHouseHealth(g *gateway) (*houseHealth, error) {
	probe, err := persist.NewBucket[string](g.store, "update")
	if err != nil {
		return nil, err
	}
	return &houseHealth{g: g, pulse: newPulse(g), probe: probe, start: time.Now()}, nil
}

// Alive says what there is.
func (h *houseHealth) Alive() json.RawMessage {
	now := time.Now()
	a := alive{Address: hasAddress()}
	for _, s := range h.g.bridge.Sticks() {
		if s.State == serialbridge.Online && len(a.Sticks) < maxAliveSticks {
			a.Sticks = append(a.Sticks, aliveStick{s.ID, cmp.Or(strings.TrimSpace(s.USB.Manufacturer+" "+s.USB.Product), s.ID)})
		}
	}
	enough := min(steadyMost, max(steadyLeast, now.Sub(h.start)/2))
	if h.g.o.steadyTime > 0 {
		enough = h.g.o.steadyTime
	}
	for _, c := range h.g.broker.Clients() {
		if isOfHouse(&c) && len(c.ID) <= maxAliveID && len(a.Clients) < maxAliveClients {
			a.Clients = append(a.Clients, aliveClient{c.ID, c.User, now.Sub(c.Since) >= enough})
		}
	}
	h.pulse.take()
	h.pulse.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(h.pulse.devices)) {
		d := h.pulse.devices[id]
		silence := d.silence(now)
		steady := silence > 0 && steadyTimes*silence <= h.g.config.Update.Trial()
		a.Devices = append(a.Devices, aliveDevice{id, d.name, d.via, steady})
	}
	h.pulse.mu.Unlock()
	text, err := json.Marshal(a)
	if err != nil || len(text) > 256<<10 {
		return json.RawMessage("{}") // texts and truths alone; too many of them are a strange house
	}
	return text
}

// inProcess is the address of Lintel's own clients.
const inProcess = "in-process"

// isOfHouse says whether a client is connected and of the house: neither one of Lintel's own
// nor one that asks whether the broker works, which is there for a moment at any time.
func isOfHouse(c *broker.ClientInfo) bool {
	return c.Connected && c.RemoteAddr != inProcess && !strings.HasPrefix(c.ID, update.ProbeClient)
}

// Judge compares what was alive with what is.
func (h *houseHealth) Judge(ctx context.Context, before json.RawMessage) update.Verdict {
	var a alive
	if json.Unmarshal(before, &a) != nil {
		a = alive{} // of a version that wrote it in another way: the box has to be well by itself
	}
	var v update.Verdict
	if err := h.ask(ctx); err != nil {
		v.Missing = append(v.Missing, "The broker does not answer: "+err.Error()+".")
	} else {
		v.Back = append(v.Back, "the broker answers")
	}
	if err := h.write(ctx); err != nil {
		v.Missing = append(v.Missing, "The store cannot be written to: "+err.Error()+".")
	} else {
		v.Back = append(v.Back, "the store takes and keeps")
	}
	switch {
	case !a.Address:
	case !hasAddress():
		v.Missing = append(v.Missing, "The box has no network address, and had one before.")
	default:
		v.Back = append(v.Back, "the box is on the network")
	}
	h.sticks(&v, a.Sticks)
	h.clients(&v, a.Clients)
	h.devices(&v, a.Devices)
	return v
}

// write has the store keep something.
func (h *houseHealth) write(ctx context.Context) error {
	if err := h.g.store.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return h.probe.Put(ctx, "trial", h.g.o.Version)
}

// sticks wants each stick open: one that the new version cannot open is what a trial is for.
func (h *houseHealth) sticks(v *update.Verdict, before []aliveStick) {
	if len(before) == 0 {
		return
	}
	now := make(map[string]serialbridge.StickStatus)
	for _, s := range h.g.bridge.Sticks() {
		now[s.ID] = s
	}
	back := 0
	for _, b := range before {
		s, there := now[b.ID]
		switch {
		case there && s.State == serialbridge.Online:
			back++
		case there && s.Err != "":
			v.Missing = append(v.Missing, fmt.Sprintf("The stick %s is not open: %s", b.Name, s.Err))
		default:
			v.Missing = append(v.Missing, fmt.Sprintf("The stick %s was open before and is not now.", b.Name))
		}
	}
	v.Back = append(v.Back, fmt.Sprintf("%d of %d sticks", back, len(before)))
}

func (h *houseHealth) clients(v *update.Verdict, before []aliveClient) {
	connected := make(map[string]bool)
	for _, c := range h.g.broker.Clients() {
		if isOfHouse(&c) {
			connected["client "+c.ID] = true
			if c.User != "" {
				connected["user "+c.User] = true
			}
		}
	}
	var t tally
	for _, c := range before {
		// Some make up another id each time; their user is the same then.
		t.count(c.ID, c.Steady, connected["client "+c.ID] || c.User != "" && connected["user "+c.User])
	}
	t.tell(v, "clients", "always connected", "connected")
}

func (h *houseHealth) devices(v *update.Verdict, before []aliveDevice) {
	h.pulse.take()
	h.pulse.mu.Lock()
	heard := make(map[string]bool)
	for id := range h.pulse.devices {
		heard[id] = true
	}
	h.pulse.mu.Unlock()
	var all tally
	behind := make(map[string]*tally)
	for _, d := range before {
		name := cmp.Or(d.Name, d.ID)
		all.count(name, d.Steady, heard[d.ID])
		if behind[d.Via] == nil {
			behind[d.Via] = new(tally)
		}
		behind[d.Via].count(name, d.Steady, heard[d.ID])
	}
	// A stick that is open and hears none of them is deaf, however many others there are.
	for _, via := range slices.Sorted(maps.Keys(behind)) {
		if t := behind[via]; t.steady > 0 && t.back == 0 && len(behind) > 1 {
			v.Missing = append(v.Missing, fmt.Sprintf("Nothing is heard through %s: %s.", via, t.names()))
		}
	}
	all.tell(v, "devices", "heard every few minutes", "heard")
}

// tally counts who is back.
type tally struct {
	all, present int
	steady, back int
	away         []string // of the steady ones
}

func (t *tally) count(name string, steady, present bool) {
	t.all++
	if present {
		t.present++
	}
	if !steady {
		return
	}
	t.steady++
	if present {
		t.back++
	} else {
		t.away = append(t.away, name)
	}
}

// names are those who are away, as far as a person wants to read them.
func (t *tally) names() string {
	away := slices.Sorted(slices.Values(t.away))
	text := strings.Join(away[:min(len(away), maxNamed)], ", ")
	if more := len(away) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (t *tally) tell(v *update.Verdict, what, how, now string) {
	if t.all == 0 {
		return
	}
	v.Back = append(v.Back, fmt.Sprintf("%d of %d %s", t.present, t.all, what))
	if len(t.away) == 0 {
		return
	}
	need := needed(t.steady)
	text := fmt.Sprintf("%d of %d %s that were %s are %s again, and %d have to be. Away: %s.", t.back, t.steady, what, how, now, need, t.names())
	if t.back < need {
		v.Missing = append(v.Missing, text)
	} else {
		v.Waiting = append(v.Waiting, text)
	}
}

// hasAddress says whether the box is on a network.
func hasAddress() bool {
	addresses, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addresses, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().IsGlobalUnicast()
	})
}
