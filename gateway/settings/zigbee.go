package settings

import (
	"encoding/hex"
	"fmt"
	"os"

	"lintel/serialbridge/zigbee"
)

// ZigbeeConfig is about the Zigbee network. What belongs to its devices and groups is
// set over MQTT or on the page and kept in the store.
type ZigbeeConfig struct {
	Enabled   bool   `toml:"enabled"`
	BaseTopic string `toml:"base_topic"` // part of what Home Assistant knows entities by: as it was in zigbee2mqtt

	// The network that is formed if there is none yet.
	Channel       int    `toml:"channel"`         // 11 to 26; 0: the quietest of 11, 15, 20 and 25
	PANID         int    `toml:"pan_id"`          // 0: by chance
	ExtendedPANID string `toml:"extended_pan_id"` // 16 hexadecimal digits; empty: by chance
	NetworkKey    string `toml:"network_key"`     // 32 hexadecimal digits; empty: by chance

	TakeOver bool   `toml:"take_over"` // a stick that holds another network is made the coordinator of this one
	Devices  string `toml:"devices"`   // folder with definitions of devices, *.toml; empty: zigbee-devices in the data folder
	Frontend string `toml:"frontend"`  // folder with the files of zigbee2mqtt's front end; empty: none
	OTAIndex string `toml:"ota_index"` // URL or file that tells of firmware for devices; empty: none
	Token    string `toml:"token"`     // that the front end asks its user for; empty: the login of the page is enough
}

func defaultZigbee() ZigbeeConfig {
	return ZigbeeConfig{Enabled: true, BaseTopic: "zigbee2mqtt",
		OTAIndex: "https://raw.githubusercontent.com/Koenkk/zigbee-OTA/master/index.json"}
}

// problems tells bad what is wrong.
func (c ZigbeeConfig) problems(bad func(key, format string, args ...any)) {
	if err := checkTopic(c.BaseTopic); err != nil {
		bad("zigbee.base_topic", "%v", err)
	}
	if c.Channel != 0 && (c.Channel < 11 || c.Channel > 26) {
		bad("zigbee.channel", "%d is no channel; right is 11 to 26, or 0 for the quietest", c.Channel)
	}
	if c.PANID < 0 || c.PANID > 0xfffe {
		bad("zigbee.pan_id", "%d is out of range; right is 1 to 65534, or 0 for one by chance", c.PANID)
	}
	if _, err := hexBytes(c.ExtendedPANID, 8); err != nil {
		bad("zigbee.extended_pan_id", "%v", err)
	}
	if _, err := hexBytes(c.NetworkKey, 16); err != nil {
		bad("zigbee.network_key", "%v", err)
	}
	for _, folder := range []struct{ key, path string }{{"devices", c.Devices}, {"frontend", c.Frontend}} {
		if folder.path == "" {
			continue
		}
		if info, err := os.Stat(folder.path); err != nil || !info.IsDir() {
			bad("zigbee."+folder.key, "%q is not a folder; right is one that is there, or nothing", folder.path)
		}
	}
}

func hexBytes(text string, n int) ([]byte, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != n && text != "" {
		return nil, fmt.Errorf("%d characters that are no number; right are %d hexadecimal digits, or nothing for one by chance", len(text), 2*n)
	}
	return b, nil
}

// Parameters are those of the network that is formed if there is none yet.
func (c ZigbeeConfig) Parameters() zigbee.Parameters {
	p := zigbee.Parameters{PANID: uint16(c.PANID), Channel: uint8(c.Channel)}
	extended, _ := hexBytes(c.ExtendedPANID, 8) // checked by problems
	key, _ := hexBytes(c.NetworkKey, 16)
	copy(p.ExtendedPANID[:], extended)
	copy(p.NetworkKey[:], key)
	return p
}
