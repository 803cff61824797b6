package homeassistant

// zigbeeBridgeDocuments returns the discovery documents of the Zigbee network
// itself: whether it is there, and what is set for the whole of it.
func zigbeeBridgeDocuments(o ZigbeeOptions) ([]ZigbeeDocument, error) {
	o = o.withDefaults()
	bridge := o.BaseTopic + "/bridge/"
	device := map[string]any{
		"identifiers": []string{o.bridgeIdentifier()}, "name": "Zigbee bridge", "model": "Bridge", "manufacturer": "Lintel",
		"hw_version": o.CoordinatorType + " " + o.CoordinatorRevision, "sw_version": o.Version,
	}
	if o.URL != "" {
		device["configuration_url"] = o.URL + "/#/settings"
	}
	info := func(extra map[string]any) map[string]any {
		extra["state_topic"] = bridge + "info"
		return extra
	}
	var documents []ZigbeeDocument
	for _, entry := range []zigbeeEntry{
		{platform: "binary_sensor", object: "connection_state", keys: map[string]any{
			"name": "Connection state", "device_class": "connectivity", "entity_category": "diagnostic",
			"state_topic": bridge + "state", "value_template": "{{ value_json.state }}", "payload_on": "online", "payload_off": "offline",
		}},
		{platform: "binary_sensor", object: "restart_required", keys: info(map[string]any{
			"name": "Restart required", "device_class": "problem", "entity_category": "diagnostic", "enabled_by_default": false,
			"value_template": "{{ value_json.restart_required }}", "payload_on": true, "payload_off": false,
		})},
		{platform: "button", object: "restart", keys: map[string]any{
			"name": "Restart", "device_class": "restart", "command_topic": bridge + "request/restart", "payload_press": "",
		}},
		{platform: "select", object: "log_level", keys: info(map[string]any{
			"name": "Log level", "entity_category": "config", "value_template": "{{ value_json.log_level | lower }}",
			"command_topic":    bridge + "request/options",
			"command_template": `{"options": {"advanced": {"log_level": "{{ value }}" } } }`,
			"options":          []string{"error", "warning", "info", "debug"},
		})},
		{platform: "sensor", object: "version", keys: info(map[string]any{
			"name": "Version", "icon": "mdi:zigbee", "entity_category": "diagnostic", "value_template": "{{ value_json.version }}",
		})},
		{platform: "sensor", object: "coordinator_version", keys: info(map[string]any{
			"name": "Coordinator version", "icon": "mdi:chip", "entity_category": "diagnostic", "enabled_by_default": false,
			"value_template": "{{ value_json.coordinator.meta.revision }}",
		})},
		{platform: "sensor", object: "network_map", keys: map[string]any{
			"name": "Network map", "entity_category": "diagnostic", "enabled_by_default": false,
			"state_topic": bridge + "response/networkmap", "value_template": "{{ now().strftime('%Y-%m-%d %H:%M:%S') }}",
			"json_attributes_topic": bridge + "response/networkmap", "json_attributes_template": "{{ value_json.data.value | tojson }}",
		}},
		{platform: "switch", object: "permit_join", keys: info(map[string]any{
			"name": "Permit join", "icon": "mdi:human-greeting-proximity", "value_template": "{{ value_json.permit_join | lower }}",
			"command_topic": bridge + "request/permit_join", "state_on": "true", "state_off": "false",
			"payload_on": `{"time": 254}`, "payload_off": `{"time": 0}`,
		})},
	} {
		keys := entry.keys
		keys["object_id"] = "zigbee_bridge_" + entry.object
		keys["default_entity_id"] = entry.platform + ".zigbee_bridge_" + entry.object
		keys["unique_id"] = "bridge_" + o.Coordinator + "_" + entry.object + "_" + o.BaseTopic
		keys["device"], keys["origin"] = device, o.origin()
		if entry.object != "connection_state" { // which tells just this
			keys["availability"] = []map[string]any{{"topic": bridge + "state", "value_template": "{{ value_json.state }}"}}
			keys["availability_mode"] = "all"
		}
		payload, err := marshal(keys)
		if err != nil {
			return nil, err
		}
		documents = append(documents, ZigbeeDocument{
			Topic:   o.Prefix + "/" + entry.platform + "/" + o.encoded() + "_" + o.Coordinator + "/" + entry.object + "/config",
			Payload: payload, Object: entry.object,
		})
	}
	return documents, nil
}
