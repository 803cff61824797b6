package gateway

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// floors says on which floor of the house each package stands. A package
// imports only from floors below its own; longer paths win over shorter ones.
var floors = map[string]int{
	"lintel/gateway/mqtt":                       0,
	"lintel/gateway/openmetrics":                0,
	"lintel/gateway/syslog":                     0,
	"lintel/gateway/tomllines":                  0,
	"lintel/serialbridge/zigbee/zcl":            0,
	"lintel/mdns":                               0,
	"lintel/hardware":                           0,
	"lintel/persist":                            1,
	"lintel/gateway/broker/witness":             1,
	"lintel/serialbridge/journey":               0,
	"lintel/serialbridge/crc":                   0,
	"lintel/serialbridge":                       1,
	"lintel/gateway/access":                     2,
	"lintel/gateway/backup":                     2,
	"lintel/serialbridge/zigbee":                2,
	"lintel/serialbridge/zigbee/znp":            3,
	"lintel/serialbridge/zigbee/ezsp":           3,
	"lintel/serialbridge/zigbee/devices":        3,
	"lintel/serialbridge/zigbee/ota":            3,
	"lintel/serialbridge/zigbee/dongle":         4,
	"lintel/serialbridge/zigbee/z2m":            4,
	"lintel/serialbridge/simulator/air":         3,
	"lintel/serialbridge/simulator/zigbeehouse": 5,
	"lintel/serialbridge/simulator/herdsman":    5,
	"lintel/serialbridge/simulator/znpstick":    4,
	"lintel/serialbridge/simulator/ezspstick":   4,
	"lintel/serialbridge/airquality":            2,
	"lintel/serialbridge/dsmr":                  2,
	"lintel/serialbridge/drivertest":            2,
	"lintel/serialbridge/jsonlines":             2,
	"lintel/serialbridge/nmea":                  2,
	"lintel/serialbridge/rfxtrx":                2,
	"lintel/serialbridge/rflink":                2,
	"lintel/serialbridge/mysensors":             2,
	"lintel/serialbridge/enocean":               2,
	"lintel/serialbridge/sml":                   2,
	"lintel/serialbridge/teleinfo":              2,
	"lintel/serialbridge/vedirect":              2,
	"lintel/serialbridge/modbus":                2,
	"lintel/serialbridge/bms":                   2,
	"lintel/serialbridge/wmbus":                 2,
	"lintel/serialbridge/textlines":             2,
	"lintel/serialbridge/raw":                   2,
	"lintel/serialbridge/lend":                  2,
	"lintel/serialbridge/zwave":                 2,
	"lintel/gateway/update":                     2,
	"lintel/gateway/network":                    2,
	"lintel/gateway/clock":                      2,
	"lintel/gateway/broker":                     3,
	"lintel/gateway/homeassistant":              4,
	"lintel/gateway/homeassistant/jinja":        2,
	"lintel/gateway/homeassistant/judge":        3,
	"lintel/gateway/homeassistant/fakehome":     4,
	"lintel/gateway/homeassistant/hacs":         7,
	"lintel/gateway/uplink":                     4,
	"lintel/gateway/checks":                     3,
	"lintel/serialbridge/simulator":             4,
	"lintel/gateway/dashboard":                  5,
	"lintel/gateway/dashboard/apicheck":         0,
	"lintel/gateway/settings":                   6,
	"lintel/gateway":                            7,
	"lintel/cmd/lintel":                         8,
	"lintel/cmd/lintelctl":                      8,
	"lintel/cmd/guard":                          7,
	"lintel/gateway/broker/bench":               7,
	"lintel/gateway/broker/crash":               7,
	"lintel/gateway/mutate":                     7,
	"lintel/gokrazy/bundle":                     7,
	"lintel/gokrazy/imagetest":                  7,
	"lintel/gokrazy/imagetest/panic":            7,
	"lintel/gokrazy/imagetest/unplug":           7,
	"lintel/gokrazy/image":                      7,
	"lintel/gokrazy/supervisor":                 0,
	"lintel/cmd/internal/passphrase":            0,
}

// doors says behind which package each of the prescribed packages stands.
var doors = map[string]string{
	"github.com/dgraph-io/badger/v4": "lintel/persist",
	"github.com/grandcat/zeroconf":   "lintel/mdns",
	"github.com/tarm/serial":         "lintel/serialbridge",
	"github.com/gokrazy/gokrazy":     "lintel/gateway/update",
}

// topLevel is all that stands at the top of the repository.
var topLevel = []string{"gokrazy", "cmd", "gateway", "serialbridge", "mdns", "persist", "hardware",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "NOTICE"}

func TestHouse(t *testing.T) {
	t.Parallel()
	type listed struct {
		ImportPath, Doc string
		Imports         []string
	}
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", "lintel/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := 0
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); packages++ {
		var p listed
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		floor, known := floors[p.ImportPath]
		if !known {
			t.Errorf("%s stands on no floor: give it one in this test", p.ImportPath)
		}
		if p.Doc == "" {
			t.Errorf("%s has no doc comment", p.ImportPath)
		}
		for _, imported := range p.Imports {
			if below, ours := floors[imported]; ours && below >= floor {
				t.Errorf("%s on floor %d imports %s on floor %d", p.ImportPath, floor, imported, below)
			}
			for module, door := range doors {
				if (imported == module || strings.HasPrefix(imported, module+"/")) && p.ImportPath != door {
					t.Errorf("%s imports %s, which only %s may", p.ImportPath, imported, door)
				}
			}
		}
	}
	if packages < 10 {
		t.Errorf("go list found %d packages only", packages)
	}
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	ignored := []string{"bin", "out", "data"} // made by make, never committed
	for _, e := range entries {
		name := filepath.Base(e.Name())
		if !slices.Contains(topLevel, name) && !slices.Contains(ignored, name) && !strings.HasPrefix(name, ".") {
			t.Errorf("%s does not belong at the top level", name)
		}
	}
	for _, name := range topLevel {
		if _, err := os.Stat(filepath.Join("..", name)); err != nil {
			t.Errorf("%s is missing", name)
		}
	}
}
