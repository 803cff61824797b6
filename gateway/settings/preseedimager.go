package settings

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"lintel/gateway/tomllines"
)

// Files that Raspberry Pi Imager writes on the card when it customises an image: those of
// cloud-init for init_format "cloudinit" and "cloudinit-rpi", firstrun.sh for "systemd".
// custom.toml is what Raspberry Pi OS has taken since 2023 in the place of that script.
const (
	userData      = "user-data"
	networkConfig = "network-config"
	metaData      = "meta-data"
	customTOML    = "custom.toml"
	firstRun      = "firstrun.sh"
)

// imagerFiles are tried in this order: the first that says something counts most.
var imagerFiles = []string{userData, networkConfig, metaData, customTOML, firstRun}

// Sentences about what Raspberry Pi OS has and this box does not.
const (
	noSSH      = "%s asks for SSH: this box has none, and needs none"
	noCommands = "%s has commands or files for another system: they do nothing on this box"
)

// parseImager parses one of the imagerFiles. Nothing in them is run.
func parseImager(name, text string) *preseed {
	s := &preseed{name: name, sum: sha256.Sum256([]byte(text))}
	if strings.TrimSpace(text) == "" {
		return s
	}
	w := &wishes{name: name, tree: make(map[string]any), lines: make(map[string]int)}
	var err error
	switch name {
	case userData:
		err = w.userData(text)
	case networkConfig:
		err = w.networkConfig(text)
	case customTOML:
		err = w.customTOML(text)
	case firstRun:
		err = w.firstRun(text)
	}
	if err != nil {
		s.err = err
		return s
	}
	s.left = w.left
	s.check(w.tree, w.lines)
	return s
}

// wishes are what a file of another system asks for, as a PreseedFile would say it.
type wishes struct {
	name  string
	tree  map[string]any
	lines map[string]int
	left  []string
}

// set sets a key, unless there is nothing to set it to.
func (w *wishes) set(key string, value any, line int) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case bool:
		if !v {
			return
		}
	}
	setAt(w.tree, key, value)
	w.lines[key] = line
}

// cannot notes what a file asks for in vain, once.
func (w *wishes) cannot(sentence string) {
	if text := fmt.Sprintf(sentence, w.name); !slices.Contains(w.left, text) {
		w.left = append(w.left, text)
	}
}

// hostName sets the name of the box on the network: .local is added there.
func (w *wishes) hostName(name string, line int) {
	w.set("mdns.host", strings.TrimSuffix(strings.TrimSuffix(name, "."), ".local"), line)
}

// login sets who may log in to the pages. A hash that nothing matches is none.
func (w *wishes) login(user, hash, password string, line int) {
	if hash == "" && password == "" || strings.HasPrefix(hash, "!") || strings.HasPrefix(hash, "*") {
		return
	}
	w.set("claim.user", user, line)
	w.set("claim.password_hash", hash, line)
	w.set("claim.password", password, line)
}

// wiFi sets the wireless network.
func (w *wishes) wiFi(ssid, password, country string, hidden bool, line int) {
	w.set("network.wifi.ssid", ssid, line)
	w.set("network.wifi.password", password, line)
	w.set("network.wifi.country", strings.ToUpper(country), line)
	w.set("network.wifi.hidden", hidden, line)
}

// customFile is custom.toml: init_config of raspberrypi-sys-mods reads these keys.
type customFile struct {
	Version int64 `toml:"config_version"`
	System  struct {
		HostName string `toml:"hostname"`
	} `toml:"system"`
	User struct {
		Name      string `toml:"name"`
		Password  string `toml:"password"`
		Encrypted *bool  `toml:"password_encrypted"` // missing: true
	} `toml:"user"`
	SSH  map[string]any `toml:"ssh"`
	WLAN struct {
		SSID      string `toml:"ssid"`
		Password  string `toml:"password"`
		Encrypted *bool  `toml:"password_encrypted"` // it shows
		Hidden    bool   `toml:"hidden"`
		Country   string `toml:"country"`
	} `toml:"wlan"`
	Locale struct {
		Keymap   string `toml:"keymap"`
		TimeZone string `toml:"timezone"`
	} `toml:"locale"`
}

func (w *wishes) customTOML(text string) error {
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		if pe, ok := errors.AsType[toml.ParseError](err); ok {
			return fmt.Errorf("%s:%d: %s", w.name, pe.Position.Line, withoutQuotes(pe.Message))
		}
		return fmt.Errorf("%s: is no TOML", w.name)
	}
	ssh, _ := tree["ssh"].(map[string]any)
	delete(tree, "ssh")
	lines := tomllines.Of(text)
	t := reflect.TypeFor[customFile]()
	if ps := checkTree(tree, t, "", knownKeys(t, "")); len(ps) > 0 {
		s := preseed{secrets: secretsOf(tree, false)}
		return s.scrub(located(w.name, lines, ps))
	}
	var c customFile
	fill(&c, tree)
	if c.Version != 1 {
		return fmt.Errorf("%s:%d: config_version is %d; right is 1", w.name, max(1, lines["config_version"]), c.Version)
	}
	w.hostName(c.System.HostName, lines["system.hostname"])
	w.set("time.zone", c.Locale.TimeZone, lines["locale.timezone"])
	if orDefault(c.User.Encrypted, true) {
		w.login(c.User.Name, c.User.Password, "", lines["user.password"])
	} else {
		w.login(c.User.Name, "", c.User.Password, lines["user.password"])
	}
	w.wiFi(c.WLAN.SSID, c.WLAN.Password, c.WLAN.Country, c.WLAN.Hidden, max(1, lines["wlan.ssid"]))
	if on, _ := ssh["enabled"].(bool); on {
		w.cannot(noSSH)
	}
	return nil
}

// firstRun reads firstrun.sh, as far as it calls the two programs of Raspberry Pi OS that
// each version of Imager since 1.7.3 calls. What they do without them is the same again.
func (w *wishes) firstRun(text string) error {
	known := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		words, ok := shellWords(strings.TrimRight(line, "\r\n"))
		if !ok || len(words) == 0 {
			continue
		}
		program, words := words[0], words[1:]
		switch {
		case strings.HasSuffix(program, "/userconf") && len(words) == 2:
			known = true
			w.login(words[0], words[1], "", n)
			continue
		case !strings.HasSuffix(program, "/imager_custom") || len(words) == 0:
			continue
		}
		known = true
		command, words := words[0], words[1:]
		switch {
		case command == "set_hostname" && len(words) == 1:
			w.hostName(words[0], n)
		case command == "set_timezone" && len(words) == 1:
			w.set("time.zone", words[0], n)
		case command == "enable_ssh":
			w.cannot(noSSH)
		case command == "set_wlan":
			hidden := false
			for len(words) > 0 && (words[0] == "-h" || words[0] == "-p") { // -p: the password is plain, which shows
				hidden = hidden || words[0] == "-h"
				words = words[1:]
			}
			words = append(words, "", "", "")
			w.wiFi(words[0], words[1], words[2], hidden, n)
		case command == "set_wlan_country" && len(words) == 1:
			w.set("network.wifi.country", strings.ToUpper(words[0]), n)
		}
	}
	if !known {
		return fmt.Errorf("%s:1: is no script of Raspberry Pi Imager, and this box runs no scripts; right is %s", w.name, PreseedFile)
	}
	return nil
}

// shellWords splits a line as a shell would do that knows no expansions; ok is false if a
// quotation does not end in it.
func shellWords(line string) (words []string, ok bool) {
	var word strings.Builder
	within := false // a word, which may be empty
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t':
			if within {
				words = append(words, word.String())
				word.Reset()
				within = false
			}
		case '#':
			if !within {
				return words, true
			}
			word.WriteByte(c)
		case '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				return nil, false
			}
			word.WriteString(line[i+1 : i+1+end])
			i += end + 1
			within = true
		case '"':
			within = true
			for i++; i < len(line) && line[i] != '"'; i++ {
				if line[i] == '\\' && i+1 < len(line) && strings.IndexByte("\\\"$`", line[i+1]) >= 0 {
					i++
				}
				word.WriteByte(line[i])
			}
			if i >= len(line) {
				return nil, false
			}
		case '\\':
			if i+1 < len(line) {
				i++
				word.WriteByte(line[i])
			}
			within = true
		default:
			word.WriteByte(c)
			within = true
		}
	}
	if within {
		words = append(words, word.String())
	}
	return words, true
}
