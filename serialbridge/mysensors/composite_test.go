package mysensors

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge"
)

// The lines are made by the rules of the MySensors Serial Protocol 2.x: types of
// children from "presentation", of variables from "set, req"; what each variable says
// of a light or a blind is as in the integration mysensors of Home Assistant 2026.2
// (light.py, cover.py, climate.py, device_tracker.py).
func TestComposites(t *testing.T) {
	for _, test := range []struct {
		name, child string   // type of the child
		said        []string // type;payload
		key         string
		features    []serialbridge.Feature
		want        []string // values of the property, in JSON
	}{
		{"dimmer", "4", []string{"2;1", "3;40", "3;0", "2;0"}, "light_3", []serialbridge.Feature{serialbridge.Brightness}, []string{
			`{"color_mode":"brightness","state":"ON"}`, `{"brightness":102,"color_mode":"brightness"}`,
			`{"color_mode":"brightness","state":"OFF"}`, `{"color_mode":"brightness","state":"OFF"}`}},
		{"color", "26", []string{"40;ff8000", "3;100", "40;12345", "40;1234567z"}, "light_3",
			[]serialbridge.Feature{serialbridge.Brightness, serialbridge.RGB}, []string{
				`{"color":{"b":0,"g":128,"r":255},"color_mode":"rgb"}`, `{"brightness":255,"color_mode":"rgb","state":"ON"}`}},
		{"color and white", "27", []string{"41;01020304"}, "light_3", []serialbridge.Feature{serialbridge.Brightness, serialbridge.RGBW}, []string{
			`{"color":{"b":3,"g":2,"r":1,"w":4},"color_mode":"rgbw"}`}},
		{"blind", "5", []string{"29;1", "30;1", "31;1", "30;0", "3;0", "3;55", "29;1", "30;1"}, "cover_3",
			[]serialbridge.Feature{serialbridge.Position, serialbridge.Stop}, []string{
				`{"state":"open"}`, `{"state":"closed"}`, `{"state":"stopped"}`, `{"position":0,"state":"closed"}`, `{"position":55,"state":"open"}`,
				`{"state":"opening"}`, `{"state":"closing"}`}},
		{"heater", "14", []string{"2;1", "0;19.5", "45;21", "2;0"}, "climate_3", []serialbridge.Feature{serialbridge.RoomTemperature, serialbridge.Setpoint}, []string{
			`{"mode":"heat"}`, `{"current_temperature":19.5}`, `{"temperature":21}`, `{"mode":"off"}`}},
		{"air conditioner", "29", []string{"21;CoolOn", "44;25", "45;20", "21;AutoChangeOver", "2;1", "2;0", "21;Warm"}, "climate_3",
			[]serialbridge.Feature{serialbridge.RoomTemperature, serialbridge.SetpointRange}, []string{
				`{"mode":"cool"}`, `{"temperature_high":25}`, `{"temperature_low":20}`, `{"mode":"auto"}`, `{"mode":"off"}`}},
		{"lock", "19", []string{"36;1", "36;0"}, "lock_3", nil, []string{`{"state":"locked"}`, `{"state":"unlocked"}`}},
		{"GPS", "38", []string{"49;55.722526;13.017972;18", "49;-1.5;-180", "49;91;0;0", "49;1", "49;a;b;c"}, "position_3", nil, []string{
			`{"altitude":18,"latitude":55.722526,"longitude":13.017972}`, `{"latitude":-1.5,"longitude":-180}`}},
	} {
		var lines strings.Builder
		fmt.Fprintf(&lines, "7;3;0;0;%s;\n", test.child)
		for _, s := range test.said {
			fmt.Fprintf(&lines, "7;3;1;0;%s\n", s)
		}
		r := decode(t, lines.String())
		var got []string
		for _, reading := range r.Readings {
			if v, ok := reading.Values[test.key]; ok {
				text, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(text))
			}
		}
		if !slices.Equal(got, test.want) || r.Disorder != "" {
			t.Errorf("%s: %s %s, want %s", test.name, got, r.Disorder, test.want)
		}
		i := slices.IndexFunc(r.Devices["mysensors_7"].Properties, func(p serialbridge.Property) bool { return p.Key == test.key })
		if i < 0 || !slices.Equal(r.Devices["mysensors_7"].Properties[i].Features, test.features) {
			t.Errorf("%s: %+v", test.name, r.Devices["mysensors_7"].Properties)
		}
	}
}

func TestOrders(t *testing.T) {
	for _, test := range []struct {
		name, child string
		said        []string // type;payload, before
		wanted      string   // object
		want        []string // type;payload
	}{
		{"off", "4", nil, `{"state":"OFF","brightness":9}`, []string{"2;0"}},
		{"on", "26", nil, `{"state":"ON"}`, []string{"2;1"}},
		{"hardly on", "26", nil, `{"brightness":1}`, []string{"3;1"}},
		{"all", "27", nil, `{"state":"ON","brightness":255,"color":{"r":1,"g":2,"b":255,"w":0}}`, []string{"2;1", "3;100", "41;0102ff00"}},
		{"red", "26", nil, `{"color":{"r":255,"g":0,"b":0}}`, []string{"40;ff0000"}},
		{"close", "5", nil, `{"state":"close"}`, []string{"30;1"}},
		{"half", "5", nil, `{"position":49.6}`, []string{"3;50"}},
		{"heat", "14", nil, `{"mode":"heat"}`, []string{"2;1"}},
		{"stop heating", "14", nil, `{"mode":"off","temperature":18}`, []string{"2;0", "45;18"}},
		{"heat by flow", "14", []string{"21;Off"}, `{"mode":"heat"}`, []string{"21;HeatOn"}},
		{"cool", "29", nil, `{"mode":"cool"}`, []string{"21;CoolOn"}},
		{"between", "29", []string{"44;25"}, `{"temperature_low":19.3,"temperature_high":24}`, []string{"45;19.5", "44;24"}},
		{"lock", "19", nil, `{"state":"lock"}`, []string{"36;1"}},
		{"unlock", "19", nil, `{"state":"unlock"}`, []string{"36;0"}},
		{"place", "38", nil, `{"latitude":1}`, nil},
	} {
		r := &recorder{}
		d := newDecoder(r, known, false)
		hearOnce(d)
		d.Decode([]byte("\n7;3;0;0;"+test.child+";\n"), received)
		for _, s := range test.said {
			d.Decode([]byte("7;3;1;0;"+s+"\n"), received)
		}
		var wanted map[string]any
		if err := json.Unmarshal([]byte(test.wanted), &wanted); err != nil {
			t.Fatal(err)
		}
		var got []string
		for key, at := range d.nodes[7].places {
			if at.typ != wholeChild {
				continue
			}
			for _, m := range d.command(serialbridge.Command{Device: "mysensors_7", Key: key, Value: wanted}) {
				if m.node != 7 || m.child != 3 || !m.ack || m.command != set {
					t.Errorf("%s: %+v", test.name, m)
				}
				got = append(got, fmt.Sprintf("%d;%s", m.typ, m.payload))
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// What was said before a child has presented itself is part of what it then is.
func TestBecomes(t *testing.T) {
	r := decode(t, "7;3;1;0;2;1\n7;3;1;0;3;40\n7;3;1;0;17;60\n7;4;1;0;0;20\n7;3;0;0;4;Lamp\n7;3;1;0;3;50\n")
	keys := func() (keys []string) {
		for _, p := range r.Devices["mysensors_7"].Properties {
			keys = append(keys, p.Key)
		}
		slices.Sort(keys)
		return keys
	}
	if got := keys(); !slices.Equal(got, []string{"light_3", "power_3", "temperature_4"}) || r.Disorder != "" {
		t.Errorf("it has %q: %s", got, r.Disorder)
	}
	r = &recorder{Memory: r.Memory}
	newDecoder(r, known, false)
	if got := keys(); !slices.Equal(got, []string{"light_3", "power_3", "temperature_4"}) {
		t.Errorf("it is remembered with %q", got)
	}
}
