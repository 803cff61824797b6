package settings

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// What a file of cloud-init may have at most: those of Imager have a hundredth.
const (
	maxYAMLNodes = 4000
	maxYAMLDepth = 20
)

// node is a value in a YAML file, and the line that it stands in. It may be nothing.
type node struct{ *yaml.Node }

// parseYAML parses a file that is a mapping. There are no aliases, anchors and merge keys
// in it: what a file says stands in it.
func parseYAML(name, text string) (node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return node{}, fmt.Errorf("%s%s", name, yamlMistake(err))
	}
	if document.Kind == 0 { // comments alone
		return node{}, nil
	}
	count := 0
	var check func(n *yaml.Node, depth int) error
	check = func(n *yaml.Node, depth int) error {
		count++
		switch {
		case depth > maxYAMLDepth || count > maxYAMLNodes:
			return fmt.Errorf("%s:%d: there is more in it than this box reads", name, n.Line)
		case n.Kind == yaml.AliasNode || n.Anchor != "":
			return fmt.Errorf("%s:%d: an anchor or alias; right is to write it out", name, n.Line)
		}
		for _, sub := range n.Content {
			if err := check(sub, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := check(&document, 0); err != nil {
		return node{}, err
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return node{}, fmt.Errorf("%s:1: is no list of settings; right are lines such as hostname: lintel", name)
	}
	return node{document.Content[0]}, nil
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yamlMistake says where a mistake is. What the parser quotes may be secret.
func yamlMistake(err error) string {
	text := withoutQuotes(err.Error())
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		_, after, _ := strings.Cut(text, ": ")
		_, after, _ = strings.Cut(strings.TrimPrefix(after, "yaml: "), ": ")
		if after == "" {
			after = text
		}
		return ":" + m[1] + ": is no YAML: " + after
	}
	return ": is no YAML"
}

// pairs returns the keys and values of a mapping.
func (n node) pairs(yield func(key string, value node) bool) {
	if n.Node == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; k.Kind == yaml.ScalarNode && !yield(k.Value, node{n.Content[i+1]}) {
			return
		}
	}
}

// get returns the value of a key below several others.
func (n node) get(path ...string) node {
	for _, name := range path {
		found := node{}
		for key, value := range n.pairs {
			if key == name {
				found = value
				break
			}
		}
		n = found
	}
	return n
}

// items returns the elements of a list; a value that is none is its only element.
func (n node) items() []node {
	switch {
	case n.Node == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		return []node{n}
	}
	var all []node
	for _, sub := range n.Content {
		all = append(all, node{sub})
	}
	return all
}

// text returns a scalar; empty: it is none, or null.
func (n node) text() string {
	if n.Node == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

func (n node) line() int {
	if n.Node == nil {
		return 1
	}
	return n.Line
}

func (n node) isTrue() bool {
	return slices.Contains([]string{"true", "yes", "on", "1"}, strings.ToLower(n.text()))
}

// userData reads what cloud-init calls user data, as far as it is a cloud-config.
func (w *wishes) userData(text string) error {
	first, _, _ := strings.Cut(text, "\n")
	first = strings.TrimSpace(first)
	if strings.HasPrefix(first, "#!") || strings.HasPrefix(first, "#include") || strings.HasPrefix(strings.ToLower(first), "content-type:") || strings.HasPrefix(first, "## template:") {
		return fmt.Errorf("%s:1: is a script or a list of files, and this box runs none; right is #cloud-config in the first line, or %s", w.name, PreseedFile)
	}
	root, err := parseYAML(w.name, text)
	if err != nil {
		return err
	}
	host := root.get("hostname")
	if host.text() == "" {
		host = root.get("fqdn")
	}
	label, _, _ := strings.Cut(host.text(), ".")
	w.hostName(label, host.line())
	zone := root.get("timezone")
	w.set("time.zone", zone.text(), zone.line())

	for _, user := range append(root.get("users").items(), root.get("user").items()...) {
		hash := user.get("passwd")
		if hash.text() == "" {
			hash = user.get("hashed_passwd")
		}
		plain := user.get("plain_text_passwd")
		if hash.text() != "" || plain.text() != "" {
			line := hash.line()
			if hash.text() == "" {
				line = plain.line()
			}
			w.login(user.get("name").text(), hash.text(), plain.text(), line)
			break
		}
		if len(user.get("ssh_authorized_keys").items())+len(user.get("ssh_import_id").items()) > 0 {
			w.cannot(noSSH)
		}
	}
	if p := root.get("password"); w.tree["claim"] == nil && p.text() != "" { // of the first user
		w.login("", "", p.text(), p.line())
	}
	for _, key := range []string{"ssh_pwauth", "enable_ssh"} {
		if root.get(key).isTrue() {
			w.cannot(noSSH)
		}
	}
	for _, key := range []string{"ssh_authorized_keys", "ssh_import_id", "ssh"} {
		if root.get(key).Node != nil {
			w.cannot(noSSH)
		}
	}
	for _, key := range []string{"write_files", "bootcmd"} {
		if root.get(key).Node != nil {
			w.cannot(noCommands)
		}
	}
	for _, command := range root.get("runcmd").items() {
		var words []string
		for _, word := range command.items() {
			words = append(words, word.text())
		}
		// Imager itself turns SSH on, and the radio.
		switch line := strings.Join(words, " "); {
		case strings.HasPrefix(line, "systemctl enable") && strings.HasSuffix(line, " ssh"):
			w.cannot(noSSH)
		case !strings.Contains(line, "rfkill"):
			w.cannot(noCommands)
		}
	}
	return nil
}

// networkConfig reads a network configuration of version 2, which is that of netplan.
func (w *wishes) networkConfig(text string) error {
	root, err := parseYAML(w.name, text)
	if err != nil {
		return err
	}
	if n := root.get("network"); n.Node != nil {
		root = n
	}
	if v := root.get("version"); v.text() != "2" && (root.get("ethernets").Node != nil || root.get("wifis").Node != nil || v.text() != "") {
		return fmt.Errorf("%s:%d: the version is %q; right is 2", w.name, v.line(), v.text())
	}
	for _, ethernet := range root.get("ethernets").pairs {
		if err := w.addresses("network.ethernet.", ethernet); err != nil {
			return err
		}
		break
	}
	for _, wifi := range root.get("wifis").pairs {
		if wifi.Kind != yaml.MappingNode { // such as renderer: networkd
			continue
		}
		country := wifi.get("regulatory-domain").text()
		for ssid, point := range wifi.get("access-points").pairs {
			password := point.get("password").text()
			if password == "" {
				password = point.get("auth", "password").text()
			}
			if kind := point.get("auth", "key-management"); !slices.Contains([]string{"", "none", "psk", "sae"}, kind.text()) {
				return fmt.Errorf("%s:%d: a wireless network with %q; right is one with a password, psk or sae", w.name, kind.line(), kind.text())
			}
			w.wiFi(ssid, password, country, point.get("hidden").isTrue(), point.line())
			break
		}
		if w.lines["network.wifi.ssid"] > 0 {
			if err := w.addresses("network.wifi.addresses.", wifi); err != nil {
				return err
			}
		}
		break
	}
	return nil
}

// addresses reads those of an interface. With DHCP there is nothing to set.
func (w *wishes) addresses(path string, n node) error {
	for _, a := range n.get("addresses").items() {
		text := a.text()
		if a.Kind == yaml.MappingNode { // an address with options
			return fmt.Errorf("%s:%d: an address with options; right is the address alone, such as 192.168.1.2/24", w.name, a.line())
		}
		key := "ipv4"
		if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is6() {
			key = "ipv6"
		}
		if w.lines[path+key] == 0 { // the box has one of each
			w.set(path+key, text, a.line())
		}
	}
	if w.lines[path+"ipv4"] > 0 {
		g := n.get("gateway4")
		w.set(path+"gateway", g.text(), g.line())
	}
	if w.lines[path+"ipv6"] > 0 {
		g := n.get("gateway6")
		w.set(path+"ipv6_gateway", g.text(), g.line())
	}
	for _, route := range n.get("routes").items() {
		via := route.get("via")
		a, err := netip.ParseAddr(via.text())
		key, has := "gateway", "ipv4"
		if err == nil && a.Is6() {
			key, has = "ipv6_gateway", "ipv6"
		}
		if to := route.get("to").text(); (to == "default" || to == "0.0.0.0/0" || to == "::/0") && w.lines[path+has] > 0 {
			w.set(path+key, via.text(), via.line())
		}
	}
	var servers []any
	dns := n.get("nameservers", "addresses")
	for _, server := range dns.items() {
		servers = append(servers, server.text())
	}
	if len(servers) > 0 {
		w.set(path+"dns", servers, dns.line())
	}
	return nil
}
