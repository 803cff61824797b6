package gateway

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lintel/gateway/backup"
	"lintel/gateway/homeassistant/fakehome"
	"lintel/gateway/settings"
	"lintel/gateway/update"
	"lintel/serialbridge/simulator"
	"lintel/serialbridge/simulator/zigbeehouse"
)

// walk is a box with simulated sticks that is started again whenever it wants to be, as an
// appliance is, with a Home Assistant and a feed of updates beside it.
type walk struct {
	t       *testing.T
	config  settings.Config
	o       Options
	url     string // of the pages
	home    string // of Home Assistant
	machine *laptop
}

// trialTime is how long a new version is on trial, in which clients have to come back.
const trialTime = 20 * time.Second

// newWalk starts everything.
func newWalk(t *testing.T) *walk {
	t.Helper()
	dir := t.TempDir()
	w := &walk{t: t, config: closedConfig(), machine: newLaptop()}
	w.config.HTTP.Listen, w.config.MQTT.Listen, w.config.MQTT.WebSocket = freePortOf(t, "127.0.0.1"), []string{freePortOf(t, "127.0.0.1")}, nil
	w.url = "http://" + w.config.HTTP.Listen
	stick, meter := freePort(t), filepath.Join(dir, "meter")
	w.config.Serial.Ports = []settings.PortConfig{{Path: meter, Protocol: "dsmr"}, {Path: "tcp://" + stick, Protocol: "zigbee"}}
	w.config.Zigbee.OTAIndex = ""
	feed, keys := signedFeed(t)
	w.config.Update.Feed = feed
	w.o = Options{Data: filepath.Join(dir, "data"), Version: "1.0", Machine: w.machine, steadyTime: time.Nanosecond,
		Release: update.Release{Counter: 1, Board: "lintel", Kernel: "k", Keys: keys}}

	network, err := zigbeehouse.New(zigbeehouse.Options{Kind: "zigbee-znp", At: "tcp:" + stick, JoinEvery: 100 * time.Millisecond, Devices: homeDevices()})
	if err != nil {
		t.Fatal(err)
	}
	home := fakehome.New(fakehome.Options{Timing: fakehome.Measured().Faster(20)})
	server := httptest.NewServer(fakehome.NewSite(home, fakehome.Behaviour{Supervised: true}))
	w.home = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // another site for the browser
	t.Cleanup(server.Close)
	for _, run := range []func(context.Context) error{
		simulator.New(simulator.Options{Link: meter, Device: simulator.P1Meter(simulator.NewHousehold(0))}).Run, network.Run, home.Run, w.run,
	} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	return w
}

// run runs the box. When it wants to restart for an update, the version that it has written
// is on trial next.
func (w *walk) run(ctx context.Context) error {
	o := w.o
	for {
		if _, err := backup.Finish(o.Data); err != nil {
			return err
		}
		started, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- Run(started, w.config, o) }()
		reboots := make(chan struct{})
		machine := o.Machine.(*laptop)
		go func() {
			for {
				select {
				case <-started.Done():
					return
				case done := <-machine.done:
					switch done {
					case "return":
						w.t.Error("the box goes back to the version before")
					case "reboot":
						close(reboots)
						return
					}
				}
			}
		}()
		var err error
		select {
		case err = <-ended:
			stop()
		case <-reboots:
			stop()
			if err = <-ended; err == nil {
				next := newLaptop()
				next.situation = update.TrialStart
				next.record = &update.Record{Version: "1.1", Counter: 2, Patience: 690, Alive: machine.alive}
				soon := time.AfterFunc(trialTime, next.timeIsUp)
				defer soon.Stop()
				o.Version, o.Release.Counter, o.Machine = "1.1", 2, next
				continue
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, ErrRestart) {
			return err
		}
		again := newLaptop()
		again.situation, again.record = machine.situation, machine.record
		o.Machine = again
	}
}

// TestWalk is the owner of a new box with a browser: from the claim to an update, on every
// page. LINTEL_WALK_OUT is the folder for the pictures.
func TestWalk(t *testing.T) {
	t.Parallel()
	if os.Getenv("LINTEL_CHROMIUM") == "" {
		t.Skip("drives a browser: make walk")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: install the Debian package chromium", err)
	}
	if _, err := os.Stat("dashboard/walk/node_modules"); err != nil {
		t.Fatalf("%v: make walk brings it", err)
	}
	out := os.Getenv("LINTEL_WALK_OUT")
	if out == "" {
		out = t.TempDir()
	}
	if out, err = filepath.Abs(out); err != nil {
		t.Fatal(err)
	}
	w := newWalk(t)
	node := exec.CommandContext(t.Context(), "node", "walk.mjs")
	node.Dir = "dashboard/walk"
	node.Env = append(os.Environ(), "BOX="+w.url, "HOME_ASSISTANT="+w.home, "OUT="+out, "CHROMIUM="+chromium, "PASSWORD="+ownerPassword)
	node.WaitDelay = 10 * time.Second
	said, err := node.CombinedOutput()
	t.Logf("%s", said)
	if err != nil {
		t.Errorf("walk: %v", err)
	}
}
