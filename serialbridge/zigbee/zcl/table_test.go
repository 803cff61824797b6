package zcl

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	parsed, err := parseTable(clustersText)
	if err != nil {
		t.Fatal(err)
	}
	var attributes, commands int
	for _, c := range parsed.all {
		attributes += len(c.Attributes)
		commands += len(c.Commands) + len(c.Responses)
		for _, a := range c.Attributes {
			if got := c.Attribute(a.ID); got == nil || c.AttributeByName(a.Name).Name != a.Name {
				t.Errorf("%s of %s is not found", a.Name, c.Name)
			}
		}
		for _, m := range append(c.Commands, c.Responses...) {
			for _, p := range m.Parameters {
				p.all(func(key, value string) {
					if _, ok := parseCondition(value); key == "if" && !ok {
						t.Errorf("%s of %s: condition %q", p.Name, m.Name, value)
					}
				})
			}
		}
	}
	if len(parsed.all) != 129 || attributes != 1354 || commands != 424 {
		t.Errorf("%d clusters, %d attributes, %d commands", len(parsed.all), attributes, commands)
	}
	if c := ClusterByName("genLevelCtrl"); c == nil || ClusterByID(8) != c || c.AttributeByName("currentLevel").ID != 0 {
		t.Errorf("genLevelCtrl: %v", c)
	}
	if got := ClusterName(0xfc00); got != "64512" {
		t.Errorf("unknown cluster: %s", got)
	}
	if id, ok := ClusterByName("genGroups").CommandByName("add", false).Response(); !ok || id != 0 {
		t.Errorf("response to add: %d, %v", id, ok)
	}
}

func TestParseTableRefuses(t *testing.T) {
	for _, text := range []string{"attribute 0x0 a uint8", "cluster x a", "cluster 0 a\nattribute 0 b uint7", "cluster 0 a\nwith b uint8", "cluster 0 a\nthing 0 b"} {
		if _, err := parseTable(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// TestMarshalJSON compares with the shape of bridge/definitions.
func TestMarshalJSON(t *testing.T) {
	data, err := json.Marshal(ClusterByName("genScenes"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		ID         int
		Name       string
		Attributes map[string]map[string]any
		Commands   map[string]struct {
			ID         int
			Response   *int
			Parameters []map[string]any
		}
		CommandsResponse map[string]any
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	wantAttribute := map[string]any{
		"ID": 5.0, "name": "lastCfgBy", "type": 240.0,
		"special": map[string]any{"0xffffffffffffffff": "UnknownOrNotConfigured"},
	}
	if got := c.Attributes["lastCfgBy"]; !reflect.DeepEqual(got, wantAttribute) {
		t.Errorf("lastCfgBy: %v", got)
	}
	wantParameter := map[string]any{
		"name": "transitionTime", "type": 33.0,
		"conditions": []any{map[string]any{"type": "minimumRemainingBufferBytes", "value": 2.0}},
	}
	recall := c.Commands["recall"]
	if got := recall.Parameters[len(recall.Parameters)-1]; !reflect.DeepEqual(got, wantParameter) {
		t.Errorf("recall: %v", got)
	}
	if c.ID != 5 || c.Name != "genScenes" || len(c.CommandsResponse) == 0 {
		t.Errorf("%d %s %d", c.ID, c.Name, len(c.CommandsResponse))
	}
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		cluster, attribute string
		value              any
		known, noise       bool
	}{
		{"msTemperatureMeasurement", "measuredValue", int64(2150), true, false},
		{"msTemperatureMeasurement", "measuredValue", int64(-32768), false, false},
		{"lightingColorCtrl", "colorTemperature", uint64(0xffff), false, false},
		{"lightingColorCtrl", "colorTemperature", uint64(0xfff0), false, true},
		{"lightingColorCtrl", "startUpColorTemperature", uint64(0xffff), true, false},
		{"genPowerCfg", "batteryVoltage", uint64(0xff), true, false}, // the same as max
		{"genBasic", "modelId", strings.Repeat("x", 33), false, true},
	} {
		known, err := ClusterByName(test.cluster).AttributeByName(test.attribute).Check(test.value)
		if known != test.known || (err != nil) != test.noise {
			t.Errorf("%s %s %v: %v, %v", test.cluster, test.attribute, test.value, known, err)
		}
	}
}

// plain is a value as testdata/commands.jsonl has it.
func plain(v any) any {
	switch v := v.(type) {
	case bool:
		if v {
			return "1"
		}
		return "0"
	case uint64:
		return strconv.FormatUint(v, 10)
	case []byte:
		return map[string]any{"hex": hex.EncodeToString(v)}
	case Datapoint:
		return map[string]any{"dp": plain(uint64(v.ID)), "datatype": plain(uint64(v.Type)), "data": plain(v.Data)}
	case []Datapoint:
		list := []any{}
		for _, d := range v {
			list = append(list, plain(d))
		}
		return list
	case []any:
		list := []any{}
		for _, item := range v {
			list = append(list, plain(item))
		}
		return list
	case map[string]any:
		o := make(map[string]any)
		for k, item := range v {
			o[k] = plain(item)
		}
		return o
	}
	return fmt.Sprint(v)
}

// TestCommands compares with what zigbee-herdsman makes of the same bytes:
// oracle/command_vectors.mjs of package devices has written it down.
func TestCommands(t *testing.T) {
	file, err := os.Open("testdata/commands.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	n := 0
	for lines.Scan() {
		n++
		var v struct {
			Cluster  uint16
			Response bool
			Command  string
			ID       uint8
			Payload  string
			Parsed   map[string]any
			Refused  bool
		}
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		payload, _ := hex.DecodeString(v.Payload)
		m := ClusterByID(v.Cluster).CommandByName(v.Command, v.Response)
		if m == nil || m.ID != v.ID {
			t.Errorf("%s %s is missing", ClusterName(v.Cluster), v.Command)
			continue
		}
		parsed, err := m.Parse(payload)
		if v.Refused {
			if err == nil {
				t.Errorf("%s %s: %v was taken", ClusterName(v.Cluster), v.Command, parsed)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", ClusterName(v.Cluster), v.Command, err)
			continue
		}
		for _, p := range m.Parameters {
			// There addresses are texts, and truth is whatever is not 0.
			n, err := strconv.ParseUint(fmt.Sprint(v.Parsed[p.Name]), 0, 64)
			switch {
			case p.Type == ParameterType(IEEE) && err == nil:
				v.Parsed[p.Name] = json.Number(strconv.FormatUint(n, 10))
			case p.Type == ParameterType(Boolean) && n > 1:
				v.Parsed[p.Name] = json.Number("1")
			}
		}
		if got, want := plain(parsed), plain(v.Parsed); !reflect.DeepEqual(got, want) {
			t.Errorf("%s %s:\n got %v\nwant %v", ClusterName(v.Cluster), v.Command, got, want)
		}
		again, err := m.Append(nil, parsed)
		if err != nil || !bytes.HasPrefix(payload, again) && !dropsBytes(m) {
			t.Errorf("%s %s made anew: %x, %v", ClusterName(v.Cluster), v.Command, again, err)
		}
	}
	if n < 400 {
		t.Errorf("%d vectors only", n)
	}
}

// dropsBytes says that not all bytes of the payload are found in the parameters.
func dropsBytes(m *Command) bool {
	for _, p := range m.Parameters {
		if p.Type == ListDatapoint || p.Type == ParameterType(Boolean) || p.Type == GreenPowerFrame {
			return true
		}
	}
	return false
}

func TestAppendFromJSON(t *testing.T) {
	for _, test := range []struct{ cluster, command, values, want string }{
		{"genLevelCtrl", "moveToLevel", `{"level": 120, "transtime": 10}`, "780a00"},
		{"genLevelCtrl", "moveToLevel", `{"level": 120, "transtime": 10, "optionsMask": 1, "optionsOverride": 1}`, "780a000101"},
		{"genGroups", "getMembership", `{"groupcount": 2, "grouplist": [1, 515]}`, "0201000302"},
		{"hvacThermostat", "setWeeklySchedule", `{"numoftrans": 1, "dayofweek": 1, "mode": 1, "transitions": [{"transitionTime": 360, "heatSetpoint": 2100}]}`, "01010168013408"},
		{"manuSpecificTuya", "dataRequest", `{"seq": 258, "dpValues": [{"dp": 4, "datatype": 2, "data": [0, 0, 0, 7]}]}`, "020104020004" + "00000007"},
		{"seTunneling", "transferData", `{"tunnelId": 1, "data": {"type": "Buffer", "data": [1, 2]}}`, "01000102"},
		{"genScenes", "add", `{"groupid": 1, "sceneid": 2, "transtime": 3, "scenename": "", "extensionfieldsets": [{"clstId": 6, "len": 1, "extField": [1]}]}`, "010002030000" + "06000101"},
	} {
		var values map[string]any
		if err := json.Unmarshal([]byte(test.values), &values); err != nil {
			t.Fatal(err)
		}
		got, err := ClusterByName(test.cluster).CommandByName(test.command, false).Append(nil, values)
		if err != nil || hex.EncodeToString(got) != test.want {
			t.Errorf("%s: %x, %v; want %s", test.values, got, err, test.want)
		}
	}
	for _, values := range []map[string]any{{}, {"level": 300, "transtime": 0}, {"level": "x", "transtime": 0}} {
		if got, err := ClusterByName("genLevelCtrl").CommandByName("moveToLevel", false).Append(nil, values); err == nil {
			t.Errorf("%v gave %x", values, got)
		}
	}
}

// All clusters can be told to others.
func TestClustersAsJSON(t *testing.T) {
	for _, c := range Clusters() {
		if _, err := json.Marshal(c); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}
