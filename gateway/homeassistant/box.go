package homeassistant

import (
	"errors"

	"lintel/gateway/access"
	"lintel/serialbridge"
)

// The keys of the box that can be commanded, below GatewayID.
const (
	RestartKey    = "restart"
	BackupKey     = "backup_now"
	IdentifyKey   = "identify"
	PermitJoinKey = "permit_join"
)

// PermitJoinSeconds is the key of how long the Zigbee network stays open. It counts
// down while it is, see [BoxStateOptions].Live.
const PermitJoinSeconds = "permit_join_seconds"

// errRetained is said of a command that was meant for the moment it was sent, not for each start.
var errRetained = errors.New("a retained command is of the past: publish it without the retain flag")

// BoxDevice returns the box as a device. Its id is [GatewayID]; in Home
// Assistant it appears under the id of the box.
func BoxDevice(box Box) serialbridge.Device {
	d := serialbridge.Device{
		ID:        GatewayID,
		Name:      box.Name,
		Vendor:    "Lintel",
		Model:     box.Model,
		SWVersion: box.Version,
		Properties: []serialbridge.Property{
			{Key: "version", Name: "Version", Kind: serialbridge.State},
			{Key: "board", Name: "Board", Kind: serialbridge.State},
			{Key: "started", Name: "Started", Kind: serialbridge.State, Class: "timestamp"},
			{Key: "temperature", Name: "Processor temperature", Kind: serialbridge.Measurement,
				Class: "temperature", Unit: "°C", StateClass: "measurement", Precision: 1},
			{Key: "load", Name: "Load", Kind: serialbridge.Measurement, StateClass: "measurement", Precision: 2},
			{Key: "memory_used", Name: "Memory used", Kind: serialbridge.Measurement,
				Unit: "%", StateClass: "measurement", Precision: 0},
			{Key: "disk_free", Name: "Storage free", Kind: serialbridge.Measurement,
				Class: "data_size", Unit: "MB", StateClass: "measurement", Precision: 0},
			{Key: "storage", Name: "Storage", Kind: serialbridge.State},
			{Key: "storage_problem", Name: "Storage problem", Kind: serialbridge.Binary, Class: "problem"},
			{Key: "machine", Name: "Machine", Kind: serialbridge.State},
			{Key: "machine_problem", Name: "Machine problem", Kind: serialbridge.Binary, Class: "problem"},
			{Key: "clients", Name: "Clients connected", Kind: serialbridge.Measurement,
				StateClass: "measurement", Precision: 0},
			// A house says a few messages a minute and not one in a second: by the
			// second this would be noise or zero.
			{Key: "messages_per_minute", Name: "Messages per minute", Kind: serialbridge.Measurement,
				StateClass: "measurement", Precision: 0},
			{Key: "messages_dropped", Name: "Messages dropped", Kind: serialbridge.Measurement,
				StateClass: "total_increasing", Precision: 0},
			{Key: "logins_refused", Name: "Logins refused", Kind: serialbridge.Measurement,
				StateClass: "total_increasing", Precision: 0},
			{Key: "security", Name: "Security", Kind: serialbridge.Event, Options: access.Kinds()},
			{Key: "backup", Name: "Last backup", Kind: serialbridge.State, Class: "timestamp"},
			{Key: "last_command", Name: "Last command", Kind: serialbridge.State},
			{Key: "commands_refused", Name: "Commands refused", Kind: serialbridge.Measurement,
				StateClass: "total_increasing", Precision: 0},
		},
	}
	add := func(p ...serialbridge.Property) { d.Properties = append(d.Properties, p...) }
	if box.Parts.Throttling {
		add(serialbridge.Property{Key: "throttled", Name: "Power or heat problem", Kind: serialbridge.Binary, Class: "problem"},
			serialbridge.Property{Key: "throttled_by", Name: "Power or heat", Kind: serialbridge.State},
			serialbridge.Property{Key: "throttled_before", Name: "Power or heat since the start", Kind: serialbridge.State})
	}
	if box.Parts.Writes {
		add(serialbridge.Property{Key: "written", Name: "Written to storage", Kind: serialbridge.Measurement,
			Class: "data_size", Unit: "GB", StateClass: "total_increasing", Precision: 1},
			serialbridge.Property{Key: "written_per_day", Name: "Written to storage per day", Kind: serialbridge.Measurement,
				Class: "data_size", Unit: "GB", StateClass: "measurement", Precision: 2})
	}
	if box.Parts.CardLife {
		add(serialbridge.Property{Key: "card_life_used", Name: "Storage life used", Kind: serialbridge.Measurement,
			Unit: "%", StateClass: "measurement", Precision: 0},
			serialbridge.Property{Key: "card_spare", Name: "Spare blocks of storage", Kind: serialbridge.State,
				Options: []string{"normal", "warning", "urgent"}})
	}
	for i := range d.Properties {
		d.Properties[i].Category = serialbridge.Diagnostic
	}
	add(serialbridge.Property{Key: RestartKey, Name: "Restart", Kind: serialbridge.Button, Class: "restart", Category: serialbridge.Config},
		serialbridge.Property{Key: BackupKey, Name: "Back up now", Kind: serialbridge.Button, Category: serialbridge.Config})
	if box.Parts.Updates {
		add(serialbridge.Property{Key: updateKey, Name: "Update", Kind: serialbridge.Update, Class: "firmware", Category: serialbridge.Config})
	}
	if box.Parts.LED {
		add(serialbridge.Property{Key: IdentifyKey, Name: "Identify", Kind: serialbridge.Button, Class: "identify", Category: serialbridge.Config})
	}
	if box.Parts.Zigbee {
		add(serialbridge.Property{Key: PermitJoinKey, Name: "Let Zigbee devices join", Kind: serialbridge.Switch},
			serialbridge.Property{Key: PermitJoinSeconds, Name: "Zigbee devices may join for", Kind: serialbridge.Measurement,
				Class: "duration", Unit: "s", Category: serialbridge.Diagnostic})
	}
	return d
}
