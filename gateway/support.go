package gateway

import (
	"encoding/hex"
	"io"
	"os"
	"strings"

	"lintel/gateway/dashboard"
	"lintel/gateway/settings"
)

// support is what the house adds to support bundles.
type support struct {
	g    *gateway
	page *settings.Page
}

// Write implements dashboard.Support.
func (s support) Write(add func(name string, content any)) {
	running, next, err := s.page.Shown()
	add("configuration.toml", running)
	if err != nil {
		add("configuration-file.txt", err.Error()+"\n")
	} else if next != "" {
		add("configuration-after-restart.toml", next)
	}
	add("machine.json", struct {
		Facts []dashboard.Fact `json:"facts"`
		USB   any              `json:"usb"`
	}{withoutSerial(s.g.machineFacts()), s.g.bridge.Sticks()})
	if s.g.zigbee != nil {
		info, p, running := s.g.zigbee.Bridge().Network().Info()
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
	secrets := s.page.Secrets()
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
		if _, p, running := s.g.zigbee.Bridge().Network().Info(); running {
			key := hex.EncodeToString(p.NetworkKey[:])
			secrets = append(secrets, key, strings.ToUpper(key))
		}
	}
	if bridge, ok := s.g.haBridge.kept.Get(bridgeKey); ok {
		secrets = append(secrets, bridge.Password)
	}
	for _, u := range s.g.access.users.All() {
		secrets = append(secrets, u.Hash, u.SCRAM)
	}
	return secrets
}
