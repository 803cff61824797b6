package dashboard

import (
	"fmt"
	"io"
	"net/http/httptest"
	"testing"
	"time"

	"lintel/gateway/access"
	"lintel/serialbridge/zigbee"
)

// TestLargeNetworkIsQuick: what is made each second for those who look at the Zigbee pages takes
// little though there are two hundred devices.
func TestLargeNetworkIsQuick(t *testing.T) {
	g := newGate(t)
	s := New(g.o)
	bridge := g.zigbee().bridge
	for i := range 200 {
		d := zigbee.Device{IEEEAddress: zigbee.IEEEAddress(i + 1), Type: zigbee.EndDevice, Interview: zigbee.Successful, ModelID: fmt.Sprint("model ", i), LastSeen: time.Now(),
			Endpoints: []zigbee.Endpoint{{ID: 1, Input: []uint16{0, 4, 6}, Output: []uint16{25}}}}
		if i%5 == 0 {
			d.Type = zigbee.Router
		}
		bridge.Changed(d)
	}
	for path, page := range map[string]livePage{
		"/zigbee":          {fragments: []string{"zigbee-acts", "zigbee-open", "zigbee-joining", "zigbee-state", "zigbee-channels"}, data: s.zigbeeNetworkView},
		"/zigbee-groups":   {fragments: []string{"zigbee-acts", "zigbee-groups"}, data: s.groupsPageView},
		"/zigbee-map":      {fragments: []string{"zigbee-acts", "zigbee-scan"}, data: s.mapPageView},
		"/zigbee-firmware": {fragments: []string{"zigbee-acts", "zigbee-firmware", "zigbee-images"}, data: s.firmwarePageView},
		"/zigbee-devices":  {fragments: []string{"zigbee-acts", "zigbee-devices", "zigbee-lessons"}, data: s.zigbeeView},
	} {
		allocations := testing.AllocsPerRun(5, func() {
			data, err := page.data(&request{Request: httptest.NewRequest("GET", path, nil), level: access.Viewer})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range page.fragments {
				if err := pages(english).ExecuteTemplate(io.Discard, name, data); err != nil {
					t.Fatal(err)
				}
			}
		})
		if allocations > 6000 {
			t.Errorf("%s takes %.0f allocations each second", path, allocations)
		}
	}
}
