package herdsman

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
)

// modules is where the packages of Node are.
const modules = "../../zigbee/devices/oracle"

// patience is how long to wait for anything that herdsman does.
const patience = 60 * time.Second

// installed skips the test if Node or zigbee-herdsman are not there, unless
// nothing may be missing.
func installed(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(modules, "node_modules", "zigbee-herdsman", "package.json"))
	}
	if err == nil {
		return
	}
	if os.Getenv("LINTEL_NEED_ALL") == "1" {
		t.Fatal(err)
	}
	t.Skipf("zigbee-herdsman does not run here: %v; `make deps` installs it", err)
}

// settings are what herdsman is started with.
type settings struct {
	Modules       string `json:"modules"`
	Path          string `json:"path"`
	Adapter       string `json:"adapter"`
	Folder        string `json:"folder"`
	PANID         uint16 `json:"panID"`
	ExtendedPANID string `json:"extendedPanID"`
	Channel       uint8  `json:"channel"`
	NetworkKey    string `json:"networkKey"`
	Debug         bool   `json:"debug"`
}

// event is a line of herdsman's.
type event struct {
	Event    string             `json:"event"`
	Device   zigbee.IEEEAddress `json:"device"`
	Status   string             `json:"status"`
	Level    string             `json:"level"`
	Text     string             `json:"text"`
	Endpoint int                `json:"endpoint"`
	Cluster  string             `json:"cluster"`
	Type     string             `json:"type"`
	Data     json.RawMessage    `json:"data"`

	ID     int             `json:"id"` // of an answer
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
}

// herdsman is a process of Node that runs it.
type herdsman struct {
	*testing.T
	adapter string
	input   io.WriteCloser
	ended   chan struct{}

	mu     sync.Mutex
	change *sync.Cond
	events []event
	asked  int
	gone   bool
}

// run starts herdsman on a stick and its network, and returns how that began:
// "reset" if it has formed the network, "resumed" or "restored".
func run(t *testing.T, s settings) (h *herdsman, began string) {
	t.Helper()
	dir, err := filepath.Abs(modules)
	if err != nil {
		t.Fatal(err)
	}
	s.Modules = dir + string(filepath.Separator)
	s.Debug = os.Getenv("LINTEL_HERDSMAN_DEBUG") != ""
	config, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, "node", "herdsman.mjs", string(config))
	c.Stderr = os.Stderr
	input, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	h = &herdsman{T: t, adapter: s.Adapter, input: input, ended: make(chan struct{})}
	h.change = sync.NewCond(&h.mu)
	go func() {
		defer close(h.ended)
		h.listen(output)
		_ = c.Wait() // it may have been killed
	}()
	t.Cleanup(func() {
		cancel()
		<-h.ended
		if t.Failed() {
			h.mu.Lock()
			defer h.mu.Unlock()
			for _, e := range h.events {
				if e.Event == "log" && (e.Level != "debug" || s.Debug) {
					t.Logf("%s: %s", e.Level, e.Text)
				}
			}
		}
	})
	h.ask(&began, "start", nil)
	return h, began
}

// listen takes the lines of herdsman.
func (h *herdsman) listen(output io.Reader) {
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e = event{Event: "log", Level: "error", Text: lines.Text()}
		}
		h.mu.Lock()
		h.events = append(h.events, e)
		h.change.Broadcast()
		h.mu.Unlock()
	}
	h.mu.Lock()
	h.gone = true
	h.change.Broadcast()
	h.mu.Unlock()
}

// await waits for an event and takes it away.
func (h *herdsman) await(what string, is func(event) bool) event {
	h.Helper()
	timer := time.AfterFunc(patience, func() { h.mu.Lock(); h.change.Broadcast(); h.mu.Unlock() })
	defer timer.Stop()
	deadline := time.Now().Add(patience)
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if i := slices.IndexFunc(h.events, is); i >= 0 {
			e := h.events[i]
			h.events = slices.Delete(h.events, i, i+1)
			return e
		}
		if h.gone || !time.Now().Before(deadline) {
			h.Fatalf("%s did not happen; herdsman gone: %t", what, h.gone)
		}
		h.change.Wait()
	}
}

// try lets herdsman do something and returns what it says.
func (h *herdsman) try(what string, with map[string]any) (json.RawMessage, error) {
	h.Helper()
	h.mu.Lock()
	h.asked++
	id := h.asked
	h.mu.Unlock()
	line := map[string]any{"id": id, "do": what}
	for key, value := range with {
		line[key] = value
	}
	data, err := json.Marshal(line)
	if err != nil {
		h.Fatal(err)
	}
	if _, err := h.input.Write(append(data, '\n')); err != nil {
		h.Fatal(err)
	}
	e := h.await("the answer to "+what, func(e event) bool { return e.Event == "" && e.ID == id })
	if e.Error != "" {
		return nil, fmt.Errorf("%s %v: %s", what, with, e.Error)
	}
	return e.Result, nil
}

// ask is try for what must succeed. The result goes to where result points; nil: nowhere.
func (h *herdsman) ask(result any, what string, with map[string]any) {
	h.Helper()
	data, err := h.try(what, with)
	if err != nil {
		h.Fatal(err)
	}
	if result != nil {
		if err := json.Unmarshal(data, result); err != nil {
			h.Fatalf("%s: %v in %s", what, err, data)
		}
	}
}

// interviewed waits until a device has told what it is.
func (h *herdsman) interviewed(d zigbee.IEEEAddress) {
	h.Helper()
	e := h.await(fmt.Sprintf("the interview of %s", d), func(e event) bool {
		return e.Event == "interview" && e.Device == d && e.Status != "started"
	})
	if e.Status != "successful" {
		h.Fatalf("the interview of %s: %s", d, e.Status)
	}
}

// reported waits for a report of a device and returns it.
func (h *herdsman) reported(d zigbee.IEEEAddress, cluster string) string {
	h.Helper()
	e := h.await(fmt.Sprintf("a report of %s", d), func(e event) bool {
		return e.Event == "message" && e.Device == d && e.Cluster == cluster && e.Type == "attributeReport"
	})
	return string(e.Data)
}

// complaints are the errors that herdsman has logged.
func (h *herdsman) complaints() (texts []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Event == "log" && e.Level == "error" {
			texts = append(texts, strings.SplitN(e.Text, "\n", 2)[0])
		}
	}
	return texts
}

// stop stops herdsman as its users do.
func (h *herdsman) stop() {
	h.Helper()
	h.ask(nil, "stop", nil)
	select {
	case <-h.ended:
	case <-time.After(patience):
		h.Error("herdsman does not end")
	}
}
