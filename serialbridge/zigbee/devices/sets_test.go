package devices

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// setCase is a message for a device or a group, and what zigbee2mqtt 2.14.1 with
// zigbee-herdsman-converters 26.105.0 sends and assumes (oracle/sets.mjs).
type setCase struct {
	Device   *setDevice
	Group    uint16
	Members  []*setDevice
	Message  Values
	Type     string
	State    Values
	Options  Values
	Endpoint any
	Sent     []struct {
		Endpoint uint8
		Cluster  uint16
		Hex      string
		After    bool
	}
	Frame     oracleFrame
	Published Values
	Failed    []string
}

type setDevice struct {
	ModelID          string
	ManufacturerName string
	ManufacturerID   uint16
	Endpoints        []struct {
		ID         uint8
		Device     uint16
		In, Out    []uint16
		Attributes map[uint16]map[uint16]any
	}
}

func (d *setDevice) device() *zigbee.Device {
	made := &zigbee.Device{
		IEEEAddress: 1, Type: zigbee.Router, ModelID: d.ModelID, ManufacturerName: d.ManufacturerName,
		ManufacturerCode: d.ManufacturerID, PowerSource: "Mains (single phase)", Interview: zigbee.Successful,
	}
	for _, e := range d.Endpoints {
		made.Endpoints = append(made.Endpoints, zigbee.Endpoint{
			ID: e.ID, Profile: 0x0104, DeviceID: e.Device, Input: e.In, Output: e.Out, Attributes: e.Attributes,
		})
	}
	return made
}

// message is the frame of the case as the network hands it over.
func (c *setCase) message(t *testing.T) zigbee.Message {
	t.Helper()
	data, err := hex.DecodeString(c.Frame.Hex)
	if err != nil {
		t.Fatal(err)
	}
	m := zigbee.Message{Endpoint: c.Frame.EP, Cluster: c.Frame.Cluster, Group: c.Frame.Group}
	if m.Frame, err = zcl.ParseFrame(data); err != nil {
		t.Fatal(err)
	}
	if m.Frame.Type == zcl.Global {
		if m.Attributes, err = zcl.ParseAttributes(m.Frame.Command, m.Frame.Payload); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// deviations are cases in which we do something else on purpose, by the beginning of
// what setCase.String says, with the reason.
var deviations = map[string]string{
	`ZB-SW02 {"state":"ON"}`:                                  "a key that names no endpoint goes to the first, there it is refused",
	`ZB-SW02 {"on_time":3`:                                    "the same, with a time",
	`Nobody's siren {"warning":{"duration":10,"level":"high"`: "its converter refers to what it does not import, and fails",
}

func (c *setCase) String() string {
	of := fmt.Sprint("group ", c.Group)
	if c.Device != nil {
		of = c.Device.ModelID
	}
	text := fmt.Sprintf("%s %s%s", of, c.Type, asText(c.Message))
	if c.Type == "decode" {
		text = fmt.Sprintf("%s decode %04x %s", of, c.Frame.Cluster, c.Frame.Hex)
	}
	if c.Endpoint != nil {
		text += fmt.Sprint(" at ", c.Endpoint)
	}
	if len(c.State) > 0 {
		text += " in " + asText(c.State)
	}
	if len(c.Options) > 0 {
		text += " with " + asText(c.Options)
	}
	return text
}

func asText(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// run does what the house does with the message, in the words of the oracle.
func (c *setCase) run(t *testing.T) (sent []string, reads []string, published Values, failed []string) {
	var d *Definition
	context := &Context{State: c.State, Options: c.Options, Message: c.Message, Memory: make(map[string]any)}
	if c.Group != 0 {
		var members []*Definition
		for _, m := range c.Members {
			members = append(members, Resolve(m.device()))
		}
		d = ForGroup(members)
		context.Group, context.GroupID = true, c.Group
	} else {
		context.Device = c.Device.device()
		d = Resolve(context.Device)
	}
	switch e := c.Endpoint.(type) {
	case float64:
		context.Endpoint = uint8(e)
	case string:
		context.Endpoint = d.Endpoints[e]
	}
	if c.Type == "decode" {
		published, _ = d.Decode(context, c.message(t))
		return nil, nil, published, nil
	}
	outcomes := d.Set
	if c.Type == "get" {
		outcomes = d.Get
	}
	published = make(Values)
	for _, o := range outcomes(context) {
		if o.Err != nil {
			failed = append(failed, o.Key)
			continue
		}
		for _, r := range o.Requests {
			sent = append(sent, fmt.Sprintf("%d %04x %x", r.Endpoint, r.Cluster, r.Frame.Append(nil)))
			if c.Group != 0 && !r.NoResponse {
				t.Errorf("%v: a group does not answer", c)
			}
		}
		if o.ReadAfter > 0 {
			reads = append(reads, o.ReadKeys...)
		}
		maps.Copy(published, o.State)
	}
	return sent, reads, published, failed
}

// TestSet compares frame by frame what a message becomes.
func TestSet(t *testing.T) {
	file, err := os.Open("testdata/sets.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	count, met := 0, make(map[string]bool)
	for lines.Scan() {
		count++
		var c setCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		reason := ""
		for prefix, why := range deviations {
			if strings.HasPrefix(c.String(), prefix) {
				reason, met[prefix] = why, true
			}
		}
		sent, reads, published, failed := c.run(t)
		var want []string
		wantReads := false
		for _, s := range c.Sent {
			if s.After {
				wantReads = true
				continue
			}
			data, err := hex.DecodeString(s.Hex)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("%d %04x %x", s.Endpoint, s.Cluster, data))
		}
		slices.Sort(failed)
		slices.Sort(c.Failed)
		for _, key := range reads { // zigbee2mqtt publishes what it read
			delete(c.Published, key)
		}
		same := slices.Equal(sent, want) && near(asJSON(published), asJSON(c.Published)) && slices.Equal(failed, c.Failed) && (len(reads) > 0) == wantReads
		if same != (reason == "") {
			t.Errorf("%v\n sent      %q\n want      %q\n published %s\n want      %s\n failed %q, want %q; reads %v, want %v %s",
				&c, sent, want, asText(published), asText(c.Published), failed, c.Failed, reads, wantReads, reason)
		}
	}
	if count < 400 {
		t.Errorf("%d cases, want more than 400", count)
	}
	for prefix := range deviations {
		if !met[prefix] {
			t.Errorf("there is no case %q any more", prefix)
		}
	}
}
