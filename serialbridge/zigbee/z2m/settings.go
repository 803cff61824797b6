package z2m

import (
	"encoding/json"
	"fmt"

	"lintel/serialbridge/zigbee"
)

// Settings are what users may set that is of no single device, in the tree of
// zigbee2mqtt's configuration as far as it means something here.
type Settings struct {
	Advanced      AdvancedSettings     `json:"advanced"`
	Availability  AvailabilitySettings `json:"availability"`
	Blocklist     []string             `json:"blocklist"` // devices that may not join
	Passlist      []string             `json:"passlist"`  // if there are any, no others may
	DeviceOptions map[string]any       `json:"device_options"`
	Frontend      FrontendSettings     `json:"frontend"`
	Health        HealthSettings       `json:"health"`
	MapOptions    MapOptions           `json:"map_options"`
	MQTT          MQTTSettings         `json:"mqtt"`
}

// AdvancedSettings say what is published, and how.
type AdvancedSettings struct {
	CacheState              bool   `json:"cache_state"`
	CacheStatePersistent    bool   `json:"cache_state_persistent"`
	CacheStateSendOnStartup bool   `json:"cache_state_send_on_startup"`
	Elapsed                 bool   `json:"elapsed"`
	LastSeen                string `json:"last_seen"` // disable, ISO_8601, ISO_8601_local, epoch
	LogLevel                string `json:"log_level"` // error, warning, info, debug
	LogDebugToMQTTFrontend  bool   `json:"log_debug_to_mqtt_frontend"`
	Output                  string `json:"output"` // json, attribute, attribute_and_json
}

// AvailabilitySettings say how it is found out whether devices are there.
type AvailabilitySettings struct {
	Enabled bool               `json:"enabled"`
	Active  ActiveAvailability `json:"active"`
	Passive struct {
		Timeout float64 `json:"timeout"` // minutes
	} `json:"passive"`
}

// ActiveAvailability is of devices that can be asked at any time.
type ActiveAvailability struct {
	Timeout          float64 `json:"timeout"`    // minutes
	MaxJitter        float64 `json:"max_jitter"` // milliseconds
	Backoff          bool    `json:"backoff"`
	PauseOnBackoffGT float64 `json:"pause_on_backoff_gt"`
}

// FrontendSettings are for the front end itself.
type FrontendSettings struct {
	NotificationFilter []string `json:"notification_filter"`
}

// HealthSettings say how often bridge/health is published.
type HealthSettings struct {
	Interval float64 `json:"interval"` // minutes
	// ResetOnCheck has the counters of devices begin anew.
	ResetOnCheck bool `json:"reset_on_check"`
}

// MapOptions are the colors of a network map.
type MapOptions struct {
	Graphviz struct {
		Colors struct {
			Fill NodeColors `json:"fill"`
			Font NodeColors `json:"font"`
			Line struct {
				Active   string `json:"active"`
				Inactive string `json:"inactive"`
			} `json:"line"`
		} `json:"colors"`
	} `json:"graphviz"`
}

// NodeColors are colors by type of device.
type NodeColors struct {
	Coordinator string `json:"coordinator"`
	EndDevice   string `json:"enddevice"`
	Router      string `json:"router"`
}

// MQTTSettings are what of MQTT is not the broker's.
type MQTTSettings struct {
	ForceDisableRetain       bool `json:"force_disable_retain"`
	IncludeDeviceInformation bool `json:"include_device_information"`
}

// defaults are zigbee2mqtt's.
func defaults() Settings {
	s := Settings{
		Advanced: AdvancedSettings{
			CacheState: true, CacheStatePersistent: true, CacheStateSendOnStartup: true,
			LastSeen: "disable", LogLevel: "info", Output: "json",
		},
		Blocklist: []string{}, Passlist: []string{},
		DeviceOptions: map[string]any{},
		Frontend:      FrontendSettings{NotificationFilter: []string{}},
		Health:        HealthSettings{Interval: 10},
	}
	s.Availability.Active = ActiveAvailability{Timeout: 10, MaxJitter: 30_000, Backoff: true}
	s.Availability.Passive.Timeout = 1500
	c := &s.MapOptions.Graphviz.Colors
	c.Fill = NodeColors{Coordinator: "#e04e5d", EndDevice: "#fff8ce", Router: "#4ea3e0"}
	c.Font = NodeColors{Coordinator: "#ffffff", EndDevice: "#000000", Router: "#ffffff"}
	c.Line.Active, c.Line.Inactive = "#009900", "#994444"
	return s
}

// settingsOf returns the defaults and what users have set above them.
func settingsOf(overrides map[string]any) (Settings, error) {
	s := defaults()
	tree, ok := overrides["availability"].(map[string]any)
	if ok { // the old short form: availability.active true is of zigbee2mqtt 1
		if _, isBool := tree["active"].(bool); isBool {
			return s, fmt.Errorf("availability.active is an object")
		}
	}
	if err := json.Unmarshal(encode(overrides), &s); err != nil {
		return s, err
	}
	if s.DeviceOptions == nil {
		s.DeviceOptions = map[string]any{}
	}
	return s, nil
}

// apply changes settings by a part of the tree.
func (b *Bridge) apply(change map[string]any) error {
	overrides := mergeNulls(b.overrides, change)
	if err := validate(configSchema, overrides); err != nil {
		return err
	}
	settings, err := settingsOf(overrides)
	if err != nil {
		return err
	}
	b.overrides, b.settings = overrides, settings
	b.saver.put(configKey, overrides)
	for _, d := range b.devices {
		d.options = merge(settings.DeviceOptions, d.own)
	}
	b.applyLogLevel()
	b.applyAvailability()
	return nil
}

// configTree is the configuration as bridge/info shows it: nothing in it is secret.
func (b *Bridge) configTree(p zigbee.Parameters) map[string]any {
	config, _ := plain(b.settings).(map[string]any)
	advanced := config["advanced"].(map[string]any)
	advanced["channel"], advanced["pan_id"] = p.Channel, p.PANID
	extended := make([]int, len(p.ExtendedPANID))
	for i, x := range p.ExtendedPANID {
		extended[i] = int(x)
	}
	advanced["ext_pan_id"] = extended
	advanced["enable_external_js"] = false
	frontend := config["frontend"].(map[string]any)
	frontend["enabled"], frontend["package"], frontend["base_url"] = true, "zigbee2mqtt-windfront", "/"
	server := config["mqtt"].(map[string]any)
	server["base_topic"], server["server"], server["version"] = b.base, b.o.Server, mqttVersion
	config["homeassistant"] = map[string]any{
		"enabled":         b.o.HomeAssistant.Enabled,
		"discovery_topic": b.o.HomeAssistant.DiscoveryTopic, "status_topic": b.o.HomeAssistant.StatusTopic,
		"legacy_action_sensor": false, "experimental_event_entities": false,
	}
	config["serial"] = map[string]any{"adapter": "", "port": ""} // sticks are found by themselves
	config["version"] = 5
	deviceSets := make(map[string]any, len(b.deviceSets))
	for ieee, set := range b.deviceSets {
		deviceSets[ieee.String()] = set
	}
	groupSets := make(map[string]any, len(b.groupSets))
	for id, set := range b.groupSets {
		groupSets[entityID(id)] = set
	}
	config["devices"], config["groups"] = deviceSets, groupSets
	return config
}

// mqttVersion is the version of MQTT that the bridge speaks, as in the settings
// of clients: 5 for 5.0.
const mqttVersion = 5
