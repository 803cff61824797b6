package gateway

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/settings"
	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
	"lintel/serialbridge/modbus"
)

var updateTable = flag.Bool("update", false, "write the table of captures into serialbridge/README.md")

// TestCaptures holds the table of protocols, devices and captures in the README against
// what the drivers make of them. That each value is right is shown beside each driver,
// against what is published of it.
func TestCaptures(t *testing.T) {
	t.Parallel()
	const readme = "../serialbridge/README.md"
	c := settings.Default().Serial
	c.Ports = []settings.PortConfig{{Protocol: "modbus", Modbus: modbus.Options{Listen: true, Units: []modbus.Unit{{Address: 1, Map: "sdm230"}}}}}
	drivers := c.Drivers(settings.Radio{})
	var table strings.Builder
	table.WriteString("\n| protocol | capture | devices | readings | damaged | ignored |\n|---|---|---|---|---|---|\n")
	all := 0
	for _, protocol := range drivertest.Protocols() {
		i := slices.IndexFunc(drivers, func(d serialbridge.Driver) bool { return d.Protocol == protocol })
		if i < 0 {
			t.Errorf("there are captures of %s, and no driver", protocol)
			continue
		}
		captures, err := drivertest.Captures("../serialbridge", protocol)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range captures {
			said := new(drivertest.Recorder)
			decoder := drivers[i].NewDecoder(said)
			for range 2 { // what has no checksum is believed when it comes again
				if len(said.Readings) == 0 {
					decoder.Decode(c.Data, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
				}
			}
			fmt.Fprintf(&table, "| `%s` | %s | %s | %d | %s | %s |\n", protocol, c.Name, models(said.Devices), len(said.Readings),
				counted(said.Damage), counted(said.Overheard))
			all++
		}
	}
	fmt.Fprintf(&table, "\n%d captures.\n", all)
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), "<!-- captures -->\n")
	now, after, ok := strings.Cut(rest, "<!-- /captures -->")
	if !ok {
		t.Fatal("the README has no place for the table")
	}
	if now == table.String() {
		return
	}
	if !*updateTable {
		t.Fatalf("the README has another table; go test -run Captures ./gateway -update writes it:\n%s", table.String())
	}
	if err := os.WriteFile(readme, []byte(before+"<!-- captures -->\n"+table.String()+"<!-- /captures -->"+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// models says what devices are, each kind once with how many there are.
func models(devices map[string]serialbridge.Device) string {
	var kinds []string
	for _, d := range devices {
		model := strings.TrimSpace(strings.TrimPrefix(d.Model, d.Vendor))
		kinds = append(kinds, cmp.Or(strings.TrimSpace(d.Vendor+" "+model), d.Name))
	}
	const most = 8
	if n := len(kinds); n > most {
		slices.Sort(kinds)
		kinds = append(slices.Compact(kinds)[:most], fmt.Sprintf("and others, %d devices in all", n))
		return strings.Join(kinds, ", ")
	}
	return counted(kinds)
}

// counted lists texts, each once with its count.
func counted(texts []string) string {
	count := make(map[string]int)
	for _, text := range texts {
		count[strings.ReplaceAll(text, "|", "/")]++
	}
	var list []string
	for _, text := range slices.Sorted(maps.Keys(count)) {
		if n := count[text]; n > 1 {
			text = fmt.Sprintf("%d × %s", n, text)
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// The README has all protocols, and shows configurations that are right.
func TestSerialReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../serialbridge/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Protocols\n")
	table, _, _ = strings.Cut(table, "```")
	for _, d := range settings.Default().Serial.Drivers(settings.Radio{}) {
		if d.Advice == "" && !strings.Contains(table, "`"+d.Protocol+"`") {
			t.Errorf("the README does not say what %s is", d.Protocol)
		}
	}
	blocks := strings.Split(string(text), "```toml\n")[1:]
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		if _, err := settings.Parse("README.md", block); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
	}
	if len(blocks) < 7 {
		t.Errorf("%d configurations", len(blocks))
	}
}
