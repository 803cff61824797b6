package network

import (
	"fmt"
	"strings"
	"testing"
)

func TestSettingsProblems(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Settings)
		want   string // beginning of the only problem; empty: there is none
	}{
		{"default", func(*Settings) {}, ""},
		{"static", func(s *Settings) {
			s.Ethernet = Addresses{IPv4: "192.168.1.2/24", Gateway: "192.168.1.1", DNS: []string{"192.168.1.1", "2606:4700::1111"}, IPv6: "fd00::2/64", IPv6Gateway: "fe80::1"}
		}, ""},
		{"link local by hand", func(s *Settings) { s.Ethernet.IPv4 = "169.254.3.4/16" }, ""},
		{"no length", func(s *Settings) { s.Ethernet.IPv4 = "192.168.1.2" }, `ethernet.ipv4: "192.168.1.2" is no IPv4 address with its length`},
		{"empty", func(s *Settings) { s.Ethernet.IPv4 = "" }, `ethernet.ipv4: "" is no`},
		{"mapped", func(s *Settings) { s.Ethernet.IPv4 = "::ffff:192.168.1.2/120" }, "ethernet.ipv4: "},
		{"IPv6 for IPv4", func(s *Settings) { s.Ethernet.IPv4 = "fd00::2/64" }, "ethernet.ipv4: "},
		{"network", func(s *Settings) { s.Ethernet.IPv4 = "192.168.1.0/24" }, "ethernet.ipv4: 192.168.1.0 is the address of the network"},
		{"broadcast", func(s *Settings) { s.Ethernet.IPv4 = "192.168.1.127/25" }, "ethernet.ipv4: 192.168.1.127 is the address of the network"},
		{"length", func(s *Settings) { s.Ethernet.IPv4 = "192.168.1.2/31" }, "ethernet.ipv4: the length 31"},
		{"loopback", func(s *Settings) { s.Ethernet.IPv4 = "127.0.0.2/8" }, "ethernet.ipv4: 127.0.0.2 is no address"},
		{"this network", func(s *Settings) { s.Ethernet.IPv4 = "0.1.2.3/8" }, "ethernet.ipv4: 0.1.2.3 is no address"},
		{"class E", func(s *Settings) { s.Ethernet.IPv4 = "250.1.2.3/8" }, "ethernet.ipv4: 250.1.2.3 is no address"},
		{"multicast", func(s *Settings) { s.Ethernet.IPv4 = "224.0.0.251/24" }, "ethernet.ipv4: 224.0.0.251 is no address"},
		{"gateway elsewhere", func(s *Settings) { s.Ethernet.IPv4, s.Ethernet.Gateway = "192.168.1.2/24", "192.168.2.1" }, "ethernet.gateway: 192.168.2.1 is no other"},
		{"own gateway", func(s *Settings) { s.Ethernet.IPv4, s.Ethernet.Gateway = "192.168.1.2/24", "192.168.1.2" }, "ethernet.gateway: "},
		{"gateway and DHCP", func(s *Settings) { s.Ethernet.Gateway = "192.168.1.1" }, "ethernet.gateway: DHCP tells"},
		{"many servers", func(s *Settings) { s.Ethernet.DNS = []string{"1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"} }, "ethernet.dns: there are 4"},
		{"server twice", func(s *Settings) { s.Ethernet.DNS = []string{"1.1.1.1", "1.1.1.1"} }, "ethernet.dns: "},
		{"server with a line", func(s *Settings) { s.Ethernet.DNS = []string{"1.1.1.1\noptions x"} }, "ethernet.dns: "},
		{"IPv6 of a link", func(s *Settings) { s.Ethernet.IPv6 = "fe80::2/64" }, "ethernet.ipv6: fe80::2 is no address"},
		{"IPv6 gateway and auto", func(s *Settings) { s.Ethernet.IPv6Gateway = "fe80::1" }, "ethernet.ipv6_gateway: routers announce"},
		{"IPv6 gateway elsewhere", func(s *Settings) { s.Ethernet.IPv6, s.Ethernet.IPv6Gateway = "fd00::2/64", "fd01::1" }, "ethernet.ipv6_gateway: fd01::1 is no other"},
		{"Wi-Fi", func(s *Settings) { s.WiFi.Country, s.WiFi.SSID, s.WiFi.Password = "DE", "Zuhause", "geheim-geheim" }, ""},
		{"open Wi-Fi", func(s *Settings) { s.WiFi.SSID = "Zuhause" }, ""},
		{"a key", func(s *Settings) { s.WiFi.SSID, s.WiFi.Password = "x", strings.Repeat("0aF", 21)+"0" }, ""},
		{"no key", func(s *Settings) { s.WiFi.SSID, s.WiFi.Password = "x", strings.Repeat("g", 64) }, "wifi.password: has 64 characters"},
		{"short", func(s *Settings) { s.WiFi.SSID, s.WiFi.Password = "x", "1234567" }, "wifi.password: is no password"},
		{"accents", func(s *Settings) { s.WiFi.SSID, s.WiFi.Password = "x", "pässwörter" }, "wifi.password: is no password"},
		{"password alone", func(s *Settings) { s.WiFi.Password = "12345678" }, "wifi.password: is of no use"},
		{"country", func(s *Settings) { s.WiFi.Country = "de" }, "wifi.country: "},
		{"long name", func(s *Settings) { s.WiFi.SSID = strings.Repeat("ä", 17) }, "wifi.ssid: "},
		{"addresses of Wi-Fi", func(s *Settings) { s.WiFi.SSID, s.WiFi.Addresses.IPv4 = "x", "x" }, "wifi.addresses.ipv4: "},
		{"the same address", func(s *Settings) {
			s.WiFi.SSID, s.WiFi.Addresses.IPv4, s.Ethernet.IPv4 = "x", "192.168.1.2/24", "192.168.1.2/24"
		}, "wifi.addresses.ipv4: 192.168.1.2 is the address of the Ethernet port"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := Default()
			test.change(&s)
			var got []string
			s.Problems(func(key, format string, args ...any) { got = append(got, key+": "+fmt.Sprintf(format, args...)) })
			switch {
			case test.want == "" && len(got) > 0:
				t.Errorf("problems: %q", got)
			case test.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], test.want)):
				t.Errorf("problems: %q, want %q", got, test.want)
			}
			for _, text := range got {
				if p := s.WiFi.Password; p != "" && strings.Contains(text, p) {
					t.Errorf("the password is told: %s", text)
				}
			}
		})
	}
}
