package homeassistant

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"lintel/mdns"
)

// Found is a Home Assistant on the network, as it says itself, or who pretends to be one.
type Found struct {
	ID      string   `json:"id"` // its uuid, or where it is
	Name    string   `json:"name"`
	Version string   `json:"version,omitempty"`
	URLs    []string `json:"urls"` // where it may be, the best first; there is at least one
}

// FoundOf reads an advertisement: the URLs that it names, then the addresses that it
// comes from. Home Assistant leaves the URLs empty where it does not know them (from its
// zeroconf integration), and may have been moved since they were typed in.
func FoundOf(m mdns.Found) (f Found, ok bool) {
	text := func(key string) string {
		value, _ := m.Value(key)
		return cut(value, 100)
	}
	f = Found{Name: text("location_name"), Version: text("version"), ID: text("uuid")}
	if f.Name == "" {
		f.Name = cut(m.Instance, 100)
	}
	add := func(address string) {
		u, err := parseAddress(address)
		if err != nil || len(f.URLs) >= maxURLs {
			return
		}
		for _, other := range f.URLs {
			if other == u.String() {
				return
			}
		}
		f.URLs = append(f.URLs, u.String())
	}
	for _, key := range []string{"internal_url", "base_url"} {
		if address := text(key); address != "" {
			add(address)
		}
	}
	if m.Port >= 1 && m.Port <= 65535 {
		for _, a := range m.Addresses {
			if a.Zone() == "" { // no browser takes one in a URL
				add("http://" + net.JoinHostPort(a.String(), strconv.Itoa(m.Port)))
			}
		}
		for _, a := range m.Addresses { // with a certificate of its own, and no URL set
			if a.Zone() == "" {
				add("https://" + net.JoinHostPort(a.String(), strconv.Itoa(m.Port)))
			}
		}
	}
	if len(f.URLs) == 0 {
		return Found{}, false
	}
	if f.ID == "" {
		f.ID = f.URLs[0]
	}
	return f, true
}

// notOfHost reports whether a character is in no name or address of a host. Other
// alphabets are written as xn-- there.
func notOfHost(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.:", c)
}

// maxURLs is how many URLs of one advertisement are tried.
const maxURLs = 6

// cut cuts a text of strangers to so many bytes.
func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}

// defaultPort is that of Home Assistant, whatever speaks there.
const defaultPort = "8123"

// parseAddress reads the address of a Home Assistant as people type it: with or without
// scheme and port, or copied with the path of a page. The error is a [ConnectError].
func parseAddress(address string) (*url.URL, error) {
	address = strings.TrimSpace(address)
	if address == "" {
		return nil, connectError(BadRequest, "Type the address of Home Assistant, such as http://homeassistant.local:8123.")
	}
	bad := func(why string) error {
		return connectError(BadRequest, "This is no address of a Home Assistant: %s. Type one such as http://homeassistant.local:8123.", why)
	}
	if len(address) > 1000 {
		return nil, bad("it is too long")
	}
	bare := !strings.Contains(address, "://")
	if bare {
		if a, err := netip.ParseAddr(address); err == nil && a.Is6() {
			address = "[" + address + "]"
		}
		address = "http://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, bad("it cannot be read")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, bad("it begins with neither http:// nor https://")
	case u.User != nil:
		return nil, bad("leave the user name and the password out, Home Assistant asks for them on its own page")
	}
	host, port := strings.ToLower(strings.TrimRight(u.Hostname(), ".")), u.Port()
	if host == "" || strings.ContainsFunc(host, notOfHost) {
		return nil, bad("it names no host")
	}
	if port == "" && bare {
		port = defaultPort
	}
	if port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return nil, bad("its port is not one of 1 to 65535")
		}
		host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return &url.URL{Scheme: u.Scheme, Host: host}, nil
}
