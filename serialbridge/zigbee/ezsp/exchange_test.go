package ezsp_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"lintel/serialbridge/simulator/ezspstick"
	"lintel/serialbridge/zigbee/ezsp"
)

// tapped is a line that keeps what the host says.
type tapped struct {
	*end
	mu   sync.Mutex
	said []byte
}

func (t *tapped) Write(b []byte) (int, error) {
	t.mu.Lock()
	t.said = append(t.said, b...)
	t.mu.Unlock()
	return t.end.Write(b)
}

// TestAsHerdsman: what the stick is told while it is set up is what zigbee-herdsman
// tells it, byte for byte, but for what is another one on purpose.
func TestAsHerdsman(t *testing.T) {
	text, err := os.ReadFile("testdata/exchange.json")
	if err != nil {
		t.Fatal(err)
	}
	var exchange struct{ Lines []string }
	if err := json.Unmarshal(text, &exchange); err != nil {
		t.Fatal(err)
	}
	theirs := make(map[string]bool) // without sequence number
	for _, line := range exchange.Lines {
		if data, ok := strings.CutPrefix(line, "RX "); ok {
			theirs[data[2:]] = true
		}
	}
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, ezspstick.Options{Version: 13})
		host, unplug := h.plug()
		defer unplug()
		tap := &tapped{end: host}
		c, err := ezsp.Open(t.Context(), tap, ezsp.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Form(t.Context(), parameters); err != nil {
			t.Fatal(err)
		}
		ours := make(map[string]bool)
		for _, data := range ezsp.DataOf(tap.said) {
			ours[hex.EncodeToString(data[1:])] = true
		}
		missing := 0
		for data := range theirs {
			// Of what comes before the network is there, and configures.
			switch id := data[4:6]; {
			case len(data) < 10 || data[:4] != "0001":
			case id == "53" || id == "02" || id == "10" || id == "17" || id == "5a" || id == "15" || id == "64" || id == "ab" || id == "aa",
				id == "55" && data[8:] != "0003":
				if !ours[data] {
					t.Errorf("not said: %s", data)
				}
				missing++
			}
		}
		if missing < 20 {
			t.Errorf("only %d commands were compared", missing)
		}
	})
}
