package gateway

import (
	"log/slog"
	"path/filepath"
	"testing"

	"lintel/gateway/network"
	"lintel/gateway/settings"
)

// TestNetworkSaved: what a person has confirmed on the page is what the next start reads.
func TestNetworkSaved(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), settings.DefaultFile)
	want := network.Addresses{IPv4: "192.168.7.2/24", Gateway: "192.168.7.1", DNS: []string{"192.168.7.1"}, IPv6: network.Off}
	if err := saveEthernet(file)(want); err != nil {
		t.Fatal(err)
	}
	c, err := settings.Load(file)
	if err != nil || c.Network.Ethernet.IPv4 != want.IPv4 || c.Network.Ethernet.IPv6 != network.Off || len(c.Network.Ethernet.DNS) != 1 {
		t.Errorf("%v %+v", err, c.Network)
	}
	// A computer's own network is left alone.
	g := &gateway{config: c, log: slog.New(slog.DiscardHandler)}
	if g.buildNetwork(); g.network != nil || len(g.networkNotices()) > 0 {
		t.Error("the network of a computer is set up")
	}
	g.o.Network, g.o.ConfigFile, g.config.Network.WiFi.SSID = true, file, "house"
	if g.buildNetwork(); g.network == nil || len(g.networkNotices()) != 1 {
		t.Error("nobody tells that there is no Wi-Fi")
	}
}
