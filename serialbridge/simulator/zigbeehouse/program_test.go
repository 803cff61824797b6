package zigbeehouse

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// freePort returns an address on which nobody listens. It is none of 127.0.0.1, whose free
// ports other tests are given meanwhile.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.4:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts lintel, and returns when it was.
func (w *town) start() time.Time {
	w.lintel = exec.Command(w.binary, "serve", "--config", filepath.Join(w.folder, "lintel.toml"), "--data", filepath.Join(w.folder, "data"))
	log, err := os.OpenFile(filepath.Join(w.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	w.lintel.Stdout, w.lintel.Stderr = log, log
	began := time.Now()
	if err := w.lintel.Start(); err != nil {
		w.t.Fatal(err)
	}
	return began
}

func (w *town) stop() {
	w.lintel.Process.Signal(syscall.SIGTERM)
	w.lintel.Wait()
}

// connect returns a client that has subscribed.
func (w *town) connect() paho.Client {
	w.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + w.broker).SetUsername("admin").SetPassword(password).
			SetClientID("town").SetAutoReconnect(false).SetOrderMatters(true).SetDefaultPublishHandler(w.message))
		token := c.Connect()
		token.Wait()
		if token.Error() == nil {
			if sub := c.Subscribe("zigbee2mqtt/#", 0, nil); !sub.WaitTimeout(10*time.Second) || sub.Error() != nil {
				w.t.Fatal("subscribe: ", sub.Error())
			}
			return c
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(w.folder, "log"))
			w.t.Fatalf("connect: %v\n%s", token.Error(), log)
		}
		pause(w.t.Context(), 20*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

const password = "a house in a town"

// memory returns what lintel has resident, and how much of it is of files, in MiB.
func (w *town) memory() (resident, files float64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.lintel.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch key {
		case "VmRSS":
			resident = kib / 1024
		case "RssFile":
			files = kib / 1024
		}
	}
	return resident, files
}
