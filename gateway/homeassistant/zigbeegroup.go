package homeassistant

import (
	"slices"

	"lintel/serialbridge/zigbee/devices"
)

// group returns what the members of a group have in common with each other: a
// light, a switch, a lock, a cover.
func (m *zigbeeMaker) group() []*zigbeeEntry {
	byType := make(map[string][]*devices.Expose)
	var order []string
	var all []*devices.Expose
	for _, member := range m.e.Members {
		all = append(all, member.Exposes...)
		for _, x := range member.Exposes {
			if !slices.Contains(groupTypes, x.Type) {
				continue
			}
			key := x.Type
			if state := feature(x, "state"); state != nil && x.Type != "light" && x.Endpoint != "" {
				key += plainProperty(state)
			}
			if byType[key] == nil {
				order = append(order, key)
			}
			byType[key] = append(byType[key], x)
		}
	}
	var entries []*zigbeeEntry
	for _, key := range order {
		entries = append(entries, m.expose(byType[key][0], byType[key], all)...)
	}
	return entries
}

var groupTypes = []string{"light", "switch", "lock", "cover"}

// memberIDs are the unique ids of the entities that a group's entity stands for.
func (m *zigbeeMaker) memberIDs(platform string) []string {
	var ids []string
	for _, member := range m.e.Members {
		for _, x := range member.Exposes {
			if x.Type == platform && x.Endpoint == member.Endpoint {
				object := x.Type
				if x.Endpoint != "" {
					object += "_" + x.Endpoint
				}
				ids = append(ids, member.Device+"_"+object+"_"+m.o.BaseTopic)
				break
			}
		}
	}
	return ids
}
