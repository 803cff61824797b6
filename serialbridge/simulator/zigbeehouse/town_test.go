package zigbeehouse

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// town is a simulated network and a real lintel that runs it, as processes are: with a
// socket in between.
type town struct {
	t      *testing.T
	house  *House
	binary string
	folder string
	broker string // HOST:PORT
	lintel *exec.Cmd

	mu       sync.Mutex
	counting bool
	heard    map[string][]float64 // temperatures that the radio has told, by device
	frames   map[string]int       // ZCL frames that it has told
	shown    map[string][]float64 // temperatures that were published
	states   map[string]int       // states that were published
	sent     map[string]time.Time // first and
	arrived  map[string]time.Time // last frame of On/Off to or from a device, since the command
	answers  chan answer
	devices  chan map[string]bool // interviewed
	bridge   chan string
}

// answer is a state that was published, or the word that a device could not be told one.
type answer struct {
	device string
	state  string
	failed bool
	at     time.Time
}

const clusterTemperature, clusterOnOff = 0x0402, 0x0006

// record is told what becomes of each frame in the air.
func (w *town) record(r air.Record) {
	if r.Frame.Profile == zigbee.ProfileZDO {
		return
	}
	device := r.Device.String()
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Frame.Cluster == clusterOnOff {
		if w.sent[device].IsZero() && !r.FromDevice {
			w.sent[device] = r.Time
		}
		w.arrived[device] = r.Time
	}
	if !r.FromDevice || !w.counting || !r.Heard {
		return
	}
	w.frames[device]++
	f, err := zcl.ParseFrame(r.Frame.Data)
	if err != nil || f.Type != zcl.Global || f.Command != zcl.ReportAttributes || r.Frame.Cluster != clusterTemperature {
		return
	}
	attributes, _ := zcl.ParseAttributes(f.Command, f.Payload)
	for _, a := range attributes {
		if n, ok := zcl.Float(a.Value); ok && a.ID == 0 {
			w.heard[device] = append(w.heard[device], n/100)
		}
	}
}

// message is told what the bridge publishes.
func (w *town) message(_ paho.Client, m paho.Message) {
	now := time.Now()
	name := strings.TrimPrefix(m.Topic(), "zigbee2mqtt/")
	switch name {
	case "bridge/state":
		select {
		case w.bridge <- string(m.Payload()):
		default:
		}
		return
	case "bridge/logging":
		var line struct{ Message string }
		if json.Unmarshal(m.Payload(), &line) == nil {
			if _, after, ok := strings.Cut(line.Message, "Publish 'set' 'state' to '"); ok {
				device, why, _ := strings.Cut(after, "'")
				if strings.HasPrefix(why, " failed") {
					select {
					case w.answers <- answer{device: device, failed: true, at: now}:
					default:
					}
				}
			}
		}
		return
	case "bridge/devices":
		var list []struct {
			IEEE  string `json:"ieee_address"`
			State string `json:"interview_state"`
		}
		if json.Unmarshal(m.Payload(), &list) == nil {
			done := make(map[string]bool)
			for _, d := range list {
				done[d.IEEE] = d.State == "SUCCESSFUL"
			}
			w.devices <- done
		}
		return
	}
	if strings.Contains(name, "/") {
		return
	}
	var state struct {
		State       string
		Temperature *float64
	}
	if err := json.Unmarshal(m.Payload(), &state); err != nil {
		w.t.Errorf("%s: %v", m.Topic(), err)
		return
	}
	w.mu.Lock()
	if w.counting {
		w.states[name]++
		if state.Temperature != nil {
			w.shown[name] = append(w.shown[name], *state.Temperature)
		}
	}
	w.mu.Unlock()
	select {
	case w.answers <- answer{device: name, state: state.State, at: now}:
	default:
	}
}

// TestTown runs a whole lintel with a network of which a share of all frames is lost. In
// its long form (LINTEL_SOAK=10m) there are 150 devices, 40 of them routers.
func TestTown(t *testing.T) {
	devices, routers, lasts := 20, 6, 10*time.Second
	if testing.Short() {
		devices, routers = 10, 3
	}
	if text := os.Getenv("LINTEL_SOAK"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		devices, routers = 150, 40
	}
	w := &town{t: t, folder: t.TempDir(), broker: freePort(t),
		heard: make(map[string][]float64), frames: make(map[string]int), shown: make(map[string][]float64), states: make(map[string]int),
		sent: make(map[string]time.Time), arrived: make(map[string]time.Time),
		answers: make(chan answer, 4096), devices: make(chan map[string]bool, 4096), bridge: make(chan string, 16)}
	w.binary = filepath.Join(w.folder, "lintel")
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", w.binary, "lintel/cmd/lintel").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stick := freePort(t)
	config := fmt.Sprintf("[mqtt]\nlisten = [%q]\nwebsocket = []\n[http]\nlisten = \"\"\n[mdns]\nenabled = false\n[zigbee]\nota_index = \"\"\n"+
		"[[serial.ports]]\npath = \"tcp://%s\"\nprotocol = \"zigbee\"\n", w.broker, stick)
	seed := fmt.Sprintf("[claim]\npassword = %q\n", password)
	if err := os.MkdirAll(filepath.Join(w.folder, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"lintel.toml": config, "data/lintel-preseed.toml": seed} {
		if err := os.WriteFile(filepath.Join(w.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.house, err = New(Options{Kind: "zigbee-znp", At: "tcp:" + stick, Devices: air.Town(devices, routers), JoinEvery: 300 * time.Millisecond,
		Air: air.Options{Seed: 1, Loss: 0.05, Drift: 5 * time.Second, Sent: w.record}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.house.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	w.start()
	defer func() { w.stop() }()
	c := w.connect()
	w.online()
	w.settle(c, devices)
	w.live(c, lasts, routers)
	c.Disconnect(100)
	w.restart(routers)
}

// online waits until the network works.
func (w *town) online() {
	w.t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for {
		select {
		case state := <-w.bridge:
			if strings.Contains(state, "online") {
				return
			}
		case <-late.C:
			w.t.Fatal("the network does not come up")
		}
	}
}

// settle opens the network until all devices are in it and interviewed.
func (w *town) settle(c paho.Client, devices int) {
	w.t.Helper()
	began := time.Now()
	permit := func() { c.Publish("zigbee2mqtt/bridge/request/permit_join", 1, false, `{"time":254}`) }
	permit()
	again := time.NewTicker(time.Minute)
	defer again.Stop()
	late := time.NewTimer(10 * time.Minute)
	defer late.Stop()
	for {
		select {
		case <-again.C:
			permit()
		case done := <-w.devices:
			count := 0
			for _, ok := range done {
				if ok {
					count++
				}
			}
			if count > devices { // and the coordinator
				w.t.Logf("%d devices joined and interviewed in %.1f s", devices, time.Since(began).Seconds())
				c.Publish("zigbee2mqtt/bridge/request/permit_join", 1, false, `{"time":0}`)
				c.Publish("zigbee2mqtt/bridge/request/options", 1, false, `{"options":{"advanced":{"last_seen":"ISO_8601"}}}`)
				pause(w.t.Context(), 10*time.Second) // they are set up
				return
			}
		case <-late.C:
			log, _ := os.ReadFile(filepath.Join(w.folder, "log"))
			w.t.Fatalf("not all devices are in the network\n%s", log[max(0, len(log)-4000):])
		}
	}
}

// command switches a device, and returns how long it took but for the radio: until the
// first frame is in the air, and from the last one until the state is published. It reports
// false if the radio lost each try, or after 20 seconds; to hear of neither is an error.
func (w *town) command(c paho.Client, device, state string) (time.Duration, bool) {
	w.t.Helper()
	w.mu.Lock()
	delete(w.sent, device)
	delete(w.arrived, device)
	w.mu.Unlock()
	for len(w.answers) > 0 {
		<-w.answers
	}
	began := time.Now()
	c.Publish("zigbee2mqtt/"+device+"/set", 0, false, `{"state":"`+state+`"}`)
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for {
		select {
		case a := <-w.answers:
			if a.device == device && a.failed {
				return 0, false
			}
			if a.device != device || a.state != state {
				continue
			}
			w.mu.Lock()
			first, last := w.sent[device], w.arrived[device]
			w.mu.Unlock()
			if first.IsZero() { // told of before it was so
				continue
			}
			return first.Sub(began) + max(0, a.at.Sub(last)), a.at.Sub(began) <= 20*time.Second
		case <-late.C:
			w.t.Errorf("%s was neither switched %s, nor was it said that it could not be", device, state)
			return 0, false
		}
	}
}

// live compares for a while what the radio tells with what is published.
func (w *town) live(c paho.Client, lasts time.Duration, routers int) {
	w.mu.Lock()
	w.counting = true
	w.mu.Unlock()
	var took []time.Duration
	failed := 0
	end := time.Now().Add(lasts)
	for i := 0; time.Now().Before(end) || i < 40; i++ { // one of a few would be too many
		device := w.house.o.Devices[i%routers].IEEEAddress.String()
		state := []string{"ON", "OFF"}[i/routers%2]
		if d, ok := w.command(c, device, state); ok {
			took = append(took, d)
		} else {
			failed++
		}
		pause(w.t.Context(), 100*time.Millisecond)
	}
	w.mu.Lock()
	w.counting = false // what is on its way may still be published
	heard, frames := w.heard, w.frames
	w.mu.Unlock()
	pause(w.t.Context(), 2*time.Second)
	resident, files := w.memory()

	w.mu.Lock()
	defer w.mu.Unlock()
	reports, lost := 0, 0
	for device, temperatures := range heard {
		at, shown := 0, w.shown[device]
		for i, want := range temperatures {
			reports++
			next := slices.Index(shown[at:], want)
			switch {
			case next >= 0:
				at += next
			case i == len(temperatures)-1: // published after the end
			default:
				lost++
			}
		}
	}
	sum := 0
	for _, n := range frames {
		sum += n
	}
	slices.Sort(took)
	w.t.Logf("%d frames heard in %v; of %d temperatures %d were not published; %d commands, %d not confirmed, p50 %v, p99 %v beside the radio; %.1f MiB resident, %.1f of them of files",
		sum, lasts, reports, lost, len(took), failed, took[len(took)/2].Round(time.Microsecond), took[len(took)*99/100].Round(time.Microsecond), resident, files)
	if lost > 0 || reports == 0 {
		w.t.Errorf("%d of %d temperatures were not published", lost, reports)
	}
	if failed*20 > len(took) { // the radio loses some for good
		w.t.Errorf("%d commands were not confirmed, and %d were", failed, len(took))
	}
}

// restart restarts lintel, and measures how long it is until a command works; the devices
// must not notice.
func (w *town) restart(routers int) {
	before := w.house.Air.Devices()
	for len(w.bridge) > 0 {
		<-w.bridge
	}
	w.stop()
	began := w.start()
	c := w.connect()
	defer c.Disconnect(100)
	w.online()
	online := time.Since(began)
	worked := time.Duration(0)
	for i := range routers {
		if _, ok := w.command(c, w.house.o.Devices[i].IEEEAddress.String(), "ON"); ok {
			worked = time.Since(began)
			break
		}
	}
	w.t.Logf("online again %.2f s after the start, a command done after %.2f s", online.Seconds(), worked.Seconds())
	if worked == 0 {
		w.t.Error("no command works after the restart")
	}
	for i, d := range w.house.Air.Devices() {
		if !d.Joined || d.Address != before[i].Address || d.Reporting != before[i].Reporting || d.Bindings != before[i].Bindings {
			w.t.Errorf("%s has noticed the restart: it was %+v, and is %+v", d.IEEEAddress, before[i], d)
		}
		if err := w.house.Air.Doubts(d.IEEEAddress); err != nil {
			w.t.Errorf("%s doubts the coordinator: %v", d.IEEEAddress, err)
		}
	}
}
