package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lintel/gateway/settings"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/zigbeehouse"
)

// submit sends a form and returns the page that it leads to.
func (o *owner) submit(path string, fields ...string) string {
	o.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	answer, err := o.http.PostForm(o.url+path, form)
	if err != nil {
		o.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		o.t.Fatalf("%s %v: %d, %v: %s", path, fields, answer.StatusCode, err, text)
	}
	return string(text)
}

// watch looks at a page until a part of it holds all those texts, and returns that part.
func (o *owner) watch(path, part string, texts ...string) string {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", o.url+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	answer, err := o.http.Do(request)
	if err != nil {
		o.t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 4<<20)
	last := ""
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		var parts map[string]string
		if !ok || json.Unmarshal([]byte(data), &parts) != nil || parts[part] == "" {
			continue
		}
		last = parts[part]
		missing := ""
		for _, text := range texts {
			if !strings.Contains(last, text) {
				missing = text
			}
		}
		if missing == "" {
			return last
		}
	}
	o.t.Fatalf("%s of %s never held %q (%v): %s", part, path, texts, lines.Err(), last)
	return ""
}

// TestZigbeePages is what somebody does with a Zigbee network who has nothing but a browser: a
// lamp and a remote join and are watched, the lamp gets a name and a group, the remote is bound to
// it, a map is made, and the lamp gets new firmware.
func TestZigbeePages(t *testing.T) {
	t.Parallel()
	const lamp, button, plug = "0x00178801061a2b3c", "0x00124b0022e10004", "0xb43522fffe77a001"
	at := freePort(t)
	house, err := zigbeehouse.New(zigbeehouse.Options{Kind: "zigbee-znp", At: "tcp:" + at, JoinEvery: 100 * time.Millisecond, Devices: []air.Device{
		{IEEEAddress: 0x00178801061a2b3c, Kind: air.Bulb}, {IEEEAddress: 0x00124b0022e10004, Kind: air.Button, Poll: 100 * time.Millisecond},
		{IEEEAddress: 0xb43522fffe77a001, Kind: air.Plug}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	lived := make(chan error, 1)
	go func() { lived <- house.Run(ctx) }()
	defer func() { cancel(); <-lived }()
	c := localConfig()
	c.Zigbee.OTAIndex = ""
	c.Serial.Ports = []settings.PortConfig{{Path: "tcp://" + at, Protocol: "zigbee"}}
	e, stop := startWith(t, c, t.TempDir(), false)
	defer stop()
	o := claim(t, e)

	// The network is opened, and what joins is seen step by step.
	o.watch("/zigbee", "zigbee-open", "closed")
	o.watch("/zigbee", "zigbee-state", "ZStack3x0", "<code>0x")
	o.submit("/zigbee-act/open", "seconds", "200")
	o.watch("/zigbee", "zigbee-open", "New devices may join for ", "Close the network")
	seen := o.watch("/zigbee", "zigbee-joining", `id="interview-`+lamp, "Which endpoints it has: done", "Philips", "Set up: what it is to report: done")
	if !strings.Contains(seen, "Joined: it has the key of the network: done") || !strings.Contains(seen, "What endpoint 11 can do") {
		t.Errorf("steps of the interview: %s", seen)
	}
	type joining struct {
		IEEE  string `json:"ieee_address"`
		State string
		Setup string
	}
	until(o, "/api/zigbee/joining", "all three", func(list []joining) bool {
		done := 0
		for _, j := range list {
			if j.State == "SUCCESSFUL" && j.Setup == "done" {
				done++
			}
		}
		return done == 3
	})
	// Through one router alone.
	o.submit("/zigbee-act/open", "seconds", "100", "via", plug)
	o.watch("/zigbee", "zigbee-open", "New devices may join through "+plug)
	o.submit("/zigbee-act/open", "seconds", "0")
	o.watch("/zigbee", "zigbee-open", "closed")
	if page := o.submit("/zigbee-act/install_code", "value", "no code", "back", "/zigbee"); !strings.Contains(page, `role="alert"`) || !strings.Contains(page, "this is no install code") {
		t.Errorf("a wrong install code: %s", page)
	}
	o.submit("/zigbee-act/install_code", "value", "00124B0022E10099|83FED3407A939723A5C639B26916D505C3B5")

	// A name, by which the lamp is known everywhere at once.
	technical := "/zigbee-devices/" + lamp + "/technical"
	if page := o.submit("/zigbee-act/device/rename", "from", lamp, "to", "hall lamp", "back", technical); !strings.Contains(page, "<h1>hall lamp</h1>") {
		t.Errorf("after it was renamed: %s", page)
	}
	if page := o.submit("/zigbee-act/device/rename", "from", plug, "to", "hall lamp", "back", technical); !strings.Contains(page, "already in use") {
		t.Errorf("a name that there is: %s", page)
	}

	// A group with the lamp in it is switched.
	o.submit("/zigbee-act/group/add", "friendly_name", "hall", "back", "/zigbee-groups")
	o.submit("/zigbee-act/group/members/add", "group", "1", "device", lamp+"#11", "back", "/zigbee-groups/1")
	if page := o.page("/zigbee-groups/1"); !strings.Contains(page, "hall lamp</a>") {
		t.Errorf("the group's page: %s", page)
	}
	for _, state := range []string{"ON", "OFF", "ON"} {
		o.submit("/zigbee-act/group/state", "id", "1", "state", state, "back", "/zigbee-groups")
		want := map[string]string{"ON": ">on</span>", "OFF": ">off</span>"}[state]
		o.watch("/zigbee-groups", "zigbee-groups", want)
		again := time.NewTicker(10 * time.Millisecond)
		for end := time.Now().Add(10 * time.Second); ; <-again.C { // nobody answers what is said to a group
			on, _ := house.Air.Attribute(0x00178801061a2b3c, 11, 6, 0)
			if on == (state == "ON") {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the lamp is %v, not %s", on, state)
			}
		}
		again.Stop()
	}
	o.submit("/zigbee-act/group/scene/store", "id", "1", "scene", "4", "name", "evening", "back", "/zigbee-groups/1")
	o.submit("/zigbee-act/group/state", "id", "1", "state", "OFF", "back", "/zigbee-groups")
	if page := o.submit("/zigbee-act/group/scene/recall", "id", "1", "scene", "4", "back", "/zigbee-groups"); !strings.Contains(page, ">evening</button>") {
		t.Errorf("a scene: %s", page)
	}

	// The remote is bound to the group.
	remote := "/zigbee-devices/" + button + "/technical"
	o.submit("/zigbee-act/device/bind", "from", button+"#1", "to", "1", "clusters", "genOnOff", "back", remote)
	part := o.watch(remote, "zigbee-inside", "<td>hall</td>")
	if !strings.Contains(part, "genOnOff") || !strings.Contains(part, "genPowerCfg") {
		t.Errorf("inside of the remote: %s", part)
	}
	o.submit("/zigbee-act/device/unbind", "from", button+"#1", "to", "1", "clusters", "genOnOff", "back", remote)
	if page := o.page(remote); strings.Contains(page, "<td>hall</td>") {
		t.Error("it is still bound")
	}

	// Reporting, and what a cluster holds.
	o.submit("/zigbee-act/device/reporting/configure", "id", lamp, "endpoint", "11", "cluster", "genLevelCtrl", "attribute", "currentLevel",
		"minimum_report_interval", "7", "maximum_report_interval", "1234", "reportable_change", "2", "back", technical)
	o.watch(technical, "zigbee-inside", "genLevelCtrl currentLevel", ">1234</td>")
	if page := o.submit("/zigbee-act/device/read", "id", lamp, "endpoint", "11", "cluster", "genBasic", "attributes", "modelId", "back", technical); !strings.Contains(page, "LCA001") {
		t.Errorf("read: %s", page)
	}

	// The map.
	o.submit("/zigbee-act/map", "back", "/zigbee-map")
	o.watch("/zigbee-map", "zigbee-scan", "The newest map was made")
	page := o.page("/zigbee-map")
	for _, says := range []string{"<svg", `data-node="` + plug + `"`, "hall lamp</text>", "hall lamp</a></th>", "<td>Coordinator</td>"} {
		if !strings.Contains(page, says) {
			t.Errorf("the map does not hold %q", says)
		}
	}

	// What only the coordinator knows goes to its owner alone.
	status, text := o.try("POST", "/api/zigbee/backup", struct{}{})
	for n := 0; n < 5 && status == http.StatusServiceUnavailable; n++ { // a slow box says to try again
		status, text = o.try("POST", "/api/zigbee/backup", struct{}{})
	}
	if status != 200 || !strings.Contains(string(text), "zigpy/open-coordinator-backup") {
		t.Errorf("backup: %d, %s", status, text)
	}
	o.submit("/zigbee-act/energy_scan", "back", "/zigbee")
	o.watch("/zigbee", "zigbee-channels", ">26", "Measured")

	if !testing.Short() {
		o.updateFirmware(house, lamp)
	}
}

// updateFirmware uploads firmware for the lamp and has it installed: given up first, then to the
// end.
func (o *owner) updateFirmware(house *zigbeehouse.House, lamp string) {
	o.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "../../lamp.ota")
	if err != nil {
		o.t.Fatal(err)
	}
	part.Write(firmwareImage(2, 20_000))
	form.Close()
	answer, err := o.http.Post(o.url+"/zigbee-firmware/upload", form.FormDataContentType(), &body)
	if err != nil {
		o.t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if !strings.Contains(string(text), "100b-0101-00000002.ota") {
		o.t.Fatalf("%d: %s", answer.StatusCode, text)
	}
	o.submit("/zigbee-act/firmware/check", "id", lamp, "back", "/zigbee-firmware")
	o.watch("/zigbee-firmware", "zigbee-firmware", "update available", "It runs 0x00000001; there is 0x00000002.")
	o.submit("/zigbee-act/firmware/install", "id", lamp, "back", "/zigbee-firmware")
	o.watch("/zigbee-firmware", "zigbee-firmware", "is updated", "<progress")
	o.submit("/zigbee-act/firmware/cancel", "id", lamp, "back", "/zigbee-firmware")
	o.watch("/zigbee-firmware", "zigbee-firmware", "update available")
	if _, version, _ := house.Air.Firmware(0x00178801061a2b3c); version != 1 {
		o.t.Errorf("given up, the lamp runs version %d", version)
	}
	o.submit("/zigbee-act/firmware/install", "id", lamp, "back", "/zigbee-firmware")
	o.watch("/zigbee-firmware", "zigbee-firmware", "up to date", "It runs 0x00000002.")
	if _, version, _ := house.Air.Firmware(0x00178801061a2b3c); version != 2 {
		o.t.Errorf("the lamp runs version %d", version)
	}
	if page := o.submit("/zigbee-firmware/remove", "name", "100b-0101-00000002.ota"); strings.Contains(page, ".ota</th>") {
		o.t.Error("the file is still there")
	}
}
