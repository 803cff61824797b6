package gateway

import (
	"encoding/hex"
	"io"
	"os"
	"strings"

	"lintel/gateway/dashboard"
)

// support is what the house adds to support bundles.
type support struct {
	g    *gateway
	page *configPage
}

// Write implements dashboard.Support.
func (s support) Write(add func(name string, content any)) {
	// Without comments: nobody knows what is in them.
	running, _ := hideSecrets("", tree(s.g.config)).(map[string]any)
	add("configuration.toml", encodeTOML(running))
	if _, c, err := s.page.read(); err != nil {
		add("configuration-file.txt", err.Error()+"\n")
	} else if waiting := s.page.waiting(c); len(waiting) > 0 {
		next, _ := hideSecrets("", tree(c)).(map[string]any)
		add("configuration-after-restart.toml", encodeTOML(next))
	}
	add("machine.json", struct {
		Facts []dashboard.Fact `json:"facts"`
		USB   any              `json:"usb"`
	}{withoutSerial(s.g.readMachine().facts()), s.g.bridge.Sticks()})
	if s.g.zigbee != nil {
		info, p, running := s.g.zigbee.current().Network().Info()
		add("zigbee-network.json", struct {
			Running     bool   `json:"running"`
			Coordinator string `json:"coordinator"`
			Type        string `json:"type"`
			Revision    string `json:"revision"`
			Channel     uint8  `json:"channel"`
			PANID       uint16 `json:"pan_id"`
		}{running, info.IEEEAddress.String(), info.Type, info.Revision, p.Channel, p.PANID})
	}
}

// withoutSerial leaves out which machine it is.
func withoutSerial(facts []dashboard.Fact) []dashboard.Fact {
	var rest []dashboard.Fact
	for _, f := range facts {
		if f.Name != "Serial number" {
			rest = append(rest, f)
		}
	}
	return rest
}

// Secrets implements dashboard.Support.
func (s support) Secrets() []string {
	secrets := secretsIn("", tree(s.g.config))
	if _, c, err := s.page.read(); err == nil {
		secrets = append(secrets, secretsIn("", tree(c))...)
	}
	if name := s.g.config.Access.JWT.SecretFile; name != "" {
		if f, err := os.Open(name); err == nil {
			text, err := io.ReadAll(io.LimitReader(f, 4<<10))
			f.Close()
			if err == nil {
				secrets = append(secrets, strings.TrimSpace(string(text)))
			}
		}
	}
	if s.g.zigbee != nil {
		if _, p, running := s.g.zigbee.current().Network().Info(); running {
			key := hex.EncodeToString(p.NetworkKey[:])
			secrets = append(secrets, key, strings.ToUpper(key))
		}
	}
	if settings, ok := s.g.haBridge.kept.Get(bridgeKey); ok {
		secrets = append(secrets, settings.Password)
	}
	for _, u := range s.g.access.users.All() {
		secrets = append(secrets, u.Hash, u.SCRAM)
	}
	return secrets
}
