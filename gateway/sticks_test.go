package gateway

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/settings"
)

// usbStick is a stick in the files of a fake machine.
type usbStick struct {
	t    *testing.T
	root string
	far  *os.File
}

const (
	usbDevice  = "sys/devices/platform/soc/3f980000.usb/usb1/1-1/1-1.4"
	usbStickID = "stick_0403_6015_VE1A2B3C"
)

// plug plugs a stick in that speaks to who reads far.
func plug(t *testing.T, root string) *usbStick {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close(); near.Close() })
	for name, text := range map[string]string{
		"idVendor": "0403", "idProduct": "6015", "serial": "VE1A2B3C", "manufacturer": "FTDI", "product": "FT231X USB UART",
		"1-1.4:1.0/bInterfaceNumber": "00", "1-1.4:1.0/ttyUSB0/tty/ttyUSB0/dev": "188:0",
	} {
		put(t, filepath.Join(root, usbDevice, name), text)
	}
	for _, dir := range []string{"dev", "sys/class/tty"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		usbDevice + "/1-1.4:1.0/ttyUSB0/tty/ttyUSB0/device": "../..",
		"sys/class/tty/ttyUSB0":                             filepath.Join(root, usbDevice, "1-1.4:1.0/ttyUSB0/tty/ttyUSB0"),
		"dev/ttyUSB0":                                       near.Name(),
	} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	return &usbStick{t, root, far}
}

func (u *usbStick) unplug() {
	u.t.Helper()
	for _, name := range []string{"sys/class/tty/ttyUSB0", "dev/ttyUSB0", usbDevice} {
		if err := os.RemoveAll(filepath.Join(u.root, name)); err != nil {
			u.t.Fatal(err)
		}
	}
	u.far.Close()
}

// speak has a sensor behind the stick tell its temperature until the returned function
// is called.
func (u *usbStick) speak() (stop func()) {
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		again := time.NewTicker(50 * time.Millisecond)
		defer again.Stop()
		for n := 0; ; n++ {
			fmt.Fprintf(u.far, `{"model":"Mi Jia round","model_id":"LYWSDCGQ","tempc":%d,"mac":"58:2D:34:33:AA:DF"}`+"\n", 20+n%2)
			select {
			case <-stopping:
				return
			case <-again.C:
			}
		}
	}()
	return func() { close(stopping); <-stopped }
}

// stickDocument is what of a discovery document tests of sticks look at.
type stickDocument struct {
	Device struct {
		Via    string `json:"via_device"`
		Name   string
		Serial string `json:"sn"`
	} `json:"dev"`
	Availability []struct {
		Topic string `json:"t"`
	} `json:"avty"`
	Components map[string]map[string]any `json:"cmps"`
}

// TestSticks has a stick come, go and be forgotten.
func TestSticks(t *testing.T) {
	t.Parallel()
	data, root := t.TempDir(), t.TempDir()
	stick := plug(t, root)
	c := localConfig()
	c.Serial.Ports = []settings.PortConfig{{Stick: "0403:6015:VE1A2B3C:00", Protocol: "jsonlines"}}
	e, stop := startOptions(t, c, Options{Data: data, Root: root, Version: "test"})
	messages := listenTo(t, e, "homeassistant/device/+/config", "lintel/"+usbStickID+"/#", "lintel/gateway/state")
	quiet := stick.speak()

	// The stick comes first: what hangs below one that is not known would hang nowhere.
	const topic = "homeassistant/device/lintel_" + usbStickID + "/config"
	var document stickDocument
	read := func(m paho.Message) {
		t.Helper()
		document = stickDocument{}
		if err := json.Unmarshal(m.Payload(), &document); err != nil {
			t.Errorf("%s: %v", m.Topic(), err)
		}
	}
	isSensor := func(m paho.Message) bool {
		return strings.Contains(m.Topic(), "582D3433AADF") || strings.Contains(m.Topic(), "582d3433aadf")
	}
	read(await(t, messages, "the stick's document", func(m paho.Message) bool {
		if isSensor(m) {
			t.Error("the sensor comes before its stick")
		}
		return m.Topic() == topic
	}))
	connected := document.Components["connected"]
	if connected["p"] != "binary_sensor" || connected["stat_t"] != "lintel/"+usbStickID+"/availability" || connected["pl_on"] != "online" ||
		len(document.Availability) != 1 || document.Availability[0].Topic != "lintel/gateway/availability" {
		t.Errorf("connectivity %v with availability %v", connected, document.Availability)
	}
	if document.Device.Name != "FT231X USB UART" || document.Device.Serial != "VE1A2B3C" || document.Components["forget"] == nil {
		t.Errorf("the stick: %+v", document)
	}
	read(await(t, messages, "the sensor's document", isSensor))
	if document.Device.Via != "lintel_"+usbStickID {
		t.Errorf("the sensor hangs below %q", document.Device.Via)
	}
	again := listenTo(t, e, "lintel/"+usbStickID+"/#") // all is retained
	isState := func(m paho.Message) bool { return m.Topic() == "lintel/"+usbStickID+"/state" }
	is := func(payload string) func(paho.Message) bool {
		return func(m paho.Message) bool {
			return m.Topic() == "lintel/"+usbStickID+"/availability" && string(m.Payload()) == payload
		}
	}
	await(t, again, "the stick online", is("online"))
	state := await(t, listenTo(t, e, "lintel/"+usbStickID+"/state"), "the stick's state", isState)
	if text := string(state.Payload()); !strings.Contains(text, `"protocol":"jsonlines"`) || !strings.Contains(text, `"problem":"none"`) {
		t.Errorf("the stick's state is %s", text)
	}
	person := connect(t, e, "person", "", "")
	finish(t, person.Publish("lintel/"+usbStickID+"/set", 0, false, `{"forget":true}`))
	awaitBox(t, messages, "no forgetting of a stick that is there", func(s boxState) bool {
		return s.Refused == 1 && strings.Contains(s.Last, "unplug it first")
	})
	finish(t, person.Publish("lintel/"+usbStickID+"/set", 0, false, `{"forget":1}`))
	awaitBox(t, messages, "nonsense refused", func(s boxState) bool { return s.Refused == 2 && strings.Contains(s.Last, usbStickID) })
	quiet()
	stick.unplug()
	await(t, again, "the stick offline", is("offline"))
	stop()

	// It is known over a restart, and can be forgotten.
	e, stop = startOptions(t, c, Options{Data: data, Root: root, Version: "test"})
	defer stop()
	messages = listenTo(t, e, "homeassistant/device/+/config", "lintel/"+usbStickID+"/#")
	await(t, listenTo(t, e, "lintel/"+usbStickID+"/state"), "that it is away", func(m paho.Message) bool {
		return isState(m) && strings.Contains(string(m.Payload()), "not plugged in")
	})
	forget := time.NewTicker(500 * time.Millisecond)
	defer forget.Stop()
	person = connect(t, e, "person", "", "")
	late := time.After(60 * time.Second)
	gone := make(map[string]bool)
	for len(gone) < 3 {
		select {
		case <-forget.C:
			person.Publish("lintel/"+usbStickID+"/set", 0, false, `{"forget":true}`)
		case m := <-messages:
			if strings.Contains(m.Topic(), usbStickID) && !strings.HasSuffix(m.Topic(), "/set") && len(m.Payload()) == 0 {
				gone[m.Topic()] = true
			}
		case <-late:
			t.Fatalf("taken back: %v", gone)
		}
	}
}
