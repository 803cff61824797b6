package gateway

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/settings"
	"lintel/serialbridge/lend"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/zigbeehouse"
	"lintel/serialbridge/zigbee"
)

// firmwareImage is one for the lamp of package air.
func firmwareImage(version uint32, n int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0x0beef11e)
	b = le.AppendUint16(b, 0x0100)
	b = le.AppendUint16(b, 56) // header
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, 0x100b) // manufacturer
	b = le.AppendUint16(b, 0x0101) // image type
	b = le.AppendUint32(b, version)
	b = le.AppendUint16(b, 2)
	b = append(b, make([]byte, 32)...)
	b = le.AppendUint32(b, uint32(56+6+n))
	b = le.AppendUint16(b, 0) // tag of the firmware
	b = le.AppendUint32(b, uint32(n))
	return append(b, make([]byte, n)...)
}

// TestZigbeeUpdate gives a lamp new firmware, under a base topic that is not the usual one:
// asked for, and scheduled until the lamp asks by itself.
func TestZigbeeUpdate(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a lamp that has got new firmware is given 20 s to start")
	}
	const lamp zigbee.IEEEAddress = 0x00178801061a2b3c
	data, at := t.TempDir(), freePort(t)
	images := filepath.Join(data, "zigbee-images")
	if err := os.MkdirAll(images, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(images, "lamp.ota"), firmwareImage(2, 8_000), 0o600); err != nil {
		t.Fatal(err)
	}
	house, err := zigbeehouse.New(zigbeehouse.Options{Kind: "zigbee-ezsp", At: "tcp:" + at, Devices: []air.Device{{IEEEAddress: lamp, Kind: air.Bulb}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	lived := make(chan error, 1)
	go func() { lived <- house.Run(ctx) }()
	defer func() { cancel(); <-lived }()

	c := localConfig()
	c.Zigbee.BaseTopic, c.Zigbee.OTAIndex = "flat/radio", ""
	c.Serial.Ports = []settings.PortConfig{{Path: "tcp://" + at, Protocol: "zigbee"}}
	e, stop := startOptions(t, c, Options{Data: data, Version: "test"})
	defer stop()
	messages := listenTo(t, e, "flat/radio/#", "zigbee2mqtt/#")
	person := connect(t, e, "person", "", "")
	until := func(topic string, parts ...string) string {
		t.Helper()
		return string(await(t, messages, topic+" with "+strings.Join(parts, ", "), func(m paho.Message) bool {
			if strings.HasPrefix(m.Topic(), "zigbee2mqtt/") {
				t.Errorf("published at %s", m.Topic())
			}
			return m.Topic() == "flat/radio/"+topic && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(string(m.Payload()), p) })
		}).Payload())
	}
	ask := func(request, payload string) {
		person.Publish("flat/radio/bridge/request/"+request, 1, false, payload)
	}
	id := lamp.String()
	until("bridge/state", "online")
	ask("permit_join", `{"time":254}`)
	until("bridge/event", `"device_interview"`, `"successful"`)

	ask("device/ota_update/check", `{"id":"`+id+`"}`)
	until("bridge/response/device/ota_update/check", `"update_available":true`, `"status":"ok"`)
	ask("device/ota_update/update", `{"id":"`+id+`"}`)
	until(id, `"state":"updating"`, `"progress":`, `"remaining":`)
	ask("device/ota_update/update/abort", `{"id":"`+id+`"}`)
	until("bridge/response/device/ota_update/update", `"status":"error"`)
	if _, version, _ := house.Air.Firmware(lamp); version != 1 {
		t.Errorf("aborted, the lamp runs version %d", version)
	}

	ask("device/ota_update/schedule", `{"id":"`+id+`"}`)
	until(id, `"state":"scheduled"`)
	if err := house.Air.QueryImage(lamp); err != nil {
		t.Fatal(err)
	}
	until(id, `"state":"updating"`, `"progress":`)
	until("bridge/response/device/ota_update/update", `"status":"ok"`, `"file_version":2`, `"file_version":1`)
	if image, version, _ := house.Air.Firmware(lamp); version != 2 || len(image) != 56+6+8_000 {
		t.Errorf("the lamp runs version %d of %d bytes", version, len(image))
	}
	until(id, `"installed_version":2`, `"state":"idle"`)
}

func TestLentCoordinators(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	g.box.ID, g.box.Name = "abc", "Box"
	g.config.Serial.Ports = []settings.PortConfig{
		{Path: "/dev/a", Protocol: "lend", Lend: lend.Options{Listen: ":4001", Zigbee: "znp"}},
		{Path: "/dev/b", Protocol: "lend", Lend: lend.Options{Listen: "[::]:4002"}},
		{Path: "/dev/c", Protocol: "lend", Lend: lend.Options{Listen: "192.168.1.5:4003", Zigbee: "ezsp"}},
		{Path: "/dev/d", Protocol: "zigbee", Lend: lend.Options{Listen: ":4004", Zigbee: "ezsp"}},
	}
	services := g.lentCoordinators()
	if len(services) != 2 {
		t.Fatalf("%+v", services)
	}
	for i, want := range []struct {
		port int
		text string
	}{{4001, "radio_type=znp serial_number=abc-4001"}, {4003, "radio_type=ezsp serial_number=abc-4003"}} {
		s := services[i]
		if s.Type != "_zigbee-coordinator._tcp" || s.Port != want.port || strings.Join(s.Text, " ") != want.text || s.Instance == "" {
			t.Errorf("%+v, want port %d and %s", s, want.port, want.text)
		}
	}
	for _, c := range []struct {
		o     lend.Options
		wrong string
	}{
		{lend.Options{Listen: ":4001", Zigbee: "znp"}, ""},
		{lend.Options{Listen: ":4001", Zigbee: "ezsp"}, ""},
		{lend.Options{Listen: ":4001", Zigbee: "deconz"}, "right is znp"},
		{lend.Options{Listen: ":4001", Zigbee: "znp", RFC2217: true}, "rfc2217"},
	} {
		err := c.o.Check()
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.wrong)
		}
	}
}
