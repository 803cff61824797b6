package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sys/unix"
)

// raspberryPi returns the files of a machine that hardware/testdata has, whose card holds
// the folder data.
func raspberryPi(t *testing.T, file, data string) string {
	t.Helper()
	root := t.TempDir()
	text, err := os.ReadFile(filepath.Join("..", "hardware", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq("\n"+string(text), "\n-- ") {
		name, content, ok := strings.Cut(part, " --\n")
		if !ok {
			continue
		}
		put(t, filepath.Join(root, name), content)
	}
	var disk unix.Stat_t
	if err := unix.Stat(data, &disk); err != nil {
		t.Fatal(err)
	}
	card, err := filepath.Glob(filepath.Join(root, "sys/devices/platform/*/*/mmc_host/*/*/block/mmcblk0"))
	if err != nil || len(card) != 1 {
		t.Fatalf("cards: %v, %v", card, err)
	}
	numbers := filepath.Join(root, "sys/dev/block")
	if err := os.MkdirAll(numbers, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		filepath.Join(numbers, fmt.Sprintf("%d:%d", unix.Major(disk.Dev), unix.Minor(disk.Dev))): card[0],
		filepath.Join(card[0], "device"): "../..",
	} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func put(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// boxState is what of the state of the box tests look at.
type boxState struct {
	Started         string
	Load            *float64
	Throttled       *bool
	ThrottledBy     string `json:"throttled_by"`
	ThrottledBefore string `json:"throttled_before"`
	Written         float64
	LifeUsed        int    `json:"card_life_used"`
	Spare           string `json:"card_spare"`
	Backup          string
	Last            string `json:"last_command"`
	Refused         int    `json:"commands_refused"`
	PermitJoin      *bool  `json:"permit_join"`
	PermitSeconds   *int   `json:"permit_join_seconds"`
	StorageProblem  *bool  `json:"storage_problem"`
}

// awaitBox returns the first state of the box that is wanted.
func awaitBox(t *testing.T, messages <-chan paho.Message, what string, wanted func(boxState) bool) boxState {
	t.Helper()
	var s boxState
	await(t, messages, what, func(m paho.Message) bool {
		s = boxState{}
		return m.Topic() == "lintel/gateway/state" && json.Unmarshal(m.Payload(), &s) == nil && wanted(s)
	})
	return s
}

// components returns what Home Assistant is told of the box.
func boxComponents(t *testing.T, messages <-chan paho.Message, with string) map[string]map[string]any {
	t.Helper()
	var discovery struct {
		Device struct {
			IDs []string `json:"ids"`
			Via string   `json:"via_device"`
		} `json:"dev"`
		Components map[string]map[string]any `json:"cmps"`
	}
	await(t, messages, "the box's discovery document with "+with, func(m paho.Message) bool {
		discovery.Components = nil
		if !strings.HasPrefix(m.Topic(), "homeassistant/device/lintel_") || json.Unmarshal(m.Payload(), &discovery) != nil {
			return false
		}
		return discovery.Components["messages_per_minute"] != nil && discovery.Components[with] != nil
	})
	return discovery.Components
}

// What a Raspberry Pi tells of itself is in the state of the box, and what it cannot tell
// Home Assistant does not hear of.
func TestBoxTellsOfItself(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file       string
		by, before string
		throttled  bool
		life       int
		written    float64
	}{
		{"pi4.txt", "under-voltage, throttled", "under-voltage, throttled", true, 0, 0.5},
		{"cm4.txt", "none", "none", false, 30, 0},
	} {
		data := t.TempDir()
		root := raspberryPi(t, tt.file, data)
		put(t, filepath.Join(root, "proc/uptime"), "100.00 380.00")
		put(t, filepath.Join(root, "proc/loadavg"), "0.42 0.31 0.20 1/187 4242")
		e, stop := startOptions(t, localConfig(), Options{Data: data, Root: root, Version: "test"})
		messages := listenTo(t, e, "lintel/gateway/state", "homeassistant/device/+/config")
		s := awaitBox(t, messages, "a state", func(boxState) bool { return true })
		if s.Throttled == nil || *s.Throttled != tt.throttled || s.ThrottledBy != tt.by || s.ThrottledBefore != tt.before {
			t.Errorf("%s: power and heat: %+v", tt.file, s)
		}
		if s.Load == nil || *s.Load != 0.42 || s.LifeUsed != tt.life || s.Written != tt.written || s.StorageProblem == nil || *s.StorageProblem {
			t.Errorf("%s: %+v", tt.file, s)
		}
		if _, err := time.Parse(time.RFC3339, s.Started); err != nil {
			t.Errorf("%s: started %q", tt.file, s.Started)
		}
		components := boxComponents(t, messages, "throttled")
		if _, ok := components["card_life_used"]; ok != (tt.life > 0) {
			t.Errorf("%s: life of the card shown: %t", tt.file, ok)
		}
		if components["identify"] == nil || components["permit_join"] != nil {
			t.Errorf("%s: buttons %v", tt.file, components)
		}
		if tt.throttled { // the power is good again, and a person learns that it was not
			put(t, filepath.Join(root, "sys/devices/platform/soc/soc:firmware/get_throttled"), "0")
			put(t, filepath.Join(root, "sys/class/hwmon/hwmon1/in0_lcrit_alarm"), "0")
			s := awaitBox(t, messages, "good power", func(s boxState) bool { return s.ThrottledBy == "none" })
			if *s.Throttled || s.ThrottledBefore != tt.before {
				t.Errorf("afterwards: %+v", s)
			}
		}
		stop()
	}
	// A computer that is no Raspberry Pi.
	e, stop := startOptions(t, localConfig(), Options{Data: t.TempDir(), Root: t.TempDir(), Version: "test"})
	defer stop()
	components := boxComponents(t, listenTo(t, e, "homeassistant/device/+/config"), "restart")
	for _, key := range []string{"throttled", "written", "card_life_used", "identify", "permit_join", "update"} {
		if components[key] != nil {
			t.Errorf("a computer shows %s", key)
		}
	}
}

// TestBoxCommands presses the buttons of the box.
func TestBoxCommands(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	root := raspberryPi(t, "pi4.txt", data)
	e, stop := startOptions(t, localConfig(), Options{Data: data, Root: root, Version: "test"})
	defer stop()
	messages := listenTo(t, e, "lintel/gateway/state")
	person := connect(t, e, "person", "", "")
	press := func(payload string) { finish(t, person.Publish("lintel/gateway/set", 0, false, payload)) }

	before := takesCommands(t, messages, person)
	press(`{"backup_now":true}`)
	s := awaitBox(t, messages, "a backup", func(s boxState) bool { return s.Last == "backup_now: done" && s.Backup != "" })
	if at, err := time.Parse(time.RFC3339, s.Backup); err != nil || time.Since(at) > time.Minute {
		t.Errorf("the last backup is of %q", s.Backup)
	}
	if made, _ := filepath.Glob(filepath.Join(data, "store-backup-?")); len(made) != 1 {
		t.Errorf("backups: %q", made)
	}
	press(`{"backup_now":true}`)
	awaitBox(t, messages, "one backup a minute", func(s boxState) bool { return s.Refused == before+1 && strings.Contains(s.Last, "ask again in") })
	press(`{"restart":true}`)
	awaitBox(t, messages, "no restart just after the start", func(s boxState) bool {
		return s.Refused == before+2 && strings.HasPrefix(s.Last, "restart: the box was started just now")
	})

	led := filepath.Join(root, "sys/class/leds/led0")
	press(`{"identify":true}`)
	for _, want := range []string{"255", "0", "255"} {
		eventually(t, "the light at "+want, func() bool {
			text, _ := os.ReadFile(filepath.Join(led, "brightness"))
			trigger, _ := os.ReadFile(filepath.Join(led, "trigger"))
			return strings.TrimSpace(string(text)) == want && strings.TrimSpace(string(trigger)) == "none"
		})
	}
	press(`{"identify":true}`)
	awaitBox(t, messages, "it blinks already", func(s boxState) bool { return s.Refused == before+3 && strings.Contains(s.Last, "being done") })

	wrong := []string{
		`{"identify":false}`, `{"identify":1}`, `{"identify":"ON"}`, `{"version":true}`, `{"security":true}`, `{"permit_join":true}`,
		`{"reboot":true}`, `{}`, `[]`, `true`, ``, `{"restart":true`, `{"` + strings.Repeat("x", 2000) + `":true}`,
		`{"backup_now":true,"nonsense":true}`, "{\"\x00\\u202e\":true}",
	}
	for _, payload := range wrong {
		press(payload)
	}
	finish(t, person.Publish("lintel/gateway/set", 1, true, `{"backup_now":true}`))
	s = awaitBox(t, messages, "the refusals", func(s boxState) bool { return s.Refused >= before+3+len(wrong)+1 })
	if s.Refused != before+3+len(wrong)+1 || !strings.Contains(s.Last, "retain") {
		t.Errorf("%d refused, %q", s.Refused, s.Last)
	}
}

// Nothing is done at a start because it was once retained.
func TestRetainedCommandOfTheBox(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	e, stop := startWith(t, localConfig(), data, false)
	finish(t, connect(t, e, "person", "", "").Publish("lintel/gateway/set", 1, true, `{"backup_now":true}`))
	stop()
	e, stop = startWith(t, localConfig(), data, false)
	defer stop()
	awaitBox(t, listenTo(t, e, "lintel/gateway/state"), "refusal of the retained one", func(s boxState) bool {
		return s.Refused == 1 && strings.Contains(s.Last, "retain") && s.Backup == ""
	})
}

// The button Restart ends the house in an orderly way, with the error that has it started
// again.
func TestRestartButton(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, ended := make(chan Endpoints, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, localConfig(), Options{Data: t.TempDir(), Version: "test", restartLeast: time.Millisecond,
			Ready: func(e Endpoints) { ready <- e }})
	}()
	e := <-ready
	messages := listenTo(t, e, "lintel/gateway/availability")
	person := connect(t, e, "person", "", "")
	await(t, messages, "online", func(m paho.Message) bool { return string(m.Payload()) == "online" })
	again := time.NewTicker(100 * time.Millisecond) // until it is subscribed
	defer again.Stop()
	late := time.After(30 * time.Second)
	for {
		select {
		case <-again.C:
			person.Publish("lintel/gateway/set", 0, false, `{"restart":true}`)
			continue
		case err := <-ended:
			if !errors.Is(err, ErrRestart) {
				t.Errorf("Run: %v", err)
			}
		case <-late:
			t.Fatal("the house did not end")
		}
		break
	}
	await(t, messages, "offline", func(m paho.Message) bool { return string(m.Payload()) == "offline" })
}

// takesCommands waits until the box takes commands, and returns how many it has refused.
func takesCommands(t *testing.T, messages <-chan paho.Message, person *session) (refused int) {
	t.Helper()
	var s boxState
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	late := time.After(30 * time.Second)
	for s.Refused == 0 {
		select {
		case <-again.C:
			finish(t, person.Publish("lintel/gateway/set", 1, false, `{"nonsense":true}`))
		case m := <-messages:
			json.Unmarshal(m.Payload(), &s)
		case <-late:
			t.Fatal("the box takes no commands")
		}
	}
	finish(t, person.Publish("lintel/gateway/set", 1, false, `{"last":true}`))
	return awaitBox(t, messages, "the last refusal", func(s boxState) bool { return strings.HasPrefix(s.Last, `"last"`) }).Refused
}

// eventually waits for something that comes to be without a message.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	for !happened() {
		select {
		case <-again.C:
		case <-late.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func finish(t *testing.T, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatalf("paho: %v", token.Error())
	}
}
